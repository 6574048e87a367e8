//! The table of leases of blocks without references: renewed leases, and marks of abandoned blocks.
//!
//! A lease that was never renewed needs no row, because the block's id shows its age. A block is marked when its grant
//! was given back, when it was abandoned, or when it lost its last reference while a grant of it could still be valid.
//! The mark is written in the transaction that queues its replicas for deletion, and stays until no grant of it can be
//! valid, so that the block cannot be committed while its replicas are being deleted. The mark is the negative of that
//! time.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use sqlx::Row as _;

use super::sql_values::to_time;
use super::{Connection, StoreError};

/// The state of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// It was renewed until this time.
    Renewed(Timestamp),
    /// The block was abandoned. No grant of it is valid after this time.
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

/// Reads the state of a block's lease.
pub(crate) async fn find(connection: &mut Connection, block: BlockId) -> Result<Option<Lease>, StoreError> {
    let row = sqlx::query("SELECT expires_at FROM leases WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Lease::from_column(row.try_get("expires_at")?))).transpose()
}

/// Writes the state of a lease.
pub(crate) async fn set(tx: &mut Connection, block: BlockId, lease: Lease) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO leases (block_id, expires_at) VALUES ($1, $2)
         ON CONFLICT (block_id) DO UPDATE SET expires_at = excluded.expires_at",
    )
    .bind(&block.as_bytes()[..])
    .bind(lease.to_column())
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks a block as abandoned: no grant can make it part of an object any more. No grant of it is valid after `until`.
/// A mark with a later time stays.
pub(crate) async fn give_up(tx: &mut Connection, block: BlockId, until: Timestamp) -> Result<(), StoreError> {
    let until = match find(tx, block).await? {
        Some(Lease::Renewed(at) | Lease::GivenUp(at)) => until.max(at),
        None => until,
    };
    set(tx, block, Lease::GivenUp(until)).await
}

/// Marks all blocks as abandoned that lost their last reference in this transaction.
pub(crate) async fn give_up_unreferenced(tx: &mut Connection, until: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
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

/// Removes and returns the state of a lease.
pub(crate) async fn take(tx: &mut Connection, block: BlockId) -> Result<Option<Lease>, StoreError> {
    let row = sqlx::query("DELETE FROM leases WHERE block_id = $1 RETURNING expires_at")
        .bind(&block.as_bytes()[..])
        .fetch_optional(tx)
        .await?;
    row.map(|row| Ok(Lease::from_column(row.try_get("expires_at")?))).transpose()
}

/// Whether a lease or a mark ended before this time.
pub(crate) async fn any_ended(connection: &mut Connection, before: Timestamp) -> Result<bool, StoreError> {
    let row = sqlx::query(
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
    sqlx::query(
        "DELETE FROM leases WHERE (expires_at >= 0 AND expires_at < $1) OR (expires_at < 0 AND expires_at > $2)",
    )
    .bind(to_time(before))
    .bind(-to_time(before))
    .execute(tx)
    .await?;
    Ok(())
}
