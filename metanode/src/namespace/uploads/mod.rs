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
use cairn_protocol::metadata::{MetadataError, PartCommitted, PartInfo, UploadInfo, UploadRef};

use super::{bucket_id, malformed};
use crate::blocks;
use crate::store::buckets::BucketId;
use crate::store::uploads::Upload;
use crate::store::{self, Connection};

/// S3's numbers of parts: 1 to 10,000
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_NUMBER_MAX: u32 = 10_000;

/// The upload that is found under its own bucket and key, in progress or completed.
async fn find(connection: &mut Connection, target: &UploadRef) -> Result<(BucketId, Upload), MetadataError> {
    let bucket = bucket_id(connection, &target.bucket).await?;
    let upload = store::uploads::find(connection, bucket, &target.key, target.upload).await?;
    upload.map(|upload| (bucket, upload)).ok_or(MetadataError::NoSuchUpload)
}

/// The upload, if it is in progress.
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

/// What the first commit of this part answered, if it was committed before. One that was replaced
/// since is known by its garbage, which tells when it was replaced.
async fn committed_before(
    tx: &mut Connection,
    target: &UploadRef,
    part: &PartInfo,
) -> Result<Option<PartCommitted>, MetadataError> {
    let current = store::parts::find(tx, target.upload, part.number).await?;
    let modified_at = match current {
        Some(current) if current.part == part.part => Some(current.modified_at),
        Some(_) => store::parts::retired_at(tx, part.part).await?,
        None => None,
    };
    Ok(modified_at.map(|modified_at| PartCommitted { modified_at }))
}

/// Makes a part the one of its number and retires the one that was.
async fn make_part(
    tx: &mut Connection,
    target: &UploadRef,
    part: &PartInfo,
    now: Timestamp,
) -> Result<PartCommitted, MetadataError> {
    if let Some(replaced) = store::parts::find(tx, target.upload, part.number).await? {
        blocks::retire(tx, replaced.part.as_bytes(), now).await?;
        store::parts::delete(tx, target.upload, part.number).await?;
    }
    store::parts::insert(tx, target.upload, part).await?;
    Ok(PartCommitted { modified_at: part.modified_at })
}
