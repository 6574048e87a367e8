use std::sync::Arc;

use cairn_protocol::cluster::{
    ClusterError, CommandResult, Heartbeat, HeartbeatReply, ReportedReplica, VolumeUsage,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::warn_peer;
use futures_util::FutureExt;

use super::handout::commands;
use super::reconcile::{Found, reconcile};
use crate::blocks::{Inner, attention};
use crate::store::{Connection, StoreError, blocks, deletions};

/// Increments that are written in one transaction: it bounds how long others wait for it.
const INCREMENTS_PER_WRITE: usize = 500;

pub(super) async fn heartbeat(
    inner: &Arc<Inner>,
    request: Heartbeat,
) -> Result<HeartbeatReply, ClusterError> {
    let node = request.node;
    hear(inner, node, request.incarnation, request.volumes)?;
    let (copied, results) = finish(inner, node, &request.finished);
    let mut stored = request.stored;
    remember(inner, node, &stored);
    // A finished copy is a stored replica, whether the node says so twice or once.
    stored.extend(copied.iter().copied().filter(|copy| !stored.contains(copy)).collect::<Vec<_>>());
    let kept = reconcile(inner, node, stored, Found::Increment).await?;
    for copy in copied.iter().filter(|copy| kept.contains(&copy.block)) {
        inner.events.publish(EventKind::BlockRepaired { block: copy.block, node });
    }
    lost(inner, node, request.corrupt).await?;
    deleted(inner, node, request.deleted).await?;
    after_results(inner, node, &results);
    let commands = commands(inner, node).await?;
    Ok(HeartbeatReply { commands, ..HeartbeatReply::default() })
}

/// The node lives, if it is who it says.
fn hear(
    inner: &Inner,
    node: NodeId,
    incarnation: u64,
    volumes: Vec<VolumeUsage>,
) -> Result<(), ClusterError> {
    let heard = {
        let mut memory = inner.memory();
        if !memory.nodes.accepts(node, incarnation) {
            return Err(ClusterError::Reregister);
        }
        memory.nodes.heard(node, volumes, inner.env.monotonic())
    };
    if heard.revived {
        inner.events.publish(EventKind::NodeLive { node });
        inner.nodes_changed();
    }
    for (volume, reason) in heard.failed {
        warn_peer!(%node, %volume, reason, "a volume failed");
        inner.events.publish(EventKind::VolumeFailed { node, volume, reason });
    }
    Ok(())
}

/// What the node stored is counted by itself from now on, and a report on its way may not name it.
fn remember(inner: &Inner, node: NodeId, stored: &[ReportedReplica]) {
    let now = inner.env.monotonic();
    let mut memory = inner.memory();
    for replica in stored {
        memory.reservations.stored(replica.block, node);
        memory.nodes.stored(node, replica.block, now, inner.config.report_age);
    }
}

/// Takes finished copies out of what is under way; answers those that succeeded, and how the other
/// commands ended.
fn finish<'a>(
    inner: &Inner,
    node: NodeId,
    finished: &'a [CommandResult],
) -> (Vec<ReportedReplica>, Vec<&'a CommandResult>) {
    let mut copied = Vec::new();
    let mut others = Vec::new();
    let mut memory = inner.memory();
    for result in finished {
        let Some(copy) = memory.copies.finish(result.command, node) else {
            others.push(result);
            continue;
        };
        memory.hints.add(copy.replica.block);
        match &result.error {
            None => copied.push(copy.replica),
            Some(error) => {
                warn_peer!(%node, block = %copy.replica.block, error, "a datanode could not copy a block");
                memory.setbacks.add(copy.replica.block, inner.env.monotonic());
            }
        }
        inner.wakes.repair.notify_one();
    }
    (copied, others)
}

/// A deletion that ended makes way for the next.
fn after_results(inner: &Inner, id: NodeId, results: &[&CommandResult]) {
    let mut memory = inner.memory();
    let Some(node) = memory.nodes.get_mut(id) else { return };
    for CommandResult { command, error } in results {
        if node.deletions.ended(*command, error.is_none())
            && let Some(error) = error
        {
            warn_peer!(node = %id, error, "a datanode could not delete replicas");
        }
    }
}

/// Replicas that the node found bad, or lost with a volume.
async fn lost(inner: &Arc<Inner>, node: NodeId, corrupt: Vec<BlockId>) -> Result<(), ClusterError> {
    for blocks in corrupt.chunks(INCREMENTS_PER_WRITE) {
        let (shared, blocks) = (inner.clone(), blocks.to_vec());
        let marked =
            inner.store.write(move |tx| async move { mark(&shared, tx, node, blocks).await }.boxed()).await?;
        for block in marked.bad {
            warn_peer!(%node, %block, "a datanode found a replica corrupt");
            inner.events.publish(EventKind::ReplicaCorrupt { block, node });
        }
        // Nobody refers to them, or not yet: the same is to be done as with good ones.
        let unknown = marked.unknown.into_iter().map(|block| ReportedReplica { block, length: 0, crc32c: 0 });
        reconcile(inner, node, unknown.collect(), Found::Report).await?;
    }
    Ok(())
}

/// What became of replicas that a node found bad.
#[derive(Default)]
struct Marked {
    bad: Vec<BlockId>,
    unknown: Vec<BlockId>,
}

async fn mark(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    found: Vec<BlockId>,
) -> Result<Marked, StoreError> {
    let mut marked = Marked::default();
    for block in found {
        if !blocks::exists(tx, block).await? {
            marked.unknown.push(block);
        } else if attention::add_bad_copy(inner, tx, block, node).await? {
            marked.bad.push(block);
        }
    }
    Ok(marked)
}

/// Replicas that the node deleted.
async fn deleted(inner: &Arc<Inner>, node: NodeId, deleted: Vec<BlockId>) -> Result<(), ClusterError> {
    for blocks in deleted.chunks(INCREMENTS_PER_WRITE) {
        let (shared, written) = (inner.clone(), blocks.to_vec());
        let idle = inner
            .store
            .write(move |tx| async move { forget(&shared, tx, node, written).await }.boxed())
            .await?;
        {
            let mut memory = inner.memory();
            memory.nodes.deletions_done(node, blocks.len() as u64);
            for block in blocks {
                memory.orphans.deleted(node, *block);
                memory.hints.deleted(*block);
            }
        }
        for block in blocks {
            inner.events.publish(EventKind::BlockDeleted { block: *block, node });
        }
        inner.wakes.repair.notify_one();
        if idle {
            inner.events.publish(EventKind::GarbageIdle);
        }
    }
    Ok(())
}

/// Answers whether nothing is left to be deleted anywhere.
async fn forget(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    blocks: Vec<BlockId>,
) -> Result<bool, StoreError> {
    for block in blocks {
        let asked = deletions::done(tx, node, block).await?;
        // A replica that is gone is gone, whoever wanted it.
        attention::remove_copy(inner, tx, block, node).await?;
        if !asked {
            tracing::debug!(%node, %block, "a datanode deleted a replica that was not queued for it");
        }
    }
    deletions::is_empty(tx).await
}
