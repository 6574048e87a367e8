//! Pages of versions and parts, with the extents, blocks and replicas of each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{Content, ListId, ObjectVersion, ResolvedExtent};

use super::bytes16;
use crate::store::buckets::BucketId;
use crate::store::lists::{self, FoundExtent, content};
use crate::store::objects::{StoredVersion, columns, stored};
use crate::store::sql_values::{id, key, number, text, to_number};
use crate::store::{Connection, Row, StoreError, sql};

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
    /// Its extent list.
    pub(crate) list: Option<ListId>,
    /// Whether the row of a version is what was written.
    pub(crate) is_sound: bool,
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
    /// Whether the entries of lists that lead to it are what was written.
    pub(crate) is_sound: bool,
}

impl CheckedExtent {
    /// An extent whose block is not looked up yet.
    fn new(found: FoundExtent) -> Self {
        let is_sound = found.is_sound();
        let ResolvedExtent { object_offset, block, block_offset, length } = found.extent;
        Self { object_offset, block_offset, length, block, known: None, holders: Vec::new(), is_sound }
    }
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
    /// Its count of the rows that refer to it.
    pub(crate) refs: i64,
    /// Whether it is in the repair queue.
    pub(crate) queued: bool,
}

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
    let row = sql::query("SELECT bucket_id, name FROM buckets WHERE name >= $1 ORDER BY name LIMIT 1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((BucketId(row.try_get("bucket_id")?), text(&row, "name")?))).transpose()
}

/// The versions of the keys from one on.
pub(crate) const OBJECTS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key >= $2 ORDER BY key, sequence DESC LIMIT $3"
);

/// The versions of one key from the sequence `$3` on.
pub(crate) const VERSIONS_OF_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence <= $3 ORDER BY sequence DESC LIMIT $4"
);

/// Up to `max` extents of a bucket's versions. A version without extents and a delete marker have one entry each.
pub(crate) async fn objects(
    connection: &mut Connection,
    bucket: BucketId,
    from: ObjectPlace<'_>,
    max: u32,
) -> Result<Vec<OwnedExtent>, StoreError> {
    let mut from_key = from.key.as_bytes().to_vec();
    let mut rows = Vec::new();
    if let Some(sequence) = from.sequence {
        rows = sql::query(VERSIONS_OF_KEY)
            .bind(bucket.0)
            .bind(&from_key)
            .bind(to_number(sequence))
            .bind(i64::from(max))
            .fetch_all(&mut *connection)
            .await?;
        // The next key is not below the key with a zero byte appended.
        from_key.push(0);
    }
    let left = max.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    if left > 0 {
        let further = sql::query(OBJECTS)
            .bind(bucket.0)
            .bind(&from_key)
            .bind(i64::from(left))
            .fetch_all(&mut *connection)
            .await?;
        rows.extend(further);
    }
    let mut page = Page::new(max);
    for row in &rows {
        let version = stored(row)?;
        let is_first = version.object.key == from.key && Some(version.object.sequence) == from.sequence;
        let owner =
            if version.is_delete_marker { Owner::nothing(&version) } else { Owner::of(&version.object) };
        if !page.add(connection, owner, if is_first { from.offset } else { 0 }).await? {
            break;
        }
    }
    page.finish(connection).await
}

pub(crate) const PARTS: &str =
    "SELECT uploads.key, uploads.upload_id, parts.number, parts.part_id, parts.length,
            parts.block_id, parts.block_offset, parts.list_id
     FROM uploads
     LEFT JOIN parts ON parts.upload_id = uploads.upload_id
       AND parts.number >= CASE WHEN uploads.upload_id = $3 THEN $4 ELSE 0 END
     WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL
       AND (uploads.key, uploads.upload_id) >= ($2, $3)
     ORDER BY uploads.key, uploads.upload_id, parts.number LIMIT $5";

/// Up to `max` extents of the parts of a bucket's uploads in progress. A part without extents and an upload without
/// parts have one entry each.
pub(crate) async fn parts(
    connection: &mut Connection,
    bucket: BucketId,
    from: PartPlace<'_>,
    max: u32,
) -> Result<Vec<OwnedExtent>, StoreError> {
    let rows = sql::query(PARTS)
        .bind(bucket.0)
        .bind(from.key.as_bytes())
        .bind(from.upload)
        .bind(i64::from(from.number))
        .bind(i64::from(max))
        .fetch_all(&mut *connection)
        .await?;
    let mut page = Page::new(max);
    for row in &rows {
        let owner = part(row)?;
        let is_first =
            owner.part.is_some_and(|(upload, number)| upload[..] == *from.upload && number == from.number);
        if !page.add(connection, owner, if is_first { from.offset } else { 0 }).await? {
            break;
        }
    }
    page.finish(connection).await
}

