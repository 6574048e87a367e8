//! Operations on multipart uploads.

mod abort;
mod complete;
mod copy_part;
mod create;
mod get;
mod list;
mod list_parts;
mod put_part;

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, UploadId};
use cairn_protocol::metadata::{MetadataError, PartCommitted, PartInfo, UploadInfo, UploadRef};

use super::{bucket_id, malformed, quotas};
use crate::store::buckets::BucketId;
use crate::store::parts::StoredPart;
use crate::store::uploads::Upload;
use crate::store::usage::Owners;
use crate::store::{self, Connection, StoreError};

/// The largest part number of S3; the smallest is 1
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_NUMBER_MAX: u32 = 10_000;

/// The upload of this bucket, key and id, in progress or completed.
async fn find(connection: &mut Connection, target: &UploadRef) -> Result<(BucketId, Upload), MetadataError> {
    let bucket = bucket_id(connection, &target.bucket).await?;
    let upload = store::uploads::find(connection, bucket, &target.key, target.upload).await?;
    upload.map(|upload| (bucket, upload)).ok_or(MetadataError::NoSuchUpload)
}

/// The upload of this bucket, key and id, which must be in progress.
async fn find_in_progress(
    connection: &mut Connection,
    target: &UploadRef,
) -> Result<(BucketId, UploadInfo), MetadataError> {
    match find(connection, target).await? {
        (bucket, Upload::InProgress(info)) => Ok((bucket, info)),
        (_, Upload::Completed(completed, _)) => {
            Err(MetadataError::UploadCompleted { completed: Box::new(completed) })
        }
    }
}

fn check_number(part: u32) -> Result<(), MetadataError> {
    if (1..=PART_NUMBER_MAX).contains(&part) {
        return Ok(());
    }
    Err(malformed(format!("a part's number is 1 to {PART_NUMBER_MAX}, not {part}")))
}

/// The outcome of the first commit of this part, if it was committed before. If the part was replaced, aborted or
/// completed since, its outcome is remembered for a while. After that its garbage shows that it existed; the time is
/// then the one of its retirement.
async fn committed_before(
    tx: &mut Connection,
    target: &UploadRef,
    part: &PartInfo,
) -> Result<Option<PartCommitted>, MetadataError> {
    let current = store::parts::find(tx, target.upload, part.number).await?;
    if let Some(current) = current.filter(|current| current.info.part == part.part) {
        return Ok(Some(PartCommitted { modified_at: current.info.modified_at }));
    }
    if let Some(answer) = store::mutations::find(tx, Some(MutationId(part.part.0))).await? {
        return Ok(Some(answer));
    }
    let retired_at = store::retired::part_retired_at(tx, part.part).await?;
    Ok(retired_at.map(|modified_at| PartCommitted { modified_at }))
}

/// Retires one part. Its bytes stay for the grace period, and its outcome is remembered for a repeated request.
async fn give_up_part(
    tx: &mut Connection,
    upload: UploadId,
    part: &StoredPart,
    now: Timestamp,
) -> Result<(), StoreError> {
    let info = &part.info;
    if info.modified_at > now.before(store::mutations::KEPT) {
        let answer = PartCommitted { modified_at: info.modified_at };
        store::mutations::remember(tx, Some(MutationId(info.part.0)), &answer, now).await?;
    }
    store::retired::insert_part(tx, part, now).await?;
    store::parts::delete(tx, upload, info.number).await
}

/// Makes a part the current one of its number, and retires the one before it.
async fn make_part(
    tx: &mut Connection,
    (bucket, target): (BucketId, &UploadRef),
    part: &StoredPart,
    now: Timestamp,
) -> Result<PartCommitted, MetadataError> {
    if let Some(replaced) = store::parts::find(tx, target.upload, part.info.number).await? {
        give_up_part(tx, target.upload, &replaced, now).await?;
    }
    store::parts::insert(tx, target.upload, part).await?;
    quotas::check(tx, Owners { bucket, user: part.user }).await?;
    // An older copy of the database would not know the part.
    store::generations::advance(tx).await?;
    Ok(PartCommitted { modified_at: part.info.modified_at })
}
