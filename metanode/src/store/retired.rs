//! The table of what was retired: versions that were overwritten or deleted for good, and parts that were replaced or aborted. Their
//! references to bytes go when their grace period is over.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{PartId, VersionId};
use cairn_protocol::metadata::{Committed, ObjectVersion, VersionRef};

use super::buckets::BucketId;
use super::lists::{ContentColumns, RELEASE_RETIRED};
use super::objects::{self, columns, committed, stored};
use super::parts::StoredPart;
use super::sql_values::{time, to_number, to_time};
use super::{Connection, StoreError, sql};

/// The retired versions as if they were versions.
macro_rules! as_versions {
    () => {
        "(SELECT *, owner_id AS version_id, 0 AS is_delete_marker FROM retired WHERE key IS NOT NULL) AS versions"
    };
}

/// Copies the row of a version. The caller removes the version.
pub(crate) async fn insert_version(
    tx: &mut Connection,
    bucket: BucketId,
    object: &ObjectVersion,
    now: Timestamp,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id, bucket_id, key, sequence,
                              null_state, etag, modified_at, part_count, attributes, tags, checksum, block_crc32c)
         SELECT $4, version_id, length, block_id, block_offset, list_id, bucket_id, key, sequence,
                null_state, etag, modified_at, part_count, attributes, tags, checksum, block_crc32c
         FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
    )
    .bind(bucket.0)
    .bind(object.key.as_bytes())
    .bind(to_number(object.sequence))
    .bind(to_time(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a reference that an object had before its bytes were moved to another block: reads under way still follow it, and keep it by
/// the id of their version.
pub(crate) async fn insert_moved(
    tx: &mut Connection,
    owner: PartId,
    object: &ObjectVersion,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ContentColumns { block, offset, list: _, crc32c } = object.content.into();
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, block_crc32c, moved_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(to_time(now))
    .bind(&owner.as_bytes()[..])
    .bind(to_number(object.length))
    .bind(block)
    .bind(offset)
    .bind(crc32c)
    .bind(&object.version.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a part. The caller removes it from its upload.
pub(crate) async fn insert_part(
    tx: &mut Connection,
    part: &StoredPart,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ContentColumns { block, offset, list, crc32c: _ } = part.content.into();
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(to_time(now))
    .bind(&part.info.part.as_bytes()[..])
    .bind(to_number(part.info.length))
    .bind(block)
    .bind(offset)
    .bind(list)
    .execute(tx)
    .await?;
    Ok(())
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM ", as_versions!(), " WHERE owner_id = $1");

/// The retired version of this id.
pub(crate) async fn find(
    connection: &mut Connection,
    version: VersionId,
) -> Result<Option<ObjectVersion>, StoreError> {
    let row = sql::query(FIND).bind(&version.as_bytes()[..]).fetch_optional(connection).await?;
    row.map(|row| Ok(stored(&row)?.object)).transpose()
}

/// The version of a reference, also if it is retired.
pub(crate) async fn find_version(
    connection: &mut Connection,
    version: &VersionRef,
) -> Result<Option<ObjectVersion>, StoreError> {
    match objects::find_reference(connection, version).await? {
        Some(found) => Ok(Some(found)),
        None => find(connection, version.version).await,
    }
}

pub(crate) const MAY_BE_MADE: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM (SELECT version_id FROM versions
                                WHERE bucket_id = (SELECT bucket_id FROM buckets WHERE name = $1) AND key = $2
                                ORDER BY sequence DESC LIMIT 1) AS newest WHERE version_id = $3)
              OR EXISTS (SELECT 1 FROM retired WHERE owner_id = $3)
              OR EXISTS (SELECT 1 FROM mutations WHERE mutation_id = $3)";

/// Whether there is a trace of the write of this version: it is the newest of its key, it is retired, or its outcome is remembered.
/// One statement tells that there is none, as nearly always.
pub(crate) async fn may_be_made(
    connection: &mut Connection,
    (bucket, key): (&str, &str),
    version: VersionId,
) -> Result<bool, StoreError> {
    let row = sql::query(MAY_BE_MADE)
        .bind(bucket)
        .bind(key.as_bytes())
        .bind(&version.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// When a part was retired; `None` if it was not, or if its grace period is over.
pub(crate) async fn part_retired_at(
    connection: &mut Connection,
    part: PartId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sql::query("SELECT retired_at FROM retired WHERE owner_id = $1 AND key IS NULL")
        .bind(&part.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| time(&row, "retired_at")).transpose()
}

/// Whether a version or part was retired before this time.
pub(crate) async fn any_due(
    connection: &mut Connection,
    retired_before: Timestamp,
) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM retired WHERE retired_at < $1 LIMIT 1")
        .bind(to_time(retired_before))
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// What one step removes: all rows before a position in the order of retirement. Statements name the share by this bound, so that
/// each statement handles all of it.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    retired_at: i64,
    /// The first owner that stays. Empty bytes sort before all owners.
    owner: Vec<u8>,
}

pub(crate) const CUT: &str = "SELECT retired_at, owner_id FROM retired WHERE retired_at < $1
     ORDER BY retired_at, owner_id LIMIT 1 OFFSET $2";

/// The share of the `max` rows that were retired first, before this time.
pub(crate) async fn share(
    tx: &mut Connection,
    retired_before: Timestamp,
    max: u32,
) -> Result<Share, StoreError> {
    let cut =
        sql::query(CUT).bind(to_time(retired_before)).bind(i64::from(max.max(1))).fetch_optional(tx).await?;
    Ok(match cut {
        Some(row) => Share { retired_at: row.try_get("retired_at")?, owner: row.try_get("owner_id")? },
        None => Share { retired_at: to_time(retired_before), owner: Vec::new() },
    })
}

/// The outcomes of the commits that made the versions in a share, for commits after this time.
pub(crate) async fn made_after(
    tx: &mut Connection,
    share: &Share,
    after: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let rows = sql::query(concat!(
        "SELECT ",
        columns!(),
        " FROM ",
        as_versions!(),
        " WHERE (retired_at, owner_id) < ($1, $2) AND modified_at > $3"
    ))
    .bind(share.retired_at)
    .bind(&share.owner)
    .bind(to_time(after))
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok(committed(&stored(row)?.object))).collect()
}

pub(crate) const RELEASE_BLOCKS: &str =
    "UPDATE blocks SET refs = CASE WHEN blocks.refs > gone.owners THEN blocks.refs - gone.owners
                                   WHEN blocks.refs = gone.owners THEN -1 ELSE 0 END,
                       live = CASE WHEN blocks.live > gone.bytes THEN blocks.live - gone.bytes
                                   WHEN blocks.live IS NULL THEN NULL ELSE 0 END
     FROM (SELECT block_id, COUNT(*) AS owners, CAST(SUM(length) AS BIGINT) AS bytes FROM retired
           WHERE (retired_at, owner_id) < ($1, $2) AND block_id IS NOT NULL GROUP BY block_id) AS gone
     WHERE blocks.block_id = gone.block_id";

pub(crate) const REMOVE: &str = "DELETE FROM retired WHERE (retired_at, owner_id) < ($1, $2)";

/// Removes a share. Blocks that lost their last reference then have `refs` below 0, and this transaction must remove them: see
/// [`blocks::drop_unreferenced`](super::blocks::drop_unreferenced). A block that counted fewer references than it had is kept with
/// none, because its count is wrong, and `fsck` can count again. Returns how many rows it removed.
pub(crate) async fn remove(tx: &mut Connection, share: &Share) -> Result<u64, StoreError> {
    let mut removed = 0;
    for statement in [RELEASE_BLOCKS, RELEASE_RETIRED, REMOVE] {
        removed = sql::query(statement)
            .bind(share.retired_at)
            .bind(&share.owner)
            .execute(&mut *tx)
            .await?
            .rows_affected();
    }
    Ok(removed)
}

/// The latest time of retirement.
pub(crate) async fn latest(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let row = sql::query("SELECT MAX(retired_at) AS latest FROM retired").fetch_one(connection).await?;
    let latest: Option<i64> = row.try_get("latest")?;
    Ok(latest.and_then(|at| u64::try_from(at).ok()).map(Timestamp))
}

/// Sets the time of retirement to `now` for up to `max` rows whose time is after `beyond`.
pub(crate) async fn retire_again(
    tx: &mut Connection,
    beyond: Timestamp,
    now: Timestamp,
    max: u32,
) -> Result<(), StoreError> {
    sql::query(
        "UPDATE retired SET retired_at = $2 WHERE (retired_at, owner_id) IN
             (SELECT retired_at, owner_id FROM retired WHERE retired_at > $1 LIMIT $3)",
    )
    .bind(to_time(beyond))
    .bind(to_time(now))
    .bind(i64::from(max))
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) const IS_KEPT: &str = "SELECT 1 FROM retired WHERE owner_id = $1
     UNION ALL SELECT 1 FROM retired WHERE moved_version = $1 LIMIT 1";

/// Whether a version was retired, or its bytes were moved to another block, and what reads of it still need is there.
pub(crate) async fn is_kept(connection: &mut Connection, version: VersionId) -> Result<bool, StoreError> {
    let row = sql::query(IS_KEPT).bind(&version.as_bytes()[..]).fetch_optional(connection).await?;
    Ok(row.is_some())
}

pub(crate) const POSTPONE: &str =
    "UPDATE retired SET retired_at = $2 WHERE owner_id = $1 AND key IS NOT NULL AND retired_at < $2";

pub(crate) const POSTPONE_MOVED: &str =
    "UPDATE retired SET retired_at = $2 WHERE moved_version = $1 AND retired_at < $2";

/// Sets a later time of retirement for a retired version, and for the places that its bytes were moved from.
pub(crate) async fn postpone(
    tx: &mut Connection,
    version: VersionId,
    retired_at: Timestamp,
) -> Result<(), StoreError> {
    for statement in [POSTPONE, POSTPONE_MOVED] {
        sql::query(statement)
            .bind(&version.as_bytes()[..])
            .bind(to_time(retired_at))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
