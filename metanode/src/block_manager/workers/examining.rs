//! The common part of the workers that copy blocks: they examine a block, order its copies, and drop its surplus
//! replicas.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_planner::block::{BlockView, Holder};
use cairn_planner::budget::{self, InFlight};
use cairn_planner::examine::{Copy, Need, Verdict, examine};
use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::block_manager::soft_state::SoftState;
use crate::block_manager::soft_state::copies::Purpose;
use crate::store::blocks::BlockReplicas;
use crate::store::{Connection, StoreError, blocks, deletions, repairs, replicas};

/// How many times targets are chosen for the copies of a block, when a chosen node still has to delete an older replica
/// of it.
const TARGETS_TRIED_MAX: usize = 4;

/// Examines blocks for a worker.
pub(super) struct Examiner {
    inner: Arc<Inner>,
    worker: WorkerName,
}

/// The result of examining a block.
pub(super) enum Looked {
    /// It is too early: the block's pipeline may be running, or its last copy failed a moment ago.
    Waits,
    /// The worker has used up its rate.
    Throttled,
    /// It was examined, and its copies are ordered.
    Examined(Verdict),
}

impl Examiner {
    pub(super) fn new(inner: Arc<Inner>, worker: WorkerName) -> Self {
        Self { inner, worker }
    }

    /// Examines a block, and orders its copies if this worker is responsible for the reason.
    pub(super) async fn look(
        &self,
        reader: &mut Connection,
        block: BlockId,
        copies: &BlockReplicas,
        purpose: Purpose,
    ) -> Result<Looked, StoreError> {
        if self.inner.is_early(block) {
            return Ok(Looked::Waits);
        }
        if self.inner.is_throttled(self.worker) {
            return Ok(Looked::Throttled);
        }
        let mut doomed = Vec::new();
        for _ in 0..TARGETS_TRIED_MAX {
            let mut verdict = self.plan(block, copies, &doomed);
            if !is_for(purpose, verdict.need) {
                self.undo(copies, &verdict.copies);
                verdict.copies.clear();
            }
            let busy = self.still_deleting(reader, block, &verdict.copies).await;
            if !busy.as_ref().is_ok_and(Vec::is_empty) {
                self.undo(copies, &verdict.copies);
                doomed.extend(busy?);
                continue;
            }
            self.order(block, copies, &verdict.copies, purpose);
            return Ok(Looked::Examined(verdict));
        }
        Ok(Looked::Waits)
    }

    fn plan(&self, block: BlockId, copies: &BlockReplicas, doomed: &[NodeId]) -> Verdict {
        let mut soft_state = self.inner.soft_state();
        let block = BlockView { doomed: doomed.to_vec(), ..soft_state.block_view(block, copies) };
        let (view, copies) = soft_state.deciding(&self.inner.env);
        self.inner.env.with_rng(|rng| examine(view, &block, &mut copies.in_flight, rng))
    }

    /// The targets that still have to delete an older replica of the block.
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

    /// Undoes the count of copies that were decided and will not be ordered.
    fn undo(&self, block: &BlockReplicas, copies: &[Copy]) {
        let mut soft_state = self.inner.soft_state();
        for copy in copies {
            for node in [Some(&copy.target), copy.sources.first()].into_iter().flatten() {
                soft_state.copies.in_flight.remove(*node, block.block.length);
            }
        }
    }

    /// Orders copies. They are sent with the next heartbeats of their targets.
    fn order(&self, block: BlockId, copies: &BlockReplicas, ordered: &[Copy], purpose: Purpose) {
        for Copy { target, sources } in ordered {
            self.inner.pay(self.worker, budget::cost(copies.block.length));
            self.inner.order_copy(block, copies, *target, sources.clone(), purpose);
        }
    }
}

/// Whether a worker with this purpose is responsible for the need.
fn is_for(purpose: Purpose, need: Option<Need>) -> bool {
    match need {
        Some(Need::Repair | Need::Spread) => purpose == Purpose::Repair,
        Some(Need::Drain) => matches!(purpose, Purpose::Drain(_)),
        None => true,
    }
}

impl Inner {
    /// Whether it is too early to copy a block: its pipeline may be running, or its last copy failed a moment ago.
    pub(super) fn is_early(&self, block: BlockId) -> bool {
        let created_at = block.created_at_ms().map(Timestamp);
        let is_fresh =
            created_at.is_some_and(|created_at| self.env.now() < created_at.after(self.config.repair_grace));
        is_fresh || self.soft_state().copy_backoff.waits(block, self.env.monotonic())
    }

    /// Orders a copy that was decided and counted in
    /// [`Copies::in_flight`](crate::block_manager::soft_state::copies::Copies::in_flight). It is sent with the next
    /// heartbeat of its target.
    pub(super) fn order_copy(
        &self,
        block: BlockId,
        copies: &BlockReplicas,
        target: NodeId,
        sources: Vec<NodeId>,
        purpose: Purpose,
    ) {
        let replica = ReportedReplica { block, length: copies.block.length, crc32c: copies.block.crc32c };
        let deadline = self.env.now().after(self.config.command_deadline);
        self.soft_state().copies.add(replica, target, sources, deadline, purpose);
        if let Some(from) = purpose.leaves() {
            self.events.publish(EventKind::MoveStarted { block, from, to: target });
        }
    }
}

