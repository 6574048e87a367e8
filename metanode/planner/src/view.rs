//! What decisions know of the nodes.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};

use super::index::Index;

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
    pub admin_state: AdminState,
    /// Whether there is reason to prefer others: it sent nothing since this process started, or a
    /// client could not reach it just now.
    pub suspect: bool,
    /// Whether clients and commands failed there again and again although it sends heartbeats: it gets
    /// nothing until that ends.
    pub failing: bool,
    /// Bytes that its good volumes may use in all.
    pub capacity: u64,
    /// Bytes used, plus those on their way in (grants, copies, moves), less those on their way out
    /// (deletions, and copies that go once a move under way has arrived elsewhere).
    pub predicted_used: u64,
    /// Bytes that it can still take: free ones less those on their way in. What is on its way out does
    /// not count, for it cannot be used yet.
    pub free_space: u64,
    /// Free bytes of the volume that has most: a block is in one volume.
    pub largest_volume: u64,
}

impl NodeView {
    /// Whether it can be given a block of this size.
    pub fn takes(&self, bytes: u64) -> bool {
        self.is_in_service() && !self.failing && self.free_space >= bytes && self.largest_volume >= bytes
    }

    /// Alive, and nothing else is wanted of it than to take part.
    pub fn is_in_service(&self) -> bool {
        self.state == NodeState::Live && self.admin_state == AdminState::InService
    }

    /// In service, and alive for sure: only what is on such nodes is a reason to drop something elsewhere.
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

    /// Predicted used bytes by capacity; 1 for a node without capacity.
    pub fn utilisation(&self) -> f64 {
        if self.capacity == 0 { 1.0 } else { self.predicted_used as f64 / self.capacity as f64 }
    }

    /// Bytes that will be free when all that is under way is done.
    pub(crate) fn predicted_free(&self) -> u64 {
        self.capacity.saturating_sub(self.predicted_used)
    }

    /// Compares how full the two are, in proportion to their capacities.
    pub(crate) fn cmp_fullness(&self, other: &Self) -> Ordering {
        let product = |used: u64, capacity: u64| u128::from(used) * u128::from(capacity.max(1));
        product(self.predicted_used, other.capacity).cmp(&product(other.predicted_used, self.capacity))
    }
}

/// All registered datanodes at one moment, in the order of their ids.
///
/// To be kept and brought up to date with [`set`](Self::set) rather than made anew for each decision:
/// what makes decisions cheap among thousands of nodes is computed once, when it is first needed.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    nodes: Vec<NodeView>,
    /// Their ids as numbers, which compare as ids do: what is searched most lies close together.
    keys: Vec<u128>,
    index: OnceLock<Index>,
}

impl ClusterView {
    /// The view of these nodes.
    pub fn new(mut nodes: Vec<NodeView>) -> Self {
        nodes.sort_unstable_by_key(|node| node.node);
        let keys = nodes.iter().map(|node| node.node.0.as_u128()).collect();
        Self { nodes, keys, index: OnceLock::new() }
    }

    /// All nodes.
    pub fn nodes(&self) -> &[NodeView] {
        &self.nodes
    }

    /// One node.
    pub fn get(&self, node: NodeId) -> Option<&NodeView> {
        self.place_of(node).and_then(|place| self.nodes.get(place))
    }

    /// Where a node is in [`nodes`](Self::nodes).
    pub(crate) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.search(node).ok()
    }

    /// Where a node is, or belongs.
    fn search(&self, node: NodeId) -> Result<usize, usize> {
        self.keys.binary_search(&node.0.as_u128())
    }

    /// A node is new, or has changed. Costs the logarithm of their number, unless it is new or has
    /// changed its zone.
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

    /// A node is not registered any more.
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

    /// Its state; an unknown node counts as dead.
    pub fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many replicas there can be of a block that wants `replication`: one per registered node at
    /// the most. Dead and draining nodes count, or else a cluster that loses nodes would lower its own
    /// promises.
    pub fn attainable(&self, replication: u32) -> u32 {
        replication.min(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX))
    }

    /// Takes `bytes` of a node's free space, so that what is decided next sees it.
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
