//! The uploads worker: aborts multipart uploads that are too old or whose bucket is deleted, and removes the remembered
//! outcomes of completed uploads and of other mutations.

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

/// The longest time between two checks. Outcomes and uploads are kept for days.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Checks within the shortest of the configured periods, so that a period is exceeded by at most a quarter.
const LOOKS_PER_PERIOD: u32 = 4;

/// Outcomes that one step removes. It bounds how long other mutations wait for its transaction.
const ANSWERS_PER_STEP: u32 = 500;

/// Old uploads that one step examines. Each may have 10,000 parts, and is aborted in a transaction of its own.
const UPLOADS_PER_STEP: u32 = 16;

/// Parts of uploads of deleted buckets that one step removes; an upload without parts counts as one. Other mutations
/// wait for some ten milliseconds.
const PARTS_PER_STEP: u32 = 500;

/// Removes the outcomes of uploads that were completed long ago, and aborts uploads that got no part for long and those
/// of deleted buckets.
pub(super) struct Uploads {
    inner: Arc<Inner>,
    forgotten: u64,
    expired: u64,
    /// Uploads of deleted buckets that were aborted.
    swept: u64,
    /// The last old upload that was examined. Uploads that still get parts stay, and the walk must get past them.
    looked_through: Option<(Timestamp, UploadId)>,
}

impl Uploads {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, forgotten: 0, expired: 0, swept: 0, looked_through: None }
    }

    /// Removes some outcomes. Returns whether there may be more.
    async fn forget(&mut self) -> Result<bool, StoreError> {
        // The namespace stamps versions and uploads by the wall clock.
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

    /// Aborts some abandoned uploads. Returns whether there may be more.
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

    /// Aborts some uploads of deleted buckets. Returns whether there may be more.
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
        // This comes first, so that the uploads of a bucket that was just deleted go soon.
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
