//! The table of versions that clients can name.

use cairn_protocol::metadata::{Committed, ObjectSummary, ObjectVersion, VersionName, VersionRef};

use super::attributes::{attributes, tags, to_attributes, to_tags};
pub(crate) use super::rows::StoredVersion;

use super::buckets::BucketId;
use super::etags::{etag, to_etag};
use super::hot::Known;
use super::iam::HolderId;
use super::lists::{ContentColumns, content_of_version};
use super::locks::Removable;
use super::sql_values::{id, key, number, time, to_number, to_time};
use super::usage::{self, Owners};
use super::{Connection, Row, StoreError, sql};

/// The columns that [`stored`] reads.
macro_rules! columns {
    () => {
        "versions.version_id, versions.key, versions.sequence, versions.null_state, versions.is_delete_marker,
         versions.length, versions.etag, versions.modified_at, versions.part_count, versions.attributes,
         versions.tags, versions.block_id, versions.block_offset, versions.list_id, versions.block_crc32c, versions.checksum,
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

/// What a version takes in memory besides its texts, in bytes.
const VERSION_BYTES: usize = size_of::<StoredVersion>() + 128;

/// The newest version of a key, which may be a delete marker.
pub(crate) async fn find_newest(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
) -> Result<Option<StoredVersion>, StoreError> {
    let asked = (bucket, Box::from(key));
    let ticket = match connection.hot().map(|hot| hot.versions().get(&asked)) {
        Some(Known::Value(found)) => return Ok((*found).clone()),
        Some(Known::Nothing(ticket)) => Some(ticket),
        None => None,
    };
    let query = sql::query(FIND_CURRENT).bind(bucket.0).bind(key.as_bytes());
    let row = query.fetch_optional(&mut *connection).await?;
    let found = row.as_ref().map(stored).transpose()?;
    if let (Some(ticket), Some(hot)) = (ticket, connection.hot()) {
        let bytes = VERSION_BYTES + 2 * key.len() + row.map_or(0, |row| row.bytes());
        hot.versions().put(ticket, asked, found.clone().into(), bytes);
    }
    Ok(found)
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
            sql::query(FIND_NAMED)
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
            sql::query(FIND_NULL).bind(bucket.0).bind(key.as_bytes()).fetch_optional(connection).await?
        }
    };
    let found = row.as_ref().map(stored).transpose()?;
    // The name of a null version is `null`, although it has an id.
    Ok(found.filter(|found| found.object.name() == name))
}

const FIND_REFERENCE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = (SELECT bucket_id FROM buckets WHERE name = $1)
      AND key = $2 AND sequence = $3 AND version_id = $4"
);

pub(crate) const FIND_NEWEST_REFERENCE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT * FROM versions WHERE bucket_id = (SELECT bucket_id FROM buckets WHERE name = $1) AND key = $2
            ORDER BY sequence DESC LIMIT 1) AS versions
      WHERE $3 IS NULL AND version_id = $4"
);

/// The version of a reference, if it is not retired.
pub(super) async fn find_reference(
    connection: &mut Connection,
    version: &VersionRef,
) -> Result<Option<ObjectVersion>, StoreError> {
    let statement = if version.sequence.is_some() { FIND_REFERENCE } else { FIND_NEWEST_REFERENCE };
    let row = sql::query(statement)
        .bind(&version.bucket)
        .bind(version.key.as_bytes())
        .bind(version.sequence.map(to_number))
        .bind(&version.version.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(stored(&row)?.object)).transpose()
}

/// Whether a bucket has any version or delete marker.
pub(crate) async fn any(connection: &mut Connection, bucket: BucketId) -> Result<bool, StoreError> {
    let found = sql::query("SELECT 1 FROM versions WHERE bucket_id = $1 LIMIT 1")
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
    user: Option<HolderId>,
    is_delete_marker: bool,
) -> Result<(), StoreError> {
    if !version.is_null {
        // There is one row of this kind at most, the newest.
        sql::query(
            "UPDATE versions SET null_state = 2
             WHERE bucket_id = $1 AND key = $2 AND null_state = 1
               AND sequence = (SELECT MAX(sequence) FROM versions WHERE bucket_id = $1 AND key = $2)",
        )
        .bind(bucket.0)
        .bind(version.key.as_bytes())
        .execute(&mut *tx)
        .await?;
    }
    let place = VersionRow { bucket, user, null_state: i64::from(version.is_null), is_delete_marker };
    insert_row(tx, version, place).await
}

/// What the row of a version has besides the version.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionRow {
    pub(super) bucket: BucketId,
    /// The user whose key wrote it; `None` for a delete marker.
    pub(super) user: Option<HolderId>,
    pub(super) null_state: i64,
    pub(super) is_delete_marker: bool,
}

