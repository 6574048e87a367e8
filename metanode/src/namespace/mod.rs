//! The namespace: buckets, keys, versions and uploads.
//!
//! | module | what is there |
//! |---|---|
//! | `service` | the operations of [`Metadata`](cairn_protocol::metadata::Metadata), one line each |
//! | `buckets`, `objects`, `uploads` | one file per operation |
//! | `condition`, `range`, `walk` | pure: write conditions, ranges, and the walk of listings |
//!
//! An operation that changes something is one mutation of the store (deletes of many objects are some): what it checks
//! and what it changes are one transaction. It takes the time when its turn comes and not when it was asked, so
//! that later writes have later times. Versions and parts that are replaced or deleted are *retired*: their
//! bytes stay readable until the block manager sweeps them, a grace period later.

mod buckets;
mod condition;
#[cfg(test)]
mod delete_tests;
mod objects;
mod range;
mod service;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{MutationId, UploadId};
use cairn_protocol::metadata::{BucketInfo, MetadataError, RootCredentials};

use crate::block_manager::BlockManager;
use crate::store::buckets::BucketId;
use crate::store::garbage::Share;
use crate::store::{self, Connection, Store, StoreError};

/// The namespace.
#[derive(Debug)]
pub struct Namespace {
    store: Store,
    blocks: BlockManager,
    env: Env,
    events: EventBus,
    root: RootCredentials,
    /// Held by the parts of deletes that wait for the writer.
    deletes: tokio::sync::Semaphore,
}

/// The most that one page holds, whatever was asked for: ten times what S3 shows, and some
/// megabytes at the longest keys.
const PAGE_MAX: u32 = 10_000;

impl Namespace {
    /// The namespace in this database.
    pub fn new(
        store: Store,
        blocks: BlockManager,
        env: Env,
        events: EventBus,
        root: RootCredentials,
    ) -> Self {
        let deletes = tokio::sync::Semaphore::new(objects::PARTS_WAITING);
        Self { store, blocks, env, events, root, deletes }
    }
}

/// The bucket of this name.
async fn bucket_id(connection: &mut Connection, name: &str) -> Result<BucketId, MetadataError> {
    Ok(bucket(connection, name).await?.0)
}

async fn bucket(connection: &mut Connection, name: &str) -> Result<(BucketId, BucketInfo), MetadataError> {
    let found = store::buckets::find(connection, name).await?;
    found.ok_or_else(|| MetadataError::NoSuchBucket { bucket: name.to_owned() })
}

fn malformed(reason: impl Into<String>) -> MetadataError {
    MetadataError::Malformed { reason: reason.into() }
}

/// Cuts a page that was fetched with one row more than it holds; answers whether there was one.
fn cut<T>(rows: &mut Vec<T>, max: u32) -> bool {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let more = rows.len() > max;
    rows.truncate(max);
    more
}

/// Forgets versions whose grace period is over: called by the sweep, in its transaction, with the share of the
/// garbage whose extents it drops. Owners that are parts are passed over. What was written a moment ago, with a
/// short grace period, leaves its outcome behind, for its gateway may not have heard it yet.
///
/// # Errors
/// The database's.
pub(crate) async fn forget(tx: &mut Connection, share: &Share, now: Timestamp) -> Result<(), StoreError> {
    for version in store::objects::made_after(tx, share, now.before(store::mutations::KEPT)).await? {
        store::mutations::remember(tx, Some(MutationId(version.version.0)), &version, now).await?;
    }
    store::objects::forget(tx, share).await
}

/// Uploads in progress that began before this time, up to `max` behind `after`, in the order of their beginning.
///
/// # Errors
/// The database's.
pub(crate) async fn uploads_begun_before(
    connection: &mut Connection,
    before: Timestamp,
    after: Option<(Timestamp, UploadId)>,
    max: u32,
) -> Result<Vec<(Timestamp, UploadId)>, StoreError> {
    store::uploads::begun_before(connection, before, after, max).await
}

/// Whether an upload is in progress, began before this time, and got no part since.
///
/// # Errors
/// The database's.
pub(crate) async fn is_abandoned(
    connection: &mut Connection,
    upload: UploadId,
    before: Timestamp,
) -> Result<bool, StoreError> {
    Ok(store::uploads::find_abandoned(connection, upload, before).await?.is_some())
}

/// Gives up an upload that is still abandoned. Answers its bucket and key.
///
/// # Errors
/// The database's.
pub(crate) async fn give_up_abandoned(
    tx: &mut Connection,
    upload: UploadId,
    before: Timestamp,
    now: Timestamp,
) -> Result<Option<(String, String)>, StoreError> {
    let found = store::uploads::find_abandoned(tx, upload, before).await?;
    if found.is_some() {
        uploads::give_up(tx, upload, now).await?;
    }
    Ok(found)
}

/// Whether uploads are left of a deleted bucket.
///
/// # Errors
/// The database's.
pub(crate) async fn any_uploads_of_deleted(connection: &mut Connection) -> Result<bool, StoreError> {
    Ok(store::buckets::find_deleted(connection).await?.is_some())
}

/// Gives up uploads of a deleted bucket that have `work` parts in all. Answers which of them are gone.
///
/// # Errors
/// The database's.
pub(crate) async fn give_up_uploads_of_deleted(
    tx: &mut Connection,
    work: u32,
    now: Timestamp,
) -> Result<Vec<UploadId>, StoreError> {
    let Some(bucket) = store::buckets::find_deleted(tx).await? else { return Ok(Vec::new()) };
    let given_up = store::uploads::give_up_some(tx, bucket, work, now).await?;
    if !given_up.more {
        store::buckets::forget_deleted(tx, bucket).await?;
    }
    Ok(given_up.uploads)
}

/// Forgets outcomes of mutations that nobody repeats any more, up to `max`. Answers how many they were.
///
/// # Errors
/// The database's.
pub(crate) async fn forget_outcomes(
    tx: &mut Connection,
    now: Timestamp,
    max: u32,
) -> Result<u64, StoreError> {
    store::mutations::forget_old(tx, now, max).await
}

/// Forgets what uploads were completed to before that time: a repeated completion is not recognised
/// any more. Answers how many were forgotten, `max` at the most.
///
/// # Errors
/// The database's.
pub(crate) async fn forget_completed_uploads(
    tx: &mut Connection,
    completed_before: Timestamp,
    max: u32,
) -> Result<u64, StoreError> {
    store::uploads::forget_completed(tx, completed_before, max).await
}
