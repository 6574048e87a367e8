//! From the release in which each version and part had extents of its own, and ETags and attributes were text.
//!
//! A block counted its extents. Now it counts rows that refer to it, and each extent becomes one such row, so the counts stay.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{
    Content, EntryTarget, ListId, ObjectAttributes, ObjectVersion, PartInfo, Tags,
};
use cairn_protocol::warn_self;
use futures_util::FutureExt;

use super::{Move, STEP};
use crate::store::attributes::{to_attributes, to_tags};
use crate::store::buckets::BucketId;
use crate::store::etags::to_etag;
use crate::store::lists::{self, ContentColumns, NewEntry};
use crate::store::objects;
use crate::store::parts::{self, StoredPart};
use crate::store::sql_values::{id, json, key, number, optional_json, text, time, to_number};
use crate::store::{Connection, Row, StoreError, sql};

pub(super) const MOVE: Move = Move {
    what: "versions and parts",
    mark: "versions_10",
    count: "SELECT (SELECT COUNT(*) FROM versions_10) + (SELECT COUNT(*) FROM parts_10)
                 + (SELECT COUNT(*) FROM garbage_10) AS rows",
    step: |tx| step(tx).boxed(),
    // Extents without an owner are not moved; fsck reports their blocks, as before.
    drop: &[
        "DROP TABLE retired_versions_10",
        "DROP TABLE garbage_10",
        "DROP TABLE parts_10",
        "DROP TABLE object_parts_10",
        "DROP TABLE extents_10",
        "DROP TABLE versions_10",
    ],
};

async fn step(tx: &mut Connection) -> Result<u64, StoreError> {
    let mut moved = versions(tx).await?;
    if moved == 0 {
        moved = uploaded_parts(tx).await?;
    }
    if moved == 0 {
        moved = garbage(tx).await?;
    }
    Ok(moved)
}

/// Moves versions in the order in which they lie in the new table.
async fn versions(tx: &mut Connection) -> Result<u64, StoreError> {
    let rows = sql::query("SELECT * FROM versions_10 ORDER BY bucket_id, key, sequence DESC LIMIT $1")
        .bind(i64::from(STEP))
        .fetch_all(&mut *tx)
        .await?;
    for row in &rows {
        let bucket = BucketId(row.try_get("bucket_id")?);
        let is_delete_marker = row.try_get::<i64, _>("is_delete_marker")? != 0;
        let version = version(tx, row).await?;
        let place = objects::VersionRow {
            bucket,
            user: None,
            null_state: row.try_get("null_state")?,
            is_delete_marker,
        };
        objects::insert_row(tx, &version, place).await?;
        sql::query("DELETE FROM versions_10 WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
            .bind(bucket.0)
            .bind(version.key.as_bytes())
            .bind(to_number(version.sequence))
            .execute(&mut *tx)
            .await?;
    }
    Ok(rows.len() as u64)
}

/// A version of a row of the old tables. If its documents cannot be read, it gets a checksum that is wrong: it is damaged, and
/// stays so.
async fn version(tx: &mut Connection, row: &Row) -> Result<ObjectVersion, StoreError> {
    let (length, part_count) = (number(row, "length")?, number(row, "part_count")?);
    let owner: [u8; 16] = owner(row, "version_id")?;
    let content = take_extents(tx, &owner, (length, part_count), Beginning::AtZero).await?;
    let attributes = json::<ObjectAttributes>(row, "attributes");
    let tags = json::<Tags>(row, "tags");
    let is_damaged = attributes.is_err() || tags.is_err();
    let mut version = ObjectVersion {
        key: key(row, "key")?,
        version: id(row, "version_id")?,
        length,
        etag: text(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        attributes: attributes.unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        part_count,
        sequence: number(row, "sequence")?,
        is_null: row.try_get::<i64, _>("null_state")? != 0,
        is_versioned: false,
        content,
        checksum: 0,
    };
    version.checksum = version.computed_checksum();
    if is_damaged {
        warn_self!(version = %version.version, "the attributes or tags of a version cannot be read");
        version.checksum = !version.checksum;
    }
    Ok(version)
}

fn owner(row: &Row, column: &'static str) -> Result<[u8; 16], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| StoreError::Corrupt { column })
}

/// Where the bytes of an owner begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// At offset 0.
    AtZero,
    /// At the first extent that is left, because those before it may be removed already.
    AtFirstExtent,
}

/// Takes the extents of an owner, and its parts, out of the old tables.
async fn take_extents(
    tx: &mut Connection,
    owner: &[u8; 16],
    (length, part_count): (u64, u32),
    beginning: Beginning,
) -> Result<Content, StoreError> {
    let rows = sql::query(
        "SELECT object_offset, block_id, block_offset, length FROM extents_10
         WHERE owner_id = $1 ORDER BY object_offset",
    )
    .bind(&owner[..])
    .fetch_all(&mut *tx)
    .await?;
    let mut extents = rows.iter().map(placed).collect::<Result<Vec<_>, _>>()?;
    if beginning == Beginning::AtFirstExtent {
        let first = extents.first().map_or(0, |(place, _)| *place);
        extents.iter_mut().for_each(|(place, _)| *place -= first);
    }
    let content = match extents[..] {
        [] if part_count == 0 => Content::Empty,
        [(0, NewEntry { target: EntryTarget::Block(block), start, length: all })]
            if part_count == 0 && all == length =>
        {
            Content::Block { block, offset: start, crc32c: None }
        }
        // Extents with gaps stay where they were, so that they are still found damaged.
        _ => Content::List { list: lists::create_at(tx, &extents, length).await? },
    };
    if let Some(list) = content.list() {
        move_parts(tx, owner, list).await?;
    }
    for statement in
        ["DELETE FROM extents_10 WHERE owner_id = $1", "DELETE FROM object_parts_10 WHERE version_id = $1"]
    {
        sql::query(statement).bind(&owner[..]).execute(&mut *tx).await?;
    }
    Ok(content)
}

fn placed(row: &Row) -> Result<(u64, NewEntry), StoreError> {
    let block: BlockId = id(row, "block_id")?;
    // Damaged rows may have negative numbers here. As entries they are beyond the end of their blocks.
    let start = u64::try_from(row.try_get::<i64, _>("block_offset")?).unwrap_or(i64::MAX as u64);
    let entry = NewEntry { target: EntryTarget::Block(block), start, length: number(row, "length")? };
    Ok((number(row, "object_offset")?, entry))
}

async fn move_parts(tx: &mut Connection, owner: &[u8; 16], list: ListId) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO list_parts (list_id, number, object_offset, length, checksum, etag)
         SELECT $2, number, object_offset, length, checksum, etag FROM object_parts_10 WHERE version_id = $1",
    )
    .bind(&owner[..])
    .bind(to_number(list.0))
    .execute(tx)
    .await?;
    Ok(())
}

