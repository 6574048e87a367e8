use std::collections::HashSet;
use std::sync::Arc;

use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::{
    ClusterError, CommandResult, Heartbeat, HeartbeatReply, ReportedReplica, ScrubOrder, VolumeUsage,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::warn_peer;
use futures_util::FutureExt;

use super::handout::commands;
use super::reconcile::{Found, reconcile};
use crate::blocks::copies::{CopyIntent, Purpose};
use crate::blocks::{Inner, attention};
use crate::store::{Connection, StoreError, blocks, deletions, generations};

/// Increments that are written in one mutation, some milliseconds: it bounds how long others wait for it.
const INCREMENTS_PER_WRITE: usize = 100;

pub(super) async fn heartbeat(
    inner: &Arc<Inner>,
    request: Heartbeat,
) -> Result<HeartbeatReply, ClusterError> {
    let node = request.node;
    hear(inner, node, request.incarnation, request.volumes)?;
    inner.look_at_seen(node, &request.seen).await?;
    inner.memory().scrubs.tell(node, request.scrub);
    let (copied, results) = finish(inner, node, &request.finished);
    let mut landing = Landing { inner, node, copied, kept: HashSet::new() };
    let mut stored = request.stored;
    remember(inner, node, &stored);
    // A finished copy is a stored replica, whether the node says so twice or once.
    let copies = landing.copied.iter().map(|copy| copy.replica).filter(|copy| !stored.contains(copy));
    stored.extend(copies.collect::<Vec<_>>());
    landing.kept = reconcile(inner, node, stored, Found::Increment).await?.kept;
    drop(landing);
    lost(inner, node, request.corrupt).await?;
    deleted(inner, node, request.deleted).await?;
    after_results(inner, node, &results);
    let commands = commands(inner, node).await?;
    let report = inner.memory().nodes.take_report_wish(node);
    Ok(HeartbeatReply { commands, scrub: scrub_order(inner, node), lineage: inner.lineage(), report })
}

fn scrub_order(inner: &Inner, node: NodeId) -> ScrubOrder {
    let settings = inner.board.settings(WorkerName::Scrub);
    let asked_at = inner.memory().scrubs.asked_at(node).unwrap_or_default();
    ScrubOrder { round: asked_at.0, paused: settings.paused, rate: settings.rate }
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
    if !stored.is_empty() {
        memory.nodes.succeeded(node);
    }
    for replica in stored {
        memory.reservations.stored(replica.block, node);
        memory.nodes.stored(node, replica.block, now, inner.config.report_age);
        memory.unconfirmed.confirm(node, replica.block);
    }
}

/// Copies that have come, until SQL knows of them: then those count that it kept. A guard, for whoever asked may hang up in
/// the middle. Then none counts, and a block that has a copy too many is repair's.
struct Landing<'a> {
    inner: &'a Inner,
    node: NodeId,
    copied: Vec<CopyIntent>,
    /// Blocks of which the node's copy is in SQL.
    kept: HashSet<BlockId>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if self.copied.is_empty() {
            return;
        }
        let mut memory = self.inner.memory();
        for copy in &self.copied {
            let block = copy.replica.block;
            memory.copies.landed(block, self.node);
            memory.hints.add(block);
            if copy.purpose != Purpose::Repair {
                memory.arrivals.counted(block, self.kept.contains(&block));
            }
        }
        drop(memory);
        for copy in self.copied.iter().filter(|copy| copy.purpose == Purpose::Repair) {
            let block = copy.replica.block;
            if self.kept.contains(&block) {
                self.inner.count(WorkerName::Repair, 1, copy.replica.length);
                self.inner.events.publish(EventKind::BlockRepaired { block, node: self.node });
            }
        }
        self.inner.wake_copiers();
    }
}

