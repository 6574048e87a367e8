//! The repair queue: blocks that need work on their replicas. They are queued in SQL, and the repair worker examines
//! them one by one. Queueing a block that needs nothing costs a look-up; leaving one out may cost a block.

use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};

use super::Inner;
use crate::store::blocks::BlockReplicas;
use crate::store::{Connection, StoreError, blocks, deletions, repairs, replicas};

/// Queues a block if it has too few, too many or corrupt replicas, and removes it from the queue otherwise.
pub(super) async fn recheck(inner: &Inner, tx: &mut Connection, block: BlockId) -> Result<(), StoreError> {
    // Copies may succeed now, because there may be other replicas to read from.
    inner.soft_state().copy_backoff.forget(block);
    let copies = blocks::find(tx, block).await?;
    match copies.and_then(|copies| Some((needs_attention(inner, &copies)?, copies))) {
        Some((live, copies)) => queue(inner, tx, block, live, copies.block.replication).await,
        None => {
            if repairs::remove(tx, block).await? {
                inner.hint(block);
            }
            Ok(())
        }
    }
}

/// Queues a block that has `live` replicas where there should be `replication`.
pub(super) async fn queue(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    live: u32,
    replication: u32,
) -> Result<(), StoreError> {
    let is_new = repairs::queue(tx, block, live, replication, inner.env.now()).await?;
    let wanted = inner.soft_state().nodes.attainable(replication);
    if is_new && live < wanted {
        inner.events.publish(EventKind::BlockUnderReplicated { block, live, wanted });
    }
    inner.hint(block);
    Ok(())
}

/// The number of live replicas of a block that needs work; `None` if it has as many as it should and none is corrupt.
fn needs_attention(inner: &Inner, copies: &BlockReplicas) -> Option<u32> {
    let live = live_replicas(inner, copies);
    let bad = copies.holders.iter().any(|(_, good)| !good);
    let attainable = inner.soft_state().nodes.attainable(copies.block.replication);
    (bad || live < attainable || live > copies.block.replication).then_some(live)
}

/// The number of good replicas on nodes that are not dead, or that are in maintenance.
pub(super) fn live_replicas(inner: &Inner, copies: &BlockReplicas) -> u32 {
    let mut soft_state = inner.soft_state();
    let view = soft_state.view(&inner.env);
    let live = |(node, good): &&(NodeId, bool)| {
        *good && view.get(*node).is_some_and(cairn_planner::NodeView::keeps_replicas)
    };
    u32::try_from(copies.holders.iter().filter(live).count()).unwrap_or(u32::MAX)
}

/// Adds a good replica that its node reported.
pub(super) async fn add_replica(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    node: NodeId,
) -> Result<(), StoreError> {
    replicas::add(tx, block, node).await?;
    recheck(inner, tx, block).await
}

/// Removes a replica that its node does not have any more. Returns whether it was listed.
pub(super) async fn remove_replica(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    node: NodeId,
) -> Result<bool, StoreError> {
    let was_listed = replicas::remove(tx, block, node).await?;
    if was_listed {
        recheck(inner, tx, block).await?;
    }
    Ok(was_listed)
}

/// Marks a replica as corrupt. Returns whether it was good before.
pub(super) async fn mark_bad(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    node: NodeId,
) -> Result<bool, StoreError> {
    let changed = replicas::mark_bad(tx, block, node).await?;
    if changed {
        recheck(inner, tx, block).await?;
    }
    Ok(changed)
}

/// Lists a corrupt replica of a block that exists, whether the replica was listed before or not: a corrupt replica is
/// kept until there are good ones. Returns whether that is news. A replica that is queued for deletion is not listed.
pub(super) async fn add_bad_replica(
    inner: &Inner,
    tx: &mut Connection,
    block: BlockId,
    node: NodeId,
) -> Result<bool, StoreError> {
    if deletions::is_queued(tx, node, block).await? {
        return Ok(false);
    }
    replicas::add_if_absent(tx, block, node).await?;
    mark_bad(inner, tx, block, node).await
}
