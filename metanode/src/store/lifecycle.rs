//! What the lifecycle of objects needs of the tables: the due times of versions and uploads, and the walks that set them anew.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::ConfigurationKind;

use super::buckets::BucketId;
use super::objects::{StoredVersion, columns, stored};
use super::sql_values::{id, number, text, time, to_number, to_time};
use super::{Connection, Row, StoreError, sql};

/// The place of a version in the order of the table: its bucket, the bytes of its key, and its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) bucket: BucketId,
    pub(crate) key: Vec<u8>,
    pub(crate) sequence: u64,
}

/// A version, and when it is due.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) at: Position,
    /// When it is due as far as its row says.
    pub(crate) due_at: Option<Timestamp>,
    /// The version; an error if its row cannot be read.
    pub(crate) version: Result<StoredVersion, StoreError>,
}

fn position(row: &Row) -> Result<Position, StoreError> {
    let bucket = BucketId(row.try_get("bucket_id")?);
    Ok(Position { bucket, key: row.try_get("key")?, sequence: number(row, "sequence")? })
}

fn optional_time(row: &Row, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = row.try_get(column)?;
    Ok(at.and_then(|at| u64::try_from(at).ok()).map(Timestamp))
}

fn scheduled(row: &Row) -> Result<Scheduled, StoreError> {
    Ok(Scheduled { at: position(row)?, due_at: optional_time(row, "due_at")?, version: stored(row) })
}

/// Selects what [`scheduled`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), ", versions.bucket_id, versions.due_at FROM versions ", $rest)
    };
}

const OF_KEY: &str = select!("WHERE bucket_id = $1 AND key = $2 ORDER BY sequence DESC LIMIT $3 OFFSET $4");

/// Up to `max` versions of a key from the newest on, after the first `skip` ones. It costs as many rows as both together.
pub(crate) async fn of_key(
    connection: &mut Connection,
    bucket: BucketId,
    key: &[u8],
    max: u32,
    skip: u32,
) -> Result<Vec<Scheduled>, StoreError> {
    let rows = sql::query(OF_KEY)
        .bind(bucket.0)
        .bind(key)
        .bind(i64::from(max))
        .bind(i64::from(skip))
        .fetch_all(connection)
        .await?;
    rows.iter().map(scheduled).collect()
}

const AT: &str = select!("WHERE bucket_id = $1 AND key = $2 AND sequence = $3");

/// The version at this position.
pub(crate) async fn at(connection: &mut Connection, at: &Position) -> Result<Option<Scheduled>, StoreError> {
    let row = sql::query(AT)
        .bind(at.bucket.0)
        .bind(&at.key)
        .bind(to_number(at.sequence))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(scheduled).transpose()
}

/// When the version after this one was made, and how many versions of its key are newer, counted up to `max`.
pub(crate) async fn newer(
    connection: &mut Connection,
    at: &Position,
    max: u32,
) -> Result<Option<(Timestamp, u32)>, StoreError> {
    let rows = sql::query(
        "SELECT modified_at FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence > $3
         ORDER BY sequence LIMIT $4",
    )
    .bind(at.bucket.0)
    .bind(&at.key)
    .bind(to_number(at.sequence))
    .bind(i64::from(max.max(1)))
    .fetch_all(connection)
    .await?;
    let Some(next) = rows.first() else { return Ok(None) };
    Ok(Some((time(next, "modified_at")?, u32::try_from(rows.len()).unwrap_or(max))))
}

