//! Makes a version of stored blocks the current one of its key, if the request's condition holds.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{CommitObject, Committed, MetadataError, NewExtent};

use super::{NewVersion, check_condition, committed_before, destination, make_current};
use crate::block_manager::BlockManager;
use crate::namespace::quotas::{self, Sender};
use crate::namespace::schedule::Schedule;
use crate::namespace::{Namespace, malformed};
use crate::store::Connection;
use crate::store::usage::Owners;

impl Namespace {
    pub(in crate::namespace) async fn commit_object(
        &self,
        request: CommitObject,
    ) -> Result<Committed, MetadataError> {
        check_length(request.length, &request.extents)?;
        let (blocks, schedule) = (self.blocks.clone(), self.schedule.clone());
        let (env, sender) = (self.env.clone(), Sender::current());
        self.store
            .write(move |tx| Box::pin(commit(tx, (blocks, schedule), (request, sender), env.now())))
            .await
    }
}

/// Checks that the length of a version or part is the sum of its extents' lengths.
pub(in crate::namespace) fn check_length(length: u64, extents: &[NewExtent]) -> Result<(), MetadataError> {
    let total = extents.iter().try_fold(0u64, |total, extent| total.checked_add(extent.extent_length()));
    if total == Some(length) && i64::try_from(length).is_ok() {
        return Ok(());
    }
    Err(malformed(format!("the length is {length}, but the extents' lengths do not add up to it")))
}

async fn commit(
    tx: &mut Connection,
    (blocks, schedule): (BlockManager, Schedule),
    (request, sender): (CommitObject, Sender),
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    // A repetition returns the first outcome, even if the version was overwritten or the bucket deleted since.
    if let Some(answer) = committed_before(tx, &request.bucket, &request.key, request.version).await? {
        return Ok(answer);
    }
    let to = destination(tx, &request.bucket, blocks.lock_clock()).await?;
    check_condition(tx, to.bucket, &request.key, &request.condition).await?;
    let content = blocks.commit_extents(tx, &request.extents).await?;
    let user = sender.user(tx).await?;
    let version = NewVersion {
        key: request.key,
        version: request.version,
        length: request.length,
        etag: request.etag,
        attributes: request.attributes,
        tags: request.tags,
        part_count: 0,
        content,
        user,
        modified_at: None,
    };
    let key = version.key.clone();
    let committed = make_current(tx, to, version, now).await?;
    quotas::check_with(tx, Owners { bucket: to.bucket, user }, to.rules.quota).await?;
    schedule.refresh(tx, (to.bucket, to.rules.lifecycle_revision), &key).await?;
    Ok(committed)
}
