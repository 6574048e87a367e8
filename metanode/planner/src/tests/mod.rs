//! Properties of the planner, over random clusters and blocks.

mod admin_states;
mod balancing;
mod convergence;
mod examining;
mod placing;
mod spreading;
mod viewing;

use std::collections::HashSet;
use std::sync::Arc;

use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};
use cairn_types::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

pub(super) const CAPACITY: u64 = 1_000_000;

pub(super) fn id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

/// A live node without a zone, half full.
pub(super) fn node(number: u128) -> NodeView {
    NodeView {
        node: id(number),
        zone: None,
        state: NodeState::Live,
        admin_state: AdminState::InService,
        suspect: false,
        failing: false,
        capacity: CAPACITY,
        predicted_used: CAPACITY / 2,
        free_space: CAPACITY / 2,
        largest_volume: CAPACITY / 2,
    }
}

pub(super) fn in_zone(zone: &str, node: NodeView) -> NodeView {
    NodeView { zone: Some(Arc::from(zone)), ..node }
}

pub(super) fn used(bytes: u64, node: NodeView) -> NodeView {
    let free = CAPACITY - bytes;
    NodeView { predicted_used: bytes, free_space: free, largest_volume: free, ..node }
}

fn any_node(number: u128) -> impl Strategy<Value = NodeView> {
    let state = prop_oneof![
        6 => Just(NodeState::Live),
        1 => Just(NodeState::Stale),
        1 => Just(NodeState::Dead),
    ];
    let admin_state = prop_oneof![
        6 => Just(AdminState::InService),
        1 => Just(AdminState::Draining),
        1 => Just(AdminState::Maintenance { until: Timestamp(1) }),
    ];
    let unlikely = || prop::bool::weighted(0.1);
    (state, admin_state, unlikely(), unlikely(), 0..5u8, 0..=CAPACITY).prop_map(
        move |(state, admin_state, suspect, failing, zone, used_bytes)| {
            let zone = (zone > 0).then(|| Arc::from(format!("zone-{zone}")));
            NodeView { state, admin_state, suspect, failing, zone, ..used(used_bytes, node(number)) }
        },
    )
}

/// Up to `max` nodes in any state and with any utilisation, in up to four zones or without one.
pub(super) fn any_cluster(max: usize) -> impl Strategy<Value = ClusterView> {
    (1..=max)
        .prop_flat_map(|count| (0..count as u128).map(any_node).collect::<Vec<_>>())
        .prop_map(ClusterView::new)
}

/// The number of different zones of these nodes.
pub(super) fn zones_of(view: &ClusterView, nodes: impl IntoIterator<Item = NodeId>) -> usize {
    nodes
        .into_iter()
        .map(|node| view.get(node).and_then(|node| node.zone.clone()))
        .collect::<HashSet<_>>()
        .len()
}
