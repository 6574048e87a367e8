//! The garbage worker: when the grace period of a retired version or part is over, it removes its reference, and then the extent
//! lists and blocks that nothing refers to any more. The length of the period is `garbage_grace` in `config.rs`; `clock.rs`
//! decides which owners were retired that long ago.

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
use crate::store::{Connection, StoreError, blocks, expiry, leases, lists, retired};

/// Retired versions and parts, and entries of lists, in one step. It bounds how long other transactions wait. One
/// whose block has three replicas costs some 35 µs, so a step takes ten milliseconds. It is more than the overwrites of
/// one transaction add, so that garbage does not grow.
const WORK_PER_STEP: u32 = 300;

/// Work without a pause for this long means that garbage is produced as fast as it is removed. Then steps grow, because
/// garbage that is not removed fills the disks.
const BEHIND_AFTER: Duration = Duration::from_secs(60);

/// Steps grow to at most this many times their size: a tenth of a second of the writer's time.
const GROWTH_MAX: u32 = 8;

/// A time without a step that is longer than this is a pause: an operator paused the worker, or there was no garbage.
const PAUSE: Duration = Duration::from_secs(10);

/// Owners whose stamp is corrected in one step.
const STAMPS_PER_STEP: u32 = 64;

/// The garbage worker.
pub(super) struct Garbage {
    inner: Arc<Inner>,
    /// The outcome of the last step, for the worker's status.
    last: Dropped,
    pace: Pace,
}

/// What one step removed.
#[derive(Clone, Copy, Debug, Default)]
struct Dropped {
    /// Retired versions and parts.
    owners: u64,
    /// Entries of lists that nothing refers to.
    entries: u64,
}

/// The outcome of one step.
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

/// The size of a step, which grows with the time without a pause.
#[derive(Debug, Default)]
struct Pace {
    /// When the work without a pause began, and the time of its last step.
    busy: Option<(Duration, Duration)>,
}

impl Pace {
    /// The number of extents for a step that begins now.
    fn work(&mut self, now: Duration) -> u32 {
        let since = match self.busy {
            Some((since, last)) if now.saturating_sub(last) < PAUSE => since,
            Some(_) | None => now,
        };
        self.busy = Some((since, now));
        let behind = now.saturating_sub(since).as_secs() / BEHIND_AFTER.as_secs();
        WORK_PER_STEP * u32::try_from(behind + 1).unwrap_or(GROWTH_MAX).min(GROWTH_MAX)
    }

    /// Records that there is no garbage to remove.
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
            Dropped { owners: 0, entries: 0 } => "nothing is due".to_owned(),
            Dropped { owners, entries } => {
                format!(
                    "removes {owners} objects and parts, and {entries} entries of extent lists, at a time"
                )
            }
        }
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        // Without enough samples of the wall clock it is unknown which stamps are old enough, so nothing is due.
        let retired_before = self.inner.clock.retired_before(&self.inner.env).unwrap_or_default();
        let mut reader = self.inner.store.read_in_background().await?;
        let any = retired::any_due(&mut reader, retired_before).await?
            || lists::any_unreferenced(&mut reader).await?;
        drop(reader);
        if !any {
            self.last = Dropped::default();
            self.pace.rest();
            return self.correct_future_stamps().await;
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
        self.inner.pay(WorkerName::Garbage, dropped.owners + dropped.entries);
        self.record(&unreferenced);
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}

impl Garbage {
    /// Updates the soft state and publishes an event after blocks were dropped.
    fn record(&self, gone: &Unreferenced) {
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

    /// Corrects the stamps of owners that were retired while the wall clock was far ahead. They are stamped with the
    /// present, so that they wait no longer than a grace period from now.
    async fn correct_future_stamps(&self) -> Result<Progress, StoreError> {
        let now = self.inner.env.wall();
        let beyond = now.after(self.inner.config.garbage_grace);
        let latest = retired::latest(&mut *self.inner.store.read_in_background().await?).await?;
        if latest.is_none_or(|latest| latest <= beyond) {
            return Ok(Progress::Rest);
        }
        self.inner
            .store
            .write_in_background(move |tx| retired::retire_again(tx, beyond, now, STAMPS_PER_STEP).boxed())
            .await?;
        Ok(Progress::More)
    }
}

/// Removes a share of the garbage. The share is read inside the transaction, because a reader may have renewed a
/// version a moment ago.
async fn collect(
    inner: &Inner,
    tx: &mut Connection,
    retired_before: Timestamp,
    work: u32,
) -> Result<Collected, StoreError> {
    let share = retired::share(tx, retired_before, work).await?;
    expiry::remember_young_versions(tx, &share, inner.env.wall()).await?;
    let owners = retired::remove(tx, &share).await?;
    // Lists that lost their last reference just now, or in an earlier step.
    let left = u64::from(work).saturating_sub(owners);
    let entries = match u32::try_from(left) {
        Ok(0) | Err(_) => 0,
        Ok(left) => lists::remove_unreferenced(tx, left).await?,
    };
    let dropped = Dropped { owners, entries };
    let now = inner.env.now();
    // A commit that is repeated this late must not find a block whose replicas are being deleted. The youngest block
    // decides, because its grant may be valid for the longest.
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
    fn steps_grow_while_garbage_does_not_end_and_are_small_again_after_a_pause() {
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
