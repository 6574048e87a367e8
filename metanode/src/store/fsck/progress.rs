//! Estimates of how far a walk has come, each from one or two look-ups in an index.

use crate::store::buckets::BucketId;
use crate::store::sql_values::number;
use crate::store::{Connection, Row, StoreError, sql};

/// The number of buckets with names before this one, and of all buckets.
pub(crate) async fn bucket_ranks(connection: &mut Connection, name: &str) -> Result<(u64, u64), StoreError> {
    let row = sql::query(
        "SELECT COUNT(*) AS buckets, COUNT(CASE WHEN name < $1 THEN 1 END) AS earlier FROM buckets",
    )
    .bind(name)
    .fetch_one(connection)
    .await?;
    Ok((number(&row, "earlier")?, number(&row, "buckets")?))
}

/// The smallest and the largest value of a column, as bytes.
pub(crate) type Bounds = (Vec<u8>, Vec<u8>);

/// The smallest and the largest key of a bucket's versions.
pub(crate) async fn key_bounds(
    connection: &mut Connection,
    bucket: BucketId,
) -> Result<Option<Bounds>, StoreError> {
    // Two subqueries: SQLite answers each with one look-up in the index. MIN and MAX in one query would scan it.
    let row = sql::query(
        "SELECT (SELECT MIN(key) FROM versions WHERE bucket_id = $1) AS low,
                (SELECT MAX(key) FROM versions WHERE bucket_id = $1) AS high",
    )
    .bind(bucket.0)
    .fetch_one(connection)
    .await?;
    bounds(&row)
}

/// The smallest and the largest id of all blocks.
pub(crate) async fn block_bounds(connection: &mut Connection) -> Result<Option<Bounds>, StoreError> {
    let row = sql::query(
        "SELECT (SELECT MIN(block_id) FROM blocks) AS low, (SELECT MAX(block_id) FROM blocks) AS high",
    )
    .fetch_one(connection)
    .await?;
    bounds(&row)
}

fn bounds(row: &Row) -> Result<Option<Bounds>, StoreError> {
    let low: Option<Vec<u8>> = row.try_get("low")?;
    Ok(low.zip(row.try_get("high")?))
}
