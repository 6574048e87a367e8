//! Copies an object: the new version refers to the same bytes as its source, and no data moves.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{Committed, CopyObject, MetadataError};

use super::{NewVersion, check_condition, committed_before, destination, find_source, make_current};
use crate::block_manager::BlockManager;
use crate::namespace::Namespace;
use crate::namespace::quotas::{self, Sender};
use crate::namespace::schedule::Schedule;
use crate::store::usage::Owners;
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn copy_object(
        &self,
        request: CopyObject,
    ) -> Result<Committed, MetadataError> {
        let (blocks, schedule) = (self.blocks.clone(), self.schedule.clone());
        let (env, sender) = (self.env.clone(), Sender::current());
        self.store.write(move |tx| Box::pin(copy(tx, (blocks, schedule), (request, sender), env.now()))).await
    }
}

async fn copy(
    tx: &mut Connection,
    (blocks, schedule): (BlockManager, Schedule),
    (request, sender): (CopyObject, Sender),
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    if let Some(answer) = committed_before(tx, &request.bucket, &request.key, request.version).await? {
        return Ok(answer);
    }
    let destination = destination(tx, &request.bucket, blocks.lock_clock()).await?;
    let source = find_source(tx, &request.source).await?;
    check_condition(tx, destination.bucket, &request.key, &request.condition).await?;
    store::lists::share(tx, source.content).await?;
    let attributes = request.attributes.unwrap_or(source.attributes);
    blocks
        .raise_replication(tx, source.content, &request.bucket, attributes.storage_class.as_deref())
        .await?;
    let user = sender.user(tx).await?;
    let version = NewVersion {
        key: request.key,
        version: request.version,
        length: source.length,
        etag: request.etag,
        attributes,
        tags: request.tags.unwrap_or(source.tags),
        // The parts belong to the list, so the copy has them too.
        part_count: source.part_count,
        content: source.content,
        user,
        modified_at: None,
    };
    let key = version.key.clone();
    let committed = make_current(tx, destination, version, now).await?;
    quotas::check_with(tx, Owners { bucket: destination.bucket, user }, destination.rules.quota).await?;
    schedule.refresh(tx, (destination.bucket, destination.rules.lifecycle_revision), &key).await?;
    Ok(committed)
}
