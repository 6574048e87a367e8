use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::blocks::Inner;
use crate::namespace;
use crate::store::StoreError;

/// How often it is looked for answers that need not be remembered any more. They are kept for days.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Answers that are forgotten in one step: it bounds how long others wait for its transaction.
const UPLOADS_PER_STEP: u32 = 500;

/// Forgets the answers to uploads that were completed long ago.
pub(super) struct Uploads {
    inner: Arc<Inner>,
    forgotten: u64,
}

impl Uploads {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, forgotten: 0 }
    }
}

#[async_trait]
impl Worker for Uploads {
    fn name(&self) -> WorkerName {
        WorkerName::Uploads
    }

    fn doing(&self) -> String {
        format!("forgot the answers to {} completed uploads", self.forgotten)
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let before = self.inner.env.wall().before(self.inner.config.completed_uploads_kept);
        let store = &self.inner.store;
        let forgotten: u64 = store
            .write(move |tx| namespace::forget_completed_uploads(tx, before, UPLOADS_PER_STEP).boxed())
            .await?;
        self.forgotten += forgotten;
        self.inner.count(WorkerName::Uploads, forgotten, 0);
        self.inner.pay(WorkerName::Uploads, forgotten);
        Ok(if forgotten < u64::from(UPLOADS_PER_STEP) { Progress::Rest } else { Progress::More })
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(INTERVAL).await;
    }
}
