//! Which blocks were stored a moment ago, so that a late command does not delete what came after it was given.
//!
//! **The order is one of events on this node, and not of clocks.** What is stored is numbered. A command is given in the
//! answer to a heartbeat, so not before that heartbeat was sent: what has a higher number than the last one then may have come
//! after the command, and what has not is older. [`Command::issued_at`] is by the metanode's wall clock: to compare it, one
//! would have to know how far the two clocks are apart, and either may jump.
//!
//! What is skipped without need (stored between the sending and the answer) is not told as deleted, so it is ordered again.
//!
//! [`Command::issued_at`]: cairn_protocol::cluster::Command::issued_at

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::id::BlockId;

/// Blocks that are remembered: some ten megabytes. What was stored before the oldest of them may be anything.
const BLOCKS_MAX: usize = 100_000;

/// The blocks that were stored lately.
#[derive(Debug, Default)]
pub(crate) struct RecentlyStored {
    stored: Mutex<StoredInOrder>,
}

/// A moment: all that had been stored then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[derive(Debug, Default)]
struct StoredInOrder {
    /// The number of the block that was stored last.
    last: u64,
    /// The highest number that is not remembered any more.
    forgotten: u64,
    of_block: HashMap<BlockId, u64>,
    in_order: BTreeMap<u64, BlockId>,
}

impl RecentlyStored {
    /// A block was stored.
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

    /// Now.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.lock().last)
    }

    /// Whether the block may have been stored since.
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
    fn what_was_stored_since_is_newer_and_what_was_stored_before_is_not() {
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
    fn what_is_not_remembered_any_more_may_be_newer() {
        let recent = RecentlyStored::default();
        let before = recent.now();
        (0..=BLOCKS_MAX as u128).for_each(|n| recent.add(id(n)));
        assert!(recent.may_be_newer(id(0), before));
        assert!(!recent.may_be_newer(id(0), recent.now()));
    }
}
