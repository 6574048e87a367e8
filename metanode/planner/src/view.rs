//! The nodes as decisions see them.

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
    /// Its zone. Nodes without one form a zone together.
    pub zone: Option<Arc<str>>,
    /// Whether it is live, stale or dead.
    pub state: NodeState,
    /// Its administrative state. Maintenance whose time is over does not appear here.
    pub admin_state: AdminState,
    /// Whether other nodes are preferred: this one sent nothing since the metanode's start, or a client could not reach
    /// it a moment ago.
    pub suspect: bool,
    /// Whether clients and commands failed at it again and again although it sends heartbeats. It gets nothing until
    /// that ends.
    pub failing: bool,
    /// The bytes that its good volumes may use in all.
    pub capacity: u64,
    /// Used bytes, plus those on their way in (grants, copies, moves), less those on their way out (deletions, and
    /// replicas that moves under way will replace).
    pub predicted_used: u64,
    /// The bytes that it can still take: free ones less those on their way in. Those on their way out do not count,
    /// because they cannot be used yet.
    pub free_space: u64,
    /// The free bytes of the volume with most, because a block lies in one volume.
    pub largest_volume: u64,
}

impl NodeView {
    /// Whether it can take a block of this size.
    pub fn takes(&self, bytes: u64) -> bool {
        self.is_in_service() && !self.failing && self.free_space >= bytes && self.largest_volume >= bytes
    }

    /// Whether it is live and in service.
    pub fn is_in_service(&self) -> bool {
        self.state == NodeState::Live && self.admin_state == AdminState::InService
    }

    /// Whether it is in service, live and not suspect. Only replicas on such nodes allow to drop others.
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

    /// Predicted used bytes divided by capacity; 1 for a node without capacity.
    pub fn utilisation(&self) -> f64 {
        if self.capacity == 0 { 1.0 } else { self.predicted_used as f64 / self.capacity as f64 }
    }

    /// The bytes that will be free when everything under way is done.
    pub(crate) fn predicted_free(&self) -> u64 {
        self.capacity.saturating_sub(self.predicted_used)
    }

    /// Compares the predicted utilisation of two nodes.
    pub(crate) fn cmp_fullness(&self, other: &Self) -> Ordering {
        let product = |used: u64, capacity: u64| u128::from(used) * u128::from(capacity.max(1));
        product(self.predicted_used, other.capacity).cmp(&product(other.predicted_used, self.capacity))
    }
}

/// All registered datanodes at one moment, in the order of their ids.
///
/// A view is kept and updated with [`set`](Self::set), and not made for each decision: its index is computed once, when
/// it is first needed.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    nodes: Vec<NodeView>,
    /// Their ids as numbers, which compare as ids do, and lie close together in memory for searches.
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

    /// The index of a node in [`nodes`](Self::nodes).
    pub(crate) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.search(node).ok()
    }

    /// The index of a node, or the one at which to insert it.
    fn search(&self, node: NodeId) -> Result<usize, usize> {
        self.keys.binary_search(&node.0.as_u128())
    }

    /// Adds or updates a node. It takes logarithmic time, except for a new node or a change of zone.
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

    /// Removes a node.
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

    /// Whether a node is live, stale or dead. An unknown node counts as dead.
    pub fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// The number of replicas that a block with this `replication` can have: at most one per registered node. Dead and
    /// draining nodes count, because a cluster that loses nodes must not lower its own goals.
    pub fn attainable(&self, replication: u32) -> u32 {
        replication.min(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX))
    }

    /// Takes `bytes` of a node's free space, so that later decisions see it.
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
