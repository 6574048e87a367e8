//! Pages of versions and parts, with the extents, blocks and replicas of each.

use cairn_protocol::id::{BlockId, NodeId};
use sqlx::Row as _;

use super::bytes16;
use crate::store::buckets::BucketId;
use crate::store::sql_values::{id, key, number, text, to_number};
use crate::store::{Connection, Row, StoreError};

/// One extent of an owner with its block, or an owner that has no extents.
#[derive(Clone, Debug)]
pub(crate) struct OwnedExtent {
    /// The bucket's name, for retired versions; `None` if the caller's walk knows the bucket, or if the bucket is
    /// deleted.
    pub(crate) bucket: Option<String>,
    /// The owner's key.
    pub(crate) key: String,
    /// For versions that clients can name: the place in the order of versions.
    pub(crate) sequence: Option<u64>,
    /// For parts: the upload's id and the part's number.
    pub(crate) part: Option<([u8; 16], u32)>,
    /// The version's or part's id; `None` for an upload without parts.
    pub(crate) owner: Option<[u8; 16]>,
    /// The owner's length in bytes.
    pub(crate) length: u64,
    /// The number of parts that the version was completed from.
    pub(crate) part_count: u32,
    /// The extent; `None` for an owner without extents.
    pub(crate) extent: Option<CheckedExtent>,
}

/// An extent and its block.
#[derive(Clone, Debug)]
pub(crate) struct CheckedExtent {
    /// Offset of its first byte in the owner.
    pub(crate) object_offset: u64,
    /// Offset of its first byte in the block.
    pub(crate) block_offset: u64,
    /// Length in bytes.
    pub(crate) length: u64,
    /// The block.
    pub(crate) block: BlockId,
    /// The block's row; `None` if it does not exist.
    pub(crate) known: Option<KnownBlock>,
    /// The nodes that have a replica, and whether no report said that it is corrupt.
    pub(crate) holders: Vec<(NodeId, bool)>,
}

/// The row of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownBlock {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its CRC32C.
    pub(crate) crc32c: u32,
    /// How many replicas it should have.
    pub(crate) replication: u32,
    /// Its count of the extents that refer to it.
    pub(crate) refs: i64,
    /// Whether it is in the repair queue.
    pub(crate) queued: bool,
}

/// Joins the blocks and replicas to a page of extents.
macro_rules! with_blocks {
    ($page:literal, $order:literal) => {
        concat!(
            "SELECT page.*, blocks.length AS known_length, blocks.crc32c, blocks.replication, blocks.refs,
                    repairs.block_id AS queued, replicas.node_id, replicas.state
             FROM (",
            $page,
            ") AS page
             LEFT JOIN blocks ON blocks.block_id = page.block_id
             LEFT JOIN repairs ON repairs.block_id = page.block_id
             LEFT JOIN replicas ON replicas.block_id = page.block_id
             ORDER BY ",
            $order,
            ", replicas.node_id"
        )
    };
}

/// Delete markers yield rows without an owner, which count against the limit.
pub(crate) const OBJECTS: &str = with_blocks!(
    "SELECT NULL AS bucket, versions.key, versions.sequence,
            CASE WHEN versions.is_delete_marker = 0 THEN versions.version_id END AS owner_id,
            versions.length AS owner_length, versions.part_count, NULL AS upload_id, NULL AS number,
            extents.object_offset, extents.block_id, extents.block_offset, extents.length
     FROM versions LEFT JOIN extents ON extents.owner_id = versions.version_id
     WHERE versions.bucket_id = $1 AND versions.key >= $2
     ORDER BY versions.key, versions.sequence DESC, extents.object_offset LIMIT $3",
    "page.key, page.sequence DESC, page.object_offset"
);

/// The versions of one key from the sequence `$3` on. Of that version, the extents begin at the offset `$4`.
pub(crate) const VERSIONS_OF_KEY: &str = with_blocks!(
    "SELECT NULL AS bucket, versions.key, versions.sequence,
            CASE WHEN versions.is_delete_marker = 0 THEN versions.version_id END AS owner_id,
            versions.length AS owner_length, versions.part_count, NULL AS upload_id, NULL AS number,
            extents.object_offset, extents.block_id, extents.block_offset, extents.length
     FROM versions LEFT JOIN extents ON extents.owner_id = versions.version_id
       AND extents.object_offset >= CASE WHEN versions.sequence = $3 THEN $4 ELSE 0 END
     WHERE versions.bucket_id = $1 AND versions.key = $2 AND versions.sequence <= $3
     ORDER BY versions.sequence DESC, extents.object_offset LIMIT $5",
    "page.sequence DESC, page.object_offset"
);

pub(crate) const PARTS: &str = with_blocks!(
    "SELECT NULL AS bucket, uploads.key, NULL AS sequence, parts.part_id AS owner_id, parts.length AS owner_length,
            0 AS part_count, uploads.upload_id, parts.number,
            extents.object_offset, extents.block_id, extents.block_offset, extents.length
     FROM uploads
     LEFT JOIN parts ON parts.upload_id = uploads.upload_id
       AND parts.number >= CASE WHEN uploads.upload_id = $3 THEN $4 ELSE 0 END
     LEFT JOIN extents ON extents.owner_id = parts.part_id
       AND extents.object_offset >= CASE WHEN uploads.upload_id = $3 AND parts.number = $4 THEN $5 ELSE 0 END
     WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL
       AND (uploads.key, uploads.upload_id) >= ($2, $3)
     ORDER BY uploads.key, uploads.upload_id, parts.number, extents.object_offset LIMIT $6",
    "page.key, page.upload_id, page.number, page.object_offset"
);

/// Retired versions, in the order of their ids. Other garbage (parts, and versions whose extents are partly removed)
/// yields rows without an owner. Such rows count against the limit, so that a page over much garbage of that kind is
/// bounded too.
pub(crate) const RETIRED: &str = with_blocks!(
    "SELECT buckets.name AS bucket, COALESCE(versions.key, CAST('' AS BLOB)) AS key, NULL AS sequence,
            versions.version_id AS owner_id, versions.length AS owner_length,
            COALESCE(versions.part_count, 0) AS part_count, NULL AS upload_id, NULL AS number,
            garbage.owner_id AS garbage_id,
            extents.object_offset, extents.block_id, extents.block_offset, extents.length
     FROM garbage
     LEFT JOIN retired_versions AS versions ON versions.version_id = garbage.owner_id
     LEFT JOIN buckets ON buckets.bucket_id = versions.bucket_id
     LEFT JOIN extents ON extents.owner_id = versions.version_id
       AND extents.object_offset >= CASE WHEN garbage.owner_id = $1 THEN $2 ELSE 0 END
     WHERE garbage.owner_id >= $1
     ORDER BY garbage.owner_id, extents.object_offset LIMIT $3",
    "page.garbage_id, page.object_offset"
);

/// One owner's extents, from an offset on.
pub(crate) const EXTENTS: &str = with_blocks!(
    "SELECT NULL AS bucket, CAST('' AS BLOB) AS key, NULL AS sequence, owner_id, 0 AS owner_length, 0 AS part_count, NULL AS upload_id,
            NULL AS number, object_offset, block_id, block_offset, length
     FROM extents WHERE owner_id = $1 AND object_offset >= $2 ORDER BY object_offset LIMIT $3",
    "page.object_offset"
);

/// The position at which a page of a bucket's objects begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectPlace<'a> {
    /// The first key.
    pub(crate) key: &'a str,
    /// The first version of that key; `None` is the newest.
    pub(crate) sequence: Option<u64>,
    /// The first offset of extents of that version.
    pub(crate) offset: u64,
}

