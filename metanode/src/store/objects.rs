//! The tables of versions: those that clients can name, and those that were retired.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{
    Committed, ObjectAttributes, ObjectSummary, ObjectVersion, Tags, VersionName,
};
use sqlx::Row as _;

use super::buckets::BucketId;
use super::garbage::{Share, owners_before};
use super::sql_values::{id, json, key, number, text, time, to_json, to_number, to_time};
use super::{Connection, Row, StoreError};

/// A version, or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredVersion {
    /// The version. That of a delete marker is empty.
    pub(crate) object: ObjectVersion,
    /// Whether it is a delete marker.
    pub(crate) is_delete_marker: bool,
}

/// The columns that [`stored`] reads.
macro_rules! columns {
    () => {
        "versions.version_id, versions.key, versions.sequence, versions.null_state, versions.is_delete_marker,
         versions.length, versions.etag, versions.modified_at, versions.part_count, versions.attributes,
         versions.tags,
         (SELECT versioning FROM buckets WHERE buckets.bucket_id = versions.bucket_id) AS versioning"
    };
}
pub(super) use columns;

pub(crate) const FIND_CURRENT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key = $2 ORDER BY sequence DESC LIMIT 1"
);

const FIND_NAMED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3 AND version_id = $4"
);

pub(crate) const FIND_NULL: &str =
    concat!("SELECT ", columns!(), " FROM versions WHERE bucket_id = $1 AND key = $2 AND null_state = 2");

/// The newest version of a key, which may be a delete marker.
pub(crate) async fn find_newest(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
) -> Result<Option<StoredVersion>, StoreError> {
    let row =
        sqlx::query(FIND_CURRENT).bind(bucket.0).bind(key.as_bytes()).fetch_optional(connection).await?;
    row.as_ref().map(stored).transpose()
}

/// The current object of a key: its newest version, if that is no delete marker.
pub(crate) async fn find_current(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
) -> Result<Option<ObjectVersion>, StoreError> {
    let newest = find_newest(connection, bucket, key).await?;
    Ok(newest.filter(|found| !found.is_delete_marker).map(|found| found.object))
}

/// The version of this name. Retired versions have no name any more.
pub(crate) async fn find_named(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
    name: VersionName,
) -> Result<Option<StoredVersion>, StoreError> {
    let row = match name {
        VersionName::Id { sequence, version } => {
            sqlx::query(FIND_NAMED)
                .bind(bucket.0)
                .bind(key.as_bytes())
                .bind(to_number(sequence))
                .bind(&version.as_bytes()[..])
                .fetch_optional(connection)
                .await?
        }
        VersionName::Null => {
            // A null version that no other one followed is the newest one.
            if let Some(newest) = find_newest(connection, bucket, key).await?
                && newest.object.is_null
            {
                return Ok(Some(newest));
            }
            sqlx::query(FIND_NULL).bind(bucket.0).bind(key.as_bytes()).fetch_optional(connection).await?
        }
    };
    let found = row.as_ref().map(stored).transpose()?;
    // The name of a null version is `null`, although it has an id.
    Ok(found.filter(|found| found.object.name() == name))
}

/// The version of this id, also if it is retired, and its bucket.
pub(crate) async fn find_version(
    connection: &mut Connection,
    id: VersionId,
) -> Result<Option<(BucketId, ObjectVersion)>, StoreError> {
    for statement in [
        concat!("SELECT bucket_id, ", columns!(), " FROM versions WHERE version_id = $1"),
        concat!(
            "SELECT bucket_id, ",
            columns!(),
            " FROM (SELECT *, 0 AS is_delete_marker FROM retired_versions) AS versions WHERE version_id = $1"
        ),
    ] {
        let row = sqlx::query(statement).bind(&id.as_bytes()[..]).fetch_optional(&mut *connection).await?;
        if let Some(row) = row {
            return Ok(Some((BucketId(row.try_get("bucket_id")?), stored(&row)?.object)));
        }
    }
    Ok(None)
}

