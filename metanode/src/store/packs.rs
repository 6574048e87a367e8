//! Statements of the pack worker: which objects are in small blocks or in sparse packs, and how they are moved to another pack.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, PartId};
use cairn_protocol::metadata::Content;
use serde::{Deserialize, Serialize};

use super::buckets::BucketId;
use super::sql_values::{key, number, optional_id, optional_number, time, to_number};
use super::{Connection, Row, StoreError, generations, objects, retired, sql};

/// A position in a walk over all versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    bucket: i64,
    /// The key; all of its versions from `below` on have been seen.
    key: Vec<u8>,
    below: Option<i64>,
}

/// A version whose bytes are an extent of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) bucket: BucketId,
    pub(crate) key: String,
    pub(crate) sequence: u64,
    /// The length of its bytes.
    pub(crate) length: u64,
    /// When it was written.
    pub(crate) modified_at: Timestamp,
    pub(crate) block: BlockId,
    /// The offset of its bytes in the block.
    pub(crate) offset: u64,
    /// The CRC32C of its bytes, if it was recorded.
    pub(crate) crc32c: Option<Crc32c>,
    /// The block as a whole.
    pub(crate) source: Source,
}

/// A block that objects are moved out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) length: u64,
    pub(crate) crc32c: Crc32c,
    pub(crate) replication: u32,
    pub(crate) refs: u64,
    /// For a pack, the bytes that objects refer to.
    pub(crate) live: Option<u64>,
}

macro_rules! member_columns {
    () => {
        "SELECT versions.bucket_id, versions.key, versions.sequence, versions.length, versions.modified_at,
                versions.block_id, versions.block_offset, versions.block_crc32c,
                blocks.length AS block_length, blocks.crc32c, blocks.replication, blocks.refs, blocks.live
         FROM versions LEFT JOIN blocks ON blocks.block_id = versions.block_id
         WHERE versions.bucket_id = $1 AND "
    };
}

/// The versions of one key below a sequence.
pub(crate) const OF_KEY: &str = concat!(
    member_columns!(),
    "versions.key = $2 AND versions.sequence < $3 ORDER BY versions.sequence DESC LIMIT $4"
);

/// The versions of the keys after one.
pub(crate) const AFTER_KEY: &str =
    concat!(member_columns!(), "versions.key > $2 ORDER BY versions.key, versions.sequence DESC LIMIT $3");

/// The next page of a walk: those of up to `max` versions that are extents of blocks, and where the walk goes on; `None` at its end.
pub(crate) async fn page(
    connection: &mut Connection,
    from: Place,
    max: u32,
) -> Result<(Vec<Member>, Option<Place>), StoreError> {
    let rows = match from.below {
        Some(below) => {
            sql::query(OF_KEY)
                .bind(from.bucket)
                .bind(&from.key)
                .bind(below)
                .bind(i64::from(max))
                .fetch_all(&mut *connection)
                .await?
        }
        None => {
            sql::query(AFTER_KEY)
                .bind(from.bucket)
                .bind(&from.key)
                .bind(i64::from(max))
                .fetch_all(&mut *connection)
                .await?
        }
    };
    let next = match rows.last() {
        // The key may have further versions.
        Some(last) if rows.len() == max as usize => Some(Place {
            bucket: from.bucket,
            key: last.try_get("key")?,
            below: Some(last.try_get("sequence")?),
        }),
        last if from.below.is_some() => {
            let key = last.map(|row| row.try_get("key")).transpose()?.unwrap_or(from.key);
            Some(Place { bucket: from.bucket, key, below: None })
        }
        _ => next_bucket(connection, from.bucket).await?,
    };
    // A damaged row is left to fsck. It must not keep the walk from those after it.
    let members = rows.iter().filter_map(|row| member(row).ok().flatten()).collect();
    Ok((members, next))
}

async fn next_bucket(connection: &mut Connection, after: i64) -> Result<Option<Place>, StoreError> {
    let row = sql::query("SELECT bucket_id FROM buckets WHERE bucket_id > $1 ORDER BY bucket_id LIMIT 1")
        .bind(after)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(Place { bucket: row.try_get("bucket_id")?, key: Vec::new(), below: None })).transpose()
}

/// The member in a row; `None` if the version is no extent of a block that exists.
fn member(row: &Row) -> Result<Option<Member>, StoreError> {
    let Some(block) = optional_id(row, "block_id")? else { return Ok(None) };
    let Some(length) = optional_number(row, "block_length")? else { return Ok(None) };
    let source = Source {
        length,
        crc32c: number(row, "crc32c")?,
        replication: number(row, "replication")?,
        refs: number(row, "refs")?,
        live: optional_number(row, "live")?,
    };
    Ok(Some(Member {
        bucket: BucketId(row.try_get("bucket_id")?),
        key: key(row, "key")?,
        sequence: number(row, "sequence")?,
        length: number(row, "length")?,
        modified_at: time(row, "modified_at")?,
        block,
        offset: optional_number(row, "block_offset")?.unwrap_or(0),
        crc32c: optional_number(row, "block_crc32c")?,
        source,
    }))
}

/// Where the bytes of a member are in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InPack {
    pub(crate) pack: BlockId,
    pub(crate) offset: u64,
    pub(crate) crc32c: Crc32c,
}

/// Makes a version refer to its bytes in a pack, if it is still what was read and refers to them where they were. The reference that
/// it had becomes a retired one, named `owner`. The caller counts the reference to the pack.
pub(crate) async fn move_member(
    tx: &mut Connection,
    member: &Member,
    to: InPack,
    owner: PartId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = match objects::find_at(tx, member.bucket, (&member.key, member.sequence)).await {
        // A damaged row is left to fsck, and the others are moved.
        Err(StoreError::Corrupt { .. }) => None,
        found => found?,
    };
    let Some(mut version) = found.filter(|found| found.length == member.length && found.is_sound()) else {
        return Ok(false);
    };
    match version.content {
        Content::Block { block, offset, .. } if (block, offset) == (member.block, member.offset) => {}
        Content::Empty | Content::Block { .. } | Content::List { .. } => return Ok(false),
    }
    retired::insert_moved(tx, owner, &version, now).await?;
    version.content = Content::Block { block: to.pack, offset: to.offset, crc32c: Some(to.crc32c) };
    version.checksum = version.computed_checksum();
    objects::relocate(tx, member.bucket, &version).await?;
    Ok(true)
}

/// Counts references of moved versions to a pack, and their bytes. Returns `false` if there is no such block.
pub(crate) async fn count(
    tx: &mut Connection,
    pack: BlockId,
    references: u64,
    bytes: u64,
) -> Result<bool, StoreError> {
    // An older copy of the database refers to the bytes where they were, which are deleted soon.
    generations::advance(tx).await?;
    let done = sql::query(
        "UPDATE blocks SET refs = refs + $2, live = COALESCE(live, 0) + $3 WHERE block_id = $1 AND refs > 0",
    )
    .bind(&pack.as_bytes()[..])
    .bind(to_number(references))
    .bind(to_number(bytes))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
