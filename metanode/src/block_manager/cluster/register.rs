//! Registration: a datanode announces itself and gets a new incarnation.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::cluster::{ClusterError, Register, Registered};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::warn_peer;
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::block_manager::config::REPLICATION_MAX;
use crate::store::nodes::Registration;
use crate::store::{Connection, StoreError, blocks, nodes, repairs};

/// Upper limit of a node's volumes; no machine has as many disks.
const VOLUMES_MAX: usize = 1_024;

/// Upper limit of an address or a zone's name, in bytes. Both stay in memory, and the address is sent with every grant.
const TEXT_LENGTH_MAX: usize = 1_024;

pub(super) async fn register(inner: &Arc<Inner>, request: Register) -> Result<Registered, ClusterError> {
    check(inner, &request)?;
    inner.look_at_seen(request.node, &request.seen).await?;
    // The lock keeps a registration apart from an operator's removal of the same node.
    let decisions = inner.decisions.read().await;
    let first_nodes = inner.soft_state().nodes.len();
    let kept = request.clone();
    let now = inner.env.wall();
    let copies_max = inner.config.replication_max();
    let (incarnation, scan) = inner
        .store
        .write_in_background(move |tx| keep(tx, kept, now, first_nodes, copies_max).boxed())
        .await?;
    let node = request.node;
    {
        let mut soft_state = inner.soft_state();
        // The node reports its replicas again. Orphans and unreported replicas carry the incarnation, so old ones do
        // not count.
        soft_state.copies.forget(node);
        soft_state.finished_moves.forget(node);
        soft_state.nodes.registered(request, incarnation, inner.env.monotonic());
        if scan {
            soft_state.scan(None);
        }
    }
    drop(decisions);
    tracing::info!(%node, incarnation, "a datanode registered");
    inner.events.publish(EventKind::NodeRegistered { node, incarnation });
    inner.nodes_changed();
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Registered {
        cluster: inner.cluster,
        incarnation,
        heartbeat_interval_ms: ms(inner.config.heartbeat_interval),
        report_interval_ms: ms(inner.config.report_interval),
        lineage: inner.lineage(),
    })
}

fn check(inner: &Inner, request: &Register) -> Result<(), ClusterError> {
    if let Some(theirs) = request.cluster.filter(|theirs| *theirs != inner.cluster) {
        warn_peer!(node = %request.node, %theirs, "a datanode of another cluster was refused");
        return Err(ClusterError::OtherCluster { theirs, ours: inner.cluster });
    }
    let malformed = |reason: &str| Err(ClusterError::Malformed { reason: reason.to_owned() });
    if request.volumes.len() > VOLUMES_MAX {
        return malformed("too many volumes");
    }
    let is_url = request.address.starts_with("http://") || request.address.starts_with("https://");
    if !is_url || request.address.len() > TEXT_LENGTH_MAX {
        return malformed("the address is no base URL");
    }
    if request.zone.as_ref().is_some_and(|zone| zone.len() > TEXT_LENGTH_MAX) {
        return malformed("the zone's name is too long");
    }
    Ok(())
}

/// Writes the registration to SQL. Returns the incarnation, and whether all blocks are to be scanned: while there are fewer
/// nodes than the replication, a new node allows further replicas.
async fn keep(
    tx: &mut Connection,
    request: Register,
    now: Timestamp,
    nodes_before: u32,
    copies_max: u32,
) -> Result<(u64, bool), StoreError> {
    let Registration { incarnation, is_new } = nodes::register(tx, &request, now).await?;
    let scan = is_new && (nodes_before < copies_max || a_bucket_wants_more_than(tx, nodes_before).await?);
    if scan {
        repairs::set_scan(tx, None).await?;
    }
    Ok((incarnation, scan))
}

/// Whether the replication of some bucket is higher than the number of nodes. This reads all buckets while other
/// mutations wait, so it is skipped when no bucket can have a replication that high.
async fn a_bucket_wants_more_than(tx: &mut Connection, nodes: u32) -> Result<bool, StoreError> {
    if nodes >= REPLICATION_MAX {
        return Ok(false);
    }
    Ok(blocks::bucket_replication_max(tx).await?.is_some_and(|copies| copies > nodes))
}
