//! Hints: blocks that the repair worker examines next. The repair queue itself is in SQL, and a sweep over it finds the
//! blocks without a hint.

use std::collections::{HashMap, HashSet};

use cairn_protocol::id::{BlockId, NodeId};

/// Upper limit of hints: some minutes of commits while no node can take a copy. When there are more, a sweep finds the
/// blocks.
const BLOCKS_MAX: usize = 20_000;

/// Hints for the repair worker.
#[derive(Debug, Default)]
pub(crate) struct RepairHints {
    /// Blocks that were queued or may have changed.
    blocks: HashSet<BlockId>,
    /// Blocks that were queued or changed by a transaction whose result may not be visible yet, each with the number of
    /// transactions that had ended then. A block that is examined too early looks as it did before.
    unripe: HashMap<BlockId, u64>,
    /// Whether to examine the whole queue.
    sweep: bool,
    /// Sets [`sweep`](Self::sweep) as soon as more than this many transactions have ended.
    unripe_sweep: Option<u64>,
    /// Corrupt replicas that are being deleted so that their nodes can take good ones.
    making_room: HashSet<(NodeId, BlockId)>,
}

impl RepairHints {
    /// Adds a block that is queued, or that changed.
    pub(crate) fn add(&mut self, block: BlockId) {
        if self.blocks.len() < BLOCKS_MAX {
            self.blocks.insert(block);
        } else {
            self.sweep = true;
        }
    }

    /// Adds a block that the open transaction queues or changes, when `ended` transactions had ended before it.
    pub(crate) fn add_unripe(&mut self, block: BlockId, ended: u64) {
        if self.unripe.len() < BLOCKS_MAX {
            self.unripe.insert(block, ended);
        } else {
            self.unripe_sweep = Some(ended);
        }
    }

    /// Makes the hints ripe whose transaction is among the `ended` ones.
    fn ripen(&mut self, ended: u64) {
        if self.unripe_sweep.is_some_and(|before| before < ended) {
            self.unripe_sweep = None;
            self.sweep = true;
        }
        let ripe: Vec<BlockId> =
            self.unripe.extract_if(|_, before| *before < ended).map(|(block, _)| block).collect();
        for block in ripe {
            self.add(block);
        }
    }

    /// How many transactions must have ended before the next unripe hint is ripe.
    pub(crate) fn ripe_after(&self) -> Option<u64> {
        self.unripe.values().chain(&self.unripe_sweep).min().map(|before| before + 1)
    }

    /// Orders a sweep over the whole queue.
    pub(crate) fn sweep(&mut self) {
        self.sweep = true;
    }

    /// Records that a corrupt replica of the block is queued for deletion on this node, to be replaced by a good one.
    /// Call this before the transaction that queues it ends, because the node may report the deletion right after that.
    /// Beyond the limit, the sweep after the worker's next long rest finds the block.
    pub(crate) fn makes_room(&mut self, node: NodeId, block: BlockId) {
        if self.making_room.len() < BLOCKS_MAX {
            self.making_room.insert((node, block));
        }
    }

    /// Records that the node's replica of the block was deleted, or is to stay after all.
    pub(crate) fn deleted(&mut self, node: NodeId, block: BlockId) {
        if self.making_room.remove(&(node, block)) {
            self.add(block);
        }
    }

    /// Records that the transaction failed that was to queue replicas of these blocks for deletion. The blocks are
    /// examined again; for some that may be too early, which costs a look-up.
    pub(crate) fn room_not_made(&mut self, blocks: &[BlockId]) {
        let not_made: Vec<_> = self.making_room.extract_if(|(_, block)| blocks.contains(block)).collect();
        for (_, block) in not_made {
            self.add(block);
        }
    }

    /// Records that the node is dead or removed, so that no block waits for deletions there.
    pub(crate) fn forget(&mut self, node: NodeId) {
        let gone: Vec<_> = self.making_room.extract_if(|(other, _)| *other == node).collect();
        for (_, block) in gone {
            self.add(block);
        }
    }

    /// Removes and returns up to `max` blocks, given that `ended` transactions have ended.
    pub(crate) fn take(&mut self, max: usize, ended: u64) -> Vec<BlockId> {
        self.ripen(ended);
        let taken: Vec<BlockId> = self.blocks.iter().take(max).copied().collect();
        for block in &taken {
            self.blocks.remove(block);
        }
        taken
    }

    /// Whether a sweep is ordered. Clears the order.
    pub(crate) fn take_sweep(&mut self, ended: u64) -> bool {
        self.ripen(ended);
        std::mem::take(&mut self.sweep)
    }

    /// Whether there is neither work nor anything to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        let nothing_ripens = self.unripe.is_empty() && self.unripe_sweep.is_none();
        self.blocks.is_empty() && !self.sweep && nothing_ripens && self.making_room.is_empty()
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
        assert!(!hints.take_sweep(0));
        hints.add(block(u128::MAX));
        assert!(hints.take_sweep(0) && !hints.take_sweep(0));
        assert_eq!(hints.take(usize::MAX, 0).len(), BLOCKS_MAX);
        assert!(hints.is_idle());
    }

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    #[test]
    fn a_block_is_looked_at_again_when_there_is_room_for_its_copy() {
        let mut hints = RepairHints::default();
        hints.makes_room(node(1), block(1));
        hints.deleted(node(1), block(2));
        hints.deleted(node(2), block(1));
        assert!(hints.take(10, 0).is_empty() && !hints.is_idle());
        hints.deleted(node(1), block(1));
        assert_eq!(hints.take(10, 0), [block(1)]);
        assert!(hints.is_idle());
    }

    #[test]
    fn blocks_stop_waiting_for_room_on_a_node_that_is_gone_and_their_number_is_limited() {
        let mut hints = RepairHints::default();
        (0..=BLOCKS_MAX as u128).for_each(|number| hints.makes_room(node(1), block(number)));
        assert_eq!(hints.making_room.len(), BLOCKS_MAX);
        hints.forget(node(2));
        assert!(!hints.is_idle() && hints.take(10, 0).is_empty());
        hints.forget(node(1));
        assert_eq!(hints.take(usize::MAX, 0).len(), BLOCKS_MAX);
        assert!(hints.is_idle());
    }

    #[test]
    fn a_block_that_an_open_transaction_changes_is_examined_after_its_end() {
        let mut hints = RepairHints::default();
        hints.add_unripe(block(1), 7);
        hints.add_unripe(block(2), 9);
        assert!(hints.take(10, 7).is_empty() && !hints.is_idle());
        assert_eq!(hints.ripe_after(), Some(8));
        assert_eq!(hints.take(10, 8), [block(1)]);
        assert_eq!(hints.ripe_after(), Some(10));
        assert_eq!(hints.take(10, 10), [block(2)]);
        assert!(hints.is_idle() && hints.ripe_after().is_none());
        (0..=BLOCKS_MAX as u128).for_each(|number| hints.add_unripe(block(number), 10));
        assert!(!hints.take_sweep(10) && hints.take_sweep(11));
    }
}
