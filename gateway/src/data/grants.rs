//! The grants of one upload. They are taken ahead of need, in batches, and avoid nodes that failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{AllocateBlocks, Grant, MetadataError};

use super::lease::Lease;
use super::suspects::Suspects;
use super::{DataError, Parts, Placement};

/// Upper limit of grants per request. More would reserve space for blocks that the upload reaches much later.
const BATCH_MAX: u64 = 8;

/// Grants are requested ahead for what the upload sends in this time at its pace so far. It is several times what the
/// metanode takes to answer, so that a quick upload never waits.
const AHEAD: Duration = Duration::from_secs(2);

/// The assumed block size before the first grant: a cluster's default, in bytes.
const BLOCK_SIZE_GUESS: u64 = 8 << 20;

/// The pause before a failed request for grants is retried.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// The grants of one upload, taken ahead of need.
pub(super) struct Grants {
    parts: Arc<Parts>,
    lease: Arc<Lease>,
    placement: Placement,
    /// When the upload began, on the monotonic clock.
    began: Duration,
    /// The lock is held during the request, so that tasks that need a grant at the same time share one batch.
    spare: tokio::sync::Mutex<Spare>,
    /// Nodes that failed this upload a moment ago. It avoids them even if they have succeeded for other uploads since.
    failed: Suspects,
}

struct Spare {
    grants: VecDeque<Grant>,
    block_size: u64,
    /// The offset in the object that the grants so far reach if all blocks have full length.
    reach: u64,
    /// The number of grants of the latest request.
    batch: u64,
}

/// The purpose of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// For blocks of full length in quick succession, as many as the upload's pace requires.
    Quick,
    /// For one block of this expected length in bytes. No more space is reserved.
    One(u64),
}

impl Grants {
    pub(super) fn new(parts: Arc<Parts>, lease: Arc<Lease>, placement: Placement) -> Self {
        let spare = Spare { grants: VecDeque::new(), block_size: BLOCK_SIZE_GUESS, reach: 0, batch: 0 };
        let began = parts.env.monotonic();
        let spare = tokio::sync::Mutex::new(spare);
        let failed = Suspects::new(parts.env.clone());
        Self { parts, lease, placement, began, spare, failed }
    }

    /// What the grants are for.
    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Avoids a node that failed this upload for a while. Other uploads avoid it too, until the node stores a block. Reads
    /// still use it.
    pub(super) fn exclude(&self, node: NodeId) {
        self.failed.add(node);
        self.parts.write_suspects.add(node);
    }

    /// Whether a node failed this upload or another one a moment ago.
    pub(super) fn is_excluded(&self, node: NodeId) -> bool {
        self.failed.contains(node) || self.parts.write_suspects.contains(node)
    }

