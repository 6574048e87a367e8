//! Findings about a block's replicas: a pure function.

use std::collections::HashMap;

use cairn_planner::{ClusterView, NodeView};
use cairn_protocol::admin::{AdminState, NodeState};
use cairn_protocol::id::NodeId;

/// The problems of a block's replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Good replicas that count.
    pub(super) copies: u32,
    /// How many replicas there should be, limited by the number of nodes.
    pub(super) wanted: u32,
    /// All good replicas are on dead nodes. The other problems are not reported then.
    pub(super) missing: bool,
    /// Some replica is corrupt.
    pub(super) corrupt: bool,
    /// The block is under-replicated.
    pub(super) under_replicated: bool,
    /// The block is over-replicated.
    pub(super) over_replicated: bool,
    /// The replicas could be spread better over the zones.
    pub(super) misplaced: bool,
}

/// Examines a block of `length` bytes that should have `replication` replicas.
pub(super) fn assess(
    view: &ClusterView,
    length: u64,
    replication: u32,
    holders: &[(NodeId, bool)],
) -> Findings {
    let good = || holders.iter().filter(|(_, good)| *good).map(|(node, _)| *node);
    let live: Vec<NodeId> = good().filter(|node| view.state(*node) != NodeState::Dead).collect();
    let corrupt = holders.iter().any(|(_, good)| !good);
    let wanted = view.attainable(replication);
    if live.is_empty() {
        return Findings { wanted, missing: true, ..Findings::default() };
    }
    // A node in maintenance may be down. Its replicas count as long as another one can be read.
    let keeps = |node: NodeId| view.get(node).is_some_and(NodeView::keeps_replicas);
    let in_maintenance = good().filter(|node| view.state(*node) == NodeState::Dead && keeps(*node));
    let counted: Vec<NodeId> = live.iter().copied().chain(in_maintenance).collect();
    let copies = count(&counted);
    // Replicas on draining nodes are about to be moved anyway.
    let staying: Vec<NodeId> = live.iter().copied().filter(|node| !is_draining(view, *node)).collect();
    let over_replicated = count(&staying) > replication;
    let under_replicated = copies < wanted;
    let misplaced = !over_replicated && !under_replicated && is_crowded(view, length, &counted, holders);
    Findings { copies, wanted, missing: false, corrupt, under_replicated, over_replicated, misplaced }
}

fn count(nodes: &[NodeId]) -> u32 {
    u32::try_from(nodes.len()).unwrap_or(u32::MAX)
}

fn is_draining(view: &ClusterView, node: NodeId) -> bool {
    view.get(node).is_some_and(|node| node.admin_state == AdminState::Draining)
}

