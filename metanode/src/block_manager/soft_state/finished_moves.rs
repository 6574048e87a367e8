//! Moves whose new copy has come and whose old one has yet to go. Dies with the process: a block with one
//! copy too many is found by repair, which then decides itself which one goes.

use std::collections::HashMap;

use cairn_protocol::id::{BlockId, NodeId};

/// A move that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FinishedMove {
    /// Whose copy is to go.
    pub(crate) from: NodeId,
    /// Who has the new one.
    pub(crate) to: NodeId,
    /// The new copy is in SQL.
    counted: bool,
}

/// All of them. A block has one at the most.
#[derive(Debug, Default)]
pub(crate) struct FinishedMoves {
    blocks: HashMap<BlockId, FinishedMove>,
}

impl FinishedMoves {
    /// A node says that it made the copy of a move. SQL does not know of it yet, but a transaction that
    /// lets it know may be seen by others before this process goes on, so it is told of here before.
    pub(crate) fn announce(&mut self, block: BlockId, from: NodeId, to: NodeId) {
        self.blocks.insert(block, FinishedMove { from, to, counted: false });
    }

    /// SQL knows of the copy, or will not.
    pub(crate) fn counted(&mut self, block: BlockId, counts: bool) {
        if !counts {
            self.blocks.remove(&block);
        } else if let Some(finished) = self.blocks.get_mut(&block) {
            finished.counted = true;
        }
    }

    /// Whose copy of a block is to go.
    pub(crate) fn leaving(&self, block: BlockId) -> Option<NodeId> {
        self.blocks.get(&block).map(|finished| finished.from)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Moves that can be ended, `max` at the most.
    pub(crate) fn ready(&self, max: usize) -> Vec<BlockId> {
        self.blocks
            .iter()
            .filter(|(_, finished)| finished.counted)
            .map(|(block, _)| *block)
            .take(max)
            .collect()
    }

    /// A node begins anew: what it said that it made is not believed any more.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.blocks.retain(|_, finished| finished.to != node);
    }

    /// The block's copies were looked at with all that is known: if it is not settled now, others will see
    /// to it.
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
