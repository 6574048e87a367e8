//! Stored blocks that wait for their commit, and the commit. It is repeated while its outcome is unknown, and blocks
//! that their nodes have lost are written again.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::checksum::{Crc32c, combine};
use cairn_protocol::metadata::{
    CommitObject, Committed, Metadata, MetadataError, NewExtent, PartCommitted, PutPart,
};

use super::send::Sender;
use super::stored_block::StoredBlock;
use crate::retry::while_unavailable;

/// The pause between two attempts to commit.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// Upper limit of blocks of an upload that are written again. More are lost only when nodes fail faster than blocks are
/// written.
const REWRITES_MAX: u32 = 16;

/// A body on stable storage that no version refers to yet. If it is dropped, its blocks are deleted.
#[must_use = "dropping it deletes what was stored"]
pub struct StoredBlocks {
    sender: Arc<Sender>,
    blocks: Vec<StoredBlock>,
    length: u64,
    /// Where it is committed.
    metadata: Arc<dyn Metadata>,
}

impl std::fmt::Debug for StoredBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredBlocks").field("length", &self.length).finish_non_exhaustive()
    }
}

impl StoredBlocks {
    pub(super) fn new(
        sender: Arc<Sender>,
        mut blocks: Vec<StoredBlock>,
        metadata: Arc<dyn Metadata>,
    ) -> Self {
        blocks.sort_by_key(|block| block.offset);
        let length = blocks.iter().map(StoredBlock::extent_length).sum();
        sender.lease.release_all_but(blocks.iter().map(|block| block.grant.block));
        Self { sender, blocks, length, metadata }
    }

    /// The length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The number of blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The CRC32C of all bytes, combined from those of the blocks.
    pub fn crc32c(&self) -> Crc32c {
        self.blocks.iter().fold(0, |crc, block| combine(crc, block.extent_crc32c(), block.extent_length()))
    }

    /// Commits the body as an object: fills in the length and extents of `commit`. While the outcome is unknown, the
    /// commit is repeated with the same version id for a limited time. Blocks that were lost meanwhile are written
    /// again.
    ///
    /// # Errors
    /// The error of the metanode. With `Unavailable` the object may have been committed.
    pub async fn commit_object(self, commit: CommitObject) -> Result<Committed, MetadataError> {
        let metadata = self.metadata.clone();
        let length = self.length;
        self.commit(move |extents| {
            let request = CommitObject { length, extents, ..commit.clone() };
            let metadata = metadata.clone();
            async move { metadata.commit_object(request).await }
        })
        .await
    }

    /// Commits the body as a part of an upload: fills in the length and extents of `part`. It is repeated like
    /// [`commit_object`](Self::commit_object), with the same part id.
    ///
    /// # Errors
    /// The error of the metanode. With `Unavailable` the part may have been committed.
    pub async fn put_part(self, part: PutPart) -> Result<PartCommitted, MetadataError> {
        let metadata = self.metadata.clone();
        let length = self.length;
        self.commit(move |extents| {
            let request = PutPart { length, extents, ..part.clone() };
            let metadata = metadata.clone();
            async move { metadata.put_part(request).await }
        })
        .await
    }

    /// Commits, and writes lost blocks again.
    async fn commit<T, F>(mut self, attempt: impl Fn(Vec<NewExtent>) -> F) -> Result<T, MetadataError>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        let deadline = self.sender.parts.env.monotonic() + self.sender.parts.timeouts.block;
        for rewrites in 0.. {
            let (lost, error) = match self.try_commit(&attempt).await {
                Ok(committed) => return Ok(committed),
                Err(Refusal { error, outcome_known: true }) => match &error {
                    MetadataError::BlockLost { block, .. } => (*block, error),
                    _ => return Err(error),
                },
                Err(Refusal { error, .. }) => return Err(error),
            };
            cairn_protocol::warn_peer!(%error, rewrites, "a block did not stay where it was stored");
            if rewrites == REWRITES_MAX || self.sender.parts.env.monotonic() >= deadline {
                return Err(error);
            }
            let Some(block) = self.blocks.iter_mut().find(|block| block.grant.block == lost) else {
                return Err(error);
            };
            // Others may commit what they have in the block, or write it again, so this upload writes its own bytes.
            let sender =
                if block.packed.is_some() { Arc::new(self.sender.alone()) } else { self.sender.clone() };
            match sender.rewrite(block).await {
                Ok(stored) => {
                    *block = stored;
                    self.sender = sender;
                }
                Err(failed) => {
                    cairn_protocol::warn_peer!(block = %lost, error = %failed, "it cannot be written again");
                    return Err(error);
                }
            }
        }
        Err(MetadataError::Internal)
    }

    async fn try_commit<T, F>(&self, attempt: &impl Fn(Vec<NewExtent>) -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, MetadataError>>,
    {
        // From here on a drop does not give the grants back, because the metanode may be about to commit them.
        let grants = self.sender.lease.disarm();
        let extents: Vec<_> = self
            .blocks
            .iter()
            .map(|block| {
                let held = grants.get(&block.grant.block).map_or(&block.grant, |held| &held.grant);
                block.extent(held.clone())
            })
            .collect();
        let parts = &self.sender.parts;
        let mut outcome_known = true;
        let pauses = (RETRY_DELAY, parts.timeouts.metadata);
        let attempt = || attempt(extents.clone());
        let outcome = while_unavailable(&parts.env, pauses, attempt, |error| {
            outcome_known = false;
            cairn_protocol::warn_peer!(%error, "the outcome of a commit is unknown");
        });
        let error = match outcome.await {
            Ok(committed) => return Ok(committed),
            Err(error) => error,
        };
        outcome_known &= !matches!(error, MetadataError::Unavailable { .. });
        if outcome_known {
            self.sender.lease.rearm(grants);
        }
        Err(Refusal { error, outcome_known })
    }
}

/// Why a commit failed.
struct Refusal {
    error: MetadataError,
    /// Whether it is known that nothing was done. Otherwise an earlier attempt may have been committed.
    outcome_known: bool,
}
