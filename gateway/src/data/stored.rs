use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::checksum::{Crc32c, combine};
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{
    CommitObject, Committed, Grant, MetadataError, NewExtent, PartCommitted, PutPart,
};

use super::Parts;
use super::lease::Lease;

/// How long to wait before a commit is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// A block that enough nodes hold.
pub(super) struct StoredBlock {
    pub(super) grant: Grant,
    /// Where in the object it begins.
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: Crc32c,
    pub(super) stored_on: Vec<NodeId>,
}

/// A body on stable storage, which nothing refers to yet. Dropped, it is deleted.
#[must_use = "dropping it deletes what was stored"]
pub struct StoredBlocks {
    parts: Arc<Parts>,
    lease: Arc<Lease>,
    blocks: Vec<StoredBlock>,
    length: u64,
}

impl std::fmt::Debug for StoredBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredBlocks").field("length", &self.length).finish_non_exhaustive()
    }
}

impl StoredBlocks {
    pub(super) fn new(parts: Arc<Parts>, lease: Arc<Lease>, mut blocks: Vec<StoredBlock>) -> Self {
        blocks.sort_by_key(|block| block.offset);
        let length = blocks.iter().map(|block| block.length).sum();
        lease.release_all_but(blocks.iter().map(|block| block.grant.block));
        Self { parts, lease, blocks, length }
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many blocks it has.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// CRC32C of all bytes, from those of the blocks.
    pub fn crc32c(&self) -> Crc32c {
        self.blocks.iter().fold(0, |crc, block| combine(crc, block.crc32c, block.length))
    }

    /// Makes it an object: `commit` with its length and extents filled in. A commit whose outcome is
    /// unknown is repeated, under the same version id, for a bounded time.
    ///
    /// # Errors
    /// What the metanode answered. With `Unavailable` the object may have been committed.
    pub async fn commit_object(self, commit: CommitObject) -> Result<Committed, MetadataError> {
        let metadata = self.parts.metadata.clone();
        let length = self.length;
        self.commit(move |extents| {
            let request = CommitObject { length, extents, ..commit.clone() };
            let metadata = metadata.clone();
            async move { metadata.commit_object(request).await }
        })
        .await
    }

    /// Makes it a part of an upload: `part` with its length and extents filled in. Repeated as
    /// [`commit_object`](Self::commit_object) is, under the same part id.
    ///
    /// # Errors
    /// What the metanode answered. With `Unavailable` the part may have been added.
    pub async fn put_part(self, part: PutPart) -> Result<PartCommitted, MetadataError> {
        let metadata = self.parts.metadata.clone();
        let length = self.length;
        self.commit(move |extents| {
            let request = PutPart { length, extents, ..part.clone() };
            let metadata = metadata.clone();
            async move { metadata.put_part(request).await }
        })
        .await
    }

    async fn commit<T, F>(self, attempt: impl Fn(Vec<NewExtent>) -> F) -> Result<T, MetadataError>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        // From here on the grants are not given back when this is dropped: the metanode may be about to
        // commit them.
        let grants = self.lease.disarm();
        let extents: Vec<_> = self
            .blocks
            .iter()
            .map(|block| NewExtent {
                grant: grants.get(&block.grant.block).unwrap_or(&block.grant).clone(),
                length: block.length,
                crc32c: block.crc32c,
                stored_on: block.stored_on.clone(),
            })
            .collect();
        let deadline = self.parts.env.monotonic() + self.parts.timeouts.metadata;
        let mut unknown = false;
        loop {
            let error = match attempt(extents.clone()).await {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            if let MetadataError::Unavailable { reason } = &error {
                unknown = true;
                cairn_protocol::warn_peer!(%reason, "the outcome of a commit is unknown");
                if self.parts.env.monotonic() < deadline {
                    self.parts.env.sleep(RETRY_DELAY).await;
                    continue;
                }
            } else if !unknown {
                // It was refused before anything was done.
                let grants: Vec<_> = grants.into_values().collect();
                self.lease.add(&grants);
            }
            return Err(error);
        }
    }
}
