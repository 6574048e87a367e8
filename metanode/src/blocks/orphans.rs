//! Replicas of blocks that nobody has committed yet, as nodes reported them. Each is looked at again
//! when its lease must be over, and deleted if nobody refers to it then. Dies with the process: every
//! node reports all that it holds to a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

/// Blocks that are remembered: some 40 MB. A block that is committed is forgotten, so that is what gateways that died left
/// within a lease. Those beyond are told again by the next reports of their nodes.
const BLOCKS_MAX: usize = 100_000;

/// All of them, by block.
#[derive(Debug)]
pub(crate) struct Orphans {
    blocks: HashMap<BlockId, Orphan>,
    by_due: BTreeSet<(Timestamp, BlockId)>,
    max: usize,
    /// Replicas that were left to the next reports since the start.
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
    holders: BTreeMap<NodeId, ReportedReplica>,
}

impl Orphans {
    /// A node holds a replica of a block that nobody has committed; to be looked at when `due`.
    pub(crate) fn add(&mut self, node: NodeId, replica: ReportedReplica, due: Timestamp) {
        if self.blocks.len() >= self.max && !self.blocks.contains_key(&replica.block) {
            if self.beyond == 0 {
                tracing::info!(
                    max = self.max,
                    "more uncommitted blocks than are remembered: reports will tell again"
                );
            }
            self.beyond += 1;
            return;
        }
        let orphan = self.blocks.entry(replica.block).or_insert(Orphan { due, holders: BTreeMap::new() });
        self.by_due.remove(&(orphan.due, replica.block));
        orphan.due = orphan.due.max(due);
        orphan.holders.insert(node, replica);
        self.by_due.insert((orphan.due, replica.block));
    }

    /// A node does not hold the block any more.
    pub(crate) fn deleted(&mut self, node: NodeId, block: BlockId) {
        if let Some(orphan) = self.blocks.get_mut(&block) {
            orphan.holders.remove(&node);
            if orphan.holders.is_empty() {
                self.by_due.remove(&(orphan.due, block));
                self.blocks.remove(&block);
            }
        }
    }

    /// The block was committed.
    pub(crate) fn committed(&mut self, block: BlockId) {
        if let Some(orphan) = self.blocks.remove(&block) {
            self.by_due.remove(&(orphan.due, block));
        }
    }

    /// Takes out what is due, `max` blocks at the most, by node.
    pub(crate) fn take_due(&mut self, now: Timestamp, max: usize) -> BTreeMap<NodeId, Vec<ReportedReplica>> {
        let mut due: BTreeMap<NodeId, Vec<ReportedReplica>> = BTreeMap::new();
        for _ in 0..max {
            let Some((at, block)) = self.by_due.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.by_due.remove(&(at, block));
            for (node, replica) in
                self.blocks.remove(&block).map(|orphan| orphan.holders).into_iter().flatten()
            {
                due.entry(node).or_default().push(replica);
            }
        }
        due
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// How many replicas were left to the next reports since the start, because there were too many.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_replica_is_looked_at_when_it_is_due_and_not_if_it_was_deleted_before() {
        let node = |number| NodeId(Uuid::from_u128(number));
        let replica =
            |number| ReportedReplica { block: BlockId(Uuid::from_u128(number)), length: 1, crc32c: 2 };
        let mut orphans = Orphans::default();
        orphans.add(node(1), replica(1), Timestamp(10));
        orphans.add(node(2), replica(1), Timestamp(10));
        orphans.add(node(1), replica(2), Timestamp(5));
        orphans.deleted(node(1), replica(2).block);
        assert!(orphans.take_due(Timestamp(9), 10).is_empty());
        let due = orphans.take_due(Timestamp(10), 10);
        assert_eq!(due.keys().copied().collect::<Vec<_>>(), [node(1), node(2)]);
        assert!(orphans.by_due.is_empty() && orphans.blocks.is_empty());
    }

    #[test]
    fn a_block_that_is_committed_is_no_orphan_and_more_than_can_be_remembered_are_left_to_reports() {
        let node = |number| NodeId(Uuid::from_u128(number));
        let replica =
            |number| ReportedReplica { block: BlockId(Uuid::from_u128(number)), length: 1, crc32c: 2 };
        let mut orphans = Orphans { max: 2, ..Orphans::default() };
        for number in 1..=3 {
            orphans.add(node(1), replica(number), Timestamp(10));
        }
        orphans.add(node(2), replica(1), Timestamp(10));
        assert_eq!((orphans.len(), orphans.beyond()), (2, 1));
        orphans.committed(replica(1).block);
        orphans.add(node(1), replica(3), Timestamp(10));
        let due = orphans.take_due(Timestamp(10), 10);
        assert_eq!(due[&node(1)], [replica(2), replica(3)]);
        assert!(orphans.by_due.is_empty() && orphans.blocks.is_empty());
    }
}
