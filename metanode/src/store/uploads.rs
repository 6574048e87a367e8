//! The table of multipart uploads.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{CompletedUpload, UploadInfo};

use super::buckets::BucketId;
use super::iam::HolderId;
use super::sql_values::{id, json, key, number, optional_json, text, time, to_json, to_time};
use super::usage::{self, Owners};
use super::{Connection, Row, StoreError, sql};

pub(crate) const LIST: &str = "SELECT upload_id, key, initiated_at, attributes, tags, checksum FROM uploads
         WHERE bucket_id = $1 AND (key, upload_id) > ($2, $3) AND key < $4 AND completed_at IS NULL
         ORDER BY key, upload_id LIMIT $5";

/// An upload: in progress, or completed and still remembered.
#[derive(Clone, Debug)]
pub(crate) enum Upload {
    /// Parts can be added to it.
    InProgress(UploadInfo),
    /// It was completed at this time.
    Completed(CompletedUpload, Timestamp),
}

/// Adds an upload. An upload of the same id that exists already stays unchanged.
pub(crate) async fn insert(
    tx: &mut Connection,
    bucket: BucketId,
    upload: &UploadInfo,
    user: Option<HolderId>,
) -> Result<(), StoreError> {
    let checksum = upload.checksum.map(|checksum| to_json(&checksum, "checksum")).transpose()?;
    let inserted = sql::query(
        "INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags, checksum, user_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(&upload.upload.as_bytes()[..])
    .bind(bucket.0)
    .bind(upload.key.as_bytes())
    .bind(to_time(upload.initiated_at))
    .bind(to_json(&upload.attributes, "attributes")?)
    .bind(to_json(&upload.tags, "tags")?)
    .bind(checksum)
    .bind(user.map(|user| user.0))
    .execute(&mut *tx)
    .await?;
    // It is the object that it will become, so that its completion needs nothing more.
    usage::add(tx, Owners { bucket, user }, inserted.rows_affected(), 0);
    Ok(())
}

/// The upload of this id, if it belongs to this bucket and key.
pub(crate) async fn find(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
    upload: UploadId,
) -> Result<Option<Upload>, StoreError> {
    let row = sql::query(
        "SELECT upload_id, key, initiated_at, attributes, tags, checksum, completed, completed_at
         FROM uploads WHERE upload_id = $1 AND bucket_id = $2 AND key = $3",
    )
    .bind(&upload.as_bytes()[..])
    .bind(bucket.0)
    .bind(key.as_bytes())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(match optional_json(&row, "completed")? {
        Some(completed) => Upload::Completed(completed, time(&row, "completed_at")?),
        None => Upload::InProgress(info(&row)?),
    }))
}

/// The first `max` uploads in progress of a bucket after `(key, upload)`, with keys below `before`, in the order of key
/// and id. An empty `upload` is before all.
pub(crate) async fn list(
    connection: &mut Connection,
    bucket: BucketId,
    (key, upload): (&[u8], &[u8]),
    before: &[u8],
    max: u32,
) -> Result<Vec<UploadInfo>, StoreError> {
    let rows = sql::query(LIST)
        .bind(bucket.0)
        .bind(key)
        .bind(upload)
        .bind(before)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(info).collect()
}

/// Remembers the outcome of an upload's completion.
pub(crate) async fn set_completed(
    tx: &mut Connection,
    upload: UploadId,
    completed: &CompletedUpload,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = sql::query(
        "UPDATE uploads SET completed = $2, completed_at = $3, due_at = NULL
         WHERE upload_id = $1 AND completed_at IS NULL RETURNING bucket_id, user_id",
    )
    .bind(&upload.as_bytes()[..])
    .bind(to_json(completed, "completed")?)
    .bind(to_time(now))
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = row {
        // The version that it was completed to is counted now.
        usage::take_off(tx, owners(&row)?, 1, 0);
    }
    Ok(())
}

