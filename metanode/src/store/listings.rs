//! Listings of objects and of versions. Both walk the rows of `versions` as they lie on disk.

use cairn_protocol::metadata::{ObjectSummary, VersionName, VersionSummary, Versioning};

use super::buckets::BucketId;
use super::objects::{columns, stored, summary};
use super::sql_values::to_number;
use super::{Connection, Row, StoreError, sql};

/// Objects of a bucket whose versioning was never enabled: each row is one.
pub(crate) const LIST: &str = "SELECT key, length, etag, modified_at, attributes FROM versions
     WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4";

/// Objects of another bucket. Each key is found from the one before by one seek, however many versions lie between.
pub(crate) const LIST_CURRENT: &str = "WITH RECURSIVE keys (key) AS (
         SELECT (SELECT MIN(key) FROM versions WHERE bucket_id = $1 AND key >= $2 AND key < $3)
         UNION ALL
         SELECT (SELECT MIN(versions.key) FROM versions
                 WHERE bucket_id = $1 AND versions.key > keys.key AND versions.key < $3)
         FROM keys WHERE keys.key IS NOT NULL
     )
     SELECT versions.key, length, etag, modified_at, attributes
     FROM keys CROSS JOIN versions ON versions.bucket_id = $1 AND versions.key = keys.key
       AND versions.sequence = (SELECT MAX(sequence) FROM versions AS newest
                                WHERE newest.bucket_id = $1 AND newest.key = keys.key)
     WHERE keys.key IS NOT NULL AND is_delete_marker = 0 LIMIT $4";

/// The first `max` current objects of a bucket with keys from `from` on and below `before`, in the order of their keys.
pub(crate) async fn objects(
    connection: &mut Connection,
    (bucket, versioning): (BucketId, Versioning),
    from: &[u8],
    before: &[u8],
    max: u32,
) -> Result<Vec<ObjectSummary>, StoreError> {
    let statement = if versioning == Versioning::Never { LIST } else { LIST_CURRENT };
    let rows = sql::query(statement)
        .bind(bucket.0)
        .bind(from)
        .bind(before)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(summary).collect()
}

/// Further versions of one key.
pub(crate) const REST_OF_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key = $2 AND sequence < $3 ORDER BY sequence DESC LIMIT $4"
);

/// Versions of the keys from one on.
pub(crate) const VERSIONS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM versions WHERE bucket_id = $1 AND key >= $2 AND key < $3 ORDER BY key, sequence DESC LIMIT $4"
);

/// The first `max` versions and delete markers of a bucket, from a place on and with keys below `before`, in the order of
/// their keys, and of one key from the newest on, each with its sequence. The place is a key, and for a place within the versions of the key the
/// sequence of the version before it.
pub(crate) async fn versions(
    connection: &mut Connection,
    bucket: BucketId,
    (from, behind): (&[u8], Option<u64>),
    before: &[u8],
    max: u32,
) -> Result<Vec<(VersionSummary, u64)>, StoreError> {
    let mut entries = Vec::new();
    let mut from = from.to_vec();
    if let Some(sequence) = behind {
        let rows = sql::query(REST_OF_KEY)
            .bind(bucket.0)
            .bind(&from)
            .bind(to_number(sequence))
            .bind(i64::from(max))
            .fetch_all(&mut *connection)
            .await?;
        entries = rows.iter().map(|row| version(row, false)).collect::<Result<Vec<_>, _>>()?;
        // The next key is not below the key with a zero byte appended.
        from.push(0);
    }
    let left = max.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    if left == 0 {
        return Ok(entries);
    }
    let rows = sql::query(VERSIONS)
        .bind(bucket.0)
        .bind(&from)
        .bind(before)
        .bind(i64::from(left))
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let mut read = version(row, false)?;
        read.0.is_latest = entries
            .last()
            .is_none_or(|(last, _): &(VersionSummary, u64)| last.object.key != read.0.object.key);
        entries.push(read);
    }
    Ok(entries)
}

fn version(row: &Row, is_latest: bool) -> Result<(VersionSummary, u64), StoreError> {
    let read = stored(row)?;
    let name: VersionName = read.object.name();
    let is_delete_marker = read.is_delete_marker;
    Ok((VersionSummary { object: summary(row)?, name, is_latest, is_delete_marker }, read.object.sequence))
}
