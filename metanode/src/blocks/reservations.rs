//! Space that grants are about to use. Only an estimate for placement: nothing is refused because a
//! grant is not found here, for another metanode may have given it, or this one before a restart.

use std::collections::{BTreeSet, HashMap, HashSet};

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

/// Granted bytes, by block and by node.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    blocks: HashMap<BlockId, Reservation>,
    nodes: HashMap<NodeId, u64>,
    by_expiry: BTreeSet<(Timestamp, BlockId)>,
    /// Nodes whose sum changed since [`take_changed`](Self::take_changed).
    changed: HashSet<NodeId>,
}

#[derive(Debug)]
struct Reservation {
    bytes: u64,
    nodes: Vec<NodeId>,
    expires_at: Timestamp,
}

impl Reservations {
    /// A block of up to `bytes` was granted to `nodes`.
    pub(crate) fn add(&mut self, block: BlockId, nodes: Vec<NodeId>, bytes: u64, expires_at: Timestamp) {
        for node in &nodes {
            let reserved = self.nodes.entry(*node).or_default();
            *reserved = reserved.saturating_add(bytes);
        }
        self.changed.extend(&nodes);
        self.by_expiry.insert((expires_at, block));
        self.blocks.insert(block, Reservation { bytes, nodes, expires_at });
    }

    /// Bytes that are granted at a node.
    pub(crate) fn at(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).copied().unwrap_or(0)
    }

    /// The nodes whose sum changed since the last call.
    pub(crate) fn take_changed(&mut self) -> HashSet<NodeId> {
        std::mem::take(&mut self.changed)
    }

    /// Keeps the reservation only at these nodes: the others do not get the block.
    pub(crate) fn keep_only(&mut self, block: BlockId, stored_on: &[NodeId]) {
        self.retain(block, |node| stored_on.contains(&node));
    }

    /// The node has the block, and counts its bytes from now on.
    pub(crate) fn stored(&mut self, block: BlockId, node: NodeId) {
        self.retain(block, |other| other != node);
    }

    /// The grant was given back.
    pub(crate) fn remove(&mut self, block: BlockId) {
        self.retain(block, |_| false);
    }

    /// The lease was extended.
    pub(crate) fn extend(&mut self, block: BlockId, expires_at: Timestamp) {
        if let Some(reservation) = self.blocks.get_mut(&block) {
            self.by_expiry.remove(&(reservation.expires_at, block));
            self.by_expiry.insert((expires_at, block));
            reservation.expires_at = expires_at;
        }
    }

    /// Drops what expired before `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((expires_at, block)) = self.by_expiry.first().copied() {
            if expires_at >= now {
                break;
            }
            self.remove(block);
        }
    }

    fn retain(&mut self, block: BlockId, keep: impl Fn(NodeId) -> bool) {
        let Some(reservation) = self.blocks.get_mut(&block) else { return };
        let bytes = reservation.bytes;
        reservation.nodes.retain(|node| {
            let keep = keep(*node);
            if !keep && let Some(reserved) = self.nodes.get_mut(node) {
                self.changed.insert(*node);
                *reserved = reserved.saturating_sub(bytes);
                if *reserved == 0 {
                    self.nodes.remove(node);
                }
            }
            keep
        });
        if reservation.nodes.is_empty() {
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

    #[test]
    fn bytes_are_reserved_until_the_node_counts_them_itself() {
        let mut reservations = granted();
        assert_eq!(reservations.at(node(1)), 150);
        reservations.stored(block(1), node(1));
        reservations.stored(block(1), node(1));
        assert_eq!((reservations.at(node(1)), reservations.at(node(2))), (50, 100));
        reservations.keep_only(block(1), &[node(1), node(2)]);
        assert_eq!((reservations.at(node(2)), reservations.at(node(3))), (100, 0));
    }

    #[test]
    fn nothing_is_left_of_grants_that_expired_or_were_given_back() {
        let mut reservations = granted();
        reservations.extend(block(1), Timestamp(30));
        reservations.expire(Timestamp(21));
        assert_eq!(reservations.at(node(1)), 100);
        reservations.remove(block(1));
        assert!(reservations.blocks.is_empty() && reservations.nodes.is_empty());
        assert!(reservations.by_expiry.is_empty());
    }
}