/// The position at which a page of a bucket's parts begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartPlace<'a> {
    /// The first key.
    pub(crate) key: &'a str,
    /// The first upload of that key. Empty bytes sort before all uploads.
    pub(crate) upload: &'a [u8],
    /// The first part of that upload.
    pub(crate) number: u32,
    /// The first offset of extents of that part.
    pub(crate) offset: u64,
}

/// The bucket of this name, or the next one in the order of names.
pub(crate) async fn bucket_from(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<(BucketId, String)>, StoreError> {
    let row = sqlx::query("SELECT bucket_id, name FROM buckets WHERE name >= $1 ORDER BY name LIMIT 1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((BucketId(row.try_get("bucket_id")?), text(&row, "name")?))).transpose()
}

/// Up to `max` extents of a bucket's versions. A version without extents and a delete marker have one row each.
pub(crate) async fn objects(
    connection: &mut Connection,
    bucket: BucketId,
    from: ObjectPlace<'_>,
    max: u32,
) -> Result<Vec<OwnedExtent>, StoreError> {
    let mut from_key = from.key.as_bytes().to_vec();
    let mut owned = Vec::new();
    let mut left = max;
    if let Some(sequence) = from.sequence {
        let rows = sqlx::query(VERSIONS_OF_KEY)
            .bind(bucket.0)
            .bind(&from_key)
            .bind(to_number(sequence))
            .bind(to_number(from.offset))
            .bind(i64::from(max))
            .fetch_all(&mut *connection)
            .await?;
        owned = fold(&rows)?;
        left = max.saturating_sub(u32::try_from(owned.len()).unwrap_or(u32::MAX));
        // The next key is not below the key with a zero byte appended.
        from_key.push(0);
    }
    if left > 0 {
        let rows = sqlx::query(OBJECTS)
            .bind(bucket.0)
            .bind(&from_key)
            .bind(i64::from(left))
            .fetch_all(connection)
            .await?;
        owned.extend(fold(&rows)?);
    }
    Ok(owned)
}

/// Up to `max` extents of the parts of a bucket's uploads in progress. A part without extents and an upload without
/// parts have one row each.
pub(crate) async fn parts(
    connection: &mut Connection,
    bucket: BucketId,
    from: PartPlace<'_>,
    max: u32,
) -> Result<Vec<OwnedExtent>, StoreError> {
    let rows = sqlx::query(PARTS)
        .bind(bucket.0)
        .bind(from.key.as_bytes())
        .bind(from.upload)
        .bind(i64::from(from.number))
        .bind(to_number(from.offset))
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    fold(&rows)
}

/// Up to `max` extents of retired versions, beginning at the offset `offset` of the owner `from`. Returns the owner of
/// each row with it, even if the owner is not a version.
pub(crate) async fn retired(
    connection: &mut Connection,
    from: &[u8],
    offset: u64,
    max: u32,
) -> Result<Vec<([u8; 16], OwnedExtent)>, StoreError> {
    let rows = sqlx::query(RETIRED)
        .bind(from)
        .bind(to_number(offset))
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    let mut retired: Vec<([u8; 16], OwnedExtent)> = Vec::new();
    for (owner, group) in group(&rows)? {
        retired.extend(fold(group)?.into_iter().map(|owned| (owner, owned)));
    }
    Ok(retired)
}

/// An owner in the garbage, and its rows.
type Group<'r> = ([u8; 16], &'r [Row]);

/// Groups the rows by their owners in the garbage. The rows of one owner follow each other.
fn group(rows: &[Row]) -> Result<Vec<Group<'_>>, StoreError> {
    let ids = rows
        .iter()
        .map(|row| bytes16(row, "garbage_id")?.ok_or(StoreError::Corrupt { column: "owner_id" }))
        .collect::<Result<Vec<_>, _>>()?;
    let mut groups = Vec::new();
    let mut begin = 0;
    for end in 1..=ids.len() {
        if end == ids.len() || ids[end] != ids[begin] {
            groups.push((ids[begin], &rows[begin..end]));
            begin = end;
        }
    }
    Ok(groups)
}

