//! Copies an object: the new version shares the extents of its source, and no data moves.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{Committed, CopyObject, MetadataError};

use super::{NewVersion, check_condition, committed_before, destination, make_current};
use crate::block_manager::{self, BlockManager};
use crate::namespace::Namespace;
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn copy_object(
        &self,
        request: CopyObject,
    ) -> Result<Committed, MetadataError> {
        let (blocks, env) = (self.blocks.clone(), self.env.clone());
        self.store.write(move |tx| Box::pin(copy(tx, blocks, request, env.now()))).await
    }
}

async fn copy(
    tx: &mut Connection,
    blocks: BlockManager,
    request: CopyObject,
    now: Timestamp,
) -> Result<Committed, MetadataError> {
    if let Some(answer) = committed_before(tx, request.version).await? {
        return Ok(answer);
    }
    let destination = destination(tx, &request.bucket).await?;
    let (_, source) =
        store::objects::find_version(tx, request.source).await?.ok_or(MetadataError::NoSuchVersion)?;
    check_condition(tx, destination.bucket, &request.key, &request.condition).await?;
    let (from, to) = (request.source.as_bytes(), request.version.as_bytes());
    block_manager::share_extents(tx, from, 0, source.length, to, 0).await?;
    let attributes = request.attributes.unwrap_or(source.attributes);
    blocks.raise_replication(tx, to, &request.bucket, attributes.storage_class.as_deref()).await?;
    // The parts are copied too: an ETag or a checksum over parts means nothing without them.
    store::object_parts::copy(tx, request.source, request.version).await?;
    let version = NewVersion {
        key: request.key,
        version: request.version,
        length: source.length,
        etag: request.etag,
        attributes,
        tags: request.tags.unwrap_or(source.tags),
        part_count: source.part_count,
    };
    Ok(make_current(tx, destination, version, now).await?)
}
