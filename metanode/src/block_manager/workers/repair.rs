//! The repair worker: examines the blocks in the repair queue, and orders the copies and drops that they need.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_planner::examine::{Need, Standing};
use cairn_protocol::admin::WorkerName;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use tokio::sync::watch;

use super::examining::{Examiner, Looked, is_done, settle};
use super::{Progress, Worker, scan};
use crate::block_manager::Inner;
use crate::block_manager::soft_state::SoftState;
use crate::block_manager::soft_state::copies::Purpose;
use crate::block_manager::soft_state::repair_hints::RepairHints;
use crate::store::repairs::QueuedRepair;
use crate::store::{Connection, StoreError, blocks, repairs};

/// Blocks that one step examines.
const BLOCKS_PER_STEP: u32 = 200;

/// How long the worker rests when no block waits, in multiples of its interval. Hints wake it earlier. After the rest
/// it sweeps for blocks without a hint. Rests are long because a sweep examines every block that cannot be repaired for
/// lack of nodes, and those may be millions.
const LONG_REST: u32 = 600;

/// Upper limit of blocks that are remembered for a later examination. When more have to wait, a sweep over the queue
/// finds them.
const WAITING_MAX: usize = 20_000;

/// The repair worker. It examines queued blocks, those with the fewest replicas first, and orders the copies and drops
/// that they need.
///
/// When nodes have changed it sweeps over the whole queue, and starts the sweep again whenever it had to stop for lack of
/// bandwidth. Between sweeps it examines only blocks for which it has a hint.
pub(super) struct Repair {
    inner: Arc<Inner>,
    examiner: Examiner,
    /// The position of the sweep; `None` without a sweep.
    sweep: Option<Option<QueuedRepair>>,
    /// Whether the last sweep stopped for lack of bandwidth. It starts again as soon as there is some.
    cut_short: bool,
    /// Blocks that have to wait before they are examined again.
    waiting: Waiting,
    /// The number of transactions that have ended, so that their changes are visible.
    ended: watch::Receiver<u64>,
    /// Whether the event that there is nothing to repair was published.
    idle: bool,
}

/// Blocks that have to wait before they are examined again, and whether there are more of them than are remembered.
#[derive(Default)]
struct Waiting {
    blocks: HashSet<BlockId>,
    more: bool,
}

impl Waiting {
    fn add(&mut self, block: BlockId) {
        if self.blocks.len() < WAITING_MAX {
            self.blocks.insert(block);
        } else if !self.blocks.contains(&block) {
            self.more = true;
        }
    }

    fn remove(&mut self, block: BlockId) {
        self.blocks.remove(&block);
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Ends the wait: adds a hint for each block, and orders a sweep if some were not remembered.
    fn end(&mut self, hints: &mut RepairHints) {
        if std::mem::take(&mut self.more) {
            hints.sweep();
        }
        for block in self.blocks.drain() {
            hints.add(block);
        }
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.more { " and more than are remembered" } else { "" };
        write!(f, "{} blocks wait{more}", self.blocks.len())
    }
}

/// The next action for a block that was examined.
enum Next {
    /// Drop its surplus replicas in a transaction, and update the queue.
    Settle,
    /// Examine it later.
    Wait,
    /// Stop the page, because there is no bandwidth now.
    Stop,
    /// Do nothing for now.
    Nothing,
}

impl Repair {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let examiner = Examiner::new(inner.clone(), WorkerName::Repair);
        let ended = inner.store.transactions_ended();
        // The first sweep finds the blocks that were queued before the start.
        Self {
            inner,
            examiner,
            sweep: Some(None),
            cut_short: false,
            waiting: Waiting::default(),
            ended,
            idle: true,
        }
    }

    /// The blocks to examine now, the most urgent first.
    async fn next_page(&mut self) -> Result<Vec<QueuedRepair>, StoreError> {
        let ended = *self.ended.borrow();
        if self.inner.soft_state().hints.take_sweep(ended) || std::mem::take(&mut self.cut_short) {
            self.sweep = Some(None);
        }
        let mut reader = self.inner.store.read_in_background().await?;
        if let Some(after) = self.sweep {
            let page = repairs::page(&mut reader, after, BLOCKS_PER_STEP).await?;
            self.sweep = (page.len() == BLOCKS_PER_STEP as usize).then(|| page.last().copied());
            return Ok(page);
        }
        let hinted = self.inner.soft_state().hints.take(BLOCKS_PER_STEP as usize, ended);
        let mut page = Vec::with_capacity(hinted.len());
        for block in hinted {
            self.waiting.remove(block);
            page.extend(repairs::find(&mut reader, block).await?);
        }
        page.sort_by_key(|place| (place.live, place.queued_at, place.block));
        Ok(page)
    }

    async fn look_at(&mut self, page: &[QueuedRepair]) -> Result<(), StoreError> {
        let mut settled = Vec::new();
        let mut reader = self.inner.store.read_in_background().await?;
        for place in page {
            match self.look(&mut reader, place).await? {
                Next::Settle => settled.push(place.block),
                Next::Wait => self.waiting.add(place.block),
                Next::Stop => {
                    // The rest of the page is less urgent, and would have to wait as well.
                    self.cut_short = true;
                    self.sweep = None;
                    break;
                }
                Next::Nothing => {}
            }
        }
        drop(reader);
        settle(&self.inner, settled).await
    }

