//! Operations on objects.

mod commit;
mod copy;
mod delete;
mod list;
mod list_extents;
mod list_object_parts;
mod list_versions;
mod lock;
mod lookup;
mod rename;
mod renew_reads;
mod update;

pub(super) use commit::check_length;
pub(super) use delete::{PARTS_WAITING, delete_current};
pub(super) use list::{check_delimiter, place};

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{
    BucketLock, Committed, Content, MetadataError, ObjectAttributes, ObjectVersion, Tags, VersionName,
    VersionRef, Versioning, WriteCondition,
};
use cairn_protocol::warn_self;

use super::condition;
use crate::block_manager::LockClock;
use crate::store::buckets::{BucketId, WriteRules};
use crate::store::iam::HolderId;
use crate::store::locks::LockView;
use crate::store::objects::StoredVersion;
use crate::store::{self, Connection, StoreError};

/// Checks a write's condition on the current object of a key.
pub(super) async fn check_condition(
    tx: &mut Connection,
    bucket: BucketId,
    key: &str,
    wanted: &WriteCondition,
) -> Result<(), MetadataError> {
    if *wanted == WriteCondition::None {
        return Ok(());
    }
    let current = store::objects::find_current(tx, bucket, key).await?;
    condition::check(wanted, current.as_ref().map(|current| current.etag.as_str()))
}

/// The bucket that a version is written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    /// Its id.
    pub(super) bucket: BucketId,
    /// Whether it keeps old versions.
    pub(super) versioning: Versioning,
    /// What it locks, if it has Object Lock.
    pub(super) lock: Option<BucketLock>,
    /// The time by the clock for locks.
    pub(super) lock_time: Timestamp,
    /// What limits and schedules its objects.
    pub(super) rules: WriteRules,
}

impl Destination {
    /// What decides whether locks of its versions still hold.
    fn lock_view(&self, bypass_governance: bool) -> LockView {
        LockView { is_enabled: self.lock.is_some(), time: self.lock_time, bypass_governance }
    }
}

/// The bucket of this name, to write to.
pub(super) async fn destination(
    tx: &mut Connection,
    name: &str,
    lock_clock: &LockClock,
) -> Result<Destination, MetadataError> {
    let found = store::buckets::find_for_write(tx, name).await?;
    let (bucket, info, rules) = found.ok_or_else(|| super::no_such_bucket(name))?;
    if info.object_lock.is_some() {
        lock_clock.keep_if_due(tx).await?;
    }
    let lock_time = lock_clock.now();
    Ok(Destination { bucket, versioning: info.versioning, lock: info.object_lock, lock_time, rules })
}

/// A version to write: what its maker knows of it.
#[derive(Clone, Debug)]
pub(super) struct NewVersion {
    pub(super) key: String,
    pub(super) version: VersionId,
    pub(super) length: u64,
    pub(super) etag: String,
    pub(super) attributes: ObjectAttributes,
    pub(super) tags: Tags,
    pub(super) part_count: u32,
    pub(super) content: Content,
    /// The user whose key wrote it.
    pub(super) user: Option<HolderId>,
    /// What clients see as its time; `None` is now.
    pub(super) modified_at: Option<Timestamp>,
}

/// Makes a new version the newest of its key. Without versioning, and while it is suspended, it becomes the null version, and the
/// null version before it is retired.
pub(super) async fn make_current(
    tx: &mut Connection,
    to: Destination,
    mut new: NewVersion,
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    let lock = lock::of_new(&to, new.attributes.lock.take(), now)?;
    let user = new.user;
    let version = stamp(tx, to, new, now).await?;
    store::objects::insert(tx, to.bucket, &version, user, false).await?;
    if let Some(lock) = lock {
        store::locks::put(tx, to.bucket, &version.key, version.sequence, &lock).await?;
    }
    Ok(store::objects::committed(&version))
}

/// Makes a delete marker the newest version of its key.
pub(super) async fn make_delete_marker(
    tx: &mut Connection,
    to: Destination,
    key: &str,
    version: VersionId,
    now: Timestamp,
) -> Result<VersionName, MetadataError> {
    let marker = NewVersion {
        key: key.to_owned(),
        version,
        length: 0,
        etag: String::new(),
        attributes: ObjectAttributes::default(),
        tags: Tags::default(),
        part_count: 0,
        content: Content::Empty,
        user: None,
        modified_at: None,
    };
    let marker = stamp(tx, to, marker, now).await?;
    store::objects::insert(tx, to.bucket, &marker, None, true).await?;
    Ok(marker.name())
}

