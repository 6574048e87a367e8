//! What happens, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use cairn_types::id::NodeId;
use cairn_types::node::NodeState;

use crate::config::Millis;
use crate::soft_state::Purpose;

/// The end of a copy.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) intent: u64,
    pub(crate) block: usize,
    pub(crate) target: usize,
    pub(crate) epoch: u32,
    pub(crate) sources: Vec<NodeId>,
    pub(crate) purpose: Purpose,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A node sent nothing for so long.
    ContactLost { node: usize, epoch: u32, process: u32, state: NodeState },
    /// A node registers and tells what it has.
    Register { node: usize, epoch: u32 },
    /// A node is through with a copy.
    Copied(Copied),
    /// A copy should have been made by now.
    Deadline { intent: u64 },
    /// A node has deleted a replica.
    Deleted { node: usize, epoch: u32, block: usize },
    /// A write has come to its targets.
    Written { block: usize, targets: Vec<usize> },
    /// A deleted block's time is over.
    Purge { block: usize },
    /// The scrubber has come to a bad replica.
    Scrubbed { node: usize, block: usize },
    /// A node tells of a volume that broke.
    VolumeTold { node: usize, epoch: u32 },
    /// A maintenance is over.
    MaintenanceEnds { node: usize, until: Millis },
    /// A node is not suspect any more.
    DoubtEnds { node: usize },
    /// A block has rested after a failed copy.
    Look { block: usize },
    /// The metanode looks at its queues.
    Work { process: u32 },
    /// The metanode looks at the balance.
    Balance { process: u32 },
}

#[derive(Debug)]
struct Entry {
    at: Millis,
    /// Events of the same moment come in the order in which they were thought of.
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What is to happen, the next first.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Events {
    pub(crate) fn push(&mut self, at: Millis, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, event }));
    }

    pub(crate) fn pop(&mut self) -> Option<(Millis, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }
}
