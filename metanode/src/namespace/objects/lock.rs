//! Locks of versions: which one a new version gets, and which changes are allowed.

use std::time::Duration;

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{
    DefaultRetention, LockChange, MetadataError, ObjectLock, PutObjectLock, Retention, RetentionPeriod,
    VersionName,
};
use time::{Month, OffsetDateTime};

use super::lookup::find;
use super::{Destination, destination};
use crate::namespace::Namespace;
use crate::store::locks::LockView;
use crate::store::{self, Connection, locks};

/// The time between two readings of clocks within a mutation, at most: mutations take milliseconds.
const READ_APART_MAX: Duration = Duration::from_secs(1);

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 3600 * 1000;

impl Namespace {
    pub(in crate::namespace) async fn put_object_lock(
        &self,
        request: PutObjectLock,
    ) -> Result<Option<VersionName>, MetadataError> {
        let (env, lock_clock) = (self.env.clone(), self.blocks.lock_clock().clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not undo what another request has set since.
                    if let Some(name) = store::mutations::find(tx, request.mutation).await? {
                        return Ok(name);
                    }
                    let bucket = destination(tx, &request.bucket, &lock_clock).await?;
                    let name = put(tx, bucket, &request).await?;
                    store::mutations::remember(tx, request.mutation, &name, env.now()).await?;
                    Ok(name)
                })
            })
            .await
    }
}

async fn put(
    tx: &mut Connection,
    bucket: Destination,
    request: &PutObjectLock,
) -> Result<Option<VersionName>, MetadataError> {
    if bucket.lock.is_none() {
        return Err(MetadataError::NoObjectLock);
    }
    let version = find(tx, bucket.bucket, &request.key, request.version).await?;
    let (key, sequence) = (&version.key, version.sequence);
    let mut lock = locks::find(tx, bucket.bucket, key, sequence).await?.unwrap_or_default();
    match request.change {
        LockChange::LegalHold(held) => lock.legal_hold = Some(held),
        LockChange::Retention { retention, bypass_governance } => {
            if !may_replace(lock.retention, retention, bucket.lock_view(bypass_governance)) {
                return Err(MetadataError::ObjectLocked);
            }
            lock.retention = retention;
        }
    }
    locks::put(tx, bucket.bucket, key, sequence, &lock).await?;
    Ok(version.shown_name())
}

/// Whether a retention may take the place of another one. A retention that has ended, or is bypassed, stands against nothing. One
/// that holds may be extended only, and keeps its mode.
///
/// Source: User Guide, "Locking objects with Object Lock", "Retention modes".
fn may_replace(old: Option<Retention>, new: Option<Retention>, view: LockView) -> bool {
    let Some(old) = old.filter(|old| locks::retains(*old, view)) else { return true };
    new.is_some_and(|new| new.mode == old.mode && new.until >= old.until)
}

/// The lock of a version that is made `now`: what its maker wants, and for the rest the bucket's default. A default retention
/// counts from the time at which the version is made, which for an upload is its completion.
///
/// # Errors
/// `NoObjectLock` if the maker wants a lock and the bucket does not have Object Lock.
pub(super) fn of_new(
    to: &Destination,
    wanted: Option<ObjectLock>,
    now: Timestamp,
) -> Result<Option<ObjectLock>, MetadataError> {
    let Some(bucket) = to.lock else {
        return match wanted {
            None => Ok(None),
            Some(_) => Err(MetadataError::NoObjectLock),
        };
    };
    let wanted = wanted.unwrap_or_default();
    // A wall clock that was set back must not make the retention shorter. The two clocks were read one after the other.
    let was_set_back = to.lock_time.since(now) > READ_APART_MAX;
    let from = if was_set_back { to.lock_time } else { now };
    let default = || bucket.default_retention.map(|default| retention(default, from));
    let lock = ObjectLock { retention: wanted.retention.or_else(default), ..wanted };
    Ok((lock != ObjectLock::default()).then_some(lock))
}

fn retention(default: DefaultRetention, from: Timestamp) -> Retention {
    let DefaultRetention { mode, period } = default;
    let until = match period {
        RetentionPeriod::Days(days) => Timestamp(from.0.saturating_add(u64::from(days) * DAY_MS)),
        RetentionPeriod::Years(years) => years_after(from, years),
    };
    Retention { mode, until }
}

/// The same day of the calendar and the same time of day some years later; of a 29th of February, the 1st of March. A time beyond the
/// calendar is that many times 366 days later.
fn years_after(from: Timestamp, years: u32) -> Timestamp {
    let by_calendar = || {
        let seconds = i64::try_from(from.0 / 1000).ok()?;
        let date = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        let year = date.year().checked_add(i32::try_from(years).ok()?)?;
        let later = date
            .replace_year(year)
            .or_else(|_| date.replace_month(Month::March)?.replace_day(1)?.replace_year(year));
        u64::try_from(later.ok()?.unix_timestamp()).ok()
    };
    match by_calendar() {
        Some(seconds) => Timestamp(seconds.saturating_mul(1000).saturating_add(from.0 % 1000)),
        None => Timestamp(from.0.saturating_add(u64::from(years) * 366 * DAY_MS)),
    }
}
