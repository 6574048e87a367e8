//! What follows from committed changes: soft state, events, and wakes of workers.

use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::ReplicaProblem;
use cairn_protocol::warn_peer;

use crate::block_manager::Inner;
use crate::block_manager::soft_state::copies::Purpose;

/// The effect of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The node's replica is listed and good.
    Kept(BlockId),
    /// The node's replica has another length or checksum than the block, and is now listed as corrupt.
    Wrong(BlockId),
    /// The node found its replica corrupt, and it is now listed so.
    Corrupt(BlockId),
    /// The replica was listed as good, and is now listed as corrupt because a gateway reported a problem.
    Suspected(BlockId, ReplicaProblem),
    /// The node does not have the replica that was listed.
    Missing(BlockId),
    /// Nothing will ever refer to the block: the replica is queued for deletion.
    Abandoned(ReportedReplica),
    /// The replica is gone.
    Deleted {
        /// The block.
        block: BlockId,
        /// The bytes that were queued for deletion; `None` if the deletion was not queued.
        queued: Option<u64>,
    },
    /// No deletion is queued on any node.
    GarbageIdle,
}

/// The effects of a transaction, in order.
#[derive(Debug, Default)]
pub(super) struct Effects(Vec<Effect>);

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }
}

/// Brings soft state, events and workers up to date with what is now in SQL.
pub(super) fn publish(inner: &Inner, node: NodeId, effects: Effects) {
    let mut missing = 0u64;
    for effect in effects.0 {
        match effect {
            Effect::Kept(block) => kept(inner, node, block),
            Effect::Wrong(block) => {
                warn_peer!(%node, %block, "a datanode holds a replica of the wrong length or checksum");
                inner.events.publish(EventKind::ReplicaCorrupt { block, node });
            }
            Effect::Corrupt(block) => {
                warn_peer!(%node, %block, "a datanode found a replica corrupt");
                inner.events.publish(EventKind::ReplicaCorrupt { block, node });
            }
            Effect::Suspected(block, ReplicaProblem::Corrupt) => {
                inner.events.publish(EventKind::ReplicaCorrupt { block, node });
            }
            Effect::Suspected(_, ReplicaProblem::Missing | ReplicaProblem::Unreachable) => {}
            Effect::Missing(_) => missing += 1,
            Effect::Abandoned(replica) => {
                inner.soft_state().nodes.deletion_queued(node, replica.length);
                inner.events.publish(EventKind::GrantAbandoned { block: replica.block });
            }
            Effect::Deleted { block, queued } => deleted(inner, node, block, queued),
            Effect::GarbageIdle => inner.events.publish(EventKind::GarbageIdle),
        }
    }
    if missing > 0 {
        warn_peer!(%node, replicas = missing, "a datanode lacks replicas that it should have");
    }
}

/// A replica is listed and good. If it comes from a copy, the copy has ended.
fn kept(inner: &Inner, node: NodeId, block: BlockId) {
    let mut soft_state = inner.soft_state();
    let Some(copy) = soft_state.copies.landed(block, node) else { return };
    soft_state.hints.add(block);
    match copy.purpose {
        Purpose::Drain(_) | Purpose::Balance(_) => soft_state.finished_moves.counted(block, true),
        Purpose::Pack => {}
        Purpose::Repair => {
            drop(soft_state);
            inner.count(WorkerName::Repair, 1, copy.replica.length);
            inner.events.publish(EventKind::BlockRepaired { block, node });
        }
    }
}

fn deleted(inner: &Inner, node: NodeId, block: BlockId, queued: Option<u64>) {
    {
        let mut soft_state = inner.soft_state();
        if let Some(bytes) = queued {
            soft_state.nodes.deletions_done(node, 1, bytes);
        }
        soft_state.orphans.deleted(node, block);
        soft_state.hints.deleted(node, block);
        soft_state.unreported.confirm(node, block);
    }
    inner.events.publish(EventKind::BlockDeleted { block, node });
    inner.wakes.repair.notify_one();
}
