//! Limits on the copies under way, and the cost of a copy.

use std::collections::HashMap;

use cairn_types::id::NodeId;

/// The minimum cost of a copy, in bytes of its worker's rate. Even for a small block the copy is synced where it is
/// made, the old replica is deleted, and some ten rows change in SQL: together as much as a disk reads and writes of
/// 256 KiB. So at 128 MiB per second there are 512 copies per second, and not 32,000 of 4 KiB.
pub const COPY_COST_MIN: u64 = 256 << 10;

/// Upper limit of copies under way at one node, as reader or writer, and of commands in one answer to a heartbeat. A
/// node that syncs some hundred times per second completes them within a few heartbeats, long before their deadline.
pub const COPIES_MAX: u32 = 256;

/// The cost of a copy of a block of this length, in bytes of its worker's rate.
pub fn cost(length: u64) -> u64 {
    length.max(COPY_COST_MIN)
}

/// The bytes of copies under way, per node as reader and as writer, against a limit for each node, and the number of
/// these copies, against [`COPIES_MAX`].
///
/// The limits keep a node from getting more copies than it can make before their deadline. A block above the limit is
/// copied alone.
#[derive(Clone, Debug)]
pub struct InFlight {
    limit: u64,
    nodes: HashMap<NodeId, Load>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    bytes: u64,
    copies: u32,
}

impl InFlight {
    /// No copies under way, and a limit of `limit` bytes for each node.
    pub fn new(limit: u64) -> Self {
        Self { limit, nodes: HashMap::new() }
    }

    /// Whether `node` can take part in copying `bytes` more.
    pub fn fits(&self, node: NodeId, bytes: u64) -> bool {
        let Some(load) = self.nodes.get(&node) else { return true };
        load.copies < COPIES_MAX && load.bytes.saturating_add(bytes) <= self.limit
    }

    /// Bytes under way at `node`.
    pub fn load(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map_or(0, |load| load.bytes)
    }

    /// Counts a copy at a node that takes part in it.
    pub fn add(&mut self, node: NodeId, bytes: u64) {
        let load = self.nodes.entry(node).or_default();
        load.bytes = load.bytes.saturating_add(bytes);
        load.copies = load.copies.saturating_add(1);
    }

    /// Ends a copy that [`add`](Self::add) counted at a node. Tests panic when none was counted. A server goes on with zero:
    /// the sum only delays copies, and a panic would end the worker that makes them.
    pub fn remove(&mut self, node: NodeId, bytes: u64) {
        let load = self.nodes.get_mut(&node);
        debug_assert!(load.is_some(), "no copy is under way at {node}");
        let Some(load) = load else { return };
        debug_assert!(load.bytes >= bytes, "{bytes} bytes end at {node}, where {load:?} is under way");
        load.bytes = load.bytes.saturating_sub(bytes);
        load.copies -= 1;
        if load.copies == 0 {
            self.nodes.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_number_of_copies_under_way_at_a_node_is_limited_however_small_they_are() {
        let node = NodeId(Uuid::from_u128(1));
        let mut in_flight = InFlight::new(64 << 20);
        for _ in 0..COPIES_MAX {
            assert!(in_flight.fits(node, 4096));
            in_flight.add(node, 4096);
        }
        assert!(!in_flight.fits(node, 4096) && in_flight.fits(NodeId(Uuid::from_u128(2)), 4096));
        in_flight.remove(node, 4096);
        assert!(in_flight.fits(node, 4096) && in_flight.load(node) == 255 * 4096);
    }

    #[test]
    fn a_block_above_the_limit_goes_alone() {
        let node = NodeId(Uuid::from_u128(1));
        let mut in_flight = InFlight::new(1_000);
        assert!(in_flight.fits(node, 5_000));
        in_flight.add(node, 5_000);
        assert!(!in_flight.fits(node, 1));
        in_flight.remove(node, 5_000);
        assert!(in_flight.fits(node, 5_000));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "no copy is under way")]
    fn a_test_notices_a_copy_that_ends_twice() {
        let node = NodeId(Uuid::from_u128(1));
        let mut in_flight = InFlight::new(1_000);
        in_flight.add(node, 10);
        in_flight.remove(node, 10);
        in_flight.remove(node, 10);
    }

    #[test]
    fn a_small_copy_costs_what_its_syncs_cost() {
        assert_eq!((cost(1), cost(4096), cost(8 << 20)), (COPY_COST_MIN, COPY_COST_MIN, 8 << 20));
    }
}
