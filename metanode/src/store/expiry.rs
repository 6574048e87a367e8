//! Removal of what ends without a client's request: versions whose grace period is over, and uploads that are abandoned
//! or whose bucket is deleted.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, UploadId};

use super::retired::Share;
use super::{Connection, StoreError, buckets, mutations, parts, retired, uploads};

/// Remembers the outcomes of the commits of young versions in a share of what is retired, which is removed in this transaction:
/// with a short grace period, their gateways may not have received them yet and may ask again.
///
/// # Errors
/// The database's.
pub(crate) async fn remember_young_versions(
    tx: &mut Connection,
    share: &Share,
    now: Timestamp,
) -> Result<(), StoreError> {
    for version in retired::made_after(tx, share, now.before(mutations::KEPT)).await? {
        mutations::remember(tx, Some(MutationId(version.version.0)), &version, now).await?;
    }
    Ok(())
}

/// Aborts an upload in progress and retires all its parts.
///
/// # Errors
/// The database's.
pub(crate) async fn give_up_upload(
    tx: &mut Connection,
    upload: UploadId,
    now: Timestamp,
) -> Result<(), StoreError> {
    mutations::remember_young_parts(tx, upload, now).await?;
    parts::retire_all(tx, upload, now).await?;
    parts::delete_all(tx, upload).await?;
    uploads::delete(tx, upload).await
}

/// Aborts an upload if it is still abandoned, that is, it began before `before` and got no part since. Returns its
/// bucket and key.
///
/// # Errors
/// The database's.
pub(crate) async fn give_up_abandoned(
    tx: &mut Connection,
    upload: UploadId,
    before: Timestamp,
    now: Timestamp,
) -> Result<Option<(String, String)>, StoreError> {
    let found = uploads::find_abandoned(tx, upload, before).await?;
    if found.is_some() {
        give_up_upload(tx, upload, now).await?;
    }
    Ok(found)
}

/// Aborts uploads of a deleted bucket until they have `work` parts in all. Returns the uploads that are gone.
///
/// # Errors
/// The database's.
pub(crate) async fn give_up_uploads_of_deleted(
    tx: &mut Connection,
    work: u32,
    now: Timestamp,
) -> Result<Vec<UploadId>, StoreError> {
    let Some(bucket) = buckets::find_deleted(tx).await? else { return Ok(Vec::new()) };
    let given_up = uploads::give_up_some(tx, bucket, work, now).await?;
    if !given_up.more {
        buckets::forget_deleted(tx, bucket).await?;
    }
    Ok(given_up.uploads)
}