/// Inserts the row of a version.
pub(super) async fn insert_row(
    tx: &mut Connection,
    version: &ObjectVersion,
    place: VersionRow,
) -> Result<(), StoreError> {
    let VersionRow { bucket, user, null_state, is_delete_marker } = place;
    usage::add(tx, Owners { bucket, user }, 1, version.length);
    tx.touched().version(bucket, &version.key);
    let ContentColumns { block, offset, list, crc32c } = version.content.into();
    sql::query(
        "INSERT INTO versions
             (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag, modified_at,
              part_count, attributes, tags, block_id, block_offset, list_id, checksum, user_id,
              block_crc32c)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(bucket.0)
    .bind(version.key.as_bytes())
    .bind(to_number(version.sequence))
    .bind(&version.version.as_bytes()[..])
    .bind(null_state)
    .bind(i64::from(is_delete_marker))
    .bind(to_number(version.length))
    .bind(to_etag(version))
    .bind(to_time(version.modified_at))
    .bind(i64::from(version.part_count))
    .bind(to_attributes(&version.attributes))
    .bind(to_tags(&version.tags)?)
    .bind(block)
    .bind(offset)
    .bind(list)
    .bind(i64::from(version.checksum))
    .bind(user.map(|user| user.0))
    .bind(crc32c)
    .execute(tx)
    .await?;
    Ok(())
}

const FIND_AT: &str =
    concat!("SELECT ", columns!(), " FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3");

/// The version in this place.
pub(crate) async fn find_at(
    connection: &mut Connection,
    bucket: BucketId,
    (key, sequence): (&str, u64),
) -> Result<Option<ObjectVersion>, StoreError> {
    let row = sql::query(FIND_AT)
        .bind(bucket.0)
        .bind(key.as_bytes())
        .bind(to_number(sequence))
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(stored(&row)?.object)).transpose()
}

/// Replaces the bytes that a version refers to by the same bytes elsewhere, those of `moved`, which has a new checksum.
pub(crate) async fn relocate(
    tx: &mut Connection,
    bucket: BucketId,
    moved: &ObjectVersion,
) -> Result<(), StoreError> {
    tx.touched().version(bucket, &moved.key);
    let ContentColumns { block, offset, list: _, crc32c } = moved.content.into();
    sql::query(
        "UPDATE versions SET block_id = $4, block_offset = $5, block_crc32c = $6, checksum = $7
         WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
    )
    .bind(bucket.0)
    .bind(moved.key.as_bytes())
    .bind(to_number(moved.sequence))
    .bind(block)
    .bind(offset)
    .bind(crc32c)
    .bind(i64::from(moved.checksum))
    .execute(tx)
    .await?;
    Ok(())
}

/// The user whose key wrote a version.
pub(crate) async fn user_of(
    connection: &mut Connection,
    bucket: BucketId,
    version: &ObjectVersion,
) -> Result<Option<HolderId>, StoreError> {
    let row = sql::query("SELECT user_id FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
        .bind(bucket.0)
        .bind(version.key.as_bytes())
        .bind(to_number(version.sequence))
        .fetch_one(connection)
        .await?;
    usage::user(&row)
}

/// Removes the row of a version. The caller retires its bytes.
pub(crate) async fn remove(
    tx: &mut Connection,
    bucket: BucketId,
    version: Removable<'_>,
) -> Result<(), StoreError> {
    let object = version.object();
    tx.touched().version(bucket, &object.key);
    let row = sql::query(
        "DELETE FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence = $3 RETURNING length, user_id",
    )
    .bind(bucket.0)
    .bind(object.key.as_bytes())
    .bind(to_number(object.sequence))
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = row {
        let owners = Owners { bucket, user: usage::user(&row)? };
        usage::take_off(tx, owners, 1, number(&row, "length")?);
    }
    Ok(())
}

/// Replaces the attributes and tags of a version by those of `changed`, which has a new checksum.
pub(crate) async fn update(
    tx: &mut Connection,
    bucket: BucketId,
    changed: &ObjectVersion,
) -> Result<(), StoreError> {
    tx.touched().version(bucket, &changed.key);
    sql::query(
        "UPDATE versions SET attributes = $4, tags = $5, checksum = $6
         WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
    )
    .bind(bucket.0)
    .bind(changed.key.as_bytes())
    .bind(to_number(changed.sequence))
    .bind(to_attributes(&changed.attributes))
    .bind(to_tags(&changed.tags)?)
    .bind(i64::from(changed.checksum))
    .execute(tx)
    .await?;
    Ok(())
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

/// Reads a version from a row with the [`columns`].
pub(super) fn stored(row: &Row) -> Result<StoredVersion, StoreError> {
    let object = ObjectVersion {
        key: key(row, "key")?,
        version: id(row, "version_id")?,
        length: number(row, "length")?,
        etag: etag(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        attributes: attributes(row)?,
        tags: tags(row)?,
        part_count: number(row, "part_count")?,
        sequence: number(row, "sequence")?,
        is_null: row.try_get::<i64, _>("null_state")? != 0,
        // A retired version may be of a bucket that is deleted.
        is_versioned: row.try_get::<Option<i64>, _>("versioning")?.is_some_and(|state| state != 0),
        content: content_of_version(row)?,
        checksum: number(row, "checksum")?,
    };
    Ok(StoredVersion { object, is_delete_marker: row.try_get::<i64, _>("is_delete_marker")? != 0 })
}

/// Reads what listings show from a row.
pub(super) fn summary(row: &Row) -> Result<ObjectSummary, StoreError> {
    let attributes = attributes(row)?;
    Ok(ObjectSummary {
        key: key(row, "key")?,
        length: number(row, "length")?,
        etag: etag(row, "etag")?,
        modified_at: time(row, "modified_at")?,
        storage_class: attributes.storage_class,
        checksum: attributes.checksum.map(|checksum| (checksum.algorithm, checksum.kind)),
        owner: attributes.access.and_then(|access| access.owner),
    })
}
