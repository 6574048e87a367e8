//! What buckets and users use, and how much they may use.
//!
//! Each version and each upload in progress is an object, and versions and parts have bytes. A delete marker is an object of no bytes,
//! of its bucket alone: a delete must not take from anybody's quota. Functions that insert or delete such a row say it here, next
//! to their statement. Clients see logical bytes, so a copy counts as much as its source, although no block is written.

use cairn_protocol::admin::BucketUsage;
use cairn_protocol::metadata::{Quota, QuotaOf, QuotaRoom, QuotaUnit, Usage};

use super::buckets::BucketId;
use super::counters::{self, Amount, Counted, Counter};
use super::iam::HolderId;
use super::sql_values::{number, quota, text, to_number};
use super::{Connection, Row, StoreError, sql};

/// The bucket and the user that something counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    /// Its bucket.
    pub(crate) bucket: BucketId,
    /// The user whose key wrote it; `None` for the root user, roles and anonymous senders.
    pub(crate) user: Option<HolderId>,
}

impl Owners {
    fn counters(self) -> impl Iterator<Item = Counter> {
        [Some(Counter::BucketUsage(self.bucket)), self.user.map(Counter::UserUsage)].into_iter().flatten()
    }
}

/// Counts something that was inserted.
pub(super) fn add(tx: &mut Connection, owners: Owners, objects: u64, bytes: u64) {
    for counter in owners.counters() {
        tx.deltas().add(counter, Amount::of(objects, bytes));
    }
}

/// Counts something that was deleted.
pub(super) fn take_off(tx: &mut Connection, owners: Owners, objects: u64, bytes: u64) {
    for counter in owners.counters() {
        tx.deltas().take_off(counter, Amount::of(objects, bytes));
    }
}

/// Reads the column `user_id`.
pub(super) fn user(row: &Row) -> Result<Option<HolderId>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>("user_id")?.map(HolderId))
}

/// A bucket or a user, and its quota.
#[derive(Clone, Copy, Debug)]
struct Limited {
    of: QuotaOf,
    counter: Counter,
    quota: Quota,
}

/// Those of a bucket with this quota and a user that have a quota.
async fn limited(
    connection: &mut Connection,
    owners: Owners,
    bucket: Quota,
) -> Result<Vec<Limited>, StoreError> {
    let mut found = Vec::new();
    found.push(Limited { of: QuotaOf::Bucket, counter: Counter::BucketUsage(owners.bucket), quota: bucket });
    if let Some(user) = owners.user {
        let quota = user_quota(connection, user).await?;
        found.push(Limited { of: QuotaOf::User, counter: Counter::UserUsage(user), quota });
    }
    found.retain(|limited| limited.quota.is_set());
    Ok(found)
}

/// The quota that the mutation that is running would exceed, if there is one. What it does not add to is not exceeded by it: a write
/// that replaces an object by a smaller one is possible beyond a quota that was lowered. `bucket` is the quota of the bucket.
///
/// # Errors
/// The database's.
pub(crate) async fn exceeded(
    tx: &mut Connection,
    owners: Owners,
    bucket: Quota,
) -> Result<Option<(QuotaOf, QuotaUnit)>, StoreError> {
    for Limited { of, counter, quota } in limited(tx, owners, bucket).await? {
        let change = tx.deltas().since_savepoint(counter);
        let total = counters::read(tx, counter).await?;
        let is_beyond = |change: i64, total: u64, limit: Option<u64>| {
            change > 0 && limit.is_some_and(|limit| total > limit)
        };
        if is_beyond(change.bytes(), total.bytes, quota.bytes) {
            return Ok(Some((of, QuotaUnit::Bytes)));
        }
        if is_beyond(change.things(), total.things, quota.objects) {
            return Ok(Some((of, QuotaUnit::Objects)));
        }
    }
    Ok(None)
}

/// What is left of each quota.
///
/// # Errors
/// The database's.
pub(crate) async fn room(connection: &mut Connection, owners: Owners) -> Result<Vec<QuotaRoom>, StoreError> {
    let mut rooms = Vec::new();
    let bucket = bucket_quota(connection, owners.bucket).await?;
    for Limited { of, counter, quota } in limited(connection, owners, bucket).await? {
        let used = counters::read(connection, counter).await?;
        rooms.push(QuotaRoom {
            of,
            objects: quota.objects.map(|limit| limit.saturating_sub(used.things)),
            bytes: quota.bytes.map(|limit| limit.saturating_sub(used.bytes)),
        });
    }
    Ok(rooms)
}

