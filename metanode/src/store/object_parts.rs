//! The table of the parts from which versions were completed.

use cairn_protocol::id::{UploadId, VersionId};
use cairn_protocol::metadata::ObjectPart;

use sqlx::Row as _;

use super::sql_values::{number, optional_json, to_number};
use super::{Connection, Row, StoreError};

/// The range of a part in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartPlace {
    /// Offset of its first byte in the object.
    pub(crate) object_offset: u64,
    /// Length in bytes.
    pub(crate) length: u64,
}

/// Adds the parts of an upload, in the order of their numbers, as the parts of a version.
pub(crate) async fn insert_from_upload(
    tx: &mut Connection,
    version: VersionId,
    upload: UploadId,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO object_parts (version_id, number, object_offset, length, checksum, etag)
         SELECT $1, number, CAST(SUM(length) OVER (ORDER BY number) AS BIGINT) - length, length, checksum, etag
         FROM parts WHERE upload_id = $2",
    )
    .bind(&version.as_bytes()[..])
    .bind(&upload.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// Copies the parts of one version to another.
pub(crate) async fn copy(tx: &mut Connection, from: VersionId, to: VersionId) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO object_parts (version_id, number, object_offset, length, checksum, etag)
         SELECT $2, number, object_offset, length, checksum, etag FROM object_parts WHERE version_id = $1",
    )
    .bind(&from.as_bytes()[..])
    .bind(&to.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// The range of a part of a version.
pub(crate) async fn find(
    connection: &mut Connection,
    version: VersionId,
    part: u32,
) -> Result<Option<PartPlace>, StoreError> {
    let row =
        sqlx::query("SELECT object_offset, length FROM object_parts WHERE version_id = $1 AND number = $2")
            .bind(&version.as_bytes()[..])
            .bind(i64::from(part))
            .fetch_optional(connection)
            .await?;
    row.map(|row| {
        Ok(PartPlace { object_offset: number(&row, "object_offset")?, length: number(&row, "length")? })
    })
    .transpose()
}

/// The first `max` parts of a version with numbers above `after`. With `offset`, only the parts that begin there.
pub(crate) async fn list(
    connection: &mut Connection,
    version: VersionId,
    after: u32,
    offset: Option<u64>,
    max: u32,
) -> Result<Vec<ObjectPart>, StoreError> {
    let rows = sqlx::query(
        "SELECT number, length, checksum, etag FROM object_parts
         WHERE version_id = $1 AND number > $2 AND ($4 IS NULL OR object_offset = $4)
         ORDER BY number LIMIT $3",
    )
    .bind(&version.as_bytes()[..])
    .bind(i64::from(after))
    .bind(i64::from(max))
    .bind(offset.map(to_number))
    .fetch_all(connection)
    .await?;
    rows.iter().map(object_part).collect()
}

fn object_part(row: &Row) -> Result<ObjectPart, StoreError> {
    Ok(ObjectPart {
        number: number(row, "number")?,
        length: number(row, "length")?,
        checksum: optional_json(row, "checksum")?,
        etag: row.try_get("etag")?,
    })
}
