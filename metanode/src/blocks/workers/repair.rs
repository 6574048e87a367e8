use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use futures_util::FutureExt;

use super::throttle::Throttle;
use super::{Progress, Worker, scan};
use crate::blocks::Inner;
use crate::store::blocks::BlockCopies;
use crate::store::repairs::QueuedRepair;
use crate::store::{Connection, StoreError, blocks, deletions, repairs, replicas};
use cairn_planner::block::{BlockView, Holder};
use cairn_planner::budget::InFlight;
use cairn_planner::examine::{Copy, Standing, Verdict, examine};

/// Blocks that are examined in one step.
const BLOCKS_PER_STEP: u32 = 200;

/// How long the worker rests when nothing is to be waited for, in multiples of its interval. It is
/// woken for everything that it is told of; then it sweeps for what it was not told of. A sweep costs a
/// look at every block that cannot be repaired for lack of nodes, and those may be millions.
const LONG_REST: u32 = 600;

/// How often a hinted block is looked for that is not in the queue. A hint is given inside of the
/// transaction that queues the block, so it may come before the row can be seen.
const LOOKS_MAX: u8 = 3;

/// How often another target is sought for a copy whose target is still deleting an older one.
const TARGETS_TRIED_MAX: usize = 4;

/// Examines queued blocks, those with the fewest copies first, and has done what they need.
///
/// It sweeps over the whole queue when nodes have changed, from the beginning whenever it had to stop
/// for lack of bandwidth; between sweeps it looks only at blocks that it is hinted at.
pub(super) struct Repair {
    inner: Arc<Inner>,
    throttle: Throttle,
    /// Where the sweep is; `None` when none is going on.
    sweep: Option<Option<QueuedRepair>>,
    /// The last sweep was cut short: there is more to do as soon as there is bandwidth.
    cut_short: bool,
    /// Blocks that can be examined again only later.
    waiting: HashSet<BlockId>,
    /// Hinted blocks that were not in the queue, and how often they were looked for.
    unseen: HashMap<BlockId, u8>,
    /// Whether it was told that there is nothing to repair.
    idle: bool,
}

/// What came of looking at a block.
enum Looked {
    /// SQL is to be brought in line with it.
    Settle,
    /// It waits for its pipeline, or after a failed attempt.
    Waits,
    /// It waits for bandwidth.
    Deferred,
    /// Nothing is to be done, for now or at all.
    Done,
}

