//! How much may be under way at once.

use std::collections::HashMap;

use cairn_protocol::id::NodeId;

/// Bytes of copies under way, per node as reader and as writer, against a limit for each.
///
/// The limit keeps one node from being asked for more than it can do before the commands' deadline;
/// a block above the limit still goes, alone.
#[derive(Clone, Debug)]
pub struct InFlight {
    limit: u64,
    bytes: HashMap<NodeId, u64>,
}

impl InFlight {
    /// Nothing under way; `limit` bytes for each node.
    pub fn new(limit: u64) -> Self {
        Self { limit, bytes: HashMap::new() }
    }

    /// Whether `node` can take part in copying `bytes` more.
    pub fn fits(&self, node: NodeId, bytes: u64) -> bool {
        let under_way = self.load(node);
        under_way == 0 || under_way.saturating_add(bytes) <= self.limit
    }

    /// Bytes under way at `node`.
    pub fn load(&self, node: NodeId) -> u64 {
        self.bytes.get(&node).copied().unwrap_or(0)
    }

    /// Counts a copy at a node that takes part in it.
    pub fn add(&mut self, node: NodeId, bytes: u64) {
        // A block has a byte at the least, so that every copy counts.
        let under_way = self.bytes.entry(node).or_default();
        *under_way = under_way.saturating_add(bytes.max(1));
    }

    /// A copy that was counted at a node has ended.
    pub fn remove(&mut self, node: NodeId, bytes: u64) {
        if let Some(under_way) = self.bytes.get_mut(&node) {
            *under_way = under_way.saturating_sub(bytes.max(1));
            if *under_way == 0 {
                self.bytes.remove(&node);
            }
        }
    }
}
