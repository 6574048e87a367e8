//! Operations on objects.

mod commit;
mod copy;
mod delete;
mod list;
mod list_extents;
mod list_object_parts;
mod lookup;
mod renew_reads;
mod update_tags;

pub(super) use commit::check_length;
pub(super) use delete::PARTS_WAITING;
pub(super) use list::{check_delimiter, place};

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{Committed, MetadataError, ObjectVersion, WriteCondition};

use super::condition;
use crate::block_manager;
use crate::store::buckets::BucketId;
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
    let current = store::objects::current_etag(tx, bucket, key).await?;
    condition::check(wanted, current.as_deref())
}

/// Makes a new version current and retires the one before it.
pub(super) async fn make_current(
    tx: &mut Connection,
    bucket: BucketId,
    version: &ObjectVersion,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    if let Some(replaced) = store::objects::retire_current(tx, bucket, &version.key, now).await? {
        block_manager::retire(tx, replaced.as_bytes(), now).await?;
    }
    store::objects::insert_current(tx, bucket, version).await?;
    Ok(committed(version))
}

/// The outcome of the first write of this version, if it was written before. It is also found if the version was
/// replaced and swept since, as long as the outcome is remembered.
pub(super) async fn committed_before(
    tx: &mut Connection,
    version: VersionId,
) -> Result<Option<Committed>, StoreError> {
    match store::objects::find_version(tx, version).await? {
        Some((_, version)) => Ok(Some(committed(&version))),
        None => store::mutations::find(tx, Some(MutationId(version.0))).await,
    }
}

/// The outcome of the write of a version.
fn committed(version: &ObjectVersion) -> Committed {
    Committed { version: version.version, etag: version.etag.clone(), modified_at: version.modified_at }
}
