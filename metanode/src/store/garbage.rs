//! Retired owners of extents. They stay in the garbage until their grace period is over and their extents are removed.

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

/// The garbage that one step removes: all owners before a position in the order of retirement, and of the owner at that
/// position the extents before an offset. Statements name a share by these bounds, so that each statement handles all
/// of it.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    retired_at: i64,
    /// The first owner of which something stays. Empty bytes sort before all owners.
    owner: Vec<u8>,
    /// The offset of that owner's first extent that stays.
    offset: i64,
}

impl Share {
    /// The position after all owners of which the share removes something. The owner at the share's end is among them
    /// if its offset is above 0; one more byte then makes the next possible id.
    pub(super) fn begun_before(&self) -> (i64, Vec<u8>) {
        let mut owner = self.owner.clone();
        if self.offset > 0 {
            owner.push(0);
        }
        (self.retired_at, owner)
    }
}

/// The owners before a position in the order of retirement. With [`Share::begun_before`] as `$1` and `$2` these are the
/// owners of which a share removes something; with the share's own position, those that it removes entirely.
macro_rules! owners_before {
    () => {
        "SELECT owner_id FROM garbage WHERE (retired_at, owner_id) < ($1, $2)"
    };
}
pub(super) use owners_before;

/// The extents of a share. `$1` and `$2` are [`Share::begun_before`], `$3` is the owner that is removed in part, `$4`
/// the offset at which its remaining extents begin, and `$5` an offset beyond all others.
macro_rules! shared_extents {
    () => {
        "SELECT extents.block_id FROM garbage CROSS JOIN extents
         WHERE (garbage.retired_at, garbage.owner_id) < ($1, $2) AND extents.owner_id = garbage.owner_id
           AND extents.object_offset < CASE WHEN garbage.owner_id = $3 THEN $4 ELSE $5 END"
    };
}

/// An owner without extents counts as one extent, because removing it is work too.
pub(crate) const CUT: &str =
    "SELECT garbage.retired_at, garbage.owner_id, COALESCE(extents.object_offset, 0) AS object_offset
     FROM garbage LEFT JOIN extents ON extents.owner_id = garbage.owner_id
     WHERE garbage.retired_at < $1
     ORDER BY garbage.retired_at, garbage.owner_id, extents.object_offset LIMIT 1 OFFSET $2";

/// The share of the owners that were retired first, before this time, with `work` extents in all; `None` if there are
/// none.
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

/// The outcome of [`drop_share`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    /// Number of owners that are removed entirely.
    pub(crate) owners: u64,
    /// Number of extents that are removed.
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

/// Removes the extents of a share, and the owners that are left without any. Blocks that lost their last reference then
/// have `refs` below 0, and this transaction must remove them: see
/// [`blocks::drop_unreferenced`](super::blocks::drop_unreferenced).
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

/// The latest time of retirement in the garbage.
pub(crate) async fn latest(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT MAX(retired_at) AS latest FROM garbage").fetch_one(connection).await?;
    let latest: Option<i64> = row.try_get("latest")?;
    Ok(latest.and_then(|at| u64::try_from(at).ok()).map(Timestamp))
}

/// Sets the time of retirement to `now` for up to `max` owners whose time is after `beyond`.
pub(crate) async fn retire_again(
    tx: &mut Connection,
    beyond: Timestamp,
    now: Timestamp,
    max: u32,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE garbage SET retired_at = $2 WHERE owner_id IN
             (SELECT owner_id FROM garbage WHERE retired_at > $1 LIMIT $3)",
    )
    .bind(to_time(beyond))
    .bind(to_time(now))
    .bind(i64::from(max))
    .execute(tx)
    .await?;
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

/// Sets a later time of retirement for a retired version. A version whose extents are partly removed is left unchanged.
pub(crate) async fn postpone(
    tx: &mut Connection,
    version: VersionId,
    retired_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE garbage SET retired_at = $2 WHERE owner_id = $1 AND retired_at < $2
           AND EXISTS (SELECT 1 FROM retired_versions WHERE version_id = $1)",
    )
    .bind(&version.as_bytes()[..])
    .bind(to_time(retired_at))
    .execute(tx)
    .await?;
    Ok(())
}
