//! Moves whose new replica exists and whose old one is still to be deleted. A restart loses them. The block then has a
//! surplus replica; repair finds it, and decides which one is deleted.

use std::collections::HashMap;

use cairn_protocol::id::{BlockId, NodeId};

/// A move whose copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FinishedMove {
    /// The node whose replica is to be deleted.
    pub(crate) from: NodeId,
    /// The node that has the new replica.
    pub(crate) to: NodeId,
    /// Whether SQL lists the new replica.
    counted: bool,
}

/// All finished moves. A block has at most one.
#[derive(Debug, Default)]
pub(crate) struct FinishedMoves {
    blocks: HashMap<BlockId, FinishedMove>,
}

impl FinishedMoves {
    /// Adds a move whose copy was made. This is called before the transaction that lists the new replica: as soon as
    /// that transaction is committed, a worker may see one replica too many, and must know which of them to delete.
    pub(crate) fn announce(&mut self, block: BlockId, from: NodeId, to: NodeId) {
        self.blocks.insert(block, FinishedMove { from, to, counted: false });
    }

    /// Records that SQL lists the new replica, or drops the move if SQL will not (`counts` is false).
    pub(crate) fn counted(&mut self, block: BlockId, counts: bool) {
        if !counts {
            self.blocks.remove(&block);
        } else if let Some(finished) = self.blocks.get_mut(&block) {
            finished.counted = true;
        }
    }

    /// The node whose replica of the block is to be deleted.
    pub(crate) fn leaving(&self, block: BlockId) -> Option<NodeId> {
        self.blocks.get(&block).map(|finished| finished.from)
    }

    /// The number of finished moves from nodes that `counts` accepts.
    pub(crate) fn count_from(&self, counts: impl Fn(NodeId) -> bool) -> u64 {
        self.blocks.values().filter(|finished| counts(finished.from)).count() as u64
    }

    /// The number of finished moves.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// At most `max` blocks whose old replica can be deleted now.
    pub(crate) fn ready(&self, max: usize) -> Vec<BlockId> {
        self.blocks
            .iter()
            .filter(|(_, finished)| finished.counted)
            .map(|(block, _)| *block)
            .take(max)
            .collect()
    }

    /// Drops the moves to a node that registered again, because its earlier reports do not count.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.blocks.retain(|_, finished| finished.to != node);
    }

    /// Removes the move of a block whose replicas were examined. If one is still surplus, repair deletes it.
    pub(crate) fn take(&mut self, block: BlockId) -> Option<FinishedMove> {
        self.blocks.get(&block).filter(|finished| finished.counted)?;
        self.blocks.remove(&block)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_move_ends_when_its_copy_counts() {
        let node = |number| NodeId(Uuid::from_u128(number));
        let block = |number| BlockId(Uuid::from_u128(number));
        let mut moves = FinishedMoves::default();
        moves.announce(block(1), node(1), node(2));
        moves.announce(block(2), node(1), node(2));
        assert_eq!(moves.leaving(block(1)), Some(node(1)));
        assert!(moves.ready(9).is_empty() && moves.take(block(1)).is_none());
        moves.counted(block(1), true);
        moves.counted(block(2), false);
        assert_eq!(moves.ready(9), [block(1)]);
        assert_eq!(moves.take(block(1)).map(|finished| finished.to), Some(node(2)));
        assert!(moves.blocks.is_empty());
    }
}
