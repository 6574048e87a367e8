//! Grants that may still be committed: the space that they reserve, and the nodes that they name. A grant that is not
//! found here may still be valid, because an earlier process may have given it.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use cairn_protocol::count::without;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

/// Grants that are remembered, in some 30 MB. A grant is forgotten when it is committed and heartbeats have reported its
/// replicas, so the limit is reached only at a higher rate of writes than a metanode can take. Of the grants beyond
/// the limit, only the nodes that they name and their end are kept. Their space is not counted, which makes placement
/// less exact and nothing worse.
const GRANTS_MAX: usize = 100_000;

/// Granted bytes, by block and by node.
#[derive(Debug)]
pub(crate) struct Reservations {
    blocks: HashMap<BlockId, GrantReservation>,
    nodes: HashMap<NodeId, AtNode>,
    by_expiry: BTreeSet<(Timestamp, BlockId)>,
    /// Blocks whose commit may not be visible to other transactions yet, each with the number of transactions that had
    /// ended when it was committed. Their grants count until the commit is visible.
    committing: VecDeque<(u64, BlockId)>,
    /// Nodes whose sum changed since [`take_changed`](Self::take_changed).
    changed: HashSet<NodeId>,
    max: usize,
    /// Grants beyond the limit since the start.
    beyond: u64,
}

#[derive(Debug)]
struct GrantReservation {
    bytes: u64,
    /// The nodes that it names, until it cannot be committed any more.
    named: Vec<NodeId>,
    /// The nodes that have not reported the block yet, so that its bytes are reserved there.
    unstored: Vec<NodeId>,
    expires_at: Timestamp,
}

/// The reservations of grants at one node.
#[derive(Debug, Default)]
struct AtNode {
    bytes: u64,
    /// Grants that name it and can still be committed.
    grants: u64,
    /// When the last of the grants beyond the limit ends.
    beyond_until: Timestamp,
}

/// Grants that name a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// How many are known. There may be others.
    pub(crate) grants: u64,
    /// When the last of them ends, unless it is renewed.
    pub(crate) until: Timestamp,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            blocks: HashMap::new(),
            nodes: HashMap::new(),
            by_expiry: BTreeSet::new(),
            committing: VecDeque::new(),
            changed: HashSet::new(),
            max: GRANTS_MAX,
            beyond: 0,
        }
    }
}

impl Reservations {
    /// Adds a grant of a block of up to `bytes` on `nodes`.
    pub(crate) fn add(&mut self, block: BlockId, nodes: Vec<NodeId>, bytes: u64, expires_at: Timestamp) {
        self.changed.extend(&nodes);
        if self.blocks.len() >= self.max {
            return self.add_beyond(&nodes, expires_at);
        }
        for node in &nodes {
            let at = self.nodes.entry(*node).or_default();
            at.bytes = at.bytes.saturating_add(bytes);
            at.grants += 1;
        }
        self.by_expiry.insert((expires_at, block));
        let reservation = GrantReservation { bytes, named: nodes.clone(), unstored: nodes, expires_at };
        self.blocks.insert(block, reservation);
    }

    fn add_beyond(&mut self, nodes: &[NodeId], expires_at: Timestamp) {
        if self.beyond == 0 {
            tracing::info!(
                max = self.max,
                "more grants are out than are remembered; further ones are not counted"
            );
        }
        self.beyond += 1;
        for node in nodes {
            let at = self.nodes.entry(*node).or_default();
            at.beyond_until = at.beyond_until.max(expires_at);
        }
    }