/// Up to `max` extents of one owner, from `offset` on.
pub(crate) async fn extents_of(
    connection: &mut Connection,
    owner: &[u8; 16],
    offset: u64,
    max: u32,
) -> Result<Vec<CheckedExtent>, StoreError> {
    let rows = sqlx::query(EXTENTS)
        .bind(&owner[..])
        .bind(to_number(offset))
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    Ok(fold(&rows)?.into_iter().filter_map(|owned| owned.extent).collect())
}

/// Merges the rows of one extent, which has a row for each replica.
fn fold(rows: &[Row]) -> Result<Vec<OwnedExtent>, StoreError> {
    let mut folded: Vec<OwnedExtent> = Vec::new();
    for row in rows {
        let read = owned_extent(row)?;
        let same = folded.last_mut().filter(|last| {
            let place = |owned: &OwnedExtent| owned.extent.as_ref().map(|extent| extent.object_offset);
            last.owner.is_some() && last.owner == read.owner && place(last) == place(&read)
        });
        match (same.and_then(|last| last.extent.as_mut()), read.extent) {
            (Some(extent), Some(further)) => extent.holders.extend(further.holders),
            (_, extent) => folded.push(OwnedExtent { extent, ..read }),
        }
    }
    Ok(folded)
}

fn owned_extent(row: &Row) -> Result<OwnedExtent, StoreError> {
    let owner = bytes16(row, "owner_id")?;
    let upload = bytes16(row, "upload_id")?;
    let part_number: Option<i64> = row.try_get("number")?;
    let part = match (upload, part_number) {
        (Some(upload), number) => Some((upload, number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0))),
        (None, _) => None,
    };
    Ok(OwnedExtent {
        bucket: row.try_get("bucket")?,
        key: key(row, "key")?,
        sequence: row
            .try_get::<Option<i64>, _>("sequence")?
            .and_then(|sequence| u64::try_from(sequence).ok()),
        part,
        owner,
        length: if owner.is_some() { number(row, "owner_length")? } else { 0 },
        part_count: number(row, "part_count")?,
        extent: extent(row)?,
    })
}

fn extent(row: &Row) -> Result<Option<CheckedExtent>, StoreError> {
    if bytes16(row, "block_id")?.is_none() {
        return Ok(None);
    }
    let known = match row.try_get::<Option<i64>, _>("known_length")? {
        None => None,
        Some(_) => Some(KnownBlock {
            length: number(row, "known_length")?,
            crc32c: number(row, "crc32c")?,
            replication: number(row, "replication")?,
            refs: row.try_get("refs")?,
            queued: bytes16(row, "queued")?.is_some(),
        }),
    };
    let holder = match bytes16(row, "node_id")? {
        None => None,
        Some(_) => Some((id(row, "node_id")?, row.try_get::<i64, _>("state")? == 0)),
    };
    Ok(Some(CheckedExtent {
        object_offset: number(row, "object_offset")?,
        block_offset: number(row, "block_offset")?,
        length: number(row, "length")?,
        block: id(row, "block_id")?,
        known,
        holders: holder.into_iter().collect(),
    }))
}

/// The number of a version's parts, and the sum of their bytes.
pub(crate) async fn version_parts(
    connection: &mut Connection,
    version: &[u8; 16],
) -> Result<(u32, u64), StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS parts, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
         FROM object_parts WHERE version_id = $1",
    )
    .bind(&version[..])
    .fetch_one(connection)
    .await?;
    Ok((number(&row, "parts")?, number(&row, "bytes")?))
}
