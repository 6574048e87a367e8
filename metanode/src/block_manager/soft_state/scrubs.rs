//! Scrubs: the ones that operators ordered, and each node's progress.

use std::collections::HashMap;

use cairn_protocol::cluster::ScrubProgress;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;

/// The scrubs of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Scrubs {
    /// When an operator last ordered a scrub of all nodes.
    all: Option<Timestamp>,
    /// When an operator last ordered a scrub of one node.
    asked: HashMap<NodeId, Timestamp>,
    /// The progress of each node, as of its last heartbeat.
    progress: HashMap<NodeId, ScrubProgress>,
}

impl Scrubs {
    /// The orders that SQL has at the start.
    pub(crate) fn new(all: Option<Timestamp>, asked: Vec<(NodeId, Timestamp)>) -> Self {
        Self { all, asked: asked.into_iter().collect(), progress: HashMap::new() }
    }

    /// Records that an operator ordered a scrub of a node, or of all nodes.
    pub(crate) fn ask(&mut self, node: Option<NodeId>, at: Timestamp) {
        match node {
            Some(node) => drop(self.asked.insert(node, at)),
            None => self.all = Some(at),
        }
    }

    /// When a scrub of the node was last ordered.
    pub(crate) fn asked_at(&self, node: NodeId) -> Option<Timestamp> {
        self.asked.get(&node).copied().max(self.all)
    }

    /// Records the progress that a node reported.
    pub(crate) fn tell(&mut self, node: NodeId, progress: Option<ScrubProgress>) {
        if let Some(progress) = progress {
            self.progress.insert(node, progress);
        }
    }

    /// The progress of a node.
    pub(crate) fn progress(&self, node: NodeId) -> Option<&ScrubProgress> {
        self.progress.get(&node)
    }

    /// Drops all that is known of a removed node.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.asked.remove(&node);
        self.progress.remove(&node);
    }
}
