//! Blocks that a node stored a moment ago. A block report that was read before does not name them, and they must not
//! count as missing because of that.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use cairn_protocol::id::BlockId;

/// Blocks that are remembered for a node. A block that is dropped too early is not missing at once: a heartbeat may
/// still report it (see `unreported_replicas.rs`).
const BLOCKS_MAX: usize = 50_000;

/// Blocks that a node stored a moment ago, with the times.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<(Duration, BlockId)>,
    at: HashMap<BlockId, Duration>,
}

impl Recent {
    /// Adds a block that was stored now, and drops those that were stored more than `kept` ago.
    pub(super) fn add(&mut self, block: BlockId, now: Duration, kept: Duration) {
        self.order.push_back((now, block));
        self.at.insert(block, now);
        while let Some((at, block)) = self.order.front().copied() {
            if at + kept >= now && self.order.len() <= BLOCKS_MAX {
                break;
            }
            self.order.pop_front();
            if self.at.get(&block) == Some(&at) {
                self.at.remove(&block);
            }
        }
    }

    /// Whether the block was stored no longer than `kept` ago.
    pub(super) fn has(&self, block: BlockId, now: Duration, kept: Duration) -> bool {
        self.at.get(&block).is_some_and(|at| *at + kept >= now)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_more_blocks_are_remembered_than_fit_and_the_oldest_go_first() {
        let block = |number: usize| BlockId(Uuid::from_u128(number as u128));
        let (mut recent, at) = (Recent::default(), Duration::from_secs);
        for number in 0..=BLOCKS_MAX {
            recent.add(block(number), at(10), at(30));
        }
        assert_eq!((recent.len(), recent.order.len()), (BLOCKS_MAX, BLOCKS_MAX));
        assert!(!recent.has(block(0), at(10), at(30)) && recent.has(block(1), at(10), at(30)));
        // A block that is stored over and over again does not exceed the limit.
        let mut again = Recent::default();
        for micros in 0..=2 * BLOCKS_MAX as u64 {
            again.add(block(1), Duration::from_micros(micros), at(30));
        }
        assert!(again.order.len() <= BLOCKS_MAX && again.len() == 1 && again.has(block(1), at(30), at(30)));
    }
}
