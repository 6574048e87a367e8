//! Simulated datanodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_planner::NodeView;
use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};
use uuid::Uuid;

use crate::config::Millis;

/// The id of the node with this number.
pub fn id_of(number: usize) -> NodeId {
    NodeId(Uuid::from_u128(number as u128))
}

/// The number of a node.
pub fn number_of(node: NodeId) -> usize {
    usize::try_from(node.0.as_u128()).unwrap_or(usize::MAX)
}

/// A replica on a disk.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Its volume.
    pub volume: usize,
    /// Whether its bytes are right.
    pub good: bool,
    /// Whether it was found to be bad.
    pub quarantined: bool,
}

/// A data directory.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    /// Its size in bytes.
    pub capacity: u64,
    /// The bytes in use.
    pub used: u64,
    /// Whether it is gone for good.
    pub broken: bool,
}

impl Volume {
    /// The free bytes.
    pub fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }
}

/// A datanode.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its number.
    pub number: usize,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Its data directories.
    pub volumes: Vec<Volume>,
    /// The replicas on its disks, by block.
    pub disk: BTreeMap<usize, Stored>,
    /// Whether it runs.
    pub up: bool,
    /// Whether its disks are gone for good.
    pub lost: bool,
    /// The number of its crashes and returns. Messages to an earlier epoch are lost.
    pub epoch: u32,
    /// When it will have ended the copies that it takes part in.
    pub busy_until: Millis,
    /// The metanode's knowledge of it.
    pub known: Known,
}

/// The metanode's knowledge of a node.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whether it is registered. It is, until an operator removes it.
    pub registered: bool,
    /// Whether it is live, stale or dead.
    pub state: NodeState,
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Whether it has sent anything since the metanode started.
    pub present: bool,
    /// Until when it is suspect.
    pub suspect_until: Millis,
    /// Whether its commands fail repeatedly.
    pub failing: bool,
    /// Blocks of which it has a replica, good or bad.
    pub held: BTreeSet<usize>,
    /// Blocks that it was ordered to delete.
    pub doomed: BTreeSet<usize>,
    /// Bytes that writes are about to use.
    pub reserved: u64,
    /// Bytes that copies are about to use.
    pub inbound: u64,
    /// The bytes of moves among them.
    pub moving_in: u64,
    /// Bytes of replicas that are dropped when the moves under way have ended.
    pub moving_out: u64,
    /// The bytes of the blocks in `doomed`.
    pub outgoing: u64,
}

impl Node {
    /// A new node, empty and running.
    pub fn new(number: usize, zone: Option<Arc<str>>, volumes: &[u64]) -> Self {
        let volume = |capacity: &u64| Volume { capacity: *capacity, used: 0, broken: false };
        Self {
            number,
            zone,
            volumes: volumes.iter().map(volume).collect(),
            disk: BTreeMap::new(),
            up: true,
            lost: false,
            epoch: 0,
            busy_until: 0,
            known: Known {
                registered: true,
                state: NodeState::Live,
                admin_state: AdminState::InService,
                present: true,
                suspect_until: 0,
                failing: false,
                held: BTreeSet::new(),
                doomed: BTreeSet::new(),
                reserved: 0,
                inbound: 0,
                moving_in: 0,
                moving_out: 0,
                outgoing: 0,
            },
        }
    }

    fn good_volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter().filter(|volume| !volume.broken)
    }

    /// The capacity of its good volumes, in bytes.
    pub fn capacity(&self) -> u64 {
        self.good_volumes().map(|volume| volume.capacity).sum()
    }

    /// The used bytes of its good volumes.
    pub fn used(&self) -> u64 {
        self.good_volumes().map(|volume| volume.used).sum()
    }

    /// Stores a replica. Returns whether there was space.
    pub(crate) fn store(&mut self, block: usize, length: u64) -> bool {
        if self.disk.contains_key(&block) {
            return true;
        }
        let volumes = self.volumes.iter_mut().enumerate().filter(|(_, volume)| !volume.broken);
        match volumes.max_by_key(|(_, volume)| volume.free()) {
            Some((number, volume)) if volume.free() >= length => {
                volume.used += length;
                self.disk.insert(block, Stored { volume: number, good: true, quarantined: false });
                true
            }
            _ => false,
        }
    }

    /// Removes a replica.
    pub(crate) fn erase(&mut self, block: usize, length: u64) {
        if let Some(stored) = self.disk.remove(&block)
            && let Some(volume) = self.volumes.get_mut(stored.volume)
        {
            volume.used -= length;
        }
    }

    /// Whether it has a good replica on its disks, even if it is down.
    pub fn has_good(&self, block: usize) -> bool {
        !self.lost && self.disk.get(&block).is_some_and(|stored| stored.good)
    }

    /// The node as decisions see it.
    pub(crate) fn view(&self, now: Millis, move_intents: bool) -> NodeView {
        let known = &self.known;
        let (moving_in, moving_out) = if move_intents { (known.moving_in, known.moving_out) } else { (0, 0) };
        let inbound = known.reserved + known.inbound - known.moving_in + moving_in;
        let free: u64 = self.good_volumes().map(Volume::free).sum();
        NodeView {
            node: id_of(self.number),
            zone: self.zone.clone(),
            state: known.state,
            admin_state: known.admin_state,
            suspect: !known.present || now < known.suspect_until,
            failing: known.failing,
            capacity: self.capacity(),
            predicted_used: (self.used() + inbound).saturating_sub(known.outgoing + moving_out),
            free_space: free.saturating_sub(inbound),
            largest_volume: self.good_volumes().map(Volume::free).max().unwrap_or(0),
        }
    }

    /// Whether it is reliable, as far as the metanode knows. It repeats the planner's definition without using its
    /// code, so that a mistake there is noticed.
    pub(crate) fn is_sure(&self, now: Millis) -> bool {
        let known = &self.known;
        known.registered
            && known.state == NodeState::Live
            && known.admin_state == AdminState::InService
            && known.present
            && now >= known.suspect_until
    }
}