/// Whether moving a replica would even out the zones: from a zone that has at least two more replicas than the zone of
/// a node that can take it.
fn is_crowded(view: &ClusterView, length: u64, counted: &[NodeId], holders: &[(NodeId, bool)]) -> bool {
    let mut zones: HashMap<Option<&str>, u32> = HashMap::new();
    for node in counted.iter().filter_map(|node| view.get(*node)) {
        *zones.entry(node.zone.as_deref()).or_default() += 1;
    }
    let most = zones.values().copied().max().unwrap_or(0);
    let holds = |node: NodeId| holders.iter().any(|(holder, _)| *holder == node);
    most > 1
        && view.nodes().iter().any(|node| {
            let there = zones.get(&node.zone.as_deref()).copied().unwrap_or(0);
            there + 1 < most && !holds(node.node) && node.takes(length)
        })
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn node(number: u128, zone: Option<&str>) -> NodeView {
        NodeView {
            node: id(number),
            zone: zone.map(Into::into),
            state: NodeState::Live,
            admin_state: AdminState::InService,
            suspect: false,
            failing: false,
            capacity: 1_000,
            predicted_used: 0,
            free_space: 1_000,
            largest_volume: 1_000,
        }
    }

    fn check(nodes: Vec<NodeView>, replication: u32, holders: &[(u128, bool)]) -> Findings {
        let holders: Vec<_> = holders.iter().map(|(node, good)| (id(*node), *good)).collect();
        assess(&ClusterView::new(nodes), 10, replication, &holders)
    }

    fn dead(node: NodeView) -> NodeView {
        NodeView { state: NodeState::Dead, ..node }
    }

    fn four() -> Vec<NodeView> {
        (1..=4).map(|number| node(number, None)).collect()
    }

    #[test]
    fn as_many_good_copies_as_wanted_are_right() {
        let right = Findings { copies: 3, wanted: 3, ..Findings::default() };
        assert_eq!(check(four(), 3, &[(1, true), (2, true), (3, true)]), right);
        let mut stale = four();
        stale[0].state = NodeState::Stale;
        assert_eq!(check(stale, 3, &[(1, true), (2, true), (3, true)]), right);
    }

    #[test]
    fn copies_on_dead_and_unknown_nodes_and_bad_ones_are_lacking() {
        let mut nodes = four();
        nodes[0] = dead(node(1, None));
        for holders in [[(1, true), (2, true), (3, true)], [(9, true), (2, true), (3, true)]] {
            let found = check(nodes.clone(), 3, &holders);
            assert_eq!((found.copies, found.under_replicated, found.corrupt), (2, true, false));
        }
        let found = check(four(), 3, &[(1, true), (2, true), (3, false)]);
        assert_eq!((found.copies, found.under_replicated, found.corrupt), (2, true, true));
        assert!(check(four(), 3, &[(1, true), (2, true), (3, true), (4, false)]).corrupt);
    }

    #[test]
    fn no_more_copies_are_wanted_than_there_are_nodes() {
        let two = vec![node(1, None), node(2, None)];
        let found = check(two, 3, &[(1, true), (2, true)]);
        assert_eq!((found.wanted, found.under_replicated), (2, false));
    }

    #[test]
    fn a_copy_in_maintenance_counts_as_long_as_there_is_another() {
        let mut nodes = four();
        let admin_state = AdminState::Maintenance { until: Timestamp(1) };
        nodes[0] = dead(NodeView { admin_state, ..node(1, None) });
        let found = check(nodes.clone(), 2, &[(1, true), (2, true)]);
        assert_eq!((found.copies, found.under_replicated, found.missing), (2, false, false));
        assert!(check(nodes, 2, &[(1, true)]).missing);
    }

    #[test]
    fn a_missing_block_has_no_other_findings() {
        let mut nodes = four();
        nodes[0] = dead(node(1, None));
        for holders in [&[][..], &[(1, true)], &[(2, false)], &[(1, true), (2, false)]] {
            let missing = Findings { wanted: 3, missing: true, ..Findings::default() };
            assert_eq!(check(nodes.clone(), 3, holders), missing);
        }
    }

    #[test]
    fn more_live_copies_than_wanted_are_too_many() {
        let found = check(four(), 2, &[(1, true), (2, true), (3, true)]);
        assert_eq!((found.over_replicated, found.under_replicated), (true, false));
        let mut nodes = four();
        nodes[0] = dead(node(1, None));
        assert!(!check(nodes.clone(), 2, &[(1, true), (2, true), (3, true)]).over_replicated);
        nodes[0] = NodeView { admin_state: AdminState::Draining, ..node(1, None) };
        assert!(!check(nodes, 2, &[(1, true), (2, true), (3, true)]).over_replicated);
    }

    #[test]
    fn a_zone_is_crowded_only_when_another_could_take_a_copy() {
        let zones = |other: NodeView| vec![node(1, Some("a")), node(2, Some("a")), other];
        let both = [(1, true), (2, true)];
        assert!(check(zones(node(3, Some("b"))), 2, &both).misplaced);
        assert!(!check(zones(node(3, Some("a"))), 2, &both).misplaced);
        assert!(!check(zones(NodeView { free_space: 9, ..node(3, Some("b")) }), 2, &both).misplaced);
        assert!(
            !check(zones(NodeView { admin_state: AdminState::Draining, ..node(3, Some("b")) }), 2, &both)
                .misplaced
        );
        assert!(!check(zones(node(3, Some("b"))), 2, &[(1, true), (3, true)]).misplaced);
        // Three replicas in two zones cannot be spread better.
        let mut nodes = zones(node(3, Some("b")));
        nodes.push(node(4, Some("b")));
        assert!(!check(nodes, 3, &[(1, true), (2, true), (3, true)]).misplaced);
    }
}
