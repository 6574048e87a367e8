//! Decisions about blocks: pure functions from a view of the cluster to commands. They do no IO,
//! read no clock, and take their randomness from a generator that is handed in.
//!
//! | module | what it decides |
//! |---|---|
//! | [`placement`] | which nodes get the copies of a block |
//! | [`examine`] | what one block needs: further copies, fewer copies, or a bad copy removed |
//! | [`budget`] | how much may be under way at once, per node and in all |
//! | [`size`] | how large the next block of an object may become |
//!
//! Sizes and utilisation are always the predicted ones: what is used, plus what was granted and what
//! is on its way in, less what is on its way out.

pub mod budget;
pub mod examine;
pub mod placement;
pub mod size;

use std::sync::Arc;

use cairn_protocol::admin::{Duty, NodeState};
use cairn_protocol::id::NodeId;

/// A datanode, as far as decisions need to know it.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// The node.
    pub node: NodeId,
    /// Its zone; nodes without one are together in a zone of their own.
    pub zone: Option<Arc<str>>,
    /// Its state of life.
    pub state: NodeState,
    /// What the operator wants of it. Maintenance whose time is over is not to be seen here.
    pub duty: Duty,
    /// Whether there is reason to prefer others: it was not heard of since this process started, or a
    /// client could not reach it just now.
    pub doubtful: bool,
    /// Bytes that its good volumes may use in all.
    pub capacity: u64,
    /// Bytes used, plus those on their way in, less those on their way out.
    pub predicted_used: u64,
    /// Bytes that it can still take: free ones less those on their way in. What is on its way out does
    /// not count, for it cannot be used yet.
    pub room: u64,
    /// Free bytes of the volume that has most: a block is in one volume.
    pub largest_volume: u64,
}

impl NodeView {
    /// Whether it can be given a block of this size.
    pub fn takes(&self, bytes: u64) -> bool {
        match self.state {
            NodeState::Live => {
                self.duty == Duty::Service && self.room >= bytes && self.largest_volume >= bytes
            }
            NodeState::Stale | NodeState::Dead => false,
        }
    }

    /// Bytes that will be free when all that is under way is done.
    fn predicted_free(&self) -> u64 {
        self.capacity.saturating_sub(self.predicted_used)
    }

    /// Whether it is fuller than `other`, in proportion to its capacity.
    fn is_fuller_than(&self, other: &Self) -> bool {
        let product = |used: u64, capacity: u64| u128::from(used) * u128::from(capacity.max(1));
        product(self.predicted_used, other.capacity) > product(other.predicted_used, self.capacity)
    }
}

/// All registered datanodes at one moment, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    nodes: Vec<NodeView>,
}

impl ClusterView {
    /// The view of these nodes.
    pub fn new(mut nodes: Vec<NodeView>) -> Self {
        nodes.sort_unstable_by_key(|node| node.node);
        Self { nodes }
    }

    /// All nodes.
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// One node.
    pub fn get(&self, node: NodeId) -> Option<&NodeView> {
        self.index(node).and_then(|index| self.nodes.get(index))
    }

    fn index(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |view| view.node).ok()
    }

    /// Its state; a node that nobody knows is as good as dead.
    pub fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many copies there can be of a block that wants `replication`: one per registered node at
    /// the most. Dead nodes count, or else a cluster that loses nodes would lower its own promises.
    pub fn attainable(&self, replication: u32) -> u32 {
        replication.min(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX))
    }

    fn zone(&self, node: NodeId) -> Option<&Arc<str>> {
        self.get(node).and_then(|node| node.zone.as_ref())
    }

    /// Takes `bytes` of a node's room, so that what is decided next sees it.
    pub fn reserve(&mut self, node: NodeId, bytes: u64) {
        if let Some(view) = self.index(node).and_then(|index| self.nodes.get_mut(index)) {
            view.predicted_used = view.predicted_used.saturating_add(bytes);
            view.room = view.room.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
pub mod tests;
