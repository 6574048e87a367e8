//! The table of parts of uploads in progress.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{Content, PartInfo};

use super::buckets::BucketId;
use super::iam::HolderId;
use super::lists::{ContentColumns, content};
use super::sql_values::{id, number, optional_json, text, time, to_json, to_number, to_time};
use super::usage::{self, Owners};
use super::{Connection, Row, StoreError, sql};

/// A part, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPart {
    /// What clients see of it.
    pub(crate) info: PartInfo,
    /// Its bytes.
    pub(crate) content: Content,
    /// The user whose key wrote it.
    pub(crate) user: Option<HolderId>,
}

/// Adds a part. The upload must have none of that number.
pub(crate) async fn insert(
    tx: &mut Connection,
    upload: UploadId,
    part: &StoredPart,
) -> Result<(), StoreError> {
    let StoredPart { info: part, content, user } = part;
    if let Some(bucket) = bucket_of(tx, upload).await? {
        usage::add(tx, Owners { bucket, user: *user }, 0, part.length);
    }
    let ContentColumns { block, offset, list, crc32c: _ } = (*content).into();
    let checksum = part.checksum.as_ref().map(|checksum| to_json(checksum, "checksum")).transpose()?;
    sql::query(
        "INSERT INTO parts (upload_id, number, part_id, length, etag, checksum, modified_at, block_id, block_offset,
                            list_id, user_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(part.number))
    .bind(&part.part.as_bytes()[..])
    .bind(to_number(part.length))
    .bind(&part.etag)
    .bind(checksum)
    .bind(to_time(part.modified_at))
    .bind(block)
    .bind(offset)
    .bind(list)
    .bind(user.map(|user| user.0))
    .execute(tx)
    .await?;
    Ok(())
}

/// The bucket of an upload.
async fn bucket_of(connection: &mut Connection, upload: UploadId) -> Result<Option<BucketId>, StoreError> {
    let row = sql::query("SELECT bucket_id FROM uploads WHERE upload_id = $1")
        .bind(&upload.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(BucketId(row.try_get("bucket_id")?))).transpose()
}

/// Finds the part of this number.
pub(crate) async fn find(
    connection: &mut Connection,
    upload: UploadId,
    part: u32,
) -> Result<Option<StoredPart>, StoreError> {
    let row = sql::query(
        "SELECT number, part_id, length, etag, checksum, modified_at, block_id, block_offset, list_id, user_id
         FROM parts WHERE upload_id = $1 AND number = $2",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(part))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// The first `max` parts with numbers above `after`.
pub(crate) async fn list(
    connection: &mut Connection,
    upload: UploadId,
    after: u32,
    max: u32,
) -> Result<Vec<StoredPart>, StoreError> {
    let rows = sql::query(
        "SELECT number, part_id, length, etag, checksum, modified_at, block_id, block_offset, list_id, user_id
         FROM parts WHERE upload_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(&upload.as_bytes()[..])
    .bind(i64::from(after))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(stored).collect()
}

/// Removes the row of a part.
pub(crate) async fn delete(tx: &mut Connection, upload: UploadId, part: u32) -> Result<(), StoreError> {
    let row = sql::query("DELETE FROM parts WHERE upload_id = $1 AND number = $2 RETURNING length, user_id")
        .bind(&upload.as_bytes()[..])
        .bind(i64::from(part))
        .fetch_optional(&mut *tx)
        .await?;
    if let (Some(row), Some(bucket)) = (row, bucket_of(tx, upload).await?) {
        usage::take_off(tx, Owners { bucket, user: usage::user(&row)? }, 0, number(&row, "length")?);
    }
    Ok(())
}

/// Removes the rows of all parts of an upload.
pub(crate) async fn delete_all(tx: &mut Connection, upload: UploadId) -> Result<(), StoreError> {
    if let Some(bucket) = bucket_of(tx, upload).await? {
        // Sums of a few users, and not a row for each of 10,000 parts.
        let sums = sql::query(
            "SELECT user_id, CAST(SUM(length) AS BIGINT) AS bytes FROM parts WHERE upload_id = $1 GROUP BY user_id",
        )
        .bind(&upload.as_bytes()[..])
        .fetch_all(&mut *tx)
        .await?;
        for row in &sums {
            usage::take_off(tx, Owners { bucket, user: usage::user(row)? }, 0, number(row, "bytes")?);
        }
    }
    sql::query("DELETE FROM parts WHERE upload_id = $1").bind(&upload.as_bytes()[..]).execute(tx).await?;
    Ok(())
}

/// Retires all parts of an upload. The caller removes them.
pub(crate) async fn retire_all(
    tx: &mut Connection,
    upload: UploadId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id)
         SELECT $2, part_id, length, block_id, block_offset, list_id FROM parts WHERE upload_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(&upload.as_bytes()[..])
    .bind(to_time(now))
    .execute(tx)
    .await?;
    Ok(())
}

fn stored(row: &Row) -> Result<StoredPart, StoreError> {
    Ok(StoredPart { info: info(row)?, content: content(row)?, user: usage::user(row)? })
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
