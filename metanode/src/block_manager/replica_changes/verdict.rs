//! How a replica that a datanode reports to have, or to have lost, compares with SQL.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::warn_peer;

use super::Change;
use crate::block_manager::Inner;
use crate::store::leases::{self, Lease};
use crate::store::{Connection, StoreError, blocks, deletions};

/// The result of comparing a reported replica with SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The replica is listed as it was reported.
    Expected,
    /// The block exists, and the replica matches it but is not listed, or is listed as corrupt and was stored again.
    Unlisted,
    /// The block exists, and the replica does not match it.
    Wrong,
    /// Nothing refers to the block, and the replica is queued for deletion.
    Doomed,
    /// Nothing refers to the block, and nothing can refer to it any more.
    Abandoned,
    /// Nothing refers to the block yet. It is to be examined again at that time.
    Leased(Timestamp),
    /// Nothing refers to the block, and its id lies in the future, so that the id does not tell its age.
    FromTheFuture,
}

/// A lease lasts through the whole millisecond of its end; this is the time added to be after it.
pub(super) const JUST_AFTER: std::time::Duration = std::time::Duration::from_millis(1);

/// Compares a stored, held or corrupt replica with SQL.
pub(super) async fn judge(
    inner: &Inner,
    connection: &mut Connection,
    node: NodeId,
    change: &Change,
) -> Result<Verdict, StoreError> {
    let Some(known) = blocks::find(connection, change.block()).await? else {
        return judge_unreferenced(inner, connection, node, change.block()).await;
    };
    let listed = known.holders.iter().find(|(holder, _)| *holder == node).map(|(_, good)| *good);
    let is_right = match change {
        Change::Stored(replica) | Change::Held(replica) => {
            known.block.length == replica.length && known.block.crc32c == replica.crc32c
        }
        _ => false,
    };
    Ok(match (listed, is_right) {
        (Some(true), true) => Verdict::Expected,
        // The block was queued for repair when the replica was found corrupt; nothing is new.
        (Some(false), false) => Verdict::Expected,
        (Some(false), true) if !matches!(change, Change::Stored(_)) => Verdict::Expected,
        (Some(false) | None, true) => Verdict::Unlisted,
        (Some(true) | None, false) => Verdict::Wrong,
    })
}

/// Whether the lease of a block to which nothing refers has ended.
async fn judge_unreferenced(
    inner: &Inner,
    connection: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<Verdict, StoreError> {
    let Some(created_at) = block.created_at_ms().map(Timestamp) else {
        warn_peer!(%node, %block, "a datanode holds a block whose id no metanode made; it is left alone");
        return Ok(Verdict::Expected);
    };
    if deletions::is_queued(connection, node, block).await? {
        return Ok(Verdict::Doomed);
    }
    let lease = match leases::find(connection, block).await? {
        Some(Lease::GivenUp(_)) => return Ok(Verdict::Abandoned),
        // The lease began when the block was found, because its id does not tell when it was granted.
        Some(Lease::Renewed(until)) if created_at > inner.env.now() => until,
        None if created_at > inner.env.now() => return Ok(Verdict::FromTheFuture),
        Some(Lease::Renewed(until)) => until.max(inner.clock.lease_end(created_at)),
        None => inner.clock.lease_end(created_at),
    };
    let over = lease.after(inner.config.lease_slack);
    Ok(if inner.env.now() > over { Verdict::Abandoned } else { Verdict::Leased(over.after(JUST_AFTER)) })
}