/// Removes an upload. Its parts must be removed before.
pub(crate) async fn delete(tx: &mut Connection, upload: UploadId) -> Result<(), StoreError> {
    let row =
        sql::query("DELETE FROM uploads WHERE upload_id = $1 RETURNING bucket_id, user_id, completed_at")
            .bind(&upload.as_bytes()[..])
            .fetch_optional(&mut *tx)
            .await?;
    if let Some(row) = row
        && row.try_get::<Option<i64>, _>("completed_at")?.is_none()
    {
        usage::take_off(tx, owners(&row)?, 1, 0);
    }
    Ok(())
}

/// The user who began an upload.
pub(crate) async fn user_of(
    connection: &mut Connection,
    upload: UploadId,
) -> Result<Option<HolderId>, StoreError> {
    let row = sql::query("SELECT user_id FROM uploads WHERE upload_id = $1")
        .bind(&upload.as_bytes()[..])
        .fetch_one(connection)
        .await?;
    usage::user(&row)
}

/// Reads the columns `bucket_id` and `user_id`.
fn owners(row: &Row) -> Result<Owners, StoreError> {
    Ok(Owners { bucket: BucketId(row.try_get("bucket_id")?), user: usage::user(row)? })
}

/// The end of a step that aborts a bucket's uploads. An upload without parts counts as one part.
pub(crate) const CUT: &str = "SELECT uploads.key, uploads.upload_id, COALESCE(parts.number, 0) AS number
     FROM uploads LEFT JOIN parts ON parts.upload_id = uploads.upload_id
     WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL
     ORDER BY uploads.key, uploads.upload_id, parts.number LIMIT 1 OFFSET $2";

/// The parts of the uploads up to the cut; of the upload at the cut only the parts below its number.
macro_rules! parts_before_cut {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM uploads CROSS JOIN parts
              WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL
                AND (uploads.key, uploads.upload_id) <= ($2, $3) AND parts.upload_id = uploads.upload_id
                AND parts.number < CASE WHEN uploads.upload_id = $3 THEN $4 ELSE $5 END"
        )
    };
}

/// The outcome of a step that aborts a bucket's uploads.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp {
    /// The uploads that are gone.
    pub(crate) uploads: Vec<UploadId>,
    /// Whether the bucket has more uploads.
    pub(crate) more: bool,
}

/// Aborts the first uploads in progress of a deleted bucket, up to `work` parts in all. An upload may have 10,000 parts
/// and lose them in several steps. No request sees the intermediate state, because the bucket is not found any more.
pub(crate) async fn give_up_some(
    tx: &mut Connection,
    bucket: BucketId,
    work: u32,
    now: Timestamp,
) -> Result<GivenUp, StoreError> {
    let cut = sql::query(CUT).bind(bucket.0).bind(i64::from(work.max(1))).fetch_optional(&mut *tx).await?;
    // Without a cut, the bound is a byte that no key begins with, because keys are UTF-8.
    let (mut key, mut upload, mut before) = (vec![0xff], Vec::new(), 0i64);
    if let Some(row) = &cut {
        (key, upload, before) = (row.try_get("key")?, row.try_get("upload_id")?, row.try_get("number")?);
    }
    sql::query(concat!(
        "INSERT INTO retired (retired_at, owner_id, length, block_id, block_offset, list_id) ",
        parts_before_cut!(
            "$6, parts.part_id, parts.length, parts.block_id, parts.block_offset, parts.list_id"
        ),
        " ON CONFLICT DO NOTHING"
    ))
    .bind(bucket.0)
    .bind(&key)
    .bind(&upload)
    .bind(before)
    .bind(i64::from(i32::MAX))
    .bind(to_time(now))
    .execute(&mut *tx)
    .await?;
    take_parts_off(tx, bucket, (&key, &upload, before)).await?;
    sql::query(concat!(
        "DELETE FROM parts WHERE (upload_id, number) IN (",
        parts_before_cut!("parts.upload_id, parts.number"),
        ")"
    ))
    .bind(bucket.0)
    .bind(&key)
    .bind(&upload)
    .bind(before)
    .bind(i64::from(i32::MAX))
    .execute(&mut *tx)
    .await?;
    let rows = sql::query(
        "DELETE FROM uploads WHERE bucket_id = $1 AND completed_at IS NULL AND (key, upload_id) < ($2, $3)
         RETURNING upload_id, bucket_id, user_id",
    )
    .bind(bucket.0)
    .bind(&key)
    .bind(&upload)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        usage::take_off(tx, owners(row)?, 1, 0);
    }
    let uploads = rows.iter().map(|row| id(row, "upload_id")).collect::<Result<_, _>>()?;
    Ok(GivenUp { uploads, more: cut.is_some() })
}

