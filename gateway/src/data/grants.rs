use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{AllocateBlocks, Grant, MetadataError};

use super::lease::Lease;
use super::suspects::Suspects;
use super::{DataError, Parts, Placement};

/// Grants taken with one request. More would hold space for blocks that an upload reaches much later.
const BATCH_MAX: u64 = 8;

/// Before the first grant tells: the default block size of a cluster.
const BLOCK_SIZE_GUESS: u64 = 8 << 20;

/// How long to wait before the metanode is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// The grants of one upload, taken ahead of need.
pub(super) struct Grants {
    parts: Arc<Parts>,
    lease: Arc<Lease>,
    placement: Placement,
    /// Locked across the request, so that those who need a grant at once share one batch.
    spare: tokio::sync::Mutex<Spare>,
    /// Nodes that failed this upload just now, whatever others think of them.
    failed: Suspects,
}

struct Spare {
    grants: VecDeque<Grant>,
    block_size: u64,
    /// How far into the object the grants taken so far would reach if all blocks came out full.
    reach: u64,
}

impl Grants {
    pub(super) fn new(parts: Arc<Parts>, lease: Arc<Lease>, placement: Placement) -> Self {
        let spare = Spare { grants: VecDeque::new(), block_size: BLOCK_SIZE_GUESS, reach: 0 };
        let spare = tokio::sync::Mutex::new(spare);
        let failed = Suspects::new(parts.env.clone());
        Self { parts, lease, placement, spare, failed }
    }

    /// A node failed this upload: it gets no more blocks for a while. Whether it can be read is another question.
    pub(super) fn exclude(&self, node: NodeId) {
        self.failed.add(node);
        self.parts.write_suspects.add(node);
    }

    /// Whether a node failed this upload, or another one, just now.
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

    /// Sees to it that there is a grant for the block at `offset` of the object before it is needed.
    /// What fails here fails again, with an answer, when the grant is needed; so it is tried once, for
    /// its patience would come on top of that one's.
    pub(super) async fn prepare(&self, offset: u64) {
        let mut spare = self.spare.lock().await;
        if spare.grants.is_empty() && offset >= spare.reach {
            let _ = self.allocate(&mut spare, offset, self.excluded()).await;
        }
    }

    /// A grant for the block at `offset` of the object.
    pub(super) async fn take(&self, offset: u64) -> Result<Grant, DataError> {
        let mut spare = self.spare.lock().await;
        loop {
            while let Some(grant) = spare.grants.pop_front() {
                if self.is_usable(&grant) {
                    // As it was renewed last.
                    return Ok(self.lease.current(grant.block).unwrap_or(grant));
                }
                self.lease.release(grant.block);
            }
            self.allocate_in_time(&mut spare, offset).await?;
            if let Some(grant) = spare.grants.pop_front() {
                return Ok(grant);
            }
        }
    }

    /// Whether enough of its targets have not failed since it was taken.
    pub(super) fn is_usable(&self, grant: &Grant) -> bool {
        let left = grant.targets.iter().filter(|target| !self.is_excluded(target.node)).count();
        left >= grant.min_replicas as usize
    }

    /// How many blocks the rest of the body will have, as far as is known.
    fn count(&self, offset: u64, block_size: u64) -> u32 {
        let blocks = match self.placement.length {
            Some(length) => length.saturating_sub(offset).div_ceil(block_size.max(1)),
            // One, and more once the body has turned out to be longer.
            None if offset == 0 => 1,
            None => 2,
        };
        blocks.clamp(1, BATCH_MAX) as u32
    }

    /// Takes grants, and waits a while for what may pass: a metanode that restarts, a node that comes back.
    async fn allocate_in_time(&self, spare: &mut Spare, offset: u64) -> Result<(), DataError> {
        let began = self.parts.env.monotonic();
        let mut exclude = self.excluded();
        loop {
            let (error, patience) = match self.allocate(spare, offset, exclude.clone()).await {
                Ok(()) => return Ok(()),
                // A node that failed a moment ago is better than none: it may have come back.
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
        exclude: Vec<NodeId>,
    ) -> Result<(), MetadataError> {
        let request = AllocateBlocks {
            bucket: self.placement.bucket.clone(),
            storage_class: self.placement.storage_class.clone(),
            object_offset: self.placement.begins_at.saturating_add(offset),
            object_length: self
                .placement
                .length
                .map(|length| self.placement.begins_at.saturating_add(length)),
            block_size: self.placement.block_size,
            count: self.count(offset, spare.block_size),
            exclude,
        };
        let grants = self.parts.metadata.allocate_blocks(request).await?;
        if grants.is_empty() {
            return Err(MetadataError::Malformed { reason: "an answer without a grant".to_owned() });
        }
        self.lease.add(&grants);
        spare.block_size = grants[0].block_size;
        let reach = grants.iter().fold(offset, |reach, grant| reach.saturating_add(grant.block_size));
        spare.reach = spare.reach.max(reach);
        spare.grants.extend(grants);
        Ok(())
    }
}