    fn excluded(&self) -> Vec<NodeId> {
        let mut all = self.failed.list();
        all.extend(self.parts.write_suspects.list());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Requests a grant for the block at `offset` of the object before it is needed. There is one attempt, and its
    /// error is ignored: [`take`](Self::take) tries again and returns the error. Retries here would add up with those
    /// there.
    pub(super) async fn prepare(&self, offset: u64) {
        let mut spare = self.spare.lock().await;
        if spare.grants.is_empty() && offset >= spare.reach {
            let _ = self.allocate(&mut spare, offset, Need::Quick, self.excluded()).await;
        }
    }

    /// Returns a grant for the block at `offset` of the object, which has this length: one that was requested ahead, or
    /// a new one.
    pub(super) async fn take(&self, offset: u64, length: u64, need: Need) -> Result<Grant, DataError> {
        let grant = self.next(offset, need).await?;
        if grant.block_size < length {
            self.lease.release(grant.block);
            return Err(DataError::Nonsense("a block size below the block's length"));
        }
        Ok(grant)
    }

    async fn next(&self, offset: u64, need: Need) -> Result<Grant, DataError> {
        let mut spare = self.spare.lock().await;
        loop {
            while let Some(grant) = spare.grants.pop_front() {
                if self.is_usable(&grant) {
                    // The grant may have been renewed since it was taken.
                    return Ok(self.lease.current(grant.block).unwrap_or(grant));
                }
                self.lease.release(grant.block);
            }
            self.allocate_in_time(&mut spare, offset, need).await?;
            if let Some(grant) = spare.grants.pop_front() {
                return Ok(grant);
            }
        }
    }

    /// Whether enough of the grant's nodes did not fail a moment ago.
    pub(super) fn is_usable(&self, grant: &Grant) -> bool {
        let left = grant.targets.iter().filter(|target| !self.is_excluded(target.node)).count();
        left >= grant.min_replicas as usize
    }

    /// The number of grants to request for the blocks from `offset` on: at most what the rest of the body needs and
    /// what the upload reaches soon at its pace. The first request is for one, because a new client may stay slow, and
    /// reserved space is missing for others.
    fn count(&self, offset: u64, spare: &Spare) -> u32 {
        let block_size = spare.block_size.max(1);
        let rest = self.placement.length.map_or(u64::MAX, |length| length.saturating_sub(offset));
        let elapsed = self.parts.env.monotonic().saturating_sub(self.began);
        let soon = u128::from(offset).saturating_mul(AHEAD.as_micros()) / elapsed.as_micros().max(1);
        let soon = u64::try_from(soon).unwrap_or(u64::MAX);
        let blocks = rest.min(soon).div_ceil(block_size);
        blocks.clamp(1, (spare.batch * 2).clamp(1, BATCH_MAX)) as u32
    }

    /// Requests grants, and retries for a while after failures that may pass: a metanode that restarts, a node that
    /// returns.
    async fn allocate_in_time(&self, spare: &mut Spare, offset: u64, need: Need) -> Result<(), DataError> {
        let began = self.parts.env.monotonic();
        let mut exclude = self.excluded();
        loop {
            let (error, patience) = match self.allocate(spare, offset, need, exclude.clone()).await {
                Ok(()) => return Ok(()),
                // A node that failed a moment ago is better than no node: it may have returned.
                Err(MetadataError::NotEnoughNodes { .. }) if !exclude.is_empty() => {
                    exclude.clear();
                    continue;
                }
                Err(error @ MetadataError::NotEnoughNodes { .. }) => (error, self.parts.timeouts.nodes),
                Err(error @ MetadataError::Unavailable { .. }) => (error, self.parts.timeouts.metadata),
                Err(error) => return Err(error.into()),
            };
            if self.parts.env.monotonic() >= began + patience {
                return Err(error.into());
            }
            self.parts.env.sleep(RETRY_DELAY).await;
            exclude = self.excluded();
        }
    }

    async fn allocate(
        &self,
        spare: &mut Spare,
        offset: u64,
        need: Need,
        exclude: Vec<NodeId>,
    ) -> Result<(), MetadataError> {
        let (count, expected_length) = match need {
            Need::Quick => (self.count(offset, spare), None),
            Need::One(length) => (1, Some(length)),
        };
        let request = AllocateBlocks {
            bucket: self.placement.bucket.clone(),
            storage_class: self.placement.storage_class.clone(),
            object_offset: self.placement.begins_at.saturating_add(offset),
            object_length: self
                .placement
                .length
                .map(|length| self.placement.begins_at.saturating_add(length)),
            block_size: self.placement.block_size,
            expected_length,
            count,
            exclude,
        };
        let grants = self.parts.metadata.allocate_blocks(request).await?;
        if grants.is_empty() {
            return Err(MetadataError::Malformed { reason: "an answer without a grant".to_owned() });
        }
        self.lease.add(&grants);
        spare.block_size = grants[0].block_size;
        spare.batch = u64::from(count);
        let reach = grants.iter().fold(offset, |reach, grant| reach.saturating_add(grant.block_size));
        spare.reach = spare.reach.max(reach);
        spare.grants.extend(grants);
        Ok(())
    }
}
