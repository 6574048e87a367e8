//! Obstacles: why a block that needs replicas gets none.

use cairn_types::node::{AdminState, NodeState};

use super::ClusterView;
use super::block::{BlockView, Census};
use super::budget::InFlight;

/// The reason why a block does not get the replicas that it needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// No node that has a replica can be read from, because all are dead.
    NoSource,
    /// All replicas that can be read are bad. They are tried, but will hardly succeed.
    OnlyBadSources,
    /// There are sources, but no node can take a further replica.
    NoTarget(NoTarget),
    /// There is a target, but the nodes for the copy have as many copies under way as they may. An operator has nothing
    /// to do.
    Busy,
    /// There are enough replicas on other nodes, but some of those are stale, suspect or in maintenance, and none is
    /// dropped until they send heartbeats.
    Unsure,
}

/// Why no registered node can get a replica: the number of nodes for each reason. Each node counts once, for the first
/// reason that applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoTarget {
    /// Nodes that have a good replica, or are getting one.
    pub holding: u32,
    /// Nodes that have a bad replica, which must be deleted first.
    pub holding_bad: u32,
    /// Nodes that are deleting an older replica.
    pub deleting: u32,
    /// Dead nodes.
    pub dead: u32,
    /// Draining nodes.
    pub draining: u32,
    /// Nodes in maintenance.
    pub maintenance: u32,
    /// Stale nodes.
    pub stale: u32,
    /// Nodes that fail repeatedly.
    pub failing: u32,
    /// Nodes that have no volume with space for it.
    pub full: u32,
}

/// The obstacle of a block; `None` if it needs nothing, can have what it needs now, or has it under way.
///
/// This examines every node. It is meant for operators' queries, not for every block of a cluster.
pub fn obstacle(view: &ClusterView, block: &BlockView, in_flight: &InFlight) -> Option<Obstacle> {
    let census = Census::of(view, block);
    let attainable = view.attainable(block.replication);
    let repair = census.lacking(attainable);
    let drain = census.lacking_to_drain(attainable);
    if repair == 0 && drain == 0 {
        let waits = !census.draining.is_empty() && census.sure.len() < block.replication as usize;
        return waits.then_some(Obstacle::Unsure);
    }
    let under_way = if repair > 0 { census.inbound >= repair } else { census.inbound_staying >= drain };
    if under_way {
        return None;
    }
    let readable = || block.holders.iter().filter(|holder| view.state(holder.node) != NodeState::Dead);
    if readable().next().is_none() {
        return Some(Obstacle::NoSource);
    }
    if readable().all(|holder| !holder.good) {
        return Some(Obstacle::OnlyBadSources);
    }
    let (able, none) = targets(view, block);
    if able.is_empty() {
        return Some(Obstacle::NoTarget(none));
    }
    let mut parties = able.iter().map(|place| view.nodes().get(*place).map(|node| node.node));
    let fits = |node| in_flight.fits(node, block.length);
    let busy = !parties.any(|node| node.is_some_and(fits)) || !readable().any(|holder| fits(holder.node));
    busy.then_some(Obstacle::Busy)
}

/// The places of the nodes that can get a replica, and the reasons of the others.
fn targets(view: &ClusterView, block: &BlockView) -> (Vec<usize>, NoTarget) {
    let mut able = Vec::new();
    let mut none = NoTarget::default();
    for (place, node) in view.nodes().iter().enumerate() {
        let holder = block.holders.iter().find(|holder| holder.node == node.node);
        let reason = match (holder, node.state, node.admin_state) {
            (Some(holder), ..) if holder.good => &mut none.holding,
            (Some(_), ..) => &mut none.holding_bad,
            (None, ..) if block.inbound.contains(&node.node) => &mut none.holding,
            (None, ..) if block.doomed.contains(&node.node) => &mut none.deleting,
            (None, NodeState::Dead, _) => &mut none.dead,
            (None, _, AdminState::Draining) => &mut none.draining,
            (None, _, AdminState::Maintenance { .. }) => &mut none.maintenance,
            (None, NodeState::Stale, _) => &mut none.stale,
            (None, NodeState::Live, AdminState::InService) if node.failing => &mut none.failing,
            (None, NodeState::Live, AdminState::InService) if !node.takes(block.length) => &mut none.full,
            (None, NodeState::Live, AdminState::InService) => {
                able.push(place);
                continue;
            }
        };
        *reason += 1;
    }
    (able, none)
}
