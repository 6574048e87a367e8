//! The lifecycle worker: does what lifecycle rules want of versions and uploads, in the order in which it becomes due; and sets due
//! times anew in buckets whose rules were changed.
//!
//! Its cost grows with what is due: it reads the first entries of an index by time. What it does, the namespace decides.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::event::EventKind;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::block_manager::lifecycle::{LifecycleActions, LifecycleCounts, LifecycleStep, LifecycleWalk};
use crate::block_manager::{BlockManager, Inner};
use crate::store::{StoreError, lifecycle};

/// Versions, and as many uploads, with which one step does what is due: as many as one mutation of DeleteObjects, some milliseconds
/// of the writer's time.
const DUE_PER_STEP: u32 = 25;

/// Versions or uploads that one step of a walk looks at: some ten milliseconds.
const WALKED_PER_STEP: u32 = 200;

/// The lifecycle worker.
pub(super) struct Lifecycle {
    inner: Arc<Inner>,
    counts: LifecycleCounts,
    locked: u64,
    damaged: u64,
    walk: Option<LifecycleWalk>,
    /// Whether the last step was one of a walk. Walks and what is due take turns.
    walked: bool,
}

impl Lifecycle {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let counts = LifecycleCounts::default();
        Self { inner, counts, locked: 0, damaged: 0, walk: None, walked: false }
    }

    /// Does some of what is due.
    async fn act(&mut self, actions: &Arc<dyn LifecycleActions>) -> Result<(), StoreError> {
        let (actions, blocks) = (actions.clone(), BlockManager { inner: self.inner.clone() });
        let step: LifecycleStep = self
            .inner
            .store
            .write_in_background(move |tx| {
                async move { actions.step(tx, &blocks, DUE_PER_STEP).await }.boxed()
            })
            .await?;
        self.counts.add(step.counts);
        self.locked += step.locked;
        self.damaged += step.damaged;
        self.inner.count(WorkerName::Lifecycle, step.counts.total(), 0);
        self.inner.pay(WorkerName::Lifecycle, u64::from(step.examined));
        for event in step.events {
            self.inner.events.publish(event);
        }
        Ok(())
    }

    /// Takes a step of a walk.
    async fn walk(&mut self, actions: &Arc<dyn LifecycleActions>) -> Result<(), StoreError> {
        let actions = actions.clone();
        let walk: Option<LifecycleWalk> = self
            .inner
            .store
            .write_in_background(move |tx| async move { actions.walk(tx, WALKED_PER_STEP).await }.boxed())
            .await?;
        let Some(walk) = walk else { return Ok(()) };
        self.inner.pay(WorkerName::Lifecycle, u64::from(walk.looked_at));
        if walk.is_done {
            let (bucket, looked_at) = (walk.bucket.clone(), walk.looked_at_in_all);
            self.inner.events.publish(EventKind::LifecycleWalked { bucket, looked_at });
        }
        self.walk = Some(walk);
        Ok(())
    }
}

#[async_trait]
impl Worker for Lifecycle {
    fn name(&self) -> WorkerName {
        WorkerName::Lifecycle
    }

    fn doing(&self) -> String {
        let LifecycleCounts { expired, deleted, markers, changed, aborted } = self.counts;
        let mut doing = format!(
            "expired {expired} objects, deleted {deleted} noncurrent versions and {markers} delete markers, changed \
             {changed} storage classes, aborted {aborted} uploads"
        );
        for (many, what) in [(self.locked, "locked"), (self.damaged, "damaged")] {
            if many > 0 {
                doing += &format!("; passed over {many} {what} versions");
            }
        }
        if let Some(walk) = self.walk.as_ref().filter(|walk| !walk.is_done && !walk.bucket.is_empty()) {
            doing += &format!("; looks at bucket {}, {} so far", walk.bucket, walk.looked_at_in_all);
        }
        doing
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let Some(actions) = self.inner.lifecycle.get().cloned() else { return Ok(Progress::Rest) };
        let now = actions.now();
        let mut reader = self.inner.store.read_in_background().await?;
        let is_due = lifecycle::next_due(&mut reader).await?.is_some_and(|due| due <= now);
        let is_walk = lifecycle::find_walk(&mut reader, None).await?.is_some();
        drop(reader);
        match (is_due, is_walk) {
            (false, false) => {
                self.walk = None;
                return Ok(Progress::Rest);
            }
            (true, false) => self.act(&actions).await?,
            (false, true) => self.walk(&actions).await?,
            (true, true) if self.walked => {
                self.walked = false;
                self.act(&actions).await?;
            }
            (true, true) => {
                self.walked = true;
                self.walk(&actions).await?;
            }
        }
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}
