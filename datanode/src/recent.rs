//! Recently stored blocks, so that a late delete command does not delete a replica that was stored after the command was given.
//!
//! **Times are compared by events on this node, and not by clocks.** Each stored block gets a number. A command arrives in the reply
//! to a heartbeat, so it was given after that heartbeat was sent. A block with a higher number than the last one at that moment may
//! have been stored after the command was given; other blocks are older. [`Command::issued_at`] cannot be used: it is by the
//! metanode's wall clock, which may differ from this node's, and either may be set.
//!
//! A block that was stored between the heartbeat and its reply may be older than the command, and is kept without need. It is not
//! reported as deleted, so the metanode gives the command again.
//!
//! [`Command::issued_at`]: cairn_protocol::cluster::Command::issued_at

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::id::BlockId;

/// Blocks that are kept: some ten megabytes. Of a block that is not kept it is unknown when it was stored.
const BLOCKS_MAX: usize = 100_000;

/// The blocks that were stored last, with their numbers.
#[derive(Debug, Default)]
pub(crate) struct RecentlyStored {
    stored: Mutex<StoredInOrder>,
}

/// A moment in the order of stored blocks: the number of the last block that was stored before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[derive(Debug, Default)]
struct StoredInOrder {
    /// The number of the last block.
    last: u64,
    /// The highest number whose block is not kept any more.
    forgotten: u64,
    of_block: HashMap<BlockId, u64>,
    in_order: BTreeMap<u64, BlockId>,
}

impl RecentlyStored {
    /// Notes that a block was stored.
    pub(crate) fn add(&self, block: BlockId) {
        let mut stored = self.lock();
        stored.last += 1;
        let number = stored.last;
        if let Some(before) = stored.of_block.insert(block, number) {
            stored.in_order.remove(&before);
        }
        stored.in_order.insert(number, block);
        while stored.in_order.len() > BLOCKS_MAX {
            let Some((number, block)) = stored.in_order.pop_first() else { break };
            stored.of_block.remove(&block);
            stored.forgotten = number;
        }
    }

    /// The current moment.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.lock().last)
    }

    /// Whether the block may have been stored after that moment. True also when it is unknown.
    pub(crate) fn may_be_newer(&self, block: BlockId, than: Moment) -> bool {
        let stored = self.lock();
        stored.of_block.get(&block).copied().unwrap_or(stored.forgotten) > than.0
    }

    fn lock(&self) -> MutexGuard<'_, StoredInOrder> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> BlockId {
        BlockId(Uuid::from_u128(n))
    }

    #[test]
    fn only_a_block_that_was_stored_after_a_moment_is_newer() {
        let recent = RecentlyStored::default();
        let first = recent.now();
        recent.add(id(1));
        let second = recent.now();
        assert!(recent.may_be_newer(id(1), first) && !recent.may_be_newer(id(1), second));
        recent.add(id(1));
        assert!(recent.may_be_newer(id(1), second));
        assert!(!recent.may_be_newer(id(2), first));
    }

    #[test]
    fn a_block_whose_number_is_not_kept_any_more_may_be_newer() {
        let recent = RecentlyStored::default();
        let before = recent.now();
        (0..=BLOCKS_MAX as u128).for_each(|n| recent.add(id(n)));
        assert!(recent.may_be_newer(id(0), before));
        assert!(!recent.may_be_newer(id(0), recent.now()));
    }
}
