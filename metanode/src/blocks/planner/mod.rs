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

pub(crate) mod budget;
pub(crate) mod examine;
pub(crate) mod placement;
pub(crate) mod size;

use std::sync::Arc;

use cairn_protocol::admin::NodeState;
use cairn_protocol::id::NodeId;

/// A datanode, as far as decisions need to know it.
#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    /// The node.
    pub(crate) node: NodeId,
    /// Its zone; nodes without one are together in a zone of their own.
    pub(crate) zone: Option<Arc<str>>,
    /// Its state of life.
    pub(crate) state: NodeState,
    /// Whether there is reason to prefer others: it was not heard of since this process started, or a
    /// client could not reach it just now.
    pub(crate) doubtful: bool,
    /// Bytes that its good volumes may use in all.
    pub(crate) capacity: u64,
    /// Bytes used, plus those on their way in, less those on their way out.
    pub(crate) predicted_used: u64,
    /// Bytes that it can still take: free ones less those on their way in. What is on its way out does
    /// not count, for it cannot be used yet.
    pub(crate) room: u64,
    /// Free bytes of the volume that has most: a block is in one volume.
    pub(crate) largest_volume: u64,
}

impl NodeView {
    /// Whether it can be given a block of this size.
    pub(crate) fn takes(&self, bytes: u64) -> bool {
        match self.state {
            NodeState::Live => self.room >= bytes && self.largest_volume >= bytes,
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
pub(crate) struct ClusterView {
    nodes: Vec<NodeView>,
}

impl ClusterView {
    /// The view of these nodes.
    pub(crate) fn new(mut nodes: Vec<NodeView>) -> Self {
        nodes.sort_unstable_by_key(|node| node.node);
        Self { nodes }
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// One node.
    pub(crate) fn get(&self, node: NodeId) -> Option<&NodeView> {
        self.index(node).and_then(|index| self.nodes.get(index))
    }

    fn index(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |view| view.node).ok()
    }

    /// Its state; a node that nobody knows is as good as dead.
    pub(crate) fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many copies there can be of a block that wants `replication`: one per registered node at
    /// the most. Dead nodes count, or else a cluster that loses nodes would lower its own promises.
    pub(crate) fn attainable(&self, replication: u32) -> u32 {
        replication.min(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX))
    }

    fn zone(&self, node: NodeId) -> Option<&Arc<str>> {
        self.get(node).and_then(|node| node.zone.as_ref())
    }

    /// Takes `bytes` of a node's room, so that what is decided next sees it.
    pub(crate) fn reserve(&mut self, node: NodeId, bytes: u64) {
        if let Some(view) = self.index(node).and_then(|index| self.nodes.get_mut(index)) {
            view.predicted_used = view.predicted_used.saturating_add(bytes);
            view.room = view.room.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
