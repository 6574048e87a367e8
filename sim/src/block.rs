//! Simulated blocks.

use crate::config::Millis;

/// A block, as in the metanode's tables.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its length in bytes.
    pub length: u64,
    /// How many replicas it should have.
    pub replication: u32,
    /// The nodes that have a replica, and whether no report said that it is corrupt.
    pub holders: Vec<(usize, bool)>,
    /// The nodes that have to delete a replica.
    pub doomed: Vec<usize>,
    /// The stage of its life.
    pub life: Life,
    /// Whether nature took its last good replica.
    pub lost: bool,
    /// The nodes that balancing moved it to.
    pub moved_to: Vec<usize>,
}

/// The stages of a block's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is being written, and the metanode does not know it yet.
    Granted,
    /// It is committed.
    Committed {
        /// The time of its commit.
        at: Millis,
    },
    /// It is deleted, and its replicas are kept for the grace period.
    Retired,
    /// Its replicas are being deleted, or are deleted.
    Purged,
}

impl Block {
    /// Whether its replicas are kept at its replication.
    pub fn is_kept(&self) -> bool {
        matches!(self.life, Life::Committed { .. } | Life::Retired)
    }

    /// The nodes that have a good replica, according to the metanode.
    pub fn good(&self) -> impl Iterator<Item = usize> + '_ {
        self.holders.iter().filter(|(_, good)| *good).map(|(node, _)| *node)
    }
}
