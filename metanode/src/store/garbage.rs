//! The garbage: owners that were retired, until their grace period is over and their extents are gone.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VersionId;
use sqlx::Row as _;

use super::sql_values::to_time;
use super::{Connection, StoreError};

/// Whether an owner was retired before this time.
pub(crate) async fn any_due(
    connection: &mut Connection,
    retired_before: Timestamp,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM garbage WHERE retired_at < $1 LIMIT 1")
        .bind(to_time(retired_before))
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// A share of the garbage, which one step drops: the owners before a position in the order of time, and the extents
/// before an offset of the owner at that position. Statements refer to it by its bounds, so that each works on all of
/// it.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    retired_at: i64,
    /// The first owner that is not dropped as a whole. An empty id is before all owners.
    owner: Vec<u8>,
    /// The offset of the first extent of that owner that stays.
    offset: i64,
}

impl Share {
    /// The position after all owners of the share. It is the last owner's id with one more byte, if that owner is in
    /// the share.
    pub(super) fn begun_before(&self) -> (i64, Vec<u8>) {
        let mut owner = self.owner.clone();
        if self.offset > 0 {
            owner.push(0);
        }
        (self.retired_at, owner)
    }
}

/// Selects the owners before a position in the order of time. With [`Share::begun_before`] as `$1` and `$2` these are
/// all owners of the share, with the share's own position those that it drops as a whole.
macro_rules! owners_before {
    () => {
        "SELECT owner_id FROM garbage WHERE (retired_at, owner_id) < ($1, $2)"
    };
}
pub(super) use owners_before;

/// Selects the extents of a share: `$1` and `$2` are [`Share::begun_before`], `$3` is the owner that is not dropped as
/// a whole, `$4` the offset at which it is left, and `$5` is above all offsets.
macro_rules! shared_extents {
    () => {
        "SELECT extents.block_id FROM garbage CROSS JOIN extents
         WHERE (garbage.retired_at, garbage.owner_id) < ($1, $2) AND extents.owner_id = garbage.owner_id
           AND extents.object_offset < CASE WHEN garbage.owner_id = $3 THEN $4 ELSE $5 END"
    };
}

/// An owner without extents counts as one, because it costs work too.
pub(crate) const CUT: &str =
    "SELECT garbage.retired_at, garbage.owner_id, COALESCE(extents.object_offset, 0) AS object_offset
     FROM garbage LEFT JOIN extents ON extents.owner_id = garbage.owner_id
     WHERE garbage.retired_at < $1
     ORDER BY garbage.retired_at, garbage.owner_id, extents.object_offset LIMIT 1 OFFSET $2";

/// The first owners that were retired before this time and have `work` extents in all; `None` if there are none.
pub(crate) async fn share(
    tx: &mut Connection,
    retired_before: Timestamp,
    work: u32,
) -> Result<Option<Share>, StoreError> {
    let cut = sqlx::query(CUT)
        .bind(to_time(retired_before))
        .bind(i64::from(work.max(1)))
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = cut {
        return Ok(Some(Share {
            retired_at: row.try_get("retired_at")?,
            owner: row.try_get("owner_id")?,
            offset: row.try_get("object_offset")?,
        }));
    }
    let all = Share { retired_at: to_time(retired_before), owner: Vec::new(), offset: 0 };
    Ok(any_due(tx, retired_before).await?.then_some(all))
}

/// The result of dropping a share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    /// The number of owners that are gone.
    pub(crate) owners: u64,
    /// The number of extents that were dropped.
    pub(crate) extents: u64,
}

pub(crate) const COUNT_DOWN: &str = concat!(
    "UPDATE blocks SET refs = CASE WHEN blocks.refs > gone.extents THEN blocks.refs - gone.extents ELSE -1 END
     FROM (SELECT block_id, COUNT(*) AS extents FROM (",
    shared_extents!(),
    ") AS dropped GROUP BY block_id) AS gone
     WHERE blocks.block_id = gone.block_id"
);

pub(crate) const DROP_OWNED: &str = concat!("DELETE FROM extents WHERE owner_id IN (", owners_before!(), ")");

/// Drops the extents of a share, and the owners without any left. Blocks without references then have `refs` below 0
/// and must be removed in the same transaction: see [`blocks::drop_unreferenced`](super::blocks::drop_unreferenced).
pub(crate) async fn drop_share(tx: &mut Connection, share: &Share) -> Result<Dropped, StoreError> {
    let (retired_at, begun) = share.begun_before();
    sqlx::query(COUNT_DOWN)
        .bind(retired_at)
        .bind(&begun)
        .bind(&share.owner)
        .bind(share.offset)
        .bind(i64::MAX)
        .execute(&mut *tx)
        .await?;
    let whole = sqlx::query(DROP_OWNED).bind(share.retired_at).bind(&share.owner).execute(&mut *tx).await?;
    let part = sqlx::query("DELETE FROM extents WHERE owner_id = $1 AND object_offset < $2")
        .bind(&share.owner)
        .bind(share.offset)
        .execute(&mut *tx)
        .await?;
    let owners = sqlx::query("DELETE FROM garbage WHERE (retired_at, owner_id) < ($1, $2)")
        .bind(share.retired_at)
        .bind(&share.owner)
        .execute(&mut *tx)
        .await?;
    Ok(Dropped { owners: owners.rows_affected(), extents: whole.rows_affected() + part.rows_affected() })
}

/// The latest time at which an owner was retired.
pub(crate) async fn latest(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT MAX(retired_at) AS latest FROM garbage").fetch_one(connection).await?;
    let latest: Option<i64> = row.try_get("latest")?;
    Ok(latest.and_then(|at| u64::try_from(at).ok()).map(Timestamp))
}

/// Sets the retirement of up to `max` owners to this time whose retirement lies after it.
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

/// Whether an owner was retired and still exists.
pub(crate) async fn is_retired(connection: &mut Connection, owner: &[u8; 16]) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM garbage WHERE owner_id = $1")
        .bind(&owner[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Sets the retirement of a version to this time. A version whose extents are being dropped is skipped.
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