/// Gives a new version its place, and makes room for it if it is a null version.
async fn stamp(
    tx: &mut Connection,
    to: Destination,
    new: NewVersion,
    now: Timestamp,
) -> Result<ObjectVersion, MetadataError> {
    let is_null = to.versioning != Versioning::Enabled;
    let replaced = match to.versioning {
        Versioning::Enabled => {
            remember_young(tx, to.bucket, &new.key, now).await?;
            None
        }
        // All versions are null versions, so a key has one at most.
        Versioning::Never => store::objects::find_newest(tx, to.bucket, &new.key).await?,
        Versioning::Suspended => {
            store::objects::find_named(tx, to.bucket, &new.key, VersionName::Null).await?
        }
    };
    if let Some(replaced) = replaced {
        retire(tx, to, &replaced, false, now).await?;
    }
    let sequence = store::generations::advance(tx).await?;
    let NewVersion {
        key,
        version,
        length,
        etag,
        attributes,
        tags,
        part_count,
        content,
        modified_at,
        user: _,
    } = new;
    let mut stamped = ObjectVersion {
        key,
        version,
        length,
        etag,
        modified_at: modified_at.unwrap_or(now),
        attributes,
        tags,
        part_count,
        sequence,
        is_null,
        is_versioned: to.versioning != Versioning::Never,
        content,
        checksum: 0,
    };
    stamped.checksum = stamped.computed_checksum();
    Ok(stamped)
}

/// Remembers the outcome of the write of the newest version of a key, if it is young, before another one comes on top of it: its
/// gateway may not have received the outcome yet, and a repetition looks at the newest version only.
async fn remember_young(
    tx: &mut Connection,
    bucket: BucketId,
    key: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(newest) = store::objects::find_newest(tx, bucket, key).await? else { return Ok(()) };
    if newest.is_delete_marker || newest.object.modified_at <= now.before(store::mutations::KEPT) {
        return Ok(());
    }
    let outcome = store::objects::committed(&newest.object);
    store::mutations::remember(tx, Some(MutationId(outcome.version.0)), &outcome, now).await
}

/// Removes a version for good, unless its lock keeps it. Its bytes stay readable for the grace period, for the gateways that have
/// begun to read it.
///
/// # Errors
/// `ObjectLocked`; the database's.
pub(super) async fn retire(
    tx: &mut Connection,
    from: Destination,
    version: &StoredVersion,
    bypass_governance: bool,
    now: Timestamp,
) -> Result<(), MetadataError> {
    let view = from.lock_view(bypass_governance);
    let removable = store::locks::removable(tx, from.bucket, &version.object, view).await?;
    let removable = removable.ok_or(MetadataError::ObjectLocked)?;
    if !version.is_delete_marker {
        store::retired::insert_version(tx, from.bucket, &version.object, now).await?;
    }
    Ok(store::objects::remove(tx, from.bucket, removable).await?)
}

/// The version to copy from, also if it is retired. A damaged one is not copied.
pub(super) async fn find_source(
    tx: &mut Connection,
    source: &VersionRef,
) -> Result<ObjectVersion, MetadataError> {
    let found = store::retired::find_version(tx, source).await?.ok_or(MetadataError::NoSuchVersion)?;
    check_sound(&found)?;
    Ok(found)
}

/// Refuses a version that is not what was written.
pub(super) fn check_sound(version: &ObjectVersion) -> Result<(), MetadataError> {
    if version.is_sound() {
        return Ok(());
    }
    warn_self!(version = %version.version, "the row of a version is damaged");
    Err(MetadataError::Internal)
}

/// The outcome of the first write of this version, if it was written before. It is also found if the version was
/// replaced and swept since, as long as the outcome is remembered.
pub(super) async fn committed_before(
    tx: &mut Connection,
    bucket: &str,
    key: &str,
    version: VersionId,
) -> Result<Option<Committed>, StoreError> {
    if !store::retired::may_be_made(tx, (bucket, key), version).await? {
        return Ok(None);
    }
    // Without a sequence, it is found if it is the newest of its key or retired. Others are remembered; see `stamp`.
    let made = VersionRef { bucket: bucket.to_owned(), key: key.to_owned(), sequence: None, version };
    match store::retired::find_version(tx, &made).await? {
        Some(version) => Ok(Some(store::objects::committed(&version))),
        None => store::mutations::find(tx, Some(MutationId(version.0))).await,
    }
}