    async fn look(&self, reader: &mut Connection, place: &QueuedRepair) -> Result<Next, StoreError> {
        let Some(copies) = blocks::find(reader, place.block).await? else { return Ok(Next::Settle) };
        let looked = self.examiner.look(reader, place.block, &copies, Purpose::Repair).await?;
        let verdict = match looked {
            Looked::Waits => return Ok(Next::Wait),
            Looked::Throttled => return Ok(Next::Stop),
            Looked::Examined(verdict) => verdict,
        };
        let settles = !verdict.drops.is_empty() || is_done(&copies, &verdict) || verdict.live != place.live;
        Ok(match verdict.standing {
            Standing::Deferred if verdict.need != Some(Need::Drain) => Next::Stop,
            _ if settles => Next::Settle,
            Standing::Satisfied | Standing::UnderWay | Standing::Stuck | Standing::Deferred => Next::Nothing,
        })
    }

    /// Publishes an event, once, when everything that can be repaired is repaired.
    fn rest(&mut self) {
        let quiet = {
            let soft_state = self.inner.soft_state();
            soft_state.scans.is_empty() && copying(&soft_state) == 0 && soft_state.hints.is_idle()
        };
        let quiet = quiet && self.sweep.is_none() && !self.cut_short && self.waiting.is_empty();
        if quiet && !self.idle {
            self.inner.events.publish(EventKind::RepairIdle);
        }
        self.idle = quiet;
    }
}

/// Waits until `wanted` transactions have ended.
async fn have_ended(ended: &mut watch::Receiver<u64>, wanted: Option<u64>) {
    let Some(wanted) = wanted else { return std::future::pending().await };
    if ended.wait_for(|ended| *ended >= wanted).await.is_err() {
        // The store was closed.
        std::future::pending().await
    }
}

/// The number of copies under way for repair.
fn copying(soft_state: &SoftState) -> u64 {
    soft_state.copies.count(|purpose| purpose == Purpose::Repair)
}

#[async_trait]
impl Worker for Repair {
    fn name(&self) -> WorkerName {
        WorkerName::Repair
    }

    fn doing(&self) -> String {
        let soft_state = self.inner.soft_state();
        format!(
            "{} copies under way, {} scans to do, {}{}",
            copying(&soft_state),
            soft_state.scans.len(),
            self.waiting,
            if self.sweep.is_some() { ", sweeping" } else { "" }
        )
    }

    /// Scans run first, so that the blocks with the fewest replicas are known and repaired first.
    async fn survey(&mut self) -> Result<Progress, StoreError> {
        if scan::step(&self.inner).await? {
            self.idle = false;
            return Ok(Progress::More);
        }
        Ok(Progress::Rest)
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let page = self.next_page().await?;
        if !page.is_empty() {
            self.idle = false;
            self.look_at(&page).await?;
        }
        let more = !page.is_empty() && !self.cut_short;
        if more || self.sweep.is_some() {
            return Ok(Progress::More);
        }
        if self.cut_short && self.inner.is_throttled(WorkerName::Repair) {
            return Ok(Progress::Throttled);
        }
        self.rest();
        Ok(Progress::Rest)
    }

    async fn wait(&mut self) {
        let config = &self.inner.config;
        let rest = if self.idle && self.waiting.is_empty() {
            config.worker_interval * LONG_REST
        } else {
            config.worker_interval
        };
        let ripe_after = self.inner.soft_state().hints.ripe_after();
        // After a long rest, a sweep finds the blocks without a hint.
        let long = tokio::select! {
            () = self.inner.wakes.repair.notified() => false,
            () = have_ended(&mut self.ended, ripe_after) => false,
            () = self.inner.env.sleep(rest) => self.idle && self.waiting.is_empty(),
        };
        let mut soft_state = self.inner.soft_state();
        if long {
            soft_state.hints.sweep();
        }
        self.waiting.end(&mut soft_state.hints);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_sweep_finds_the_blocks_beyond_the_limit_and_the_status_mentions_them() {
        let block = |number: usize| BlockId(Uuid::from_u128(number as u128));
        let (mut waiting, mut hints) = (Waiting::default(), RepairHints::default());
        (0..WAITING_MAX).for_each(|number| waiting.add(block(number)));
        waiting.add(block(0));
        assert_eq!(waiting.to_string(), "20000 blocks wait");
        waiting.add(block(WAITING_MAX));
        assert_eq!(waiting.to_string(), "20000 blocks wait and more than are remembered");
        waiting.end(&mut hints);
        assert!(waiting.is_empty() && hints.take_sweep(0));
        assert_eq!(hints.take(usize::MAX, 0).len(), WAITING_MAX);
        // The limit starts again after a wait.
        waiting.add(block(1));
        waiting.end(&mut hints);
        assert!(!hints.take_sweep(0));
    }
}