impl SoftState {
    /// A block as decisions see it.
    pub(in crate::block_manager) fn block_view(&self, block: BlockId, copies: &BlockReplicas) -> BlockView {
        let moving = self.copies.leaving(block).into_iter();
        BlockView {
            length: copies.block.length,
            replication: copies.block.replication,
            holders: copies.holders.iter().map(|(node, good)| Holder { node: *node, good: *good }).collect(),
            inbound: self.copies.targets_of(block),
            doomed: Vec::new(),
            leaving: moving.chain(self.finished_moves.leaving(block)).collect(),
        }
    }
}

/// A replica that was queued for deletion.
struct Dropped {
    node: NodeId,
    bytes: u64,
}

/// What a transaction found of blocks, and did.
#[derive(Default)]
struct Settled {
    dropped: Vec<Dropped>,
    /// The length of each block, and the nodes that have a replica after the transaction.
    blocks: HashMap<BlockId, (u64, Vec<NodeId>)>,
}

/// Examines blocks again, in a transaction so that nothing changes in between. Drops surplus replicas, and removes
/// blocks that need nothing more from the repair queue.
pub(super) async fn settle(inner: &Arc<Inner>, settled: Vec<BlockId>) -> Result<(), StoreError> {
    if settled.is_empty() {
        return Ok(());
    }
    let (shared, page) = (inner.clone(), settled.clone());
    let settling =
        inner.store.write_in_background(move |tx| async move { settle_all(&shared, tx, page).await }.boxed());
    let Settled { dropped, blocks } = match settling.await {
        Ok(settled) => settled,
        Err(error) => {
            inner.soft_state().hints.room_not_made(&settled);
            return Err(error);
        }
    };
    let mut soft_state = inner.soft_state();
    for Dropped { node, bytes } in &dropped {
        soft_state.nodes.deletion_queued(*node, *bytes);
        if soft_state.nodes.is_draining(*node) {
            inner.wakes.drain.notify_one();
        }
    }
    for block in settled {
        let Some(finished) = soft_state.finished_moves.take(block) else { continue };
        // Another worker may have dropped the old replica, as a surplus one.
        if let Some((bytes, left)) = blocks.get(&block)
            && !left.contains(&finished.from)
        {
            inner.moved(&soft_state, *bytes, block, finished.from, finished.to);
        }
    }
    Ok(())
}

impl Inner {
    fn moved(&self, soft_state: &SoftState, bytes: u64, block: BlockId, from: NodeId, to: NodeId) {
        let drains = soft_state.nodes.is_draining(from);
        self.count(if drains { WorkerName::Drain } else { WorkerName::Balance }, 1, bytes);
        self.events.publish(EventKind::BlockMoved { block, from, to });
    }
}

async fn settle_all(inner: &Inner, tx: &mut Connection, settle: Vec<BlockId>) -> Result<Settled, StoreError> {
    let mut settled = Settled::default();
    for block in settle {
        settle_one(inner, tx, block, &mut settled).await?;
    }
    Ok(settled)
}

/// Whether repair has nothing left to do for a block after the drops of `verdict`. A block that only has to leave a
/// draining node is the drain worker's task. A block with surplus replicas is repair's, even if none can be dropped
/// while some of their nodes have no contact.
pub(super) fn is_done(copies: &BlockReplicas, verdict: &Verdict) -> bool {
    let stays = |(node, _): &&(NodeId, bool)| !verdict.drops.contains(node);
    let bad_stay = copies.holders.iter().filter(stays).any(|(_, good)| !good);
    let good_drops =
        copies.holders.iter().filter(|(node, good)| *good && verdict.drops.contains(node)).count();
    let too_many = verdict.live as usize > copies.block.replication as usize + good_drops;
    let draining = verdict.need == Some(Need::Drain);
    (verdict.need.is_none() || draining) && !bad_stay && (!too_many || draining)
}

async fn settle_one(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    settled: &mut Settled,
) -> Result<(), StoreError> {
    let Some(copies) = blocks::find(tx, block).await? else {
        repairs::remove(tx, block).await?;
        return Ok(());
    };
    let verdict = {
        let mut soft_state = inner.soft_state();
        let block = soft_state.block_view(block, &copies);
        let (view, _) = soft_state.deciding(&inner.env);
        // No copy is ordered here, so bandwidth is not limited.
        inner.env.with_rng(|rng| examine(view, &block, &mut InFlight::new(u64::MAX), rng))
    };
    let done = is_done(&copies, &verdict);
    let nodes = copies.holders.iter().map(|(node, _)| *node);
    let left = nodes.filter(|node| !verdict.drops.contains(node)).collect();
    settled.blocks.insert(block, (copies.block.length, left));
    for node in verdict.drops {
        replicas::remove(tx, block, node).await?;
        deletions::queue(tx, node, block, copies.block.length, inner.env.now()).await?;
        if !done {
            // The block is examined again when the node has room for a good replica.
            inner.soft_state().hints.makes_room(node, block);
        }
        settled.dropped.push(Dropped { node, bytes: copies.block.length });
    }
    if done {
        repairs::remove(tx, block).await?;
        inner.soft_state().copy_backoff.forget(block);
    } else {
        repairs::queue(tx, block, verdict.live, copies.block.replication, inner.env.now()).await?;
    }
    Ok(())
}