/// What a bucket uses.
///
/// # Errors
/// The database's.
pub(crate) async fn of_bucket(connection: &mut Connection, bucket: BucketId) -> Result<Counted, StoreError> {
    counters::read(connection, Counter::BucketUsage(bucket)).await
}

/// Up to `max` buckets after this name, in the order of their names.
///
/// # Errors
/// The database's.
pub(crate) async fn list(
    connection: &mut Connection,
    after: &str,
    max: u32,
) -> Result<Vec<BucketUsage>, StoreError> {
    let rows = sql::query(
        "SELECT name, owner_account, quota_objects, quota_bytes, COALESCE(bucket_usage.objects, 0) AS objects,
                COALESCE(bucket_usage.bytes, 0) AS bytes
         FROM buckets LEFT JOIN bucket_usage ON bucket_usage.bucket_id = buckets.bucket_id
         WHERE name > $1 ORDER BY name LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(entry).collect()
}

/// Up to `max` buckets that use most bytes. It reads the counters of all buckets, of which there are thousands and not millions.
///
/// # Errors
/// The database's.
pub(crate) async fn largest(connection: &mut Connection, max: u32) -> Result<Vec<BucketUsage>, StoreError> {
    let rows = sql::query(
        "SELECT name, owner_account, quota_objects, quota_bytes, objects, bytes
         FROM bucket_usage JOIN buckets ON buckets.bucket_id = bucket_usage.bucket_id
         ORDER BY bytes DESC, name LIMIT $1",
    )
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<BucketUsage, StoreError> {
    Ok(BucketUsage {
        bucket: text(row, "name")?,
        account: text(row, "owner_account")?,
        quota: quota(row)?,
        usage: Usage { objects: number(row, "objects")?, bytes: number(row, "bytes")? },
    })
}

/// The quota of a bucket.
///
/// # Errors
/// The database's.
pub(crate) async fn bucket_quota(connection: &mut Connection, bucket: BucketId) -> Result<Quota, StoreError> {
    let row = sql::query("SELECT quota_objects, quota_bytes FROM buckets WHERE bucket_id = $1")
        .bind(bucket.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or_else(|| Ok(Quota::default()), quota)
}

/// The quota of a user.
///
/// # Errors
/// The database's.
pub(crate) async fn user_quota(connection: &mut Connection, user: HolderId) -> Result<Quota, StoreError> {
    let row = sql::query("SELECT quota_objects, quota_bytes FROM holders WHERE holder_id = $1")
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or_else(|| Ok(Quota::default()), quota)
}

/// Sets the quota of a bucket.
///
/// # Errors
/// The database's.
pub(crate) async fn set_bucket_quota(
    tx: &mut Connection,
    bucket: BucketId,
    quota: Quota,
) -> Result<(), StoreError> {
    sql::query("UPDATE buckets SET quota_objects = $2, quota_bytes = $3 WHERE bucket_id = $1")
        .bind(bucket.0)
        .bind(quota.objects.map(to_number))
        .bind(quota.bytes.map(to_number))
        .execute(tx)
        .await?;
    Ok(())
}

/// Sets the quota of a user.
///
/// # Errors
/// The database's.
pub(crate) async fn set_user_quota(
    tx: &mut Connection,
    user: HolderId,
    quota: Quota,
) -> Result<(), StoreError> {
    sql::query("UPDATE holders SET quota_objects = $2, quota_bytes = $3 WHERE holder_id = $1")
        .bind(user.0)
        .bind(quota.objects.map(to_number))
        .bind(quota.bytes.map(to_number))
        .execute(tx)
        .await?;
    Ok(())
}

/// The number of the user of this unique id; `None` if there is none any more.
///
/// # Errors
/// The database's.
pub(crate) async fn find_user(
    connection: &mut Connection,
    unique_id: &str,
) -> Result<Option<HolderId>, StoreError> {
    let row = sql::query("SELECT holder_id FROM holders WHERE unique_id = $1 AND kind = 0")
        .bind(unique_id)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(HolderId(row.try_get("holder_id")?))).transpose()
}

/// Removes the counters of buckets and users that are deleted and have nothing left. Returns how many.
///
/// # Errors
/// The database's.
pub(super) async fn forget_deleted(connection: &mut Connection) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for statement in [
        "DELETE FROM bucket_usage WHERE objects = 0 AND bytes = 0
           AND NOT EXISTS (SELECT 1 FROM buckets WHERE buckets.bucket_id = bucket_usage.bucket_id)",
        "DELETE FROM user_usage WHERE objects = 0 AND bytes = 0
           AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.holder_id = user_usage.user_id)",
    ] {
        forgotten += sql::query(statement).execute(&mut *connection).await?.rows_affected();
    }
    Ok(forgotten)
}
