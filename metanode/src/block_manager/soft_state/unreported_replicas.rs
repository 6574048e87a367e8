//! Young replicas that a block report did not name. The report may be older than the replica; then a heartbeat reports
//! the replica soon. If none does in time, the replica is missing. A restart loses them: every node sends a new block
//! report to the new process.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cairn_protocol::id::{BlockId, NodeId};

/// Upper limit of replicas that are remembered, in some 20 MB. Replicas beyond it are left to the node's next report.
const REPLICAS_MAX: usize = 100_000;

/// All unreported replicas.
#[derive(Debug, Default)]
pub(crate) struct UnreportedReplicas {
    due: HashMap<(NodeId, BlockId), Duration>,
    by_due: BTreeMap<(Duration, NodeId, BlockId), u64>,
}

impl UnreportedReplicas {
    /// Adds a replica that a report of this incarnation did not name. Unless a heartbeat reports it before `due`, it is
    /// missing.
    pub(crate) fn add(&mut self, node: NodeId, incarnation: u64, block: BlockId, due: Duration) {
        self.confirm(node, block);
        if self.due.len() >= REPLICAS_MAX {
            tracing::info!(%node, %block, "too many replicas are awaited; the node's next report tells of this one");
            return;
        }
        self.due.insert((node, block), due);
        self.by_due.insert((due, node, block), incarnation);
    }

    /// Records that the node reported the block as stored or deleted.
    pub(crate) fn confirm(&mut self, node: NodeId, block: BlockId) {
        if let Some(due) = self.due.remove(&(node, block)) {
            self.by_due.remove(&(due, node, block));
        }
    }

    /// Removes and returns the replicas that are due, by node and reporting incarnation: at most `max`.
    pub(crate) fn take_due(&mut self, now: Duration, max: usize) -> BTreeMap<(NodeId, u64), Vec<BlockId>> {
        let mut taken: BTreeMap<(NodeId, u64), Vec<BlockId>> = BTreeMap::new();
        for _ in 0..max {
            let Some(entry) = self.by_due.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            let ((_, node, block), incarnation) = entry.remove_entry();
            self.due.remove(&(node, block));
            taken.entry((node, incarnation)).or_default().push(block);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_more_replicas_are_awaited_than_fit_and_the_others_are_left_to_the_next_report() {
        let mut unconfirmed = UnreportedReplicas::default();
        let (node, at) = (NodeId(Uuid::from_u128(1)), Duration::from_secs);
        let block = |number: usize| BlockId(Uuid::from_u128(number as u128));
        for number in 0..=REPLICAS_MAX {
            unconfirmed.add(node, 7, block(number), at(10));
        }
        assert_eq!((unconfirmed.due.len(), unconfirmed.by_due.len()), (REPLICAS_MAX, REPLICAS_MAX));
        assert!(!unconfirmed.due.contains_key(&(node, block(REPLICAS_MAX))));
        // A confirmed replica makes room for another.
        unconfirmed.confirm(node, block(0));
        unconfirmed.add(node, 7, block(REPLICAS_MAX), at(10));
        let due = unconfirmed.take_due(at(10), usize::MAX);
        assert_eq!(due[&(node, 7)].len(), REPLICAS_MAX);
    }

    #[test]
    fn a_replica_that_is_not_confirmed_in_time_is_missing() {
        let mut unconfirmed = UnreportedReplicas::default();
        let (node, at) = (NodeId(Uuid::from_u128(1)), Duration::from_secs);
        let block = |number| BlockId(Uuid::from_u128(number));
        for number in [1, 2, 3] {
            unconfirmed.add(node, 7, block(number), at(10));
        }
        unconfirmed.confirm(node, block(2));
        unconfirmed.add(node, 7, block(3), at(20));
        assert!(unconfirmed.take_due(at(9), 10).is_empty());
        assert_eq!(unconfirmed.take_due(at(10), 10), BTreeMap::from([((node, 7), vec![block(1)])]));
        assert_eq!(unconfirmed.take_due(at(30), 10), BTreeMap::from([((node, 7), vec![block(3)])]));
        assert!(unconfirmed.take_due(at(40), 10).is_empty());
    }
}
