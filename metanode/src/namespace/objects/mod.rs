//! Operations on objects.

mod commit;
mod copy;
mod delete;
mod list;
mod list_extents;
mod list_object_parts;
mod list_versions;
mod lookup;
mod renew_reads;
mod update_tags;

pub(super) use commit::check_length;
pub(super) use delete::PARTS_WAITING;
pub(super) use list::{check_delimiter, place};

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{
    Committed, MetadataError, ObjectAttributes, ObjectVersion, Tags, VersionName, Versioning, WriteCondition,
};

use super::condition;
use crate::block_manager;
use crate::store::buckets::BucketId;
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
}

/// The bucket of this name, to write to.
pub(super) async fn destination(tx: &mut Connection, name: &str) -> Result<Destination, MetadataError> {
    let (bucket, info) = super::bucket(tx, name).await?;
    Ok(Destination { bucket, versioning: info.versioning })
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
}

/// Makes a new version the newest of its key. Without versioning, and while it is suspended, it becomes the null version, and the
/// null version before it is retired.
pub(super) async fn make_current(
    tx: &mut Connection,
    to: Destination,
    new: NewVersion,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let version = stamp(tx, to, new, now).await?;
    store::objects::insert(tx, to.bucket, &version, false).await?;
    Ok(store::objects::committed(&version))
}

/// Makes a delete marker the newest version of its key.
pub(super) async fn make_delete_marker(
    tx: &mut Connection,
    to: Destination,
    key: &str,
    version: VersionId,
    now: Timestamp,
) -> Result<VersionName, StoreError> {
    let marker = NewVersion {
        key: key.to_owned(),
        version,
        length: 0,
        etag: String::new(),
        attributes: ObjectAttributes::default(),
        tags: Tags::default(),
        part_count: 0,
    };
    let marker = stamp(tx, to, marker, now).await?;
    store::objects::insert(tx, to.bucket, &marker, true).await?;
    Ok(marker.name())
}

/// Gives a new version its place, and makes room for it if it is a null version.
async fn stamp(
    tx: &mut Connection,
    to: Destination,
    new: NewVersion,
    now: Timestamp,
) -> Result<ObjectVersion, StoreError> {
    let is_null = to.versioning != Versioning::Enabled;
    if is_null
        && let Some(replaced) = store::objects::find_named(tx, to.bucket, &new.key, VersionName::Null).await?
    {
        retire(tx, to.bucket, &replaced, now).await?;
    }
    let sequence = store::generations::advance(tx).await?;
    let NewVersion { key, version, length, etag, attributes, tags, part_count } = new;
    Ok(ObjectVersion {
        key,
        version,
        length,
        etag,
        modified_at: now,
        attributes,
        tags,
        part_count,
        sequence,
        is_null,
        is_versioned: to.versioning != Versioning::Never,
    })
}

/// Removes a version for good. Its bytes stay readable for the grace period, for the gateways that have begun to read it.
pub(super) async fn retire(
    tx: &mut Connection,
    bucket: BucketId,
    version: &StoredVersion,
    now: Timestamp,
) -> Result<(), StoreError> {
    store::objects::remove(tx, bucket, version).await?;
    if !version.is_delete_marker {
        block_manager::retire(tx, version.object.version.as_bytes(), now).await?;
    }
    Ok(())
}

/// The outcome of the first write of this version, if it was written before. It is also found if the version was
/// replaced and swept since, as long as the outcome is remembered.
pub(super) async fn committed_before(
    tx: &mut Connection,
    version: VersionId,
) -> Result<Option<Committed>, StoreError> {
    match store::objects::find_version(tx, version).await? {
        Some((_, version)) => Ok(Some(store::objects::committed(&version))),
        None => store::mutations::find(tx, Some(MutationId(version.0))).await,
    }
}