/// Takes finished copies out of what is under way; answers those that succeeded, and how the other
/// commands ended.
fn finish<'a>(
    inner: &Inner,
    node: NodeId,
    finished: &'a [CommandResult],
) -> (Vec<CopyIntent>, Vec<&'a CommandResult>) {
    let mut copied = Vec::new();
    let mut others = Vec::new();
    let now = inner.env.monotonic();
    let mut memory = inner.memory();
    for result in finished {
        let Some(copy) = memory.copies.finish(result.command, node) else {
            others.push(result);
            continue;
        };
        let block = copy.replica.block;
        match &result.error {
            None => {
                memory.nodes.succeeded(node);
                if let Some(from) = copy.purpose.leaves() {
                    memory.arrivals.announce(block, from, node);
                }
                memory.copies.land(block, node);
                copied.push(copy);
            }
            Some(error) => {
                warn_peer!(%node, %block, error, "a datanode could not copy a block");
                memory.nodes.failed(node, copy.sources.first().copied(), now);
                memory.setbacks.add(block, now);
                memory.hints.add(block);
            }
        }
    }
    drop(memory);
    if others.len() < finished.len() {
        // There is bandwidth for others.
        inner.wake_copiers();
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
        let marked = inner
            .store
            .write_in_background(move |tx| async move { mark(&shared, tx, node, blocks).await }.boxed())
            .await?;
        for block in marked.bad {
            warn_peer!(%node, %block, "a datanode found a replica corrupt");
            inner.events.publish(EventKind::ReplicaCorrupt { block, node });
        }
        // Nobody refers to them, or not yet: the same is to be done as with good ones.
        let unknown = marked.unknown.into_iter().map(|block| ReportedReplica { block, length: 0, crc32c: 0 });
        reconcile(inner, node, unknown.collect(), Found::Damaged).await?;
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
    // It may have been removed since it said so, and then nothing of it must be left.
    if inner.memory().nodes.get(node).is_none() {
        return Ok(marked);
    }
    for block in found {
        if !blocks::exists(tx, block).await? {
            marked.unknown.push(block);
        } else if attention::add_bad_replica(inner, tx, block, node).await? {
            marked.bad.push(block);
        }
    }
    Ok(marked)
}

/// Replicas that the node deleted.
async fn deleted(inner: &Arc<Inner>, node: NodeId, deleted: Vec<BlockId>) -> Result<(), ClusterError> {
    for blocks in deleted.chunks(INCREMENTS_PER_WRITE) {
        let (shared, written) = (inner.clone(), blocks.to_vec());
        let forgotten = inner
            .store
            .write_in_background(move |tx| async move { forget(&shared, tx, node, written).await }.boxed())
            .await?;
        {
            let mut memory = inner.memory();
            memory.nodes.deletions_done(node, forgotten.replicas, forgotten.bytes);
            for block in blocks {
                memory.orphans.deleted(node, *block);
                memory.hints.deleted(node, *block);
            }
        }
        for block in blocks {
            inner.events.publish(EventKind::BlockDeleted { block: *block, node });
        }
        inner.wakes.repair.notify_one();
        if forgotten.idle {
            inner.events.publish(EventKind::GarbageIdle);
        }
    }
    Ok(())
}

/// Deletions that are done.
struct Forgotten {
    replicas: u64,
    bytes: u64,
    /// Whether nothing is left to be deleted anywhere.
    idle: bool,
}

async fn forget(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    blocks: Vec<BlockId>,
) -> Result<Forgotten, StoreError> {
    let (mut replicas, mut bytes) = (0, 0);
    // An older copy of the database has them queued still, and the node may get the block again.
    generations::advance(tx).await?;
    for block in blocks {
        match deletions::done(tx, node, block).await? {
            Some(length) => {
                replicas += 1;
                bytes += length;
            }
            None => {
                tracing::debug!(%node, %block, "a datanode deleted a replica that was not queued for it");
            }
        }
        // A replica that is gone is gone, whoever wanted it.
        attention::remove_replica(inner, tx, block, node).await?;
    }
    Ok(Forgotten { replicas, bytes, idle: deletions::is_empty(tx).await? })
}