impl Repair {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let throttle = Throttle::new(inner.config.repair_rate);
        // Whatever was queued before the start is found by the first sweep.
        Self {
            inner,
            throttle,
            sweep: Some(None),
            cut_short: false,
            waiting: HashSet::new(),
            unseen: HashMap::new(),
            idle: true,
        }
    }

    fn give_up_late_copies(&self) {
        let now = self.inner.env.now();
        let monotonic = self.inner.env.monotonic();
        let mut memory = self.inner.memory();
        for late in memory.copies.expire(now) {
            tracing::info!(block = %late.replica.block, node = %late.target, "a copy was not made in time");
            memory.setbacks.add(late.replica.block, monotonic);
            memory.hints.add(late.replica.block);
        }
    }

    /// The blocks to look at now, in the order of urgency.
    async fn next_page(&mut self) -> Result<Vec<QueuedRepair>, StoreError> {
        if self.inner.memory().hints.take_sweep() || std::mem::take(&mut self.cut_short) {
            self.sweep = Some(None);
        }
        let mut reader = self.inner.store.read().await?;
        if let Some(after) = self.sweep {
            let page = repairs::page(&mut reader, after, BLOCKS_PER_STEP).await?;
            self.sweep = (page.len() == BLOCKS_PER_STEP as usize).then(|| page.last().copied());
            return Ok(page);
        }
        let hinted = self.inner.memory().hints.take(BLOCKS_PER_STEP as usize);
        let mut page = Vec::with_capacity(hinted.len());
        for block in hinted {
            self.waiting.remove(&block);
            match repairs::find(&mut reader, block).await? {
                Some(place) => page.push(place),
                None => self.look_again(block),
            }
        }
        page.sort_by_key(|place| (place.live, place.queued_at, place.block));
        Ok(page)
    }

    /// Looks for a block once more, after a rest.
    fn look_again(&mut self, block: BlockId) {
        let looks = self.unseen.remove(&block).unwrap_or_default() + 1;
        if looks < LOOKS_MAX {
            self.unseen.insert(block, looks);
            self.waiting.insert(block);
        }
    }

    async fn look_at(&mut self, page: &[QueuedRepair]) -> Result<(), StoreError> {
        let mut settle = Vec::new();
        let mut reader = self.inner.store.read().await?;
        for place in page {
            match self.look(&mut reader, place).await? {
                Looked::Settle => settle.push(place.block),
                Looked::Waits => drop(self.waiting.insert(place.block)),
                Looked::Deferred => {
                    // What comes behind is less urgent, and would have to wait as well.
                    self.cut_short = true;
                    self.sweep = None;
                    break;
                }
                Looked::Done => {}
            }
        }
        drop(reader);
        if settle.is_empty() {
            return Ok(());
        }
        let shared = self.inner.clone();
        let settled =
            self.inner.store.write(move |tx| async move { settle_all(&shared, tx, settle).await }.boxed());
        let dropped = settled.await?;
        let mut memory = self.inner.memory();
        for (node, block, length, makes_room) in dropped {
            memory.nodes.deletion_queued(node, length);
            if makes_room {
                memory.hints.makes_room(block);
            }
        }
        Ok(())
    }

    async fn look(&mut self, reader: &mut Connection, place: &QueuedRepair) -> Result<Looked, StoreError> {
        let block = place.block;
        let Some(copies) = blocks::find(reader, block).await? else { return Ok(Looked::Settle) };
        if self.is_early(place) {
            return Ok(Looked::Waits);
        }
        if !self.throttle.delay(self.inner.env.monotonic()).is_zero() {
            return Ok(Looked::Deferred);
        }
        let mut doomed = Vec::new();
        for _ in 0..TARGETS_TRIED_MAX {
            let verdict = self.plan(block, &copies, &doomed);
            let busy = self.still_deleting(reader, block, &verdict.copies).await;
            if !busy.as_ref().is_ok_and(Vec::is_empty) {
                self.undo(&copies, &verdict.copies);
                doomed.extend(busy?);
                continue;
            }
            let settles = !verdict.drops.is_empty()
                || verdict.standing == Standing::Satisfied
                || verdict.live != place.live;
            self.order(block, &copies, verdict.copies);
            return Ok(match verdict.standing {
                Standing::Deferred => Looked::Deferred,
                _ if settles => Looked::Settle,
                Standing::Satisfied | Standing::UnderWay | Standing::Stuck => Looked::Done,
            });
        }
        Ok(Looked::Waits)
    }

    /// Whether a fresh block's pipeline may still be running, or its last attempt failed just now.
    fn is_early(&self, place: &QueuedRepair) -> bool {
        let created_at = place.block.created_at_ms().map(Timestamp);
        let is_fresh = created_at.is_some_and(|created_at| {
            self.inner.env.now() < created_at.after(self.inner.config.repair_grace)
        });
        is_fresh || self.inner.memory().setbacks.waits(place.block, self.inner.env.monotonic())
    }

    fn plan(&self, block: BlockId, copies: &BlockCopies, doomed: &[NodeId]) -> Verdict {
        let mut memory = self.inner.memory();
        let view = memory.view(&self.inner.env);
        let inbound = memory.copies.targets_of(block);
        let block = block_view(copies, inbound, doomed.to_vec());
        self.inner.env.with_rng(|rng| examine(&view, &block, &mut memory.copies.in_flight, rng))
    }

    /// The targets that have yet to delete an older copy.
    async fn still_deleting(
        &self,
        reader: &mut Connection,
        block: BlockId,
        copies: &[Copy],
    ) -> Result<Vec<NodeId>, StoreError> {
        let mut busy = Vec::new();
        for copy in copies {
            if deletions::is_queued(reader, copy.target, block).await? {
                busy.push(copy.target);
            }
        }
        Ok(busy)
    }

    /// What was decided is not done after all.
    fn undo(&self, block: &BlockCopies, copies: &[Copy]) {
        let mut memory = self.inner.memory();
        for copy in copies {
            for node in [Some(&copy.target), copy.sources.first()].into_iter().flatten() {
                memory.copies.in_flight.remove(*node, block.block.length);
            }
        }
    }

    /// The copies will be handed out with the next heartbeats of their targets.
    fn order(&mut self, block: BlockId, copies: &BlockCopies, ordered: Vec<Copy>) {
        let (length, crc32c) = (copies.block.length, copies.block.crc32c);
        let replica = ReportedReplica { block, length, crc32c };
        let deadline = self.inner.env.now().after(self.inner.config.command_deadline);
        let now = self.inner.env.monotonic();
        let mut memory = self.inner.memory();
        for Copy { target, sources } in ordered {
            self.throttle.take(length, now);
            memory.copies.add(replica, target, sources, deadline);
        }
    }

    /// Tells, once, that everything that can be done is done.
    fn rest(&mut self) {
        let quiet = {
            let memory = self.inner.memory();
            memory.scans.is_empty() && memory.copies.len() == 0 && memory.hints.is_idle()
        };
        let quiet = quiet
            && self.sweep.is_none()
            && !self.cut_short
            && self.waiting.iter().all(|block| self.unseen.contains_key(block));
        if quiet && !self.idle {
            self.inner.events.publish(EventKind::RepairIdle);
        }
        self.idle = quiet;
    }
}

