//! Orphans: replicas of blocks that are not committed, as nodes reported them. Each is examined when the lease of its
//! block has ended, and deleted if still nothing refers to it. A restart loses them: every node reports all its
//! replicas to the new process.
//!
//! A report counts only for the incarnation that sent it. After a registration the node reports again, and a block that
//! it does not name then is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

/// Upper limit of blocks that are remembered, in some 40 MB. Committed blocks are removed, so these are the blocks that
/// crashed gateways leave within one lease. Blocks beyond the limit are found again by the next reports of their nodes.
const BLOCKS_MAX: usize = 100_000;

/// All orphans, by block.
#[derive(Debug)]
pub(crate) struct Orphans {
    blocks: HashMap<BlockId, Orphan>,
    by_due: BTreeSet<(Timestamp, BlockId)>,
    max: usize,
    /// Replicas beyond the limit since the start.
    beyond: u64,
}

impl Default for Orphans {
    fn default() -> Self {
        Self { blocks: HashMap::new(), by_due: BTreeSet::new(), max: BLOCKS_MAX, beyond: 0 }
    }
}

#[derive(Debug)]
struct Orphan {
    due: Timestamp,
    holders: BTreeMap<NodeId, Held>,
}

/// A replica as its node reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) replica: ReportedReplica,
    /// The incarnation that reported it.
    pub(crate) incarnation: u64,
    /// Whether it is good. If not, the node found it corrupt, or lost it with a volume.
    pub(crate) good: bool,
}

/// The replicas that are due, by node.
pub(crate) type Due = BTreeMap<NodeId, Vec<Held>>;

impl Orphans {
    /// Adds a node's replica of a block that is not committed, to be examined when `due`.
    pub(crate) fn add(&mut self, node: NodeId, held: Held, due: Timestamp) {
        let block = held.replica.block;
        if self.blocks.len() >= self.max && !self.blocks.contains_key(&block) {
            if self.beyond == 0 {
                tracing::info!(
                    max = self.max,
                    "more uncommitted blocks than are remembered: reports will tell again"
                );
            }
            self.beyond += 1;
            return;
        }
        let orphan = self.blocks.entry(block).or_insert(Orphan { due, holders: BTreeMap::new() });
        self.by_due.remove(&(orphan.due, block));
        orphan.due = orphan.due.max(due);
        orphan.holders.insert(node, held);
        self.by_due.insert((orphan.due, block));
    }

    /// Removes a replica that the node does not have any more.
    pub(crate) fn deleted(&mut self, node: NodeId, block: BlockId) {
        if let Some(orphan) = self.blocks.get_mut(&block) {
            orphan.holders.remove(&node);
            if orphan.holders.is_empty() {
                self.by_due.remove(&(orphan.due, block));
                self.blocks.remove(&block);
            }
        }
    }

    /// Removes a block that was committed.
    pub(crate) fn committed(&mut self, block: BlockId) {
        if let Some(orphan) = self.blocks.remove(&block) {
            self.by_due.remove(&(orphan.due, block));
        }
    }

    /// The replica of a block, if this incarnation of the node reported it.
    pub(crate) fn held(&self, node: NodeId, incarnation: u64, block: BlockId) -> Option<Held> {
        let held = self.blocks.get(&block)?.holders.get(&node)?;
        (held.incarnation == incarnation).then_some(*held)
    }

    /// Removes and returns the replicas that are due, by node: at most `max` blocks. Reports of an incarnation that is
    /// not `current` are dropped.
    pub(crate) fn take_due(
        &mut self,
        now: Timestamp,
        max: usize,
        current: impl Fn(NodeId, u64) -> bool,
    ) -> Due {
        let mut due = Due::new();
        for _ in 0..max {
            let Some((at, block)) = self.by_due.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.by_due.remove(&(at, block));
            for (node, held) in self.blocks.remove(&block).map(|orphan| orphan.holders).into_iter().flatten()
            {
                if current(node, held.incarnation) {
                    due.entry(node).or_default().push(held);
                }
            }
        }
        due
    }

    /// The number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The number of replicas since the start that were beyond the limit, and so left to the next reports.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn held(number: u128, incarnation: u64) -> Held {
        let replica = ReportedReplica { block: BlockId(Uuid::from_u128(number)), length: 1, crc32c: 2 };
        Held { replica, incarnation, good: true }
    }

    #[test]
    fn a_replica_is_looked_at_when_it_is_due_and_not_if_it_was_deleted_before() {
        let mut orphans = Orphans::default();
        orphans.add(node(1), held(1, 1), Timestamp(10));
        orphans.add(node(2), held(1, 1), Timestamp(10));
        orphans.add(node(1), held(2, 1), Timestamp(5));
        orphans.deleted(node(1), held(2, 1).replica.block);
        assert!(orphans.take_due(Timestamp(9), 10, |_, _| true).is_empty());
        let due = orphans.take_due(Timestamp(10), 10, |_, _| true);
        assert_eq!(due.keys().copied().collect::<Vec<_>>(), [node(1), node(2)]);
        assert!(orphans.by_due.is_empty() && orphans.blocks.is_empty());
    }

    #[test]
    fn a_block_that_is_committed_is_no_orphan_and_more_than_can_be_remembered_are_left_to_reports() {
        let mut orphans = Orphans { max: 2, ..Orphans::default() };
        for number in 1..=3 {
            orphans.add(node(1), held(number, 1), Timestamp(10));
        }
        orphans.add(node(2), held(1, 1), Timestamp(10));
        assert_eq!((orphans.len(), orphans.beyond()), (2, 1));
        orphans.committed(held(1, 1).replica.block);
        orphans.add(node(1), held(3, 1), Timestamp(10));
        let due = orphans.take_due(Timestamp(10), 10, |_, _| true);
        assert_eq!(due[&node(1)], [held(2, 1), held(3, 1)]);
        assert!(orphans.by_due.is_empty() && orphans.blocks.is_empty());
    }

    #[test]
    fn a_report_of_an_old_incarnation_does_not_count() {
        let mut orphans = Orphans::default();
        orphans.add(node(1), held(1, 1), Timestamp(10));
        orphans.add(node(2), held(1, 4), Timestamp(10));
        let block = held(1, 1).replica.block;
        assert!(orphans.held(node(1), 2, block).is_none() && orphans.held(node(2), 4, block).is_some());
        let due =
            orphans.take_due(Timestamp(10), 10, |node_, incarnation| node_ != node(1) || incarnation == 2);
        assert_eq!(due.keys().copied().collect::<Vec<_>>(), [node(2)]);
    }
}