/// Whether the key has a version that is older than this one.
pub(crate) async fn has_older(connection: &mut Connection, at: &Position) -> Result<bool, StoreError> {
    let row =
        sql::query("SELECT 1 FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence < $3 LIMIT 1")
            .bind(at.bucket.0)
            .bind(&at.key)
            .bind(to_number(at.sequence))
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// Sets when a version is due.
pub(crate) async fn set_due(
    tx: &mut Connection,
    at: &Position,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sql::query("UPDATE versions SET due_at = $4 WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
        .bind(at.bucket.0)
        .bind(&at.key)
        .bind(to_number(at.sequence))
        .bind(due_at.map(to_time))
        .execute(tx)
        .await?;
    Ok(())
}

pub(crate) const DUE: &str = "SELECT bucket_id, key, sequence FROM versions WHERE due_at <= $1
     ORDER BY due_at, bucket_id, key LIMIT $2";

/// The positions of the first `max` versions that are due at a time, in the order in which they became due.
pub(crate) async fn due(
    connection: &mut Connection,
    now: Timestamp,
    max: u32,
) -> Result<Vec<Position>, StoreError> {
    let rows = sql::query(DUE).bind(to_time(now)).bind(i64::from(max)).fetch_all(connection).await?;
    rows.iter().map(position).collect()
}

/// An upload in progress that is due.
#[derive(Clone, Debug)]
pub(crate) struct DueUpload {
    pub(crate) bucket: BucketId,
    pub(crate) key: Vec<u8>,
    pub(crate) upload: UploadId,
}

pub(crate) const DUE_UPLOADS: &str = "SELECT bucket_id, key, upload_id FROM uploads WHERE due_at <= $1
     ORDER BY due_at, upload_id LIMIT $2";

/// The first `max` uploads that are due at a time.
pub(crate) async fn due_uploads(
    connection: &mut Connection,
    now: Timestamp,
    max: u32,
) -> Result<Vec<DueUpload>, StoreError> {
    let rows = sql::query(DUE_UPLOADS).bind(to_time(now)).bind(i64::from(max)).fetch_all(connection).await?;
    let read = |row: &Row| {
        let bucket = BucketId(row.try_get("bucket_id")?);
        Ok(DueUpload { bucket, key: row.try_get("key")?, upload: id(row, "upload_id")? })
    };
    rows.iter().map(read).collect()
}

/// Sets when an upload is due.
pub(crate) async fn set_upload_due(
    tx: &mut Connection,
    upload: UploadId,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sql::query("UPDATE uploads SET due_at = $2 WHERE upload_id = $1")
        .bind(&upload.as_bytes()[..])
        .bind(due_at.map(to_time))
        .execute(tx)
        .await?;
    Ok(())
}

/// When an upload is due, as far as its row says.
pub(crate) async fn upload_due(
    connection: &mut Connection,
    upload: UploadId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sql::query("SELECT due_at FROM uploads WHERE upload_id = $1")
        .bind(&upload.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(None), |row| optional_time(&row, "due_at"))
}

pub(crate) const NEXT_DUE: &str = "SELECT due_at FROM versions WHERE due_at >= 0 ORDER BY due_at LIMIT 1";

/// When the next version or upload is due.
pub(crate) async fn next_due(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut next = Vec::new();
    for statement in [NEXT_DUE, "SELECT due_at FROM uploads WHERE due_at >= 0 ORDER BY due_at LIMIT 1"] {
        if let Some(row) = sql::query(statement).fetch_optional(&mut *connection).await? {
            next.extend(optional_time(&row, "due_at")?);
        }
    }
    Ok(next.into_iter().min())
}

/// By bucket, how many of the first `max` versions that are due at a time are its own.
pub(crate) async fn overdue(
    connection: &mut Connection,
    now: Timestamp,
    max: u32,
) -> Result<Vec<(BucketId, u64)>, StoreError> {
    let rows = sql::query(
        "SELECT bucket_id, COUNT(*) AS many FROM
             (SELECT bucket_id FROM versions WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS first
         GROUP BY bucket_id",
    )
    .bind(to_time(now))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((BucketId(row.try_get("bucket_id")?), number(row, "many")?))).collect()
}

/// The rules of a bucket, as the gateway wrote them.
pub(crate) async fn document(
    connection: &mut Connection,
    bucket: BucketId,
) -> Result<Option<String>, StoreError> {
    let row = sql::query("SELECT document FROM bucket_configurations WHERE bucket_id = $1 AND kind = $2")
        .bind(bucket.0)
        .bind(ConfigurationKind::Lifecycle.name())
        .fetch_optional(connection)
        .await?;
    row.map(|row| text(&row, "document")).transpose()
}

/// Whether any bucket has rules.
pub(crate) async fn any(connection: &mut Connection) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM bucket_configurations WHERE kind = $1 LIMIT 1")
        .bind(ConfigurationKind::Lifecycle.name())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Buckets that have rules, or whose rules were deleted and whose walk is not done, in the order of their ids. There are at most
/// `max`.
pub(crate) async fn buckets(connection: &mut Connection, max: u32) -> Result<Vec<BucketId>, StoreError> {
    let rows = sql::query(
        "SELECT bucket_id FROM bucket_configurations WHERE kind = $1
         UNION SELECT bucket_id FROM lifecycle_walks ORDER BY bucket_id LIMIT $2",
    )
    .bind(ConfigurationKind::Lifecycle.name())
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(BucketId(row.try_get("bucket_id")?))).collect()
}

/// How far the walk over a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The last version that it looked at, or the position before the first one.
    pub(crate) at: Position,
    /// The last upload; `None` until all versions are done.
    pub(crate) upload: Option<(Vec<u8>, Vec<u8>)>,
    /// How many versions and uploads it has looked at.
    pub(crate) looked_at: u64,
}