fn block_view(copies: &BlockCopies, inbound: Vec<NodeId>, doomed: Vec<NodeId>) -> BlockView {
    BlockView {
        length: copies.block.length,
        replication: copies.block.replication,
        holders: copies.holders.iter().map(|(node, good)| Holder { node: *node, good: *good }).collect(),
        inbound,
        doomed,
        leaving: Vec::new(),
    }
}

/// A replica that was queued for deletion: node, block, length, and whether a good copy is to take its place.
type Dropped = (NodeId, BlockId, u64, bool);

async fn settle_all(
    inner: &Inner,
    tx: &mut Connection,
    settle: Vec<BlockId>,
) -> Result<Vec<Dropped>, StoreError> {
    let mut dropped = Vec::new();
    for block in settle {
        settle_one(inner, tx, block, &mut dropped).await?;
    }
    Ok(dropped)
}

/// Examines a block again, now that nothing can change meanwhile: drops the copies that are not
/// needed, and takes it out of the queue if it has what it needs.
async fn settle_one(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    dropped: &mut Vec<Dropped>,
) -> Result<(), StoreError> {
    let Some(copies) = blocks::find(tx, block).await? else {
        repairs::remove(tx, block).await?;
        return Ok(());
    };
    let verdict = {
        let memory = inner.memory();
        let view = memory.view(&inner.env);
        let block = block_view(&copies, memory.copies.targets_of(block), Vec::new());
        // Copies are ordered elsewhere; here nothing is counted.
        inner.env.with_rng(|rng| examine(&view, &block, &mut InFlight::new(u64::MAX), rng))
    };
    let satisfied = verdict.standing == Standing::Satisfied;
    for node in verdict.drops {
        replicas::remove(tx, block, node).await?;
        deletions::queue(tx, node, block, inner.env.now()).await?;
        dropped.push((node, block, copies.block.length, !satisfied));
    }
    if satisfied {
        repairs::remove(tx, block).await?;
        inner.memory().setbacks.forget(block);
    } else {
        repairs::queue(tx, block, verdict.live, inner.env.now()).await?;
    }
    Ok(())
}

#[async_trait]
impl Worker for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn status(&self) -> String {
        let memory = self.inner.memory();
        format!(
            "{} copies under way, {} scans to do, {} blocks wait{}",
            memory.copies.len(),
            memory.scans.len(),
            self.waiting.len(),
            if self.sweep.is_some() { ", sweeping" } else { "" }
        )
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        self.give_up_late_copies();
        if scan::step(&self.inner).await? {
            self.idle = false;
            return Ok(Progress::More);
        }
        if !self.throttle.delay(self.inner.env.monotonic()).is_zero() {
            return Ok(Progress::Rest);
        }
        let page = self.next_page().await?;
        if !page.is_empty() {
            self.idle = false;
            self.look_at(&page).await?;
        }
        let more = !page.is_empty() && !self.cut_short;
        if more || self.sweep.is_some() {
            return Ok(Progress::More);
        }
        self.rest();
        Ok(Progress::Rest)
    }

    async fn wait(&mut self) {
        let config = &self.inner.config;
        let throttled = self.throttle.delay(self.inner.env.monotonic());
        let rest = if !throttled.is_zero() {
            throttled
        } else if self.idle && self.waiting.is_empty() {
            config.worker_interval * LONG_REST
        } else {
            config.worker_interval
        };
        // After a long rest everything is looked at again, whatever no hint told of.
        let long = tokio::select! {
            () = self.inner.wakes.repair.notified() => false,
            () = self.inner.env.sleep(rest) => self.idle && self.waiting.is_empty(),
        };
        let mut memory = self.inner.memory();
        if long {
            memory.hints.sweep();
        }
        for block in self.waiting.drain() {
            memory.hints.add(block);
        }
    }
}
