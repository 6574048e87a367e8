//! Counts of what was done, and of its causes.

use crate::soft_state::Purpose;

/// A number of replicas, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Their number.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Work {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.copies += 1;
        self.bytes += bytes;
    }
}

/// Counts of what happened to a cluster, and of what was done about it.
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
    /// Replicas that became bad.
    pub corruptions: u64,
    /// Restarts of the metanode.
    pub restarts: u64,
    /// Blocks of which nature took the last good replica.
    pub blocks_lost: u64,
    /// Copies ordered.
    pub ordered: u64,
    /// Copies that failed.
    pub failed: u64,
    /// Replicas that were dropped because they were surplus or bad.
    pub dropped: Work,
    /// Copies made because blocks lacked replicas.
    pub repaired: Work,
    /// Copies made because nodes drained.
    pub drained: Work,
    /// Copies made because a zone had too many replicas.
    pub spread: Work,
    /// Copies made because nodes were too full.
    pub moved: Work,
    /// The moves off a node that an earlier move had brought the same block to.
    pub moved_again: u64,
    /// The causes of this work.
    pub cause: Cause,
    /// Events simulated.
    pub events: u64,
}

/// The bytes that have to be copied at least because of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Replicas that were lost, with nodes, volumes and bad blocks, or that writes never made.
    pub lost: u64,
    /// Replicas on nodes that were to be drained.
    pub drained: u64,
    /// Copies under way whose end the metanode did not learn, because it restarted or gave them up.
    pub forgotten: u64,
    /// The sum of all rises of nodes above the mean that balancing did not cause.
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
