//! From the release that did not count what buckets use: counts the versions and uploads that are there.

use futures_util::FutureExt;

use super::{Move, STEP};
use crate::store::buckets::BucketId;
use crate::store::sql_values::number;
use crate::store::usage::{self, Owners};
use crate::store::{Connection, Row, StoreError, sql};

pub(super) const MOVE: Move = Move {
    what: "counts of objects",
    mark: "usage_16",
    count: "SELECT (SELECT COUNT(*) FROM versions)
                 + (SELECT COUNT(*) FROM uploads WHERE completed_at IS NULL) AS rows",
    step: |tx| step(tx).boxed(),
    drop: &["DROP TABLE usage_16"],
};

/// Uploads that one step counts. Each may have 10,000 parts.
const UPLOADS_PER_STEP: u32 = 20;

/// The version that was counted last.
struct Position {
    bucket: i64,
    key: Vec<u8>,
    sequence: i64,
}

/// Counts some rows. Where it has come to is written in the same transaction as the counts.
async fn step(tx: &mut Connection) -> Result<u64, StoreError> {
    let row = sql::query("SELECT * FROM usage_16").fetch_one(&mut *tx).await?;
    let at = Position {
        bucket: row.try_get("bucket_id")?,
        key: row.try_get("key")?,
        sequence: row.try_get("sequence")?,
    };
    let upload: Vec<u8> = row.try_get("upload_id")?;
    if at.bucket < 0 && upload.is_empty() {
        // The moves before this one have counted what they moved. All of it is counted here.
        for statement in ["DELETE FROM bucket_usage", "DELETE FROM user_usage"] {
            sql::query(statement).execute(&mut *tx).await?;
        }
    }
    match versions(tx, at).await? {
        0 => uploads(tx, &upload).await,
        counted => Ok(counted),
    }
}

/// Counts the next versions: older ones of the same key, or those of the next keys, or the first ones of the next bucket.
async fn versions(tx: &mut Connection, at: Position) -> Result<u64, StoreError> {
    let mut rows = sql::query(
        "SELECT bucket_id, key, sequence, length FROM versions
         WHERE bucket_id = $1 AND key = $2 AND sequence < $3 ORDER BY sequence DESC LIMIT $4",
    )
    .bind(at.bucket)
    .bind(&at.key)
    .bind(at.sequence)
    .bind(i64::from(STEP))
    .fetch_all(&mut *tx)
    .await?;
    if rows.is_empty() {
        rows = of_keys_after(tx, at.bucket, &at.key).await?;
    }
    if rows.is_empty() {
        let next = sql::query("SELECT MIN(bucket_id) AS bucket_id FROM versions WHERE bucket_id > $1")
            .bind(at.bucket)
            .fetch_one(&mut *tx)
            .await?;
        if let Some(bucket) = next.try_get("bucket_id")? {
            rows = of_keys_after(tx, bucket, &[]).await?;
        }
    }
    for row in &rows {
        let owners = Owners { bucket: BucketId(row.try_get("bucket_id")?), user: None };
        usage::add(tx, owners, 1, number(row, "length")?);
    }
    if let Some(last) = rows.last() {
        sql::query("UPDATE usage_16 SET bucket_id = $1, key = $2, sequence = $3")
            .bind(last.try_get::<i64, _>("bucket_id")?)
            .bind(last.try_get::<Vec<u8>, _>("key")?)
            .bind(last.try_get::<i64, _>("sequence")?)
            .execute(tx)
            .await?;
    }
    Ok(rows.len() as u64)
}

async fn of_keys_after(tx: &mut Connection, bucket: i64, key: &[u8]) -> Result<Vec<Row>, StoreError> {
    sql::query(
        "SELECT bucket_id, key, sequence, length FROM versions
         WHERE bucket_id = $1 AND key > $2 ORDER BY key, sequence DESC LIMIT $3",
    )
    .bind(bucket)
    .bind(key)
    .bind(i64::from(STEP))
    .fetch_all(tx)
    .await
}

async fn uploads(tx: &mut Connection, after: &[u8]) -> Result<u64, StoreError> {
    let rows = sql::query(
        "SELECT upload_id, bucket_id, CAST((SELECT COALESCE(SUM(length), 0) FROM parts
                                            WHERE parts.upload_id = uploads.upload_id) AS BIGINT) AS bytes
         FROM uploads WHERE upload_id > $1 AND completed_at IS NULL ORDER BY upload_id LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(UPLOADS_PER_STEP))
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let owners = Owners { bucket: BucketId(row.try_get("bucket_id")?), user: None };
        usage::add(tx, owners, 1, number(row, "bytes")?);
    }
    if let Some(last) = rows.last() {
        sql::query("UPDATE usage_16 SET upload_id = $1")
            .bind(last.try_get::<Vec<u8>, _>("upload_id")?)
            .execute(tx)
            .await?;
    }
    Ok(rows.len() as u64)
}
