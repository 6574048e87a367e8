//! The promises of the planner. The module `check` checks them.

use cairn_planner::{ClusterView, NodeView};
use cairn_types::node::{AdminState, NodeState};

use crate::config::Millis;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// No command lowers a block below its replication.
    Factor,
    /// No node has two replicas of a block, or is ordered to make one that it has, gets or deletes.
    Distinct,
    /// A cluster that is left alone comes to rest: each block has its replication, drained nodes are empty, and
    /// utilisation is within the threshold.
    Rest,
    /// Work is in proportion to its cause.
    Work,
    /// The last good replica is deleted only with its block.
    LastReplica,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// The time.
    pub at: Millis,
    /// The circumstances.
    pub text: String,
}

/// For each node that takes part in balancing, its predicted bytes above what it would hold at the mean; negative if
/// below.
pub(crate) fn distances(view: &ClusterView) -> Vec<(&NodeView, f64)> {
    let takes_part = |node: &&NodeView| {
        node.state == NodeState::Live
            && node.admin_state == AdminState::InService
            && !node.failing
            && node.capacity > 0
    };
    let nodes = || view.nodes().iter().filter(takes_part);
    let used: f64 = nodes().map(|node| node.predicted_used as f64).sum();
    let capacity: f64 = nodes().map(|node| node.capacity as f64).sum();
    nodes().map(|node| (node, node.predicted_used as f64 - used / capacity * node.capacity as f64)).collect()
}

/// The sum over all nodes above the mean of their distance from it, in bytes.
pub(crate) fn excess(view: &ClusterView) -> u64 {
    distances(view).iter().map(|(_, distance)| distance.max(0.0)).sum::<f64>() as u64
}
