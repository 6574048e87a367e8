//! The locks of versions, and the one way to a version's removal.
//!
//! Architecture invariant: [`objects::remove`](super::objects::remove) takes a [`Removable`], and only [`removable`] makes one. So no
//! code can remove a version, for whatever reason, without a look at its lock in the same transaction.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{ObjectLock, ObjectVersion, Retention, RetentionMode};

use super::buckets::BucketId;
use super::sql_values::{number, to_number, to_time};
use super::{Connection, Row, StoreError, sql};

/// What decides whether a lock still holds: the bucket has Object Lock or not, and the time by the clock for locks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockView {
    /// Whether the bucket has Object Lock. Only then its versions can have locks.
    pub(crate) is_enabled: bool,
    /// The time by the clock for locks, which does not leap.
    pub(crate) time: Timestamp,
    /// Whether the caller may bypass governance, and wants to.
    pub(crate) bypass_governance: bool,
}

/// A version that no lock keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removable<'v>(&'v ObjectVersion);

impl Removable<'_> {
    /// The version.
    pub(super) fn object(&self) -> &ObjectVersion {
        self.0
    }
}

/// Whether a lock keeps its version from being deleted.
pub(crate) fn keeps(lock: &ObjectLock, view: LockView) -> bool {
    lock.legal_hold == Some(true) || lock.retention.is_some_and(|retention| retains(retention, view))
}

/// Whether a retention has not ended, and is not bypassed.
pub(crate) fn retains(retention: Retention, view: LockView) -> bool {
    retention.until > view.time && !(retention.mode == RetentionMode::Governance && view.bypass_governance)
}

/// The proof that a version may be removed; `None` if its lock keeps it. The row of a lock that does not keep it any more goes.
pub(crate) async fn removable<'v>(
    tx: &mut Connection,
    bucket: BucketId,
    object: &'v ObjectVersion,
    view: LockView,
) -> Result<Option<Removable<'v>>, StoreError> {
    if view.is_enabled {
        let (key, sequence) = (object.key.as_str(), object.sequence);
        if let Some(lock) = find(tx, bucket, key, sequence).await? {
            if keeps(&lock, view) {
                return Ok(None);
            }
            put(tx, bucket, key, sequence, &ObjectLock::default()).await?;
        }
    }
    Ok(Some(Removable(object)))
}

/// The lock of a version.
pub(crate) async fn find(
    connection: &mut Connection,
    bucket: BucketId,
    key: &str,
    sequence: u64,
) -> Result<Option<ObjectLock>, StoreError> {
    let row = sql::query(
        "SELECT mode, retain_until, legal_hold FROM object_locks
         WHERE bucket_id = $1 AND key = $2 AND sequence = $3",
    )
    .bind(bucket.0)
    .bind(key.as_bytes())
    .bind(to_number(sequence))
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(lock).transpose()
}

/// Sets the lock of a version, in place of the one that it has. An empty one needs no row.
pub(crate) async fn put(
    tx: &mut Connection,
    bucket: BucketId,
    key: &str,
    sequence: u64,
    lock: &ObjectLock,
) -> Result<(), StoreError> {
    let query = match *lock {
        ObjectLock { retention: None, legal_hold: None } => {
            sql::query("DELETE FROM object_locks WHERE bucket_id = $1 AND key = $2 AND sequence = $3")
                .bind(bucket.0)
                .bind(key.as_bytes())
                .bind(to_number(sequence))
        }
        ObjectLock { retention, legal_hold } => sql::query(
            "INSERT INTO object_locks (bucket_id, key, sequence, mode, retain_until, legal_hold)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (bucket_id, key, sequence) DO UPDATE
             SET mode = excluded.mode, retain_until = excluded.retain_until, legal_hold = excluded.legal_hold",
        )
        .bind(bucket.0)
        .bind(key.as_bytes())
        .bind(to_number(sequence))
        .bind(retention.map(|retention| match retention.mode {
            RetentionMode::Governance => 0_i64,
            RetentionMode::Compliance => 1,
        }))
        .bind(retention.map(|retention| to_time(retention.until)))
        .bind(legal_hold.map(i64::from)),
    };
    query.execute(tx).await?;
    Ok(())
}

/// Whether any version has a lock.
pub(crate) async fn any(connection: &mut Connection) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM object_locks LIMIT 1").fetch_optional(connection).await?;
    Ok(row.is_some())
}

fn lock(row: &Row) -> Result<ObjectLock, StoreError> {
    let mode = match row.try_get::<Option<i64>, _>("mode")? {
        None => None,
        Some(0) => Some(RetentionMode::Governance),
        Some(1) => Some(RetentionMode::Compliance),
        Some(_) => return Err(StoreError::Corrupt { column: "mode" }),
    };
    let retention = match mode {
        None => None,
        Some(mode) => Some(Retention { mode, until: Timestamp(number(row, "retain_until")?) }),
    };
    let legal_hold = row.try_get::<Option<i64>, _>("legal_hold")?.map(|held| held != 0);
    Ok(ObjectLock { retention, legal_hold })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_keeps_its_version_until_its_time_and_a_hold_always() {
        let view =
            |time, bypass_governance| LockView { is_enabled: true, time: Timestamp(time), bypass_governance };
        let retention = |mode| Some(Retention { mode, until: Timestamp(10) });
        for (mode, before, bypassed) in
            [(RetentionMode::Governance, true, false), (RetentionMode::Compliance, true, true)]
        {
            let lock = ObjectLock { retention: retention(mode), legal_hold: Some(false) };
            assert_eq!(keeps(&lock, view(9, false)), before, "{mode:?}");
            assert_eq!(keeps(&lock, view(9, true)), bypassed, "{mode:?}");
            assert!(!keeps(&lock, view(10, false)), "{mode:?}");
            let held = ObjectLock { legal_hold: Some(true), ..lock };
            assert!(keeps(&held, view(11, true)), "{mode:?}");
        }
        assert!(!keeps(&ObjectLock::default(), view(0, false)));
    }
}
