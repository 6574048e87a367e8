//! The table of the parts from which objects were completed. They belong to the extent list of the object.

use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{ListId, ObjectPart};

use super::sql_values::{number, optional_json, to_number};
use super::{Connection, Row, StoreError, sql};

/// The range of a part in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartPlace {
    /// Offset of its first byte in the object.
    pub(crate) object_offset: u64,
    /// Length in bytes.
    pub(crate) length: u64,
}

/// Adds the parts of an upload, in the order of their numbers, as the parts of the object with this list.
pub(crate) async fn insert_from_upload(
    tx: &mut Connection,
    list: ListId,
    upload: UploadId,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO list_parts (list_id, number, object_offset, length, checksum, etag)
         SELECT $1, number, CAST(SUM(length) OVER (ORDER BY number) AS BIGINT) - length, length, checksum, etag
         FROM parts WHERE upload_id = $2",
    )
    .bind(to_number(list.0))
    .bind(&upload.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// The range of a part of an object.
pub(crate) async fn find(
    connection: &mut Connection,
    list: ListId,
    part: u32,
) -> Result<Option<PartPlace>, StoreError> {
    let row = sql::query("SELECT object_offset, length FROM list_parts WHERE list_id = $1 AND number = $2")
        .bind(to_number(list.0))
        .bind(i64::from(part))
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(PartPlace { object_offset: number(&row, "object_offset")?, length: number(&row, "length")? })
    })
    .transpose()
}

/// The first `max` parts of an object with numbers above `after`. With `offset`, only the parts that begin there.
pub(crate) async fn list(
    connection: &mut Connection,
    list: ListId,
    after: u32,
    offset: Option<u64>,
    max: u32,
) -> Result<Vec<ObjectPart>, StoreError> {
    let rows = sql::query(
        "SELECT number, length, checksum, etag FROM list_parts
         WHERE list_id = $1 AND number > $2 AND ($4 IS NULL OR object_offset = $4)
         ORDER BY number LIMIT $3",
    )
    .bind(to_number(list.0))
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
