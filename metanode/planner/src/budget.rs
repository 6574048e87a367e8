//! How much may be under way at once, and what a copy costs.

use std::collections::HashMap;

use cairn_types::id::NodeId;

/// What a copy costs at the least, in bytes of its worker's rate. However small a block is, its copy is synced where it is
/// made, the old one is deleted, and some ten rows change in SQL under the single writer: together as much as a disk reads
/// and writes of 256 KiB. So at 128 MiB a second there are 512 copies a second, and not 32,000 of 4 KiB.
pub const COPY_COST_MIN: u64 = 256 << 10;

/// Copies under way at one node, as reader or writer. It is also the most commands that one heartbeat hands out. A node
/// that syncs some hundred times a second has them done within a few heartbeats, long before their deadline.
pub const COPIES_MAX: u32 = 256;

/// What a copy of a block of this length costs of its worker's rate.
pub fn cost(length: u64) -> u64 {
    length.max(COPY_COST_MIN)
}

/// Bytes of copies under way, per node as reader and as writer, against a limit for each; and how many copies
/// that are, against [`COPIES_MAX`].
///
/// The limits keep one node from being asked for more than it can do before the commands' deadline;
/// a block above the limit still goes, alone.
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
    /// Nothing under way; `limit` bytes for each node.
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
    fn a_node_has_no_more_copies_under_way_than_it_can_do_however_small_they_are() {
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
