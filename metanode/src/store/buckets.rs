//! The table of buckets.

pub(crate) use super::rows::BucketId;
use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{Account, BucketInfo, BucketLock, ConfigurationKind, Quota, Versioning};

use super::hot::Known;
use super::rows::{BucketLayout, FoundBucket};
use super::sql_values::{number, optional_json, quota, text, time, to_json, to_time};
use super::{Connection, Row, StoreError, sql};

/// Creates a bucket; returns `false` if the name is taken.
pub(crate) async fn insert(
    tx: &mut Connection,
    name: &str,
    region: &str,
    owner: &Account,
    now: Timestamp,
) -> Result<bool, StoreError> {
    tx.touched().buckets();
    let done = sql::query(
        "INSERT INTO buckets (name, region, created_at, owner_account, owner_canonical_id, owner_name)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(region)
    .bind(to_time(now))
    .bind(&owner.id)
    .bind(&owner.canonical_id)
    .bind(&owner.display_name)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Finds the bucket of this name.
pub(crate) async fn find(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<(BucketId, BucketInfo)>, StoreError> {
    Ok(look_up(connection, name).await?.map(|found| (found.id, found.info)))
}

/// What a bucket takes in memory besides its texts, in bytes.
const BUCKET_BYTES: usize = size_of::<FoundBucket>() + 128;

/// Looks up the bucket of this name.
pub(super) async fn look_up(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<FoundBucket>, StoreError> {
    let ticket = match connection.hot().map(|hot| hot.buckets().get(name)) {
        Some(Known::Value(found)) => return Ok((*found).clone()),
        Some(Known::Nothing(ticket)) => Some(ticket),
        None => None,
    };
    let query = sql::query(
        "SELECT bucket_id, name, region, created_at, versioning, owner_account, owner_canonical_id, owner_name,
                object_lock, replication, block_size
         FROM buckets WHERE name = $1",
    );
    let row = query.bind(name).fetch_optional(&mut *connection).await?;
    let found = row.as_ref().map(found).transpose()?;
    if let (Some(ticket), Some(hot)) = (ticket, connection.hot()) {
        let bytes = BUCKET_BYTES + name.len() + row.map_or(0, |row| row.bytes());
        hot.buckets().put(ticket, name.into(), found.clone().into(), bytes);
    }
    Ok(found)
}

fn found(row: &Row) -> Result<FoundBucket, StoreError> {
    let replication: Option<i64> = row.try_get("replication")?;
    let block_size: Option<i64> = row.try_get("block_size")?;
    let layout = BucketLayout {
        replication: replication.and_then(|copies| u32::try_from(copies).ok()),
        block_size: block_size.and_then(|bytes| u64::try_from(bytes).ok()),
    };
    Ok(FoundBucket { id: BucketId(row.try_get("bucket_id")?), info: info(row)?, layout })
}

/// The bucket with this key, unless it is deleted.
pub(crate) async fn find_by_id(
    connection: &mut Connection,
    bucket: BucketId,
) -> Result<Option<BucketInfo>, StoreError> {
    let row = sql::query(
        "SELECT name, region, created_at, versioning, owner_account, owner_canonical_id, owner_name, object_lock
         FROM buckets WHERE bucket_id = $1",
    )
    .bind(bucket.0)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(info).transpose()
}

/// What a write to a bucket must know besides its properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteRules {
    /// What the bucket may use.
    pub(crate) quota: Quota,
    /// The revision of its lifecycle rules; 0 if it has none.
    pub(crate) lifecycle_revision: u64,
}

/// Finds the bucket of this name for a write. One statement reads all, because each object that is written waits for it.
pub(crate) async fn find_for_write(
    tx: &mut Connection,
    name: &str,
) -> Result<Option<(BucketId, BucketInfo, WriteRules)>, StoreError> {
    let row = sql::query(
        "SELECT bucket_id, name, region, created_at, versioning, owner_account, owner_canonical_id, owner_name,
                object_lock, quota_objects, quota_bytes,
                COALESCE((SELECT revision FROM bucket_configurations
                          WHERE bucket_configurations.bucket_id = buckets.bucket_id AND kind = $2), 0) AS lifecycle
         FROM buckets WHERE name = $1",
    )
    .bind(name)
    .bind(ConfigurationKind::Lifecycle.name())
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let rules = WriteRules { quota: quota(&row)?, lifecycle_revision: number(&row, "lifecycle")? };
        Ok((BucketId(row.try_get("bucket_id")?), info(&row)?, rules))
    })
    .transpose()
}

/// Up to `max` buckets whose names are at least `from`, in the order of their names' bytes; those of one account if `owner`
/// is its id, and those of one region if `region` is its name.
pub(crate) async fn list(
    connection: &mut Connection,
    from: &str,
    max: u32,
    owner: Option<&str>,
    region: Option<&str>,
) -> Result<Vec<BucketInfo>, StoreError> {
    // Two statements, so that each walks the index that has its order.
    let query = match owner {
        Some(owner) => sql::query(
            "SELECT name, region, created_at, versioning, owner_account, owner_canonical_id, owner_name, object_lock
             FROM buckets WHERE name >= $1 AND owner_account = $4 AND ($3 IS NULL OR region = $3)
             ORDER BY name LIMIT $2",
        )
        .bind(from)
        .bind(i64::from(max))
        .bind(region)
        .bind(owner),
        None => sql::query(
            "SELECT name, region, created_at, versioning, owner_account, owner_canonical_id, owner_name, object_lock
             FROM buckets WHERE name >= $1 AND ($3 IS NULL OR region = $3) ORDER BY name LIMIT $2",
        )
        .bind(from)
        .bind(i64::from(max))
        .bind(region),
    };
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(info).collect()
}

/// Sets the state of a bucket's versioning.
pub(crate) async fn set_versioning(
    tx: &mut Connection,
    bucket: BucketId,
    versioning: Versioning,
) -> Result<(), StoreError> {
    tx.touched().buckets();
    let state: i64 = match versioning {
        Versioning::Never => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    };
    sql::query("UPDATE buckets SET versioning = $2 WHERE bucket_id = $1")
        .bind(bucket.0)
        .bind(state)
        .execute(tx)
        .await?;
    Ok(())
}

/// Sets what a bucket locks. From then on it has Object Lock.
pub(crate) async fn set_lock(
    tx: &mut Connection,
    bucket: BucketId,
    lock: &BucketLock,
) -> Result<(), StoreError> {
    tx.touched().buckets();
    sql::query("UPDATE buckets SET object_lock = $2 WHERE bucket_id = $1")
        .bind(bucket.0)
        .bind(to_json(lock, "object_lock")?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a bucket. From then on no request finds it, and its name is free. If it has uploads in progress, a row in
/// `deleted_buckets` keeps its id until a worker has aborted them step by step. Returns whether it has any.
pub(crate) async fn delete(
    tx: &mut Connection,
    bucket: BucketId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    tx.touched().buckets();
    let remembered = sql::query(
        "INSERT INTO deleted_buckets (bucket_id, name, deleted_at)
         SELECT bucket_id, name, $2 FROM buckets WHERE bucket_id = $1
           AND EXISTS (SELECT 1 FROM uploads WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL)",
    )
    .bind(bucket.0)
    .bind(to_time(now))
    .execute(&mut *tx)
    .await?;
    sql::query("DELETE FROM bucket_configurations WHERE bucket_id = $1")
        .bind(bucket.0)
        .execute(&mut *tx)
        .await?;
    sql::query("DELETE FROM buckets WHERE bucket_id = $1").bind(bucket.0).execute(tx).await?;
    Ok(remembered.rows_affected() > 0)
}

/// The deleted bucket that still has uploads, and among several the one that was deleted first.
pub(crate) async fn find_deleted(connection: &mut Connection) -> Result<Option<BucketId>, StoreError> {
    let row = sql::query("SELECT bucket_id FROM deleted_buckets ORDER BY deleted_at, bucket_id LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(BucketId(row.try_get("bucket_id")?))).transpose()
}

/// Removes the row of a deleted bucket whose uploads are all aborted.
pub(crate) async fn forget_deleted(tx: &mut Connection, bucket: BucketId) -> Result<(), StoreError> {
    sql::query("DELETE FROM deleted_buckets WHERE bucket_id = $1").bind(bucket.0).execute(tx).await?;
    Ok(())
}

fn info(row: &Row) -> Result<BucketInfo, StoreError> {
    Ok(BucketInfo {
        bucket: text(row, "name")?,
        region: text(row, "region")?,
        created_at: time(row, "created_at")?,
        versioning: match row.try_get::<i64, _>("versioning")? {
            0 => Versioning::Never,
            1 => Versioning::Enabled,
            2 => Versioning::Suspended,
            _ => return Err(StoreError::Corrupt { column: "versioning" }),
        },
        owner: Account {
            id: text(row, "owner_account")?,
            canonical_id: text(row, "owner_canonical_id")?,
            display_name: text(row, "owner_name")?,
        },
        object_lock: optional_json(row, "object_lock")?,
        room: Vec::new(),
    })
}
