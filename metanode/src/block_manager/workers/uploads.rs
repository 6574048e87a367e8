//! The uploads worker: gives up multipart uploads that are too old or whose bucket is gone, and forgets the stored
//! results of completed ones.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::UploadId;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::store::{StoreError, buckets, expiry, mutations, uploads};

/// The longest pause between two rounds. Answers and uploads are kept for days.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Shorter times are kept to within this share of them.
const LOOKS_PER_PERIOD: u32 = 4;

/// Answers that are forgotten in one step: it bounds how long others wait for its transaction.
const ANSWERS_PER_STEP: u32 = 500;

/// Old uploads that one step looks at. Each may have 10,000 parts, and takes a transaction of its own if it goes.
const UPLOADS_PER_STEP: u32 = 16;

/// Parts that go in one step with the uploads of deleted buckets, an upload without parts counting as one: some ten
/// milliseconds, for which others wait.
const PARTS_PER_STEP: u32 = 500;

/// Forgets the answers to uploads that were completed long ago, and gives up uploads that got no part for long, and those of
/// buckets that were deleted.
pub(super) struct Uploads {
    inner: Arc<Inner>,
    forgotten: u64,
    expired: u64,
    /// Uploads of deleted buckets that were given up.
    swept: u64,
    /// How far the look at old uploads has come. Those that still get parts stay, and are passed by.
    looked_through: Option<(Timestamp, UploadId)>,
}

impl Uploads {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, forgotten: 0, expired: 0, swept: 0, looked_through: None }
    }

    /// Forgets some answers. Answers whether there may be more.
    async fn forget(&mut self) -> Result<bool, StoreError> {
        // The namespace stamps what it makes by the wall clock.
        let now = self.inner.env.wall();
        let before = now.before(self.inner.config.completed_uploads_kept);
        let store = &self.inner.store;
        let forgotten: u64 = store
            .write_in_background(move |tx| uploads::forget_completed(tx, before, ANSWERS_PER_STEP).boxed())
            .await?;
        let outcomes: u64 = store
            .write_in_background(move |tx| mutations::forget_old(tx, now, ANSWERS_PER_STEP).boxed())
            .await?;
        self.forgotten += forgotten;
        self.count(forgotten);
        Ok(forgotten.max(outcomes) >= u64::from(ANSWERS_PER_STEP))
    }

    /// Gives up some uploads that lie abandoned. Answers whether there may be more.
    async fn expire(&mut self) -> Result<bool, StoreError> {
        let (now, expiry) = (self.inner.env.wall(), self.inner.config.upload_expiry);
        if expiry.is_zero() {
            return Ok(false);
        }
        let before = now.before(expiry);
        let mut reader = self.inner.store.read_in_background().await?;
        let old = uploads::begun_before(&mut reader, before, self.looked_through, UPLOADS_PER_STEP).await?;
        let mut abandoned = Vec::new();
        for (_, upload) in &old {
            if uploads::find_abandoned(&mut reader, *upload, before).await?.is_some() {
                abandoned.push(*upload);
            }
        }
        drop(reader);
        for upload in abandoned {
            let store = &self.inner.store;
            let given_up = store
                .write_in_background(move |tx| expiry::give_up_abandoned(tx, upload, before, now).boxed())
                .await?;
            if let Some((bucket, key)) = given_up {
                tracing::info!(bucket, key, %upload, "an upload that got no part for long was given up");
                self.inner.events.publish(EventKind::UploadExpired { bucket, key, upload });
                self.expired += 1;
                self.count(1);
            }
        }
        let more = old.len() >= UPLOADS_PER_STEP as usize;
        self.looked_through = old.last().copied().filter(|_| more);
        Ok(more)
    }

    /// Gives up some uploads of deleted buckets. Answers whether there may be more.
    async fn sweep(&mut self) -> Result<bool, StoreError> {
        if buckets::find_deleted(&mut *self.inner.store.read_in_background().await?).await?.is_none() {
            return Ok(false);
        }
        let now = self.inner.env.wall();
        let gone = self
            .inner
            .store
            .write_in_background(move |tx| {
                expiry::give_up_uploads_of_deleted(tx, PARTS_PER_STEP, now).boxed()
            })
            .await?;
        self.swept += gone.len() as u64;
        self.count(gone.len() as u64);
        for upload in gone {
            self.inner.events.publish(EventKind::UploadAborted { upload });
        }
        Ok(true)
    }

    fn count(&self, items: u64) {
        self.inner.count(WorkerName::Uploads, items, 0);
        self.inner.pay(WorkerName::Uploads, items);
    }
}

#[async_trait]
impl Worker for Uploads {
    fn name(&self) -> WorkerName {
        WorkerName::Uploads
    }

    fn doing(&self) -> String {
        format!(
            "gave up {} abandoned uploads and {} of deleted buckets, forgot the answers to {} completed ones",
            self.expired, self.swept, self.forgotten
        )
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        // First, because a client has just deleted a bucket.
        if self.sweep().await? {
            return Ok(Progress::More);
        }
        let (forget, expire) = (self.forget().await?, self.expire().await?);
        Ok(if forget || expire { Progress::More } else { Progress::Rest })
    }

    async fn wait(&mut self) {
        let config = &self.inner.config;
        let periods = [config.completed_uploads_kept, config.upload_expiry];
        let shortest = periods.into_iter().filter(|period| !period.is_zero()).min().unwrap_or(INTERVAL_MAX);
        let interval =
            (shortest / LOOKS_PER_PERIOD).clamp(config.worker_interval.min(INTERVAL_MAX), INTERVAL_MAX);
        tokio::select! {
            () = self.inner.wakes.uploads.notified() => {}
            () = self.inner.env.sleep(interval) => {}
        }
    }
}
