//! The transaction that applies changes of a node's replicas to SQL, and the effects that follow from its commit.

use cairn_protocol::id::{BlockId, NodeId};

use super::Change;
use super::abandon::is_open;
use super::publish::{Effect, Effects};
use super::verdict::{JUST_AFTER, Verdict, judge};
use crate::block_manager::{Inner, repair_queue};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, StoreError, blocks, deletions, generations};

/// Applies changes of a node's replicas. Each block is looked up again, because the state that was read before the
/// transaction may be out of date, and cannot change any more until the transaction ends.
pub(super) async fn apply(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    changes: Vec<Change>,
) -> Result<Effects, StoreError> {
    let mut effects = Effects::default();
    // The node may have been removed since it reported. Then no row may be added for it.
    if inner.soft_state().nodes.get(node).is_none() {
        return Ok(effects);
    }
    let mut any_deleted = false;
    for change in changes {
        match change {
            Change::Stored(_) | Change::Held(_) | Change::Corrupt(_) => {
                reported(inner, tx, node, change, &mut effects).await?;
            }
            Change::Suspected(block, problem) => {
                if suspect(inner, tx, node, block).await? {
                    effects.push(Effect::Suspected(block, problem));
                }
            }
            Change::Missing(block) => {
                if repair_queue::remove_replica(inner, tx, block, node).await? {
                    effects.push(Effect::Missing(block));
                }
            }
            Change::Surplus(block) => repair_queue::recheck(inner, tx, block).await?,
            Change::Deleted(block) => {
                any_deleted = true;
                effects.push(deleted(inner, tx, node, block).await?);
            }
        }
    }
    if any_deleted {
        // An older backup of the database still has these deletions queued, while the node may get the blocks again.
        generations::advance(tx).await?;
        if deletions::is_empty(tx).await? {
            effects.push(Effect::GarbageIdle);
        }
    }
    Ok(effects)
}

/// Applies a report that a node stored, holds or lost a replica.
async fn reported(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    change: Change,
    effects: &mut Effects,
) -> Result<(), StoreError> {
    let block = change.block();
    match judge(inner, tx, node, &change).await? {
        Verdict::Expected => effects.push(Effect::Kept(block)),
        Verdict::Unlisted => {
            // A replica that is queued for deletion does not count, because it will be gone soon.
            if !deletions::is_queued(tx, node, block).await? {
                repair_queue::add_replica(inner, tx, block, node).await?;
                effects.push(Effect::Kept(block));
            }
        }
        Verdict::Wrong => {
            if repair_queue::add_bad_replica(inner, tx, block, node).await? {
                let is_found_by_node = matches!(change, Change::Corrupt(_));
                effects.push(if is_found_by_node { Effect::Corrupt(block) } else { Effect::Wrong(block) });
            }
        }
        Verdict::Doomed => {}
        // Since the first look-up, deletions may have been held, or the node may have registered again.
        Verdict::Abandoned if !is_open(inner, &mut inner.soft_state(), node) => {}
        Verdict::Abandoned => {
            leases::give_up(tx, block, inner.clock.grants_end(inner.env.now())).await?;
            let replica = change.replica();
            if deletions::queue(tx, node, block, replica.length, inner.env.now()).await? {
                effects.push(Effect::Abandoned(replica));
            }
        }
        // This happens inside the transaction, because a commit of the block that follows must see what the node
        // reported.
        Verdict::Leased(until) => inner.soft_state().remember_orphan(node, &change, until),
        Verdict::FromTheFuture => {
            let until = inner.clock.grants_end(inner.env.now());
            leases::set(tx, block, Lease::Renewed(until)).await?;
            let over = until.after(inner.config.lease_slack);
            inner.soft_state().remember_orphan(node, &change, over.after(JUST_AFTER));
        }
    }
    Ok(())
}

/// Removes a replica that is gone, whether its deletion was queued or not.
async fn deleted(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<Effect, StoreError> {
    let queued = deletions::done(tx, node, block).await?;
    if queued.is_none() {
        tracing::debug!(%node, %block, "a datanode deleted a replica that was not queued for it");
    }
    repair_queue::remove_replica(inner, tx, block, node).await?;
    Ok(Effect::Deleted { block, queued })
}

/// Marks a replica as corrupt because a gateway reported a problem, so that another is made and this one is deleted
/// then. The gateway or its network may be at fault, so the last good replica that is live stays good. Returns whether
/// the replica was good before.
async fn suspect(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<bool, StoreError> {
    let Some(mut known) = blocks::find(tx, block).await? else { return Ok(false) };
    known.holders.retain(|(holder, _)| *holder != node);
    if repair_queue::live_replicas(inner, &known) == 0 {
        return Ok(false);
    }
    repair_queue::mark_bad(inner, tx, block, node).await
}
