//! Owners of extents that were retired, until their grace period is over and their extents are gone.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VersionId;
use sqlx::Row as _;

use super::sql_values::to_time;
use super::{Connection, StoreError};

/// Whether some owner was retired before this time.
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

/// The garbage that one step takes: the owners before a place in the order of time, and of the owner at that place the
/// extents before an offset. Statements name it by its bounds, so that each works on all of it at once.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    retired_at: i64,
    /// The first owner that is not taken as a whole; an empty one is before all.
    owner: Vec<u8>,
    /// Where the extents begin that are left of it.
    offset: i64,
}

impl Share {
    /// The owner behind all that are begun with. A byte more makes it the next after an owner that is begun with.
    pub(super) fn begun_before(&self) -> (i64, Vec<u8>) {
        let mut owner = self.owner.clone();
        if self.offset > 0 {
            owner.push(0);
        }
        (self.retired_at, owner)
    }
}

/// The owners before a place in the order of time: those that a share begins with, where `$1` and `$2` are
/// [`Share::begun_before`], and those that it takes as a whole, where they are its own place.
macro_rules! owners_before {
    () => {
        "SELECT owner_id FROM garbage WHERE (retired_at, owner_id) < ($1, $2)"
    };
}
pub(super) use owners_before;

/// The extents of a share: `$1` and `$2` are [`Share::begun_before`], `$3` is the owner that is not taken as a whole,
/// `$4` the offset at which it is left, and `$5` is behind all offsets.
macro_rules! shared_extents {
    () => {
        "SELECT extents.block_id FROM garbage CROSS JOIN extents
         WHERE (garbage.retired_at, garbage.owner_id) < ($1, $2) AND extents.owner_id = garbage.owner_id
           AND extents.object_offset < CASE WHEN garbage.owner_id = $3 THEN $4 ELSE $5 END"
    };
}

/// An owner without extents counts as one, for it is work too.
pub(crate) const CUT: &str =
    "SELECT garbage.retired_at, garbage.owner_id, COALESCE(extents.object_offset, 0) AS object_offset
     FROM garbage LEFT JOIN extents ON extents.owner_id = garbage.owner_id
     WHERE garbage.retired_at < $1
     ORDER BY garbage.retired_at, garbage.owner_id, extents.object_offset LIMIT 1 OFFSET $2";

/// The first owners that were retired before this time, as many as have `work` extents in all; `None` if there are none.
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

/// What was dropped of a share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    /// Owners of which nothing is left.
    pub(crate) owners: u64,
    /// Extents.
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

/// Drops the extents of a share, and the owners of which nothing is left. Blocks to which nothing refers then have `refs`
/// below 0, and must go in this transaction: see [`blocks::drop_unreferenced`](super::blocks::drop_unreferenced).
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
