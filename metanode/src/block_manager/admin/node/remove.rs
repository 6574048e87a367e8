//! Removing a node: the checks that no block is lost with it, and the transaction that removes it.

use std::sync::Arc;

use cairn_planner::{ClusterView, NodeView};
use cairn_protocol::admin::{AdminError, AdminState, NodeState, RemoveNode, RemoveNodeReport};
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use super::{BLOCKS_PER_READ, find};
use crate::block_manager::Inner;
use crate::store::{Connection, nodes, replicas, totals};

/// Removes a node. From then on its messages get the error `Reregister`, and if it registers it counts as a new node.
/// The worker [`removal`](crate::block_manager::workers) deletes its rows in small steps.
pub(in crate::block_manager::admin) async fn remove(
    inner: &Arc<Inner>,
    request: RemoveNode,
) -> Result<RemoveNodeReport, AdminError> {
    let RemoveNode { node, force, dry_run } = request;
    let (state, admin_state) = find(inner, node)?;
    let mut reader = inner.store.read().await?;
    let held = totals::node(&mut reader, node).await?.replicas;
    drop(reader);
    let refused = |reason: String| Err(AdminError::Refused { reason });
    if state != NodeState::Dead && admin_state != AdminState::Draining {
        return refused(format!(
            "node {node} is in use; drain it first, or stop it and wait until it is dead"
        ));
    }
    if let Some(why) = not_drained(inner, node, state, held) {
        return refused(why);
    }
    let last_replicas = last_replicas(inner, node).await?;
    let report = RemoveNodeReport { replicas: held, last_replicas };
    if dry_run {
        return Ok(report);
    }
    if last_replicas > 0 && !force {
        return refused(format!(
            "{last_replicas} blocks of node {node} have no good replica on a node that is alive: their objects \
             would be lost; bring the node back, or use force"
        ));
    }
    // The lock is taken only now, so that no other decision waits for it while all blocks are examined.
    let _decisions = inner.decisions.write().await;
    let shared = inner.clone();
    let seen = Seen { state, admin_state, held };
    inner.store.write(move |tx| async move { forget(&shared, tx, node, seen).await }.boxed()).await?;
    inner.nodes_changed();
    inner.wakes.removal.notify_one();
    Ok(report)
}

/// Why a node is not drained yet; `None` if it is drained, or dead.
fn not_drained(inner: &Inner, node: NodeId, state: NodeState, held: u64) -> Option<String> {
    if state == NodeState::Dead {
        return None;
    }
    if held > 0 {
        return Some(format!("node {node} still holds {held} blocks; wait until it is drained"));
    }
    let naming = inner.grants_naming(node)?;
    let seconds = naming.until.since(inner.env.now()).as_secs() + 1;
    Some(format!(
        "uploads that are not committed yet may have blocks on node {node}; unless they go on, it is drained in at \
         most {seconds} seconds"
    ))
}

/// What the checks found, for the comparison in the transaction.
#[derive(Clone, Copy)]
struct Seen {
    state: NodeState,
    admin_state: AdminState,
    held: u64,
}

/// Removes the node from SQL and from the soft state, in one transaction. Transactions run one after another, so no
/// commit can change what this one checks, and later commits do not find the node. If the transaction fails, the node
/// is missing in the soft state only; its next message gets the error `Reregister`, and it is known again.
async fn forget(inner: &Inner, tx: &mut Connection, node: NodeId, seen: Seen) -> Result<(), AdminError> {
    let Seen { state, admin_state, held } = seen;
    let now_held = totals::node(tx, node).await?.replicas;
    let why = not_drained(inner, node, state, now_held);
    if find(inner, node)? != (state, admin_state) || now_held > held || why.is_some() {
        let reason = why.unwrap_or_else(|| format!("node {node} has changed just now; look at it again"));
        return Err(AdminError::Refused { reason });
    }
    if !nodes::remove(tx, node, inner.env.now()).await? {
        return Err(AdminError::UnknownNode { node });
    }
    let mut soft_state = inner.soft_state();
    soft_state.copies.forget(node);
    soft_state.hints.forget(node);
    soft_state.nodes.remove(node);
    // Queued inside the transaction, because the operator may hang up before it ends, and code after it would not run.
    // If it fails, the worker finds a node that is not removed, and does nothing.
    soft_state.removals.push_back(node);
    soft_state.scrubs.forget(node);
    soft_state.scans.retain(|scan| scan.node != Some(node));
    Ok(())
}

/// How many blocks of the node have no good replica on another node that is alive.
async fn last_replicas(inner: &Inner, node: NodeId) -> Result<u64, AdminError> {
    let view = inner.soft_state().view(&inner.env).clone();
    let mut last = 0;
    let mut after = None;
    loop {
        let mut reader = inner.store.read_in_background().await?;
        let page = replicas::replicas_of(&mut reader, node, after, BLOCKS_PER_READ).await?;
        drop(reader);
        let is_last = |holders: &[(NodeId, bool)]| !holders.iter().any(|holder| keeps(&view, node, *holder));
        last += page.iter().filter(|(_, copies)| is_last(&copies.holders)).count() as u64;
        match page.last() {
            Some((block, _)) if page.len() == BLOCKS_PER_READ as usize => after = Some(*block),
            Some(_) | None => return Ok(last),
        }
    }
}

/// Whether this replica can be read after `removed` is gone.
fn keeps(view: &ClusterView, removed: NodeId, (holder, good): (NodeId, bool)) -> bool {
    good && holder != removed && view.get(holder).is_some_and(NodeView::keeps_replicas)
}
