//! The datanodes' scrubbers: what operators asked of them, and how far they are.

use std::collections::HashMap;

use cairn_protocol::cluster::ScrubProgress;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Scrubs {
    /// When all nodes were asked to begin anew.
    all: Option<Timestamp>,
    /// When single ones were.
    asked: HashMap<NodeId, Timestamp>,
    /// How far they are, as they told last.
    progress: HashMap<NodeId, ScrubProgress>,
}

impl Scrubs {
    /// What was asked before the start.
    pub(crate) fn new(all: Option<Timestamp>, asked: Vec<(NodeId, Timestamp)>) -> Self {
        Self { all, asked: asked.into_iter().collect(), progress: HashMap::new() }
    }

    /// A node, or all of them, was asked to begin anew.
    pub(crate) fn ask(&mut self, node: Option<NodeId>, at: Timestamp) {
        match node {
            Some(node) => drop(self.asked.insert(node, at)),
            None => self.all = Some(at),
        }
    }

    /// When a node was asked last.
    pub(crate) fn asked_at(&self, node: NodeId) -> Option<Timestamp> {
        self.asked.get(&node).copied().max(self.all)
    }

    /// A node tells how far it is.
    pub(crate) fn tell(&mut self, node: NodeId, progress: Option<ScrubProgress>) {
        if let Some(progress) = progress {
            self.progress.insert(node, progress);
        }
    }

    /// How far a node is.
    pub(crate) fn progress(&self, node: NodeId) -> Option<&ScrubProgress> {
        self.progress.get(&node)
    }

    /// A node was removed.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.asked.remove(&node);
        self.progress.remove(&node);
    }
}
