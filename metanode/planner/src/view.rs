//! The view of the nodes that decisions use.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};

use super::index::Index;

/// A datanode as decisions see it.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// The node.
    pub node: NodeId,
    /// Its zone. All nodes without one count as one zone.
    pub zone: Option<Arc<str>>,
    /// Whether it is live, stale or dead.
    pub state: NodeState,
    /// Its administrative state. Maintenance whose time is over counts as in service.
    pub admin_state: AdminState,
    /// Whether other nodes are preferred: it has sent nothing since this process started, or a client could not reach
    /// it a moment ago.
    pub suspect: bool,
    /// Whether clients and commands failed there repeatedly although it sends heartbeats. It gets no work until that
    /// ends.
    pub failing: bool,
    /// The capacity of its good volumes, in bytes.
    pub capacity: u64,
    /// Used bytes, plus those on their way in (grants, copies, moves), less those on their way out (deletions, and
    /// replicas that are dropped at the end of a move under way).
    pub predicted_used: u64,
    /// Bytes that it can still take: free bytes less those on their way in. Bytes on their way out do not count,
    /// because their space cannot be used yet.
    pub free_space: u64,
    /// Free bytes of the volume with the most free bytes. A block lies in one volume.
    pub largest_volume: u64,
}

impl NodeView {
    /// Whether it can take a block of this size.
    pub fn takes(&self, bytes: u64) -> bool {
        self.is_in_service() && !self.failing && self.free_space >= bytes && self.largest_volume >= bytes
    }

    /// Whether it is live, and neither draining nor in maintenance.
    pub fn is_in_service(&self) -> bool {
        self.state == NodeState::Live && self.admin_state == AdminState::InService
    }

    /// Whether it is reliable: in service and not suspect. Only replicas on reliable nodes are a reason to drop others.
    pub fn is_sure(&self) -> bool {
        self.is_in_service() && !self.suspect
    }

    /// Whether it is in maintenance.
    pub fn is_in_maintenance(&self) -> bool {
        matches!(self.admin_state, AdminState::Maintenance { .. })
    }

    /// Whether a replica there counts: the node is not dead, or is in maintenance.
    pub fn keeps_replicas(&self) -> bool {
        self.state != NodeState::Dead || self.is_in_maintenance()
    }

    /// Predicted used bytes divided by the capacity; 1 for a node without capacity.
    pub fn utilisation(&self) -> f64 {
        if self.capacity == 0 { 1.0 } else { self.predicted_used as f64 / self.capacity as f64 }
    }

    /// Bytes that will be free when all that is under way has ended.
    pub(crate) fn predicted_free(&self) -> u64 {
        self.capacity.saturating_sub(self.predicted_used)
    }

    /// Compares the utilisation of two nodes.
    pub(crate) fn cmp_fullness(&self, other: &Self) -> Ordering {
        let product = |used: u64, capacity: u64| u128::from(used) * u128::from(capacity.max(1));
        product(self.predicted_used, other.capacity).cmp(&product(other.predicted_used, self.capacity))
    }
}

/// All registered datanodes at one moment, in the order of their ids.
///
/// A view should be kept and updated with [`set`](Self::set), not built for each decision: the index that makes
/// decisions cheap among thousands of nodes is computed once, when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    nodes: Vec<NodeView>,
    /// The ids as numbers, which sort as the ids do. They lie close together in memory, because they are searched most.
    keys: Vec<u128>,
    index: OnceLock<Index>,
}

impl ClusterView {
    /// A view of these nodes.
    pub fn new(mut nodes: Vec<NodeView>) -> Self {
        nodes.sort_unstable_by_key(|node| node.node);
        let keys = nodes.iter().map(|node| node.node.0.as_u128()).collect();
        Self { nodes, keys, index: OnceLock::new() }
    }

    /// All nodes.
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// Finds a node.
    pub fn get(&self, node: NodeId) -> Option<&NodeView> {
        self.place_of(node).and_then(|place| self.nodes.get(place))
    }

    /// The position of a node in [`nodes`](Self::nodes).
    pub(crate) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.search(node).ok()
    }

    /// The position of a node, or the one where it would be inserted.
    fn search(&self, node: NodeId) -> Result<usize, usize> {
        self.keys.binary_search(&node.0.as_u128())
    }

    /// Adds or updates a node. The cost is the logarithm of the number of nodes, unless the node is new or has changed
    /// its zone.
    pub fn set(&mut self, node: NodeView) {
        match self.search(node.node) {
            Ok(place) => {
                let Some(before) = self.nodes.get_mut(place) else { return };
                let stays = before.zone == node.zone;
                *before = node;
                if stays {
                    self.refresh(place);
                } else {
                    self.index.take();
                }
            }
            Err(place) => {
                self.keys.insert(place, node.node.0.as_u128());
                self.nodes.insert(place, node);
                self.index.take();
            }
        }
    }

    /// Removes a node that is not registered any more.
    pub fn remove(&mut self, node: NodeId) {
        if let Some(place) = self.place_of(node) {
            self.keys.remove(place);
            self.nodes.remove(place);
            self.index.take();
        }
    }

    fn refresh(&mut self, place: usize) {
        if let (Some(index), Some(node)) = (self.index.get_mut(), self.nodes.get(place)) {
            index.set(place, node);
        }
    }

    /// The state of a node. An unknown node counts as dead.
    pub fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many replicas a block of this `replication` can have: at most one per registered node. Dead and draining
    /// nodes count. Otherwise a cluster that loses nodes would lower its own promise.
    pub fn attainable(&self, replication: u32) -> u32 {
        replication.min(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX))
    }

    /// Reserves `bytes` of a node's free space, so that later decisions see it.
    pub fn reserve(&mut self, node: NodeId, bytes: u64) {
        let Some(place) = self.place_of(node) else { return };
        if let Some(view) = self.nodes.get_mut(place) {
            view.predicted_used = view.predicted_used.saturating_add(bytes);
            view.free_space = view.free_space.saturating_sub(bytes);
        }
        self.refresh(place);
    }

    pub(crate) fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(&self.nodes))
    }
}