/// Takes the parts of the uploads up to the cut off what the bucket and their users use.
async fn take_parts_off(
    tx: &mut Connection,
    bucket: BucketId,
    (key, upload, before): (&[u8], &[u8], i64),
) -> Result<(), StoreError> {
    let sums = sql::query(concat!(
        parts_before_cut!("parts.user_id, CAST(SUM(parts.length) AS BIGINT) AS bytes"),
        " GROUP BY parts.user_id"
    ))
    .bind(bucket.0)
    .bind(key)
    .bind(upload)
    .bind(before)
    .bind(i64::from(i32::MAX))
    .fetch_all(&mut *tx)
    .await?;
    for row in &sums {
        usage::take_off(tx, Owners { bucket, user: usage::user(row)? }, 0, number(row, "bytes")?);
    }
    Ok(())
}

/// Up to `max` uploads in progress after `after` that began before this time, in the order in which they began.
pub(crate) async fn begun_before(
    connection: &mut Connection,
    before: Timestamp,
    after: Option<(Timestamp, UploadId)>,
    max: u32,
) -> Result<Vec<(Timestamp, UploadId)>, StoreError> {
    let (after, upload) = after.unzip();
    let rows = sql::query(
        "SELECT initiated_at, upload_id FROM uploads
         WHERE completed_at IS NULL AND initiated_at < $1 AND (initiated_at, upload_id) > ($2, $3)
         ORDER BY initiated_at, upload_id LIMIT $4",
    )
    .bind(to_time(before))
    // -1 is before all times; the empty string sorts before all ids.
    .bind(after.map_or(-1, to_time))
    .bind(upload.map(|upload: UploadId| upload.as_bytes().to_vec()).unwrap_or_default())
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((time(row, "initiated_at")?, id(row, "upload_id")?))).collect()
}

/// The bucket and key of an upload, if it is in progress, began before this time, and got no part since.
pub(crate) async fn find_abandoned(
    connection: &mut Connection,
    upload: UploadId,
    before: Timestamp,
) -> Result<Option<(String, String)>, StoreError> {
    let row = sql::query(
        "SELECT buckets.name, uploads.key FROM uploads JOIN buckets ON buckets.bucket_id = uploads.bucket_id
         WHERE uploads.upload_id = $1 AND uploads.completed_at IS NULL AND uploads.initiated_at < $2
           AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.upload_id = $1 AND parts.modified_at >= $2)",
    )
    .bind(&upload.as_bytes()[..])
    .bind(to_time(before))
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((text(&row, "name")?, key(&row, "key")?))).transpose()
}

/// Removes up to `max` uploads that were completed before this time. A repeated completion of one then finds no upload.
pub(crate) async fn forget_completed(
    tx: &mut Connection,
    completed_before: Timestamp,
    max: u32,
) -> Result<u64, StoreError> {
    let removed = sql::query(
        "DELETE FROM uploads WHERE upload_id IN
             (SELECT upload_id FROM uploads WHERE completed_at < $1 ORDER BY completed_at LIMIT $2)",
    )
    .bind(to_time(completed_before))
    .bind(i64::from(max))
    .execute(tx)
    .await?;
    Ok(removed.rows_affected())
}

fn info(row: &Row) -> Result<UploadInfo, StoreError> {
    Ok(UploadInfo {
        key: key(row, "key")?,
        upload: id(row, "upload_id")?,
        initiated_at: time(row, "initiated_at")?,
        attributes: json(row, "attributes")?,
        tags: json(row, "tags")?,
        checksum: optional_json(row, "checksum")?,
    })
}
