//! The promises of the planner, and what breaks each. `check` has the checks.

use cairn_planner::{ClusterView, NodeView};
use cairn_types::node::{AdminState, NodeState};

use crate::config::Millis;

/// What a promise is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// No command lowers a block below its factor.
    Factor,
    /// No node has two replicas, or is told to get one that it has, gets or deletes.
    Distinct,
    /// Left alone, everything comes to rest: each block at its factor, drained nodes empty, utilisation
    /// within the threshold.
    Rest,
    /// Work is in proportion to its cause.
    Work,
    /// The last good replica is deleted only with its block.
    LastReplica,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When.
    pub at: Millis,
    /// How.
    pub text: String,
}

/// A node's predicted bytes above what it would hold at the mean, negative if below; for those that take
/// part in balancing.
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

/// By how much all nodes that are above the mean are above it, in bytes.
pub(crate) fn excess(view: &ClusterView) -> u64 {
    distances(view).iter().map(|(_, distance)| distance.max(0.0)).sum::<f64>() as u64
}
