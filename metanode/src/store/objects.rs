//! The table of versions.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{Committed, ObjectAttributes, ObjectSummary, ObjectVersion, Tags};
use sqlx::Row as _;

use super::buckets::BucketId;
use super::garbage::{Share, owners_before};
use super::sql_values::{id, json, key, number, text, time, to_json, to_number, to_time};
use super::{Connection, Row, StoreError};

pub(crate) const FIND_CURRENT: &str =
    "SELECT version_id, key, length, etag, modified_at, part_count, attributes, tags
         FROM object_versions WHERE bucket_id = $1 AND key = $2 AND is_current = 1";

pub(crate) const LIST: &str = "SELECT key, length, etag, modified_at, attributes FROM object_versions
         WHERE bucket_id = $1 AND key >= $2 AND key < $3 AND is_current = 1
         ORDER BY key LIMIT $4";

/// The current version of a key.
pub(crate) async fn find_current(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
) -> Result<Option<ObjectVersion>, StoreError> {
    let row =
        sqlx::query(FIND_CURRENT).bind(bucket.0).bind(key.as_bytes()).fetch_optional(connection).await?;
    row.as_ref().map(version).transpose()
}

/// A version, current or retired, and its bucket.
pub(crate) async fn find_version(
    connection: &mut Connection,
    id: VersionId,
) -> Result<Option<(BucketId, ObjectVersion)>, StoreError> {
    let row = sqlx::query(
        "SELECT bucket_id, version_id, key, length, etag, modified_at, part_count, attributes, tags
         FROM object_versions WHERE version_id = $1",
    )
    .bind(&id.as_bytes()[..])
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((BucketId(row.try_get("bucket_id")?), version(&row)?))).transpose()
}

/// The ETag of a key's current version.
pub(crate) async fn current_etag(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT etag FROM object_versions WHERE bucket_id = $1 AND key = $2 AND is_current = 1",
    )
    .bind(bucket.0)
    .bind(key.as_bytes())
    .fetch_optional(connection)
    .await?)
}

/// Whether a bucket has any object.
pub(crate) async fn any_current(connection: &mut Connection, bucket: BucketId) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM object_versions WHERE bucket_id = $1 AND is_current = 1 LIMIT 1")
        .bind(bucket.0)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Inserts a version as the current one. The key must not have a current version.
pub(crate) async fn insert_current(
    tx: &mut Connection,
    bucket: BucketId,
    version: &ObjectVersion,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO object_versions
             (version_id, bucket_id, key, is_current, length, etag, modified_at, part_count, attributes, tags)
         VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&version.version.as_bytes()[..])
    .bind(bucket.0)
    .bind(version.key.as_bytes())
    .bind(to_number(version.length))
    .bind(&version.etag)
    .bind(to_time(version.modified_at))
    .bind(i64::from(version.part_count))
    .bind(to_json(&version.attributes, "attributes")?)
    .bind(to_json(&version.tags, "tags")?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Retires the current version of a key; returns its id.
pub(crate) async fn retire_current(
    tx: &mut Connection,
    bucket: BucketId,
    key: &str,
    now: Timestamp,
) -> Result<Option<VersionId>, StoreError> {
    let row = sqlx::query(
        "UPDATE object_versions SET is_current = 0, retired_at = $3
         WHERE bucket_id = $1 AND key = $2 AND is_current = 1 RETURNING version_id",
    )
    .bind(bucket.0)
    .bind(key.as_bytes())
    .bind(to_time(now))
    .fetch_optional(tx)
    .await?;
    row.map(|row| id(&row, "version_id")).transpose()
}

/// Replaces the tags of a key's current version; returns `false` if there is none.
pub(crate) async fn set_tags(
    tx: &mut Connection,
    bucket: BucketId,
    key: &str,
    tags: &Tags,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE object_versions SET tags = $3 WHERE bucket_id = $1 AND key = $2 AND is_current = 1",
    )
    .bind(bucket.0)
    .bind(key.as_bytes())
    .bind(to_json(tags, "tags")?)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The first `max` current objects of a bucket with keys from `from` on and below `before`, in the order of their keys.
pub(crate) async fn list(
    connection: &mut Connection,
    bucket: BucketId,
    from: &[u8],
    before: &[u8],
    max: u32,
) -> Result<Vec<ObjectSummary>, StoreError> {
    let rows = sqlx::query(LIST)
        .bind(bucket.0)
        .bind(from)
        .bind(before)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(summary).collect()
}

/// The outcomes of the commits that made the retired versions in a share of the garbage, for commits after this time.
pub(crate) async fn made_after(
    tx: &mut Connection,
    share: &Share,
    after: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let (retired_at, begun) = share.begun_before();
    let rows = sqlx::query(concat!(
        "SELECT version_id, etag, modified_at FROM object_versions
         WHERE is_current = 0 AND modified_at > $3 AND version_id IN (",
        owners_before!(),
        ")"
    ))
    .bind(retired_at)
    .bind(begun)
    .bind(to_time(after))
    .fetch_all(tx)
    .await?;
    let committed = |row: &Row| {
        Ok(Committed {
            version: id(row, "version_id")?,
            etag: text(row, "etag")?,
            modified_at: time(row, "modified_at")?,
        })
    };
    rows.iter().map(committed).collect()
}

/// Removes the rows of the retired versions in a share of the garbage, and of their parts, but not their extents.
pub(crate) async fn forget(tx: &mut Connection, share: &Share) -> Result<(), StoreError> {
    let (retired_at, begun) = share.begun_before();
    for statement in [
        concat!(
            "DELETE FROM object_versions WHERE is_current = 0 AND version_id IN (",
            owners_before!(),
            ")"
        ),
        concat!("DELETE FROM object_parts WHERE version_id IN (", owners_before!(), ")"),
    ] {
        sqlx::query(statement).bind(retired_at).bind(&begun).execute(&mut *tx).await?;
    }
    Ok(())
}

fn version(row: &Row) -> Result<ObjectVersion, StoreError> {
    Ok(ObjectVersion {
        key: key(row, "key")?,
        version: id(row, "version_id")?,
        length: number(row, "length")?,
        etag: text(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        attributes: json(row, "attributes")?,
        tags: json(row, "tags")?,
        part_count: number(row, "part_count")?,
    })
}

fn summary(row: &Row) -> Result<ObjectSummary, StoreError> {
    let attributes: ObjectAttributes = json(row, "attributes")?;
    Ok(ObjectSummary {
        key: key(row, "key")?,
        length: number(row, "length")?,
        etag: text(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        storage_class: attributes.storage_class,
        checksum: attributes.checksum.map(|checksum| (checksum.algorithm, checksum.kind)),
    })
}