    /// Bytes that grants reserve at a node.
    pub(crate) fn at(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |at| at.bytes)
    }

    /// The grants that name a node and may still be committed; `None` if there are none.
    pub(crate) fn naming(&self, node: NodeId, now: Timestamp) -> Option<Naming> {
        let at = self.nodes.get(&node)?;
        let beyond = Some(at.beyond_until).filter(|until| *until >= now);
        if at.grants == 0 {
            return beyond.map(|until| Naming { grants: 0, until });
        }
        let names = |reservation: &&GrantReservation| reservation.named.contains(&node);
        let last = self.blocks.values().filter(names).map(|reservation| reservation.expires_at).max();
        Some(Naming { grants: at.grants, until: last.max(beyond).unwrap_or_default() })
    }

    /// The number of grants that are remembered, and the number beyond the limit since the start.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.blocks.len(), self.beyond)
    }

    /// The nodes whose sum changed since the last call.
    pub(crate) fn take_changed(&mut self) -> HashSet<NodeId> {
        std::mem::take(&mut self.changed)
    }

    /// Records that the open transaction commits the block; `ended` transactions had ended before it. The grant cannot
    /// be used again, and only the nodes `stored_on` have the block.
    pub(crate) fn committed(&mut self, block: BlockId, stored_on: &[NodeId], ended: u64) {
        self.retain(block, |node| stored_on.contains(&node));
        if self.blocks.contains_key(&block) {
            self.committing.push_back((ended, block));
        }
    }

    /// Drops the grants that are visible as committed, now that `ended` transactions have ended.
    pub(crate) fn ripen(&mut self, ended: u64) {
        while let Some((_, block)) = self.committing.pop_front_if(|(before, _)| *before < ended) {
            self.unname(block);
        }
    }

    /// Records that the node has the block. The node's own figures include the bytes from now on.
    pub(crate) fn stored(&mut self, block: BlockId, node: NodeId) {
        self.retain(block, |other| other != node);
    }

    /// Drops a grant that was given back, or has expired.
    pub(crate) fn remove(&mut self, block: BlockId) {
        self.unname(block);
        self.retain(block, |_| false);
    }

    /// Records that the lease of a grant was renewed. `nodes` are the nodes that it names.
    pub(crate) fn extend(&mut self, block: BlockId, nodes: &[NodeId], expires_at: Timestamp) {
        match self.blocks.get_mut(&block) {
            Some(reservation) => {
                self.by_expiry.remove(&(reservation.expires_at, block));
                self.by_expiry.insert((expires_at, block));
                reservation.expires_at = expires_at;
            }
            // An earlier process gave the grant. Its nodes may have the block already, so no bytes are reserved.
            None => self.add(block, nodes.to_vec(), 0, expires_at),
        }
    }

    /// Drops the grants that expired before `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((expires_at, block)) = self.by_expiry.first().copied() {
            if expires_at >= now {
                break;
            }
            self.remove(block);
        }
    }

    fn unname(&mut self, block: BlockId) {
        let Some(reservation) = self.blocks.get_mut(&block) else { return };
        for node in std::mem::take(&mut reservation.named) {
            if let Some(at) = self.nodes.get_mut(&node) {
                // A node is drained, and may be switched off, when no grant names it. If this count were too low, an
                // upload could commit a block to a node that is gone, so a panic is better than going on.
                assert!(at.grants > 0, "node {node} is named by fewer grants than were counted");
                at.grants -= 1;
            }
            self.tidy(node);
        }
        self.end(block);
    }

    fn retain(&mut self, block: BlockId, keep: impl Fn(NodeId) -> bool) {
        let Some(reservation) = self.blocks.get_mut(&block) else { return };
        let bytes = reservation.bytes;
        let gone: Vec<_> = reservation.unstored.extract_if(.., |node| !keep(*node)).collect();
        for node in gone {
            self.changed.insert(node);
            if let Some(at) = self.nodes.get_mut(&node) {
                at.bytes = without(at.bytes, bytes, "granted bytes of a node");
            }
            self.tidy(node);
        }
        self.end(block);
    }

    /// Removes a node at which nothing is reserved.
    fn tidy(&mut self, node: NodeId) {
        let nothing = |at: &AtNode| at.bytes == 0 && at.grants == 0 && at.beyond_until == Timestamp(0);
        if self.nodes.get(&node).is_some_and(nothing) {
            self.nodes.remove(&node);
        }
    }

    /// Removes a grant that reserves nothing and names no node.
    fn end(&mut self, block: BlockId) {
        let nothing =
            |reservation: &&GrantReservation| reservation.named.is_empty() && reservation.unstored.is_empty();
        if let Some(reservation) = self.blocks.get(&block).filter(nothing) {
            self.by_expiry.remove(&(reservation.expires_at, block));
            self.blocks.remove(&block);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn block(number: u128) -> BlockId {
        BlockId(Uuid::from_u128(number))
    }

    fn granted() -> Reservations {
        let mut reservations = Reservations::default();
        reservations.add(block(1), vec![node(1), node(2), node(3)], 100, Timestamp(10));
        reservations.add(block(2), vec![node(1)], 50, Timestamp(20));
        reservations
    }

    fn assert_empty(reservations: &Reservations) {
        assert!(reservations.blocks.is_empty() && reservations.nodes.is_empty(), "{reservations:?}");
        assert!(reservations.by_expiry.is_empty());
    }

    #[test]
    fn bytes_are_reserved_until_the_node_counts_them_itself() {
        let mut reservations = granted();
        assert_eq!(reservations.at(node(1)), 150);
        reservations.stored(block(1), node(1));
        reservations.stored(block(1), node(1));
        assert_eq!((reservations.at(node(1)), reservations.at(node(2))), (50, 100));
        reservations.committed(block(1), &[node(1), node(2)], 7);
        assert_eq!((reservations.at(node(2)), reservations.at(node(3))), (100, 0));
        reservations.stored(block(1), node(2));
        reservations.remove(block(2));
        reservations.ripen(8);
        assert_empty(&reservations);
    }

    /// A grant was dropped when its replicas were stored, although it could still be committed. A node could then count
    /// as drained while an upload was about to commit a block to it.
    #[test]
    fn a_grant_names_its_nodes_until_it_is_committed_given_back_or_over() {
        let until = |reservations: &Reservations, node| reservations.naming(node, Timestamp(1));
        let mut reservations = granted();
        reservations.stored(block(2), node(1));
        assert_eq!(until(&reservations, node(1)), Some(Naming { grants: 2, until: Timestamp(20) }));
        reservations.extend(block(1), &[], Timestamp(30));
        assert_eq!(until(&reservations, node(3)), Some(Naming { grants: 1, until: Timestamp(30) }));
        reservations.committed(block(1), &[node(1)], 7);
        reservations.ripen(7);
        assert!(until(&reservations, node(2)).is_some(), "nobody can see the block yet");
        reservations.ripen(8);
        assert_eq!((until(&reservations, node(2)), until(&reservations, node(3))), (None, None));
        assert_eq!(until(&reservations, node(1)), Some(Naming { grants: 1, until: Timestamp(20) }));
        reservations.expire(Timestamp(21));
        assert_eq!(until(&reservations, node(1)), None);
    }

    #[test]
    fn nothing_is_left_of_grants_that_expired_or_were_given_back() {
        let mut reservations = granted();
        reservations.extend(block(1), &[], Timestamp(30));
        reservations.expire(Timestamp(21));
        assert_eq!(reservations.at(node(1)), 100);
        reservations.remove(block(1));
        assert_empty(&reservations);
    }

    #[test]
    fn a_grant_of_an_earlier_process_is_known_from_its_renewal_on() {
        let mut reservations = Reservations::default();
        reservations.extend(block(1), &[node(1)], Timestamp(30));
        assert_eq!(reservations.naming(node(1), Timestamp(9)).unwrap().until, Timestamp(30));
        assert_eq!(reservations.at(node(1)), 0);
        reservations.expire(Timestamp(31));
        assert_empty(&reservations);
    }

    #[test]
    fn of_grants_beyond_the_limit_the_nodes_and_the_end_are_known() {
        let mut reservations = Reservations { max: 2, ..granted() };
        reservations.add(block(3), vec![node(4)], 100, Timestamp(40));
        assert_eq!((reservations.counts(), reservations.at(node(4))), ((2, 1), 0));
        let naming = reservations.naming(node(4), Timestamp(40));
        assert_eq!(naming, Some(Naming { grants: 0, until: Timestamp(40) }));
        assert_eq!(reservations.naming(node(4), Timestamp(41)), None);
        // There is room again.
        reservations.remove(block(1));
        reservations.add(block(4), vec![node(4)], 100, Timestamp(50));
        assert_eq!(reservations.at(node(4)), 100);
    }
}
