//! Owners of extents that were retired, until their grace period is over and their extents are gone.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use sqlx::Row as _;

use super::column::{id, to_time};
use super::{Connection, StoreError};

/// Up to `max` owners that were retired before this time, in the order of time.
pub(crate) async fn due(
    connection: &mut Connection,
    retired_before: Timestamp,
    max: u32,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let rows = sqlx::query(
        "SELECT owner_id FROM garbage WHERE retired_at < $1 ORDER BY retired_at, owner_id LIMIT $2",
    )
    .bind(to_time(retired_before))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let bytes: &[u8] = row.try_get("owner_id")?;
            bytes.try_into().map_err(|_| StoreError::Corrupt { column: "owner_id" })
        })
        .collect()
}

/// Removes up to `max` extents of an owner; answers their blocks, each as often as it was referred to.
pub(crate) async fn drop_extents(
    tx: &mut Connection,
    owner: &[u8; 16],
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    let rows = sqlx::query(
        "DELETE FROM extents WHERE owner_id = $1 AND object_offset IN
             (SELECT object_offset FROM extents WHERE owner_id = $1 ORDER BY object_offset LIMIT $2)
         RETURNING block_id",
    )
    .bind(&owner[..])
    .bind(i64::from(max))
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| id(row, "block_id")).collect()
}

/// Forgets an owner.
pub(crate) async fn remove(tx: &mut Connection, owner: &[u8; 16]) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM garbage WHERE owner_id = $1").bind(&owner[..]).execute(tx).await?;
    Ok(())
}
