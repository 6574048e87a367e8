//! What the repair worker is to look at. Only hints: the queue itself is in SQL, and a sweep over it
//! finds what is not hinted at.

use std::collections::HashSet;

use cairn_protocol::id::BlockId;

/// Blocks that are hinted at, at the most: some minutes of commits without a node to copy to. When
/// there are more, a sweep finds them.
const BLOCKS_MAX: usize = 20_000;

/// Hints for the repair worker.
#[derive(Debug, Default)]
pub(crate) struct RepairHints {
    /// Blocks that were queued or may have changed.
    blocks: HashSet<BlockId>,
    /// The whole queue is to be looked at: nodes changed.
    sweep: bool,
    /// Blocks whose bad copy is being deleted, so that its node can take a good one.
    making_room: HashSet<BlockId>,
}

impl RepairHints {
    /// A block was queued, or changed.
    pub(crate) fn add(&mut self, block: BlockId) {
        if self.blocks.len() < BLOCKS_MAX {
            self.blocks.insert(block);
        } else {
            self.sweep = true;
        }
    }

    /// The whole queue is to be looked at.
    pub(crate) fn sweep(&mut self) {
        self.sweep = true;
    }

    /// A bad copy of the block was queued for deletion to make room for a good one.
    pub(crate) fn makes_room(&mut self, block: BlockId) {
        self.making_room.insert(block);
    }

    /// A copy of the block was deleted.
    pub(crate) fn deleted(&mut self, block: BlockId) {
        if self.making_room.remove(&block) {
            self.add(block);
        }
    }

    /// Takes up to `max` blocks.
    pub(crate) fn take(&mut self, max: usize) -> Vec<BlockId> {
        let taken: Vec<BlockId> = self.blocks.iter().take(max).copied().collect();
        for block in &taken {
            self.blocks.remove(block);
        }
        taken
    }

    /// Whether a sweep is wanted, and not any more after this.
    pub(crate) fn take_sweep(&mut self) -> bool {
        // Hinted blocks stay: a sweep does not find those whose transaction is still open.
        std::mem::take(&mut self.sweep)
    }

    /// Whether there is nothing to do or to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        self.blocks.is_empty() && !self.sweep && self.making_room.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn block(number: u128) -> BlockId {
        BlockId(Uuid::from_u128(number))
    }

    #[test]
    fn more_blocks_than_can_be_remembered_are_found_by_a_sweep() {
        let mut hints = RepairHints::default();
        (0..BLOCKS_MAX as u128).for_each(|number| hints.add(block(number)));
        assert!(!hints.take_sweep());
        hints.add(block(u128::MAX));
        assert!(hints.take_sweep() && !hints.take_sweep());
        assert_eq!(hints.take(usize::MAX).len(), BLOCKS_MAX);
        assert!(hints.is_idle());
    }

    #[test]
    fn a_block_is_looked_at_again_when_there_is_room_for_its_copy() {
        let mut hints = RepairHints::default();
        hints.makes_room(block(1));
        hints.deleted(block(2));
        assert!(hints.take(10).is_empty() && !hints.is_idle());
        hints.deleted(block(1));
        assert_eq!(hints.take(10), [block(1)]);
        assert!(hints.is_idle());
    }
}
