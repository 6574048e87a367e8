//! Events, ordered by time.

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

/// An event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A node was without contact for the time after which it is stale, or dead.
    ContactLost { node: usize, epoch: u32, process: u32, state: NodeState },
    /// A node registers and reports its replicas.
    Register { node: usize, epoch: u32 },
    /// A node has ended a copy, with or without success.
    Copied(Copied),
    /// The deadline of a copy has passed.
    Deadline { intent: u64 },
    /// A node has deleted a replica.
    Deleted { node: usize, epoch: u32, block: usize },
    /// A write has reached its targets.
    Written { block: usize, targets: Vec<usize> },
    /// The grace period of a deleted block is over.
    Purge { block: usize },
    /// A scrub has found a bad replica.
    Scrubbed { node: usize, block: usize },
    /// A node reports a broken volume.
    VolumeTold { node: usize, epoch: u32 },
    /// A maintenance is over.
    MaintenanceEnds { node: usize, until: Millis },
    /// A node is not suspect any more.
    DoubtEnds { node: usize },
    /// The wait of a block after a failed copy is over.
    Look { block: usize },
    /// The metanode examines the blocks in its queues.
    Work { process: u32 },
    /// The metanode examines the balance.
    Balance { process: u32 },
}

#[derive(Debug)]
struct Entry {
    at: Millis,
    /// Events of the same time are handled in the order in which they were added.
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

/// The future events, the next first.
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
