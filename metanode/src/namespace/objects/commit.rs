//! Makes a version of stored blocks the current one of its key, if the request's condition holds.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{CommitObject, Committed, MetadataError, NewExtent};

use super::{NewVersion, check_condition, committed_before, destination, make_current};
use crate::block_manager::BlockManager;
use crate::namespace::{Namespace, malformed};
use crate::store::Connection;

impl Namespace {
    pub(in crate::namespace) async fn commit_object(
        &self,
        request: CommitObject,
    ) -> Result<Committed, MetadataError> {
        check_length(request.length, &request.extents)?;
        let (blocks, env) = (self.blocks.clone(), self.env.clone());
        self.store.write(move |tx| Box::pin(commit(tx, blocks, request, env.now()))).await
    }
}

/// Checks that the length of a version or part is the sum of its blocks' lengths.
pub(in crate::namespace) fn check_length(length: u64, extents: &[NewExtent]) -> Result<(), MetadataError> {
    let total = extents.iter().try_fold(0u64, |total, extent| total.checked_add(extent.length));
    if total == Some(length) && i64::try_from(length).is_ok() {
        return Ok(());
    }
    Err(malformed(format!("the length is {length}, but the blocks' lengths do not add up to it")))
}

async fn commit(
    tx: &mut Connection,
    blocks: BlockManager,
    request: CommitObject,
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    // A repetition returns the first outcome, even if the version was overwritten or the bucket deleted since.
    if let Some(answer) = committed_before(tx, &request.bucket, &request.key, request.version).await? {
        return Ok(answer);
    }
    let to = destination(tx, &request.bucket, blocks.lock_clock()).await?;
    check_condition(tx, to.bucket, &request.key, &request.condition).await?;
    let content = blocks.commit_extents(tx, &request.extents).await?;
    let version = NewVersion {
        key: request.key,
        version: request.version,
        length: request.length,
        etag: request.etag,
        attributes: request.attributes,
        tags: request.tags,
        part_count: 0,
        content,
    };
    make_current(tx, to, version, now).await
}