fn part(row: &Row) -> Result<Owner, StoreError> {
    let upload = bytes16(row, "upload_id")?.ok_or(StoreError::Corrupt { column: "upload_id" })?;
    let id = bytes16(row, "part_id")?;
    Ok(Owner {
        bucket: None,
        key: key(row, "key")?,
        sequence: None,
        part: Some((upload, if id.is_some() { number(row, "number")? } else { 0 })),
        owner: id,
        length: if id.is_some() { number(row, "length")? } else { 0 },
        part_count: 0,
        is_sound: true,
        content: content(row)?,
    })
}

/// Retired versions and parts, in the order of their ids.
pub(crate) const RETIRED: &str =
    "SELECT retired.owner_id, retired.key, retired.length, retired.block_id, retired.block_offset, retired.list_id,
            retired.part_count, buckets.name AS bucket
     FROM retired LEFT JOIN buckets ON buckets.bucket_id = retired.bucket_id
     WHERE owner_id >= $1 ORDER BY owner_id LIMIT $2";

/// Up to `max` extents of retired versions, beginning at the offset `offset` of the owner `from`. Returns the owner of
/// each with it, even if the owner is not a version: a retired part has an entry without an owner, which counts against the limit,
/// so that a page over many of them is bounded too.
pub(crate) async fn retired(
    connection: &mut Connection,
    from: &[u8],
    offset: u64,
    max: u32,
) -> Result<Vec<([u8; 16], OwnedExtent)>, StoreError> {
    let rows = sql::query(RETIRED).bind(from).bind(i64::from(max)).fetch_all(&mut *connection).await?;
    let mut page = Page::new(max);
    for row in &rows {
        let (id, owner) = retired_owner(row)?;
        page.garbage = Some(id);
        if !page.add(connection, owner, if id[..] == *from { offset } else { 0 }).await? {
            break;
        }
    }
    let ids = std::mem::take(&mut page.ids);
    Ok(ids.into_iter().zip(page.finish(connection).await?).collect())
}

fn retired_owner(row: &Row) -> Result<([u8; 16], Owner), StoreError> {
    let id = bytes16(row, "owner_id")?.ok_or(StoreError::Corrupt { column: "owner_id" })?;
    let is_version = row.try_get::<Option<&[u8]>, _>("key")?.is_some();
    Ok((
        id,
        Owner {
            bucket: row.try_get("bucket")?,
            key: if is_version { key(row, "key")? } else { String::new() },
            sequence: None,
            part: None,
            owner: is_version.then_some(id),
            length: number(row, "length")?,
            part_count: if is_version { number(row, "part_count")? } else { 0 },
            is_sound: true,
            content: if is_version { content(row)? } else { Content::Empty },
        },
    ))
}

/// A version or part of a page.
struct Owner {
    bucket: Option<String>,
    key: String,
    sequence: Option<u64>,
    part: Option<([u8; 16], u32)>,
    owner: Option<[u8; 16]>,
    length: u64,
    part_count: u32,
    is_sound: bool,
    content: Content,
}

impl Owner {
    fn of(object: &ObjectVersion) -> Self {
        Self {
            bucket: None,
            key: object.key.clone(),
            sequence: Some(object.sequence),
            part: None,
            owner: Some(*object.version.as_bytes()),
            length: object.length,
            part_count: object.part_count,
            is_sound: object.is_sound(),
            content: object.content,
        }
    }

    /// A delete marker has no bytes to check.
    fn nothing(marker: &StoredVersion) -> Self {
        Self { owner: None, length: 0, content: Content::Empty, ..Self::of(&marker.object) }
    }
}

/// A page of extents that is being read.
struct Page {
    left: u32,
    rows: Vec<OwnedExtent>,
    /// What all rows that are added belong to, for walks over what was retired, and that of each row.
    garbage: Option<[u8; 16]>,
    ids: Vec<[u8; 16]>,
}

impl Page {
    fn new(max: u32) -> Self {
        Self { left: max, rows: Vec::new(), garbage: None, ids: Vec::new() }
    }

