//! Leases of blocks without references: the ones that were renewed, and marks of blocks that were given up.
//!
//! A lease that was never renewed needs no row, because the block's id tells its age. A block is given up when its
//! grant is given back, when it is abandoned, or when it loses its last reference while a grant of it could still be
//! valid. The transaction that queues its replicas for deletion then sets a mark, which stays until no grant of the
//! block can be valid any more. The mark keeps the block from being committed while its replicas are deleted. A mark is
//! stored as the negative of the time at which it ends.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;

use super::sql_values::to_time;
use super::{Connection, StoreError, sql};

/// The state of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// The lease was renewed, until this time.
    Renewed(Timestamp),
    /// The block was given up. No grant of it is valid after this time.
    GivenUp(Timestamp),
}

impl Lease {
    fn from_column(value: i64) -> Self {
        let at = Timestamp(value.unsigned_abs());
        if value < 0 { Self::GivenUp(at) } else { Self::Renewed(at) }
    }

    fn to_column(self) -> i64 {
        match self {
            Self::Renewed(at) => to_time(at),
            Self::GivenUp(at) => -to_time(at),
        }
    }
}

/// The state of a block's lease; `None` if it has no row.
pub(crate) async fn find(connection: &mut Connection, block: BlockId) -> Result<Option<Lease>, StoreError> {
    let row = sql::query("SELECT expires_at FROM leases WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Lease::from_column(row.try_get("expires_at")?))).transpose()
}

/// Stores the state of a block's lease.
pub(crate) async fn set(tx: &mut Connection, block: BlockId, lease: Lease) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO leases (block_id, expires_at) VALUES ($1, $2)
         ON CONFLICT (block_id) DO UPDATE SET expires_at = excluded.expires_at",
    )
    .bind(&block.as_bytes()[..])
    .bind(lease.to_column())
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks a block as given up, so that no grant can make it part of an object any more. No grant of it is valid after
/// `until`. A mark or lease that lasts longer keeps its end.
pub(crate) async fn give_up(tx: &mut Connection, block: BlockId, until: Timestamp) -> Result<(), StoreError> {
    let until = match find(tx, block).await? {
        Some(Lease::Renewed(at) | Lease::GivenUp(at)) => until.max(at),
        None => until,
    };
    set(tx, block, Lease::GivenUp(until)).await
}

/// Marks all blocks that lost their last reference in this transaction as given up.
pub(crate) async fn give_up_unreferenced(tx: &mut Connection, until: Timestamp) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO leases (block_id, expires_at) SELECT block_id, $1 FROM blocks WHERE refs < 0
         ON CONFLICT (block_id) DO UPDATE SET expires_at =
             CASE WHEN ABS(leases.expires_at) > ABS(excluded.expires_at)
                  THEN -ABS(leases.expires_at) ELSE excluded.expires_at END",
    )
    .bind(Lease::GivenUp(until).to_column())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes and returns the state of a block's lease.
pub(crate) async fn take(tx: &mut Connection, block: BlockId) -> Result<Option<Lease>, StoreError> {
    let row = sql::query("DELETE FROM leases WHERE block_id = $1 RETURNING expires_at")
        .bind(&block.as_bytes()[..])
        .fetch_optional(tx)
        .await?;
    row.map(|row| Ok(Lease::from_column(row.try_get("expires_at")?))).transpose()
}

/// Whether a lease or a mark ended before this time.
pub(crate) async fn any_ended(connection: &mut Connection, before: Timestamp) -> Result<bool, StoreError> {
    let row = sql::query(
        "SELECT 1 FROM leases WHERE (expires_at >= 0 AND expires_at < $1) OR (expires_at < 0 AND expires_at > $2)
         LIMIT 1",
    )
    .bind(to_time(before))
    .bind(-to_time(before))
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Removes the leases and marks that ended before this time.
pub(crate) async fn forget_ended(tx: &mut Connection, before: Timestamp) -> Result<(), StoreError> {
    sql::query(
        "DELETE FROM leases WHERE (expires_at >= 0 AND expires_at < $1) OR (expires_at < 0 AND expires_at > $2)",
    )
    .bind(to_time(before))
    .bind(-to_time(before))
    .execute(tx)
    .await?;
    Ok(())
}
