//! The table of parts of uploads in progress.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{PartId, UploadId, VersionId};
use cairn_protocol::metadata::PartInfo;

use super::sql_values::{id, number, optional_json, text, time, to_json, to_number, to_time};
use super::{Connection, Row, StoreError};

/// Adds a part. The upload must have none of that number.
pub(crate) async fn insert(tx: &mut Connection, upload: UploadId, part: &PartInfo) -> Result<(), StoreError> {
    let checksum = part.checksum.as_ref().map(|checksum| to_json(checksum, "checksum")).transpose()?;
    sqlx::query(
        "INSERT INTO parts (upload_id, number, part_id, length, etag, checksum, modified_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(part.number))
    .bind(&part.part.as_bytes()[..])
    .bind(to_number(part.length))
    .bind(&part.etag)
    .bind(checksum)
    .bind(to_time(part.modified_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// Finds the part of this number.
pub(crate) async fn find(
    connection: &mut Connection,
    upload: UploadId,
    part: u32,
) -> Result<Option<PartInfo>, StoreError> {
    let row = sqlx::query(
        "SELECT number, part_id, length, etag, checksum, modified_at FROM parts
         WHERE upload_id = $1 AND number = $2",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(part))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(info).transpose()
}

/// When a part was replaced or aborted; `None` if it was not, or if its garbage is removed already.
pub(crate) async fn retired_at(
    connection: &mut Connection,
    part: PartId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT retired_at FROM garbage WHERE owner_id = $1")
        .bind(&part.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| time(&row, "retired_at")).transpose()
}

/// The first `max` parts with numbers above `after`.
pub(crate) async fn list(
    connection: &mut Connection,
    upload: UploadId,
    after: u32,
    max: u32,
) -> Result<Vec<PartInfo>, StoreError> {
    let rows = sqlx::query(
        "SELECT number, part_id, length, etag, checksum, modified_at FROM parts
         WHERE upload_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(after))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(info).collect()
}

/// Removes the row of a part.
pub(crate) async fn delete(tx: &mut Connection, upload: UploadId, part: u32) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM parts WHERE upload_id = $1 AND number = $2")
        .bind(&upload.as_bytes()[..])
        .bind(i64::from(part))
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes the rows of all parts of an upload.
pub(crate) async fn delete_all(tx: &mut Connection, upload: UploadId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM parts WHERE upload_id = $1").bind(&upload.as_bytes()[..]).execute(tx).await?;
    Ok(())
}

/// Retires all parts of an upload.
pub(crate) async fn retire_all(
    tx: &mut Connection,
    upload: UploadId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO garbage (owner_id, retired_at) SELECT part_id, $2 FROM parts WHERE upload_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(&upload.as_bytes()[..])
    .bind(to_time(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Moves the extents of all parts of an upload to a version, to the offsets in its `object_parts`. One statement moves
/// all of them, because there may be 10,000 parts and other mutations wait for the writer meanwhile.
pub(crate) async fn move_extents(
    tx: &mut Connection,
    upload: UploadId,
    version: VersionId,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE extents SET owner_id = $2, object_offset = extents.object_offset + places.object_offset
         FROM (SELECT parts.part_id, object_parts.object_offset
               FROM parts JOIN object_parts
                 ON object_parts.version_id = $2 AND object_parts.number = parts.number
               WHERE parts.upload_id = $1) AS places
         WHERE extents.owner_id = places.part_id",
    )
    .bind(&upload.as_bytes()[..])
    .bind(&version.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

fn info(row: &Row) -> Result<PartInfo, StoreError> {
    Ok(PartInfo {
        number: number(row, "number")?,
        part: id(row, "part_id")?,
        length: number(row, "length")?,
        etag: text(row, "etag")?,
        checksum: optional_json(row, "checksum")?,
        modified_at: time(row, "modified_at")?,
    })
}
