//! Leases of blocks to which nothing refers: renewed ones, and marks of blocks that were given up.
//!
//! A lease that was never renewed needs no row, for the block's id tells its age. A block that is given up (its grant
//! was given back, it was abandoned, or it lost its last reference while a grant of it could still be valid) leaves a
//! mark, in the transaction that queues its replicas for deletion, until no grant of it can be valid any more: so that
//! it cannot be committed when its replicas are about to go. The mark is the negative of that time.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use sqlx::Row as _;

use super::sql_values::to_time;
use super::{Connection, StoreError};

/// What is known of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// It was renewed, until then.
    Renewed(Timestamp),
    /// The block was given up; no grant of it is valid after that.
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

/// What is known of a block's lease.
pub(crate) async fn find(connection: &mut Connection, block: BlockId) -> Result<Option<Lease>, StoreError> {
    let row = sqlx::query("SELECT expires_at FROM leases WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Lease::from_column(row.try_get("expires_at")?))).transpose()
}

/// Keeps what is known of a lease.
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

/// Marks a block as given up: no grant can make it part of an object any more. `until`: no grant of it is valid
/// after that. A mark that lasts longer stays.
pub(crate) async fn give_up(tx: &mut Connection, block: BlockId, until: Timestamp) -> Result<(), StoreError> {
    let until = match find(tx, block).await? {
        Some(Lease::Renewed(at) | Lease::GivenUp(at)) => until.max(at),
        None => until,
    };
    set(tx, block, Lease::GivenUp(until)).await
}

/// Marks all blocks as given up that lost their last reference in this transaction.
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

/// Takes out what is known of a lease.
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

/// Forgets the leases and marks that ended before this time.
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