/// Whether a bucket has any version or delete marker.
pub(crate) async fn any(connection: &mut Connection, bucket: BucketId) -> Result<bool, StoreError> {
    let found = sqlx::query("SELECT 1 FROM versions WHERE bucket_id = $1 LIMIT 1")
        .bind(bucket.0)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Inserts a version as the newest one of its key. A null version that it follows is marked as followed; see
/// [`versions_null`](FIND_NULL). The key must have no null version if the new one is one.
pub(crate) async fn insert(
    tx: &mut Connection,
    bucket: BucketId,
    version: &ObjectVersion,
    is_delete_marker: bool,
) -> Result<(), StoreError> {
    if !version.is_null {
        // There is one row of this kind at most, the newest.
        sqlx::query(
            "UPDATE versions SET null_state = 2
             WHERE bucket_id = $1 AND key = $2 AND null_state = 1
               AND sequence = (SELECT MAX(sequence) FROM versions WHERE bucket_id = $1 AND key = $2)",
        )
        .bind(bucket.0)
        .bind(version.key.as_bytes())
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "INSERT INTO versions
             (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag, modified_at,
              part_count, attributes, tags)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(bucket.0)
    .bind(version.key.as_bytes())
    .bind(to_number(version.sequence))
    .bind(&version.version.as_bytes()[..])
    .bind(i64::from(version.is_null))
    .bind(i64::from(is_delete_marker))
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

/// Removes a version from those that clients can name. A version with bytes stays among the retired ones until its grace
/// period ends; a delete marker is gone.
pub(crate) async fn remove(
    tx: &mut Connection,
    bucket: BucketId,
    version: &StoredVersion,
) -> Result<(), StoreError> {
    let object = &version.object;
    if !version.is_delete_marker {
        sqlx::query(
            "INSERT INTO retired_versions (version_id, bucket_id, key, sequence, null_state, length, etag,
                                           modified_at, part_count, attributes, tags)
             SELECT version_id, bucket_id, key, sequence, null_state, length, etag, modified_at, part_count,
                    attributes, tags
             FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
        )
        .bind(bucket.0)
        .bind(object.key.as_bytes())
        .bind(to_number(object.sequence))
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
        .bind(bucket.0)
        .bind(object.key.as_bytes())
        .bind(to_number(object.sequence))
        .execute(tx)
        .await?;
    Ok(())
}

/// Replaces the tags of a version.
pub(crate) async fn set_tags(
    tx: &mut Connection,
    bucket: BucketId,
    version: &ObjectVersion,
    tags: &Tags,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE versions SET tags = $4 WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
        .bind(bucket.0)
        .bind(version.key.as_bytes())
        .bind(to_number(version.sequence))
        .bind(to_json(tags, "tags")?)
        .execute(tx)
        .await?;
    Ok(())
}

/// The outcomes of the commits that made the retired versions in a share of the garbage, for commits after this time.
pub(crate) async fn made_after(
    tx: &mut Connection,
    share: &Share,
    after: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let (retired_at, begun) = share.begun_before();
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT *, 0 AS is_delete_marker FROM retired_versions) AS versions
         WHERE modified_at > $3 AND version_id IN (",
        owners_before!(),
        ")"
    ))
    .bind(retired_at)
    .bind(begun)
    .bind(to_time(after))
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok(committed(&stored(row)?.object))).collect()
}

/// The outcome of the write of a version.
pub(crate) fn committed(version: &ObjectVersion) -> Committed {
    Committed {
        version: version.version,
        etag: version.etag.clone(),
        modified_at: version.modified_at,
        name: version.shown_name(),
    }
}

/// Removes the rows of the retired versions in a share of the garbage, and of their parts, but not their extents.
pub(crate) async fn forget(tx: &mut Connection, share: &Share) -> Result<(), StoreError> {
    let (retired_at, begun) = share.begun_before();
    for statement in [
        concat!("DELETE FROM retired_versions WHERE version_id IN (", owners_before!(), ")"),
        concat!("DELETE FROM object_parts WHERE version_id IN (", owners_before!(), ")"),
    ] {
        sqlx::query(statement).bind(retired_at).bind(&begun).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Reads a version from a row with the [`columns`].
pub(super) fn stored(row: &Row) -> Result<StoredVersion, StoreError> {
    let object = ObjectVersion {
        key: key(row, "key")?,
        version: id(row, "version_id")?,
        length: number(row, "length")?,
        etag: text(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        attributes: json(row, "attributes")?,
        tags: json(row, "tags")?,
        part_count: number(row, "part_count")?,
        sequence: number(row, "sequence")?,
        is_null: row.try_get::<i64, _>("null_state")? != 0,
        // A retired version may be of a bucket that is deleted.
        is_versioned: row.try_get::<Option<i64>, _>("versioning")?.is_some_and(|state| state != 0),
    };
    Ok(StoredVersion { object, is_delete_marker: row.try_get::<i64, _>("is_delete_marker")? != 0 })
}

/// Reads what listings show from a row.
pub(super) fn summary(row: &Row) -> Result<ObjectSummary, StoreError> {
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