impl Walk {
    /// A walk that begins.
    pub(crate) fn begin(bucket: BucketId) -> Self {
        Self { at: Position { bucket, key: Vec::new(), sequence: 0 }, upload: None, looked_at: 0 }
    }
}

fn walk(row: &Row) -> Result<Walk, StoreError> {
    let upload: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get("upload_key")?, row.try_get("upload_id")?);
    Ok(Walk { at: position(row)?, upload: upload.0.zip(upload.1), looked_at: number(row, "looked_at")? })
}

/// The walk over a bucket, or over the first bucket that has one.
pub(crate) async fn find_walk(
    connection: &mut Connection,
    bucket: Option<BucketId>,
) -> Result<Option<Walk>, StoreError> {
    let row = sql::query(
        "SELECT bucket_id, key, sequence, upload_key, upload_id, looked_at FROM lifecycle_walks
         WHERE $1 IS NULL OR bucket_id = $1 ORDER BY bucket_id LIMIT 1",
    )
    .bind(bucket.map(|bucket| bucket.0))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(walk).transpose()
}

/// Stores how far a walk is.
pub(crate) async fn put_walk(tx: &mut Connection, walk: &Walk) -> Result<(), StoreError> {
    let (upload_key, upload_id) = walk.upload.clone().unzip();
    sql::query(
        "INSERT INTO lifecycle_walks (bucket_id, key, sequence, upload_key, upload_id, looked_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (bucket_id) DO UPDATE SET key = excluded.key, sequence = excluded.sequence,
             upload_key = excluded.upload_key, upload_id = excluded.upload_id, looked_at = excluded.looked_at",
    )
    .bind(walk.at.bucket.0)
    .bind(&walk.at.key)
    .bind(to_number(walk.at.sequence))
    .bind(upload_key)
    .bind(upload_id)
    .bind(to_number(walk.looked_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the row of a walk that is done, or whose bucket is gone.
pub(crate) async fn end_walk(tx: &mut Connection, bucket: BucketId) -> Result<(), StoreError> {
    sql::query("DELETE FROM lifecycle_walks WHERE bucket_id = $1").bind(bucket.0).execute(tx).await?;
    Ok(())
}

const REST_OF_KEY: &str =
    select!("WHERE bucket_id = $1 AND key = $2 AND sequence < $3 ORDER BY sequence DESC LIMIT $4");

const NEXT_KEYS: &str = select!("WHERE bucket_id = $1 AND key > $2 ORDER BY key, sequence DESC LIMIT $3");

/// Up to `max` versions of a bucket after a position, in the order of the table. Two statements, so that a key with very many
/// versions is not read from its beginning.
pub(crate) async fn page(
    connection: &mut Connection,
    after: &Position,
    max: u32,
) -> Result<Vec<Scheduled>, StoreError> {
    let mut rows = sql::query(REST_OF_KEY)
        .bind(after.bucket.0)
        .bind(&after.key)
        .bind(to_number(after.sequence))
        .bind(i64::from(max))
        .fetch_all(&mut *connection)
        .await?;
    let left = i64::from(max).saturating_sub(i64::try_from(rows.len()).unwrap_or(i64::MAX));
    if left > 0 {
        let next =
            sql::query(NEXT_KEYS).bind(after.bucket.0).bind(&after.key).bind(left).fetch_all(connection);
        rows.extend(next.await?);
    }
    rows.iter().map(scheduled).collect()
}

/// How many versions have a due time.
#[cfg(test)]
pub(crate) async fn count_scheduled(connection: &mut Connection) -> Result<i64, StoreError> {
    let row = sql::query("SELECT COUNT(*) AS many FROM versions WHERE due_at IS NOT NULL")
        .fetch_one(connection)
        .await?;
    row.try_get("many")
}
