//! The view of a block that decisions use.

use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};

use super::{ClusterView, NodeView};

/// A block, and what is known of its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockView {
    /// Its length in bytes.
    pub length: u64,
    /// How many replicas it should have.
    pub replication: u32,
    /// Its replicas.
    pub holders: Vec<Holder>,
    /// The nodes that were ordered to make a replica and may still do so.
    pub inbound: Vec<NodeId>,
    /// The nodes that are deleting a replica. They must not get another before that is done.
    pub doomed: Vec<NodeId>,
    /// The nodes whose replicas are to be deleted because another is made elsewhere: the sources of moves that are
    /// under way or finished.
    pub leaving: Vec<NodeId>,
}

/// A replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node that has it.
    pub node: NodeId,
    /// Whether no report said that it is corrupt.
    pub good: bool,
}

impl BlockView {
    /// The nodes whose good replicas count: those that are not dead, and those in maintenance.
    pub(crate) fn good<'a>(&'a self, view: &'a ClusterView) -> impl Iterator<Item = &'a NodeView> + 'a {
        self.holders
            .iter()
            .filter(|holder| holder.good)
            .filter_map(|holder| view.get(holder.node))
            .filter(|node| node.keeps_replicas())
    }

    pub(crate) fn bad(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.holders.iter().filter(|holder| !holder.good).map(|holder| holder.node)
    }

    /// The nodes that must not get a replica, because they have, get or delete one.
    pub(crate) fn barred(&self) -> impl Iterator<Item = NodeId> + '_ {
        let holders = self.holders.iter().map(|holder| holder.node);
        holders.chain(self.inbound.iter().copied()).chain(self.doomed.iter().copied())
    }
}

/// The counts of a block's replicas.
#[derive(Debug)]
pub(crate) struct Census<'a> {
    /// Good replicas on nodes that are not dead, or that are in maintenance.
    pub(crate) live: u32,
    /// The live ones on nodes that do not drain, so that they stay.
    pub(crate) staying: u32,
    /// The live ones on nodes that are not in maintenance.
    pub(crate) outside: u32,
    /// The live ones on reliable nodes.
    pub(crate) sure: Vec<&'a NodeView>,
    /// The live ones on draining nodes.
    pub(crate) draining: Vec<&'a NodeView>,
    /// Copies under way to nodes that are not dead.
    pub(crate) inbound: u32,
    /// The copies among them to nodes that do not drain.
    pub(crate) inbound_staying: u32,
    /// Whether a good replica is on a reliable node that is not in maintenance.
    pub(crate) anchored: bool,
}

impl<'a> Census<'a> {
    pub(crate) fn of(view: &'a ClusterView, block: &BlockView) -> Self {
        let mut census = Self {
            live: 0,
            staying: 0,
            outside: 0,
            sure: Vec::with_capacity(block.holders.len()),
            draining: Vec::new(),
            inbound: 0,
            inbound_staying: 0,
            anchored: false,
        };
        for holder in block.holders.iter().filter(|holder| holder.good) {
            if let Some(node) = view.get(holder.node).filter(|node| node.keeps_replicas()) {
                census.count(node);
            }
        }
        for node in block.inbound.iter().filter_map(|node| view.get(*node)) {
            let comes = node.state != NodeState::Dead;
            census.inbound += u32::from(comes);
            census.inbound_staying += u32::from(comes && node.admin_state != AdminState::Draining);
        }
        census
    }

    fn count(&mut self, node: &'a NodeView) {
        self.live += 1;
        match node.admin_state {
            AdminState::Draining => self.draining.push(node),
            AdminState::InService | AdminState::Maintenance { .. } => self.staying += 1,
        }
        if !node.is_in_maintenance() {
            self.outside += 1;
            self.anchored |= node.state == NodeState::Live && !node.suspect;
        }
        if node.is_sure() {
            self.sure.push(node);
        }
    }

    /// How many replicas the block lacks, if it can have `attainable`. If all of them are on nodes in maintenance, it
    /// lacks at least one, whatever their number.
    pub(crate) fn lacking(&self, attainable: u32) -> u32 {
        let unseen = u32::from(self.outside == 0 && attainable > 0);
        attainable.saturating_sub(self.live).max(unseen)
    }

    /// How many more replicas have to be on nodes that do not drain before those on draining nodes can be dropped.
    pub(crate) fn lacking_to_drain(&self, attainable: u32) -> u32 {
        if self.draining.is_empty() { 0 } else { attainable.saturating_sub(self.staying) }
    }
}