async fn uploaded_parts(tx: &mut Connection) -> Result<u64, StoreError> {
    let rows =
        sql::query("SELECT * FROM parts_10 LIMIT $1").bind(i64::from(STEP)).fetch_all(&mut *tx).await?;
    for row in &rows {
        let info = PartInfo {
            number: number(row, "number")?,
            part: id(row, "part_id")?,
            length: number(row, "length")?,
            etag: text(row, "etag")?,
            checksum: optional_json(row, "checksum")?,
            modified_at: time(row, "modified_at")?,
        };
        let content = take_extents(tx, info.part.as_bytes(), (info.length, 0), Beginning::AtZero).await?;
        let upload = id(row, "upload_id")?;
        let part = StoredPart { info, content, user: None };
        parts::insert(tx, upload, &part).await?;
        sql::query("DELETE FROM parts_10 WHERE part_id = $1")
            .bind(&part.info.part.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    Ok(rows.len() as u64)
}

/// Moves what was retired: versions, parts, and owners of which a part of the extents was removed already.
async fn garbage(tx: &mut Connection) -> Result<u64, StoreError> {
    let rows = sql::query("SELECT owner_id, retired_at FROM garbage_10 LIMIT $1")
        .bind(i64::from(STEP))
        .fetch_all(&mut *tx)
        .await?;
    for row in &rows {
        let (owner, retired_at) = (owner(row, "owner_id")?, row.try_get::<i64, _>("retired_at")?);
        let version = sql::query("SELECT * FROM retired_versions_10 WHERE version_id = $1")
            .bind(&owner[..])
            .fetch_optional(&mut *tx)
            .await?;
        match version {
            Some(row) => retired_version(tx, retired_at, &row).await?,
            None => retired_part(tx, retired_at, &owner).await?,
        }
        sql::query("DELETE FROM garbage_10 WHERE owner_id = $1").bind(&owner[..]).execute(&mut *tx).await?;
    }
    Ok(rows.len() as u64)
}

async fn retired_version(tx: &mut Connection, retired_at: i64, row: &Row) -> Result<(), StoreError> {
    let version = version(tx, row).await?;
    let ContentColumns { block, offset, list, crc32c: _ } = version.content.into();
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id, bucket_id, key, sequence,
                              null_state, etag, modified_at, part_count, attributes, tags, checksum)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(retired_at)
    .bind(&version.version.as_bytes()[..])
    .bind(to_number(version.length))
    .bind(block)
    .bind(offset)
    .bind(list)
    .bind(row.try_get::<i64, _>("bucket_id")?)
    .bind(version.key.as_bytes())
    .bind(to_number(version.sequence))
    .bind(row.try_get::<i64, _>("null_state")?)
    .bind(to_etag(&version))
    .bind(row.try_get::<i64, _>("modified_at")?)
    .bind(i64::from(version.part_count))
    .bind(to_attributes(&version.attributes))
    .bind(to_tags(&version.tags)?)
    .bind(i64::from(version.checksum))
    .execute(tx)
    .await?;
    Ok(())
}

async fn retired_part(tx: &mut Connection, retired_at: i64, owner: &[u8; 16]) -> Result<(), StoreError> {
    let row = sql::query(
        "SELECT CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes FROM extents_10 WHERE owner_id = $1",
    )
    .bind(&owner[..])
    .fetch_one(&mut *tx)
    .await?;
    let length = number(&row, "bytes")?;
    let ContentColumns { block, offset, list, crc32c: _ } =
        take_extents(tx, owner, (length, 0), Beginning::AtFirstExtent).await?.into();
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(retired_at)
    .bind(&owner[..])
    .bind(to_number(length))
    .bind(block)
    .bind(offset)
    .bind(list)
    .execute(tx)
    .await?;
    Ok(())
}
