//! The risk to a block when nodes are stopped.

use cairn_types::id::NodeId;
use cairn_types::node::NodeState;

use super::ClusterView;
use super::block::BlockView;

/// The risk to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Two good replicas or more remain, or the only one that it should have.
    None,
    /// A single good replica remains, though there should be more.
    AtRisk,
    /// No readable good replica remains.
    Unreadable,
}

/// The risk to a block when all of `stopped` are stopped at the same time.
///
/// Only replicas on live nodes count as remaining. One on a node in maintenance does not, because an operator may stop
/// that node at any time.
pub fn risk(view: &ClusterView, block: &BlockView, stopped: &[NodeId]) -> Risk {
    let remaining = block
        .good(view)
        .filter(|node| node.state == NodeState::Live && !node.is_in_maintenance())
        .filter(|node| !stopped.contains(&node.node))
        .count();
    match remaining {
        0 => Risk::Unreadable,
        1 if block.replication > 1 => Risk::AtRisk,
        _ => Risk::None,
    }
}
