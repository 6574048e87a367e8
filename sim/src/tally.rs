//! What was done, and what gave cause to it.

use crate::soft_state::Purpose;

/// Replicas and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// How many.
    pub copies: u64,
    /// Of how many bytes.
    pub bytes: u64,
}

impl Work {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.copies += 1;
        self.bytes += bytes;
    }
}

/// What happened to a cluster, and what was done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks written.
    pub written: Work,
    /// Writes that were refused or failed for lack of nodes.
    pub refused: u64,
    /// Blocks deleted.
    pub deleted: Work,
    /// Crashes of nodes that came back, or could have.
    pub crashes: u64,
    /// Nodes lost for good.
    pub losses: u64,
    /// Volumes lost for good.
    pub volumes_broken: u64,
    /// Replicas that went bad.
    pub corruptions: u64,
    /// Restarts of the metanode.
    pub restarts: u64,
    /// Blocks of which nature took the last good replica.
    pub blocks_lost: u64,
    /// Copies ordered.
    pub ordered: u64,
    /// Copies that failed.
    pub failed: u64,
    /// Replicas that were dropped because there were too many, or because they were bad.
    pub dropped: Work,
    /// Copies made because blocks lacked them.
    pub repaired: Work,
    /// Copies made because nodes drained.
    pub drained: Work,
    /// Copies made because there were too many in a zone.
    pub spread: Work,
    /// Copies made because nodes were too full.
    pub moved: Work,
    /// Of those, from where an earlier move had brought the same block.
    pub moved_again: u64,
    /// What gave cause to all that.
    pub cause: Cause,
    /// Events simulated.
    pub events: u64,
}

/// A lower bound of the bytes that have to be copied after the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Copies that were lost: with nodes, volumes and bad blocks, or never made by writes.
    pub lost: u64,
    /// Replicas on nodes that were to be drained.
    pub drained: u64,
    /// Copies under way whose end the metanode did not hear of: it restarted, or gave them up.
    pub forgotten: u64,
    /// By how much nodes rose above the mean, through anything but balancing, each time.
    pub unbalanced: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, purpose: Purpose, bytes: u64) {
        match purpose {
            Purpose::Repair => self.repaired.add(bytes),
            Purpose::Drain => self.drained.add(bytes),
            Purpose::Spread => self.spread.add(bytes),
            Purpose::Move { .. } => self.moved.add(bytes),
        }
    }
}
