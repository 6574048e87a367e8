//! The wait before the next attempt at a copy that failed. Without it, a block that cannot be copied (because its last
//! replica is corrupt) would keep its nodes from other work.

use std::collections::HashMap;
use std::time::Duration;

use cairn_protocol::id::BlockId;

/// Wait after the first failure; it doubles with each further one.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// The longest wait. An operator who replaces a disk should not have to wait longer for the next attempt.
const DELAY_MAX: Duration = Duration::from_secs(300);

/// Blocks that are remembered. At the limit, those whose wait is over are dropped, and start again at the shortest wait.
const BLOCKS_MAX: usize = 10_000;

/// Blocks whose last copies failed.
#[derive(Debug, Default)]
pub(crate) struct CopyBackoff {
    blocks: HashMap<BlockId, Backoff>,
}

#[derive(Debug)]
struct Backoff {
    delay: Duration,
    until: Duration,
}

impl CopyBackoff {
    /// Records that a copy of the block failed.
    pub(crate) fn add(&mut self, block: BlockId, now: Duration) {
        if self.blocks.len() >= BLOCKS_MAX {
            self.blocks.retain(|_, setback| setback.until > now);
        }
        let last = self.blocks.get(&block).map(|setback| setback.delay);
        let delay = last.map_or(DELAY_MIN, |last| (last * 2).min(DELAY_MAX));
        self.blocks.insert(block, Backoff { delay, until: now + delay });
    }

    /// Whether the next attempt has to wait.
    pub(crate) fn waits(&self, block: BlockId, now: Duration) -> bool {
        self.blocks.get(&block).is_some_and(|setback| now < setback.until)
    }

    /// Ends the wait of a block.
    pub(crate) fn forget(&mut self, block: BlockId) {
        self.blocks.remove(&block);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_limit() {
        let block = BlockId(Uuid::from_u128(1));
        let mut setbacks = CopyBackoff::default();
        setbacks.add(block, Duration::ZERO);
        assert!(setbacks.waits(block, Duration::from_millis(999)));
        assert!(!setbacks.waits(block, Duration::from_secs(1)));
        setbacks.add(block, Duration::from_secs(1));
        assert!(setbacks.waits(block, Duration::from_millis(2_999)));
        for _ in 0..20 {
            setbacks.add(block, Duration::from_secs(10));
        }
        assert!(setbacks.waits(block, Duration::from_secs(309)));
        assert!(!setbacks.waits(block, Duration::from_secs(310)));
    }
}
