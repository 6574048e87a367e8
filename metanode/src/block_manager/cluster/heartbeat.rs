//! Heartbeats: the changes that they report, and the commands in the reply.

use std::sync::Arc;

use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::{
    ClusterError, Heartbeat, HeartbeatReply, ReplicaChange, ScrubOrder, VolumeUsage,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::warn_peer;

use super::commands::commands;
use super::ended::{EndedCommands, end_commands};
use crate::block_manager::Inner;
use crate::block_manager::replica_changes::{Change, change_replicas};

pub(super) async fn heartbeat(
    inner: &Arc<Inner>,
    request: Heartbeat,
) -> Result<HeartbeatReply, ClusterError> {
    let node = request.node;
    node_is_alive(inner, node, request.incarnation, request.volumes)?;
    inner.look_at_seen(node, &request.seen).await?;
    inner.soft_state().scrubs.tell(node, request.scrub);
    let ended = end_commands(inner, node, &request.finished);
    change_replicas(inner, node, changes(&request.changes, &ended)).await?;
    ended.conclude();
    let commands = commands(inner, node).await?;
    let report = inner.soft_state().nodes.take_report_wish(node);
    Ok(HeartbeatReply { commands, scrub: scrub_order(inner, node), lineage: inner.lineage(), report })
}

/// The changes on the node. A finished copy is a stored replica, whether the node reports the replica too or only the
/// ended command. It comes first, because the node may also have reported a later change of the same replica.
fn changes(reported: &[ReplicaChange], ended: &EndedCommands<'_>) -> Vec<Change> {
    let is_reported = |copied: &ReplicaChange| reported.contains(copied);
    let copied = ended.copied().map(ReplicaChange::Stored).filter(|copied| !is_reported(copied));
    copied.chain(reported.iter().copied()).map(Change::from).collect()
}

fn scrub_order(inner: &Inner, node: NodeId) -> ScrubOrder {
    let settings = inner.workers.settings(WorkerName::Scrub);
    let asked_at = inner.soft_state().scrubs.asked_at(node).unwrap_or_default();
    ScrubOrder { round: asked_at.0, paused: settings.paused, rate: settings.rate }
}

/// Records that the node is alive. A node that does not send from its current incarnation has to register again.
fn node_is_alive(
    inner: &Inner,
    node: NodeId,
    incarnation: u64,
    volumes: Vec<VolumeUsage>,
) -> Result<(), ClusterError> {
    let heard = {
        let mut soft_state = inner.soft_state();
        if !soft_state.nodes.accepts(node, incarnation) {
            return Err(ClusterError::Reregister);
        }
        soft_state.nodes.heartbeat(node, volumes, inner.env.monotonic())
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
