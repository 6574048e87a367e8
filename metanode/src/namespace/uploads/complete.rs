//! Completes an upload: its parts become the entries of the list of a new version, and no data moves.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{PartId, UploadId};
use cairn_protocol::metadata::{
    Committed, CompleteUpload, CompletedUpload, Content, MetadataError, ObjectAttributes,
};

use super::{PART_NUMBER_MAX, find};
use crate::block_manager::LockClock;
use crate::namespace::objects::{NewVersion, check_condition, committed_before, destination, make_current};
use crate::namespace::schedule::Schedule;
use crate::namespace::{Namespace, malformed, quotas};
use crate::store::lists::NewEntry;
use crate::store::parts::StoredPart;
use crate::store::uploads::Upload;
use crate::store::usage::Owners;
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn complete_upload(
        &self,
        request: CompleteUpload,
    ) -> Result<Committed, MetadataError> {
        check_order(&request.parts)?;
        let (env, lock_clock) = (self.env.clone(), self.blocks.lock_clock().clone());
        let schedule = self.schedule.clone();
        self.store.write(move |tx| Box::pin(complete(tx, request, lock_clock, schedule, env.now()))).await
    }
}

/// Checks that the request names at least one part, and each once, in the order of their numbers.
fn check_order(parts: &[(u32, PartId)]) -> Result<(), MetadataError> {
    if parts.is_empty() {
        return Err(malformed("a completion names at least one part"));
    }
    if parts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(malformed("parts are not in the order of their numbers"));
    }
    Ok(())
}

async fn complete(
    tx: &mut Connection,
    request: CompleteUpload,
    lock_clock: LockClock,
    schedule: Schedule,
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    if let Some(answer) =
        committed_before(tx, &request.target.bucket, &request.target.key, request.version).await?
    {
        return Ok(answer);
    }
    let upload_id = request.target.upload;
    let (bucket, upload) = match find(tx, &request.target).await? {
        (bucket, Upload::InProgress(upload)) => (bucket, upload),
        // The outcome is still remembered, though the version may be swept already.
        (_, Upload::Completed(completed, modified_at)) if completed.version == request.version => {
            return Ok(Committed {
                version: completed.version,
                etag: completed.etag,
                modified_at,
                name: completed.name,
            });
        }
        (_, Upload::Completed(completed, _)) => {
            return Err(MetadataError::UploadCompleted { completed: Box::new(completed) });
        }
    };
    let parts = keep_named_parts(tx, upload_id, &request.parts, now).await?;
    check_condition(tx, bucket, &request.target.key, &request.condition).await?;

    // Each part hands its reference over to an entry of the object's list, however many extents it has.
    let length = total_length(&parts)?;
    let entries: Vec<_> =
        parts.iter().filter_map(|part| NewEntry::of(part.content, part.info.length)).collect();
    let list = store::lists::create(tx, &entries).await?;
    store::list_parts::insert_from_upload(tx, list, upload_id).await?;
    store::mutations::remember_young_parts(tx, upload_id, now).await?;
    store::parts::delete_all(tx, upload_id).await?;
    let attributes = ObjectAttributes { checksum: request.checksum, block_size: None, ..upload.attributes };
    let checksum = attributes.checksum.clone();
    // The object counts for the user who began the upload, and its parts for their users no more.
    let user = store::uploads::user_of(tx, upload_id).await?;
    let version = NewVersion {
        key: request.target.key,
        version: request.version,
        length,
        etag: request.etag,
        attributes,
        tags: upload.tags,
        part_count: u32::try_from(request.parts.len()).unwrap_or(PART_NUMBER_MAX),
        content: Content::List { list },
        user,
        modified_at: None,
    };
    let to = destination(tx, &request.target.bucket, &lock_clock).await?;
    let key = version.key.clone();
    let answer = make_current(tx, to, version, now).await?;
    schedule.refresh(tx, (to.bucket, to.rules.lifecycle_revision), &key).await?;
    let completed = CompletedUpload {
        version: answer.version,
        etag: answer.etag.clone(),
        checksum,
        name: answer.name,
        request_digest: request.request_digest,
    };
    store::uploads::set_completed(tx, upload_id, &completed, now).await?;
    // It needs nothing more, unless another user's parts count for this one now.
    quotas::check_with(tx, Owners { bucket, user }, to.rules.quota).await?;
    Ok(answer)
}

/// Checks that the named parts are the upload's current ones, and retires the others. Returns the named ones.
async fn keep_named_parts(
    tx: &mut Connection,
    upload: UploadId,
    named: &[(u32, PartId)],
    now: Timestamp,
) -> Result<Vec<StoredPart>, MetadataError> {
    let there = store::parts::list(tx, upload, 0, PART_NUMBER_MAX).await?;
    let (kept, given_up) = split(there, named)?;
    for part in given_up {
        super::give_up_part(tx, upload, &part, now).await?;
    }
    Ok(kept)
}

fn total_length(parts: &[StoredPart]) -> Result<u64, MetadataError> {
    let length = parts.iter().try_fold(0u64, |length, part| length.checked_add(part.info.length));
    length.ok_or_else(|| malformed("the parts are longer than an object can be"))
}

/// Splits the upload's parts, in the order of their numbers, into the named ones and the others.
fn split(
    there: Vec<StoredPart>,
    named: &[(u32, PartId)],
) -> Result<(Vec<StoredPart>, Vec<StoredPart>), MetadataError> {
    let mut named = named.iter().copied().peekable();
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for part in there {
        if named.next_if_eq(&(part.info.number, part.info.part)).is_some() {
            kept.push(part);
        } else {
            others.push(part);
        }
    }
    match named.next() {
        None => Ok((kept, others)),
        Some((number, _)) => Err(MetadataError::InvalidPart { number }),
    }
}
