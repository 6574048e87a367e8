//! Owners of extents that were retired, until their grace period is over and their extents are gone.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, VersionId};
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

/// When the owner was retired that was retired last, by its stamp.
pub(crate) async fn latest(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT MAX(retired_at) AS latest FROM garbage").fetch_one(connection).await?;
    let latest: Option<i64> = row.try_get("latest")?;
    Ok(latest.and_then(|at| u64::try_from(at).ok()).map(Timestamp))
}

/// Stamps up to `max` owners anew whose stamp is beyond that time.
pub(crate) async fn retire_again(
    tx: &mut Connection,
    beyond: Timestamp,
    now: Timestamp,
    max: u32,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "UPDATE garbage SET retired_at = $2 WHERE owner_id IN
             (SELECT owner_id FROM garbage WHERE retired_at > $1 LIMIT $3) RETURNING owner_id",
    )
    .bind(to_time(beyond))
    .bind(to_time(now))
    .bind(i64::from(max))
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let owner: &[u8] = row.try_get("owner_id")?;
        sqlx::query(
            "UPDATE object_versions SET retired_at = $2 WHERE version_id = $1 AND retired_at IS NOT NULL",
        )
        .bind(owner)
        .bind(to_time(now))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Whether an owner was retired before this time, and is still there.
pub(crate) async fn is_due(
    tx: &mut Connection,
    owner: &[u8; 16],
    retired_before: Timestamp,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM garbage WHERE owner_id = $1 AND retired_at < $2")
        .bind(&owner[..])
        .bind(to_time(retired_before))
        .fetch_optional(tx)
        .await?;
    Ok(row.is_some())
}

/// Whether an owner was retired and is still there.
pub(crate) async fn is_retired(connection: &mut Connection, owner: &[u8; 16]) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM garbage WHERE owner_id = $1")
        .bind(&owner[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Has a retired version count as retired at this time. One whose extents have begun to go is passed over.
pub(crate) async fn postpone(
    tx: &mut Connection,
    version: VersionId,
    retired_at: Timestamp,
) -> Result<(), StoreError> {
    let postponed = sqlx::query(
        "UPDATE object_versions SET retired_at = $2
         WHERE version_id = $1 AND is_current = 0 AND retired_at < $2",
    )
    .bind(&version.as_bytes()[..])
    .bind(to_time(retired_at))
    .execute(&mut *tx)
    .await?;
    if postponed.rows_affected() > 0 {
        sqlx::query("UPDATE garbage SET retired_at = $2 WHERE owner_id = $1")
            .bind(&version.as_bytes()[..])
            .bind(to_time(retired_at))
            .execute(tx)
            .await?;
    }
    Ok(())
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
