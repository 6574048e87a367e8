//! The garbage worker: when the grace period of a deleted version is over, it drops the version's extents and the blocks
//! that nothing refers to any more. The length of the period is `garbage_grace` in `config.rs`; `clock.rs` decides which
//! deletes are that old.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::store::blocks::Unreferenced;
use crate::store::garbage::Dropped;
use crate::store::{Connection, StoreError, blocks, expiry, garbage, leases};

/// Extents in one step, an owner without extents counting as one: it bounds how long others wait for its transaction.
/// With a block of its own and three replicas an extent costs some 35 µs, so that a step takes ten milliseconds; and it is
/// more than the overwrites that one transaction makes beside it.
const WORK_PER_STEP: u32 = 300;

/// Work without a pause for so long means that garbage comes in as fast as it goes. Then steps grow, for what is not
/// collected fills the disks, and in the end clients wait for that.
const BEHIND_AFTER: Duration = Duration::from_secs(60);

/// Steps grow to so many times their size at the most: a tenth of a second of the writer's time.
const GROWTH_MAX: u32 = 8;

/// A longer time without a step is a pause: an operator's, or the worker had nothing to do.
const PAUSE: Duration = Duration::from_secs(10);

/// Owners that are stamped anew in one step.
const STAMPS_PER_STEP: u32 = 64;

/// Drops the extents of owners whose grace period is over, and the blocks that nobody refers to then.
pub(super) struct Garbage {
    inner: Arc<Inner>,
    /// What the last step dropped.
    last: Dropped,
    pace: Pace,
}

/// What one step gave free.
#[derive(Default)]
struct Collected {
    dropped: Dropped,
    unreferenced: Unreferenced,
}

impl Garbage {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, last: Dropped::default(), pace: Pace::default() }
    }
}

/// How much one step does: more, the longer there was no pause.
#[derive(Debug, Default)]
struct Pace {
    /// When it began to have work, and when it did the last step.
    busy: Option<(Duration, Duration)>,
}

impl Pace {
    /// The work of a step that begins now.
    fn work(&mut self, now: Duration) -> u32 {
        let since = match self.busy {
            Some((since, last)) if now.saturating_sub(last) < PAUSE => since,
            Some(_) | None => now,
        };
        self.busy = Some((since, now));
        let behind = now.saturating_sub(since).as_secs() / BEHIND_AFTER.as_secs();
        WORK_PER_STEP * u32::try_from(behind + 1).unwrap_or(GROWTH_MAX).min(GROWTH_MAX)
    }

    /// Nothing is left to do.
    fn rest(&mut self) {
        self.busy = None;
    }
}

#[async_trait]
impl Worker for Garbage {
    fn name(&self) -> WorkerName {
        WorkerName::Garbage
    }

    fn doing(&self) -> String {
        match self.last {
            Dropped { owners: 0, extents: 0 } => "nothing is due".to_owned(),
            Dropped { owners, extents } => {
                format!("gives up {extents} extents of {owners} objects and parts at a time")
            }
        }
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        // While it is not known what the wall clock did, nothing is due.
        let retired_before = self.inner.clock.retired_before(&self.inner.env).unwrap_or_default();
        let mut reader = self.inner.store.read_in_background().await?;
        let any = garbage::any_due(&mut reader, retired_before).await?;
        drop(reader);
        if !any {
            self.last = Dropped::default();
            self.pace.rest();
            return self.end_time_travel().await;
        }
        let work = self.pace.work(self.inner.env.monotonic());
        let shared = self.inner.clone();
        let Collected { dropped, unreferenced } = self
            .inner
            .store
            .write_in_background(move |tx| {
                async move { collect(&shared, tx, retired_before, work).await }.boxed()
            })
            .await?;
        self.last = dropped;
        self.inner.pay(WorkerName::Garbage, dropped.extents);
        self.tell(&unreferenced);
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}

impl Garbage {
    /// Tells memory and others of blocks that went.
    fn tell(&self, gone: &Unreferenced) {
        let bytes = gone.replicas.iter().map(|(_, _, bytes)| bytes).sum();
        self.inner.count(WorkerName::Garbage, gone.blocks, bytes);
        {
            let mut soft_state = self.inner.soft_state();
            for (node, replicas, bytes) in &gone.replicas {
                soft_state.nodes.deletions_queued(*node, *replicas, *bytes);
            }
        }
        if gone.blocks > 0 {
            self.inner.events.publish(EventKind::GarbageCollected { blocks: gone.blocks });
        }
    }

    /// What was retired while the wall clock was far ahead waits no longer than what is retired now.
    async fn end_time_travel(&self) -> Result<Progress, StoreError> {
        let now = self.inner.env.wall();
        let beyond = now.after(self.inner.config.garbage_grace);
        let latest = garbage::latest(&mut *self.inner.store.read_in_background().await?).await?;
        if latest.is_none_or(|latest| latest <= beyond) {
            return Ok(Progress::Rest);
        }
        self.inner
            .store
            .write_in_background(move |tx| garbage::retire_again(tx, beyond, now, STAMPS_PER_STEP).boxed())
            .await?;
        Ok(Progress::More)
    }
}

/// What is due is looked for in the transaction: a reader that is still there may have had a version kept for longer
/// just now.
async fn collect(
    inner: &Inner,
    tx: &mut Connection,
    retired_before: Timestamp,
    work: u32,
) -> Result<Collected, StoreError> {
    let Some(share) = garbage::share(tx, retired_before, work).await? else {
        return Ok(Collected::default());
    };
    // At the first extent that goes, nobody must find the version any more.
    expiry::forget_versions(tx, &share, inner.env.wall()).await?;
    let dropped = garbage::drop_share(tx, &share).await?;
    blocks::keep_miscounted(tx).await?;
    let now = inner.env.now();
    // A commit that is repeated so late must not find a block whose replicas go. The youngest tells for all.
    let youngest = blocks::youngest_unreferenced(tx).await?;
    if youngest.is_some_and(|youngest| inner.may_be_granted(youngest)) {
        leases::give_up_unreferenced(tx, inner.clock.grants_end(now)).await?;
    }
    let unreferenced = blocks::drop_unreferenced(tx, now).await?;
    Ok(Collected { dropped, unreferenced })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_there_is_no_end_of_garbage_and_a_pause_begins_anew() {
        let (mut pace, at) = (Pace::default(), Duration::from_secs);
        for second in 0..60 {
            assert_eq!(pace.work(at(second)), WORK_PER_STEP);
        }
        assert_eq!(pace.work(at(60)), 2 * WORK_PER_STEP);
        for second in (61..2_000).step_by(9) {
            pace.work(at(second));
        }
        assert_eq!(pace.work(at(2_000)), GROWTH_MAX * WORK_PER_STEP);
        assert_eq!(pace.work(at(2_010)), WORK_PER_STEP, "an operator had paused it");
        pace.work(at(2_019));
        pace.rest();
        assert_eq!(pace.work(at(2_020)), WORK_PER_STEP);
    }
}