    /// Adds the extents of an owner from an offset on. Returns whether there is room for more.
    async fn add(
        &mut self,
        connection: &mut Connection,
        owner: Owner,
        offset: u64,
    ) -> Result<bool, StoreError> {
        let whole = (owner.content, owner.length);
        let mut found = match owner.content {
            // A damaged length must not hide the extent.
            Content::Block { .. } => lists::extents(connection, whole, 0, owner.length, 1).await?,
            Content::Empty | Content::List { .. } => {
                lists::extents(connection, whole, offset, u64::MAX, self.left).await?
            }
        }
        .into_iter()
        .map(|found| Some(CheckedExtent::new(found)))
        .collect::<Vec<_>>();
        if found.is_empty() {
            found.push(None);
        }
        for extent in found {
            self.left = self.left.saturating_sub(1);
            self.ids.extend(self.garbage);
            self.rows.push(OwnedExtent {
                bucket: owner.bucket.clone(),
                key: owner.key.clone(),
                sequence: owner.sequence,
                part: owner.part,
                owner: owner.owner,
                length: owner.length,
                part_count: owner.part_count,
                list: owner.content.list(),
                is_sound: owner.is_sound,
                extent,
            });
        }
        Ok(self.left > 0)
    }

    /// The page, with the blocks and replicas of its extents.
    async fn finish(mut self, connection: &mut Connection) -> Result<Vec<OwnedExtent>, StoreError> {
        look_up(connection, self.rows.iter_mut().filter_map(|row| row.extent.as_mut()).collect()).await?;
        Ok(self.rows)
    }
}

const LOOK_UP: &str =
    "SELECT blocks.length, blocks.crc32c, blocks.replication, blocks.refs, repairs.block_id AS queued, nodes.node_id,
            replicas.state
     FROM blocks
     LEFT JOIN repairs ON repairs.block_id = blocks.block_id
     LEFT JOIN replicas ON replicas.block_id = blocks.block_id
     LEFT JOIN nodes ON nodes.ordinal = replicas.node
     WHERE blocks.block_id = $1
     ORDER BY replicas.node";

/// Looks up the blocks of extents.
async fn look_up(connection: &mut Connection, extents: Vec<&mut CheckedExtent>) -> Result<(), StoreError> {
    let mut wanted: Vec<BlockId> = extents.iter().map(|extent| extent.block).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut known: HashMap<BlockId, Looked> = HashMap::with_capacity(wanted.len());
    for block in wanted {
        for row in sql::query(LOOK_UP).bind(&block.as_bytes()[..]).fetch_all(&mut *connection).await? {
            let looked = match known.entry(block) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(new) => new.insert((known_block(&row)?, Vec::new())),
            };
            if bytes16(&row, "node_id")?.is_some() {
                looked.1.push((id(&row, "node_id")?, row.try_get::<i64, _>("state")? == 0));
            }
        }
    }
    for extent in extents {
        if let Some((block, holders)) = known.get(&extent.block) {
            extent.known = Some(*block);
            extent.holders.clone_from(holders);
        }
    }
    Ok(())
}

/// The row of a block, and the nodes that have a replica.
type Looked = (KnownBlock, Vec<(NodeId, bool)>);

fn known_block(row: &Row) -> Result<KnownBlock, StoreError> {
    Ok(KnownBlock {
        length: number(row, "length")?,
        crc32c: number(row, "crc32c")?,
        replication: number(row, "replication")?,
        refs: row.try_get("refs")?,
        queued: bytes16(row, "queued")?.is_some(),
    })
}

/// Up to `max` extents of a version, from `offset` on.
pub(crate) async fn extents_of(
    connection: &mut Connection,
    object: &ObjectVersion,
    offset: u64,
    max: u32,
) -> Result<Vec<CheckedExtent>, StoreError> {
    let found =
        lists::extents(connection, (object.content, object.length), offset, object.length, max).await?;
    let mut extents = found.into_iter().map(CheckedExtent::new).collect::<Vec<_>>();
    look_up(connection, extents.iter_mut().collect()).await?;
    Ok(extents)
}

/// The number of parts that an object was completed from, and the sum of their bytes.
pub(crate) async fn version_parts(
    connection: &mut Connection,
    list: Option<ListId>,
) -> Result<(u32, u64), StoreError> {
    let row = sql::query(
        "SELECT COUNT(*) AS parts, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
         FROM list_parts WHERE list_id = $1",
    )
    .bind(list.map(|list| to_number(list.0)))
    .fetch_one(connection)
    .await?;
    Ok((number(&row, "parts")?, number(&row, "bytes")?))
}
