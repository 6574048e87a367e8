//! Blocks that were committed a moment ago. A block report on its way may be older than the commit, and not name them.
//! The age of a block does not show this, because an upload may take hours from the grant of a block to its commit. A
//! restart loses them: every node sends a new block report to the new process.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use cairn_protocol::id::BlockId;

/// Upper limit of blocks that are remembered, in some 10 MB. If more are committed in the time that a report may take,
/// every block counts as a recent commit until that time has passed.
const BLOCKS_MAX: usize = 100_000;

/// All recent commits.
#[derive(Debug, Default)]
pub(crate) struct RecentCommits {
    order: VecDeque<(Duration, BlockId)>,
    at: HashMap<BlockId, Duration>,
    /// The commit time of the last block that was dropped too early, because of the limit.
    forgotten_until: Option<Duration>,
}

impl RecentCommits {
    /// Adds a block that is committed now, and drops those that were committed more than `kept` ago.
    pub(crate) fn add(&mut self, block: BlockId, now: Duration, kept: Duration) {
        self.order.push_back((now, block));
        self.at.insert(block, now);
        while let Some((at, block)) = self.order.front().copied() {
            let is_over = at + kept < now;
            if !is_over && self.order.len() <= BLOCKS_MAX {
                break;
            }
            if !is_over {
                self.forgotten_until = Some(at);
            }
            self.order.pop_front();
            if self.at.get(&block) == Some(&at) {
                self.at.remove(&block);
            }
        }
    }

    /// Whether the block may have been committed no more than `kept` ago.
    pub(crate) fn has(&self, block: BlockId, now: Duration, kept: Duration) -> bool {
        let at = self.at.get(&block).copied().max(self.forgotten_until);
        at.is_some_and(|at| at + kept >= now)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn block(number: usize) -> BlockId {
        BlockId(Uuid::from_u128(number as u128))
    }

    #[test]
    fn a_block_is_remembered_for_as_long_as_a_report_may_take() {
        let (mut listed, at) = (RecentCommits::default(), Duration::from_secs);
        listed.add(block(1), at(10), at(30));
        assert!(listed.has(block(1), at(40), at(30)) && !listed.has(block(2), at(40), at(30)));
        assert!(!listed.has(block(1), at(41), at(30)));
        listed.add(block(2), at(41), at(30));
        assert_eq!((listed.order.len(), listed.at.len()), (1, 1));
    }

    #[test]
    fn beyond_the_limit_every_block_counts_as_a_recent_commit() {
        let (mut listed, at) = (RecentCommits::default(), Duration::from_secs);
        for number in 0..=BLOCKS_MAX {
            listed.add(block(number), at(10), at(30));
        }
        assert_eq!(listed.at.len(), BLOCKS_MAX);
        assert!(listed.has(block(0), at(40), at(30)) && listed.has(block(BLOCKS_MAX * 2), at(40), at(30)));
        assert!(!listed.has(block(0), at(41), at(30)));
    }
}
