//! Simulated blocks.

use crate::config::Millis;

/// A block, as the metanode's tables have it.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its length in bytes.
    pub length: u64,
    /// How many replicas it should have.
    pub replication: u32,
    /// Who has one, and whether it is good as far as is known.
    pub holders: Vec<(usize, bool)>,
    /// Who is to delete one.
    pub doomed: Vec<usize>,
    /// Where its life stands.
    pub life: Life,
    /// Nature took its last good replica.
    pub lost: bool,
    /// Where balancing moved it.
    pub moved_to: Vec<usize>,
}

/// Where a block's life stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Being written: the metanode does not know it yet.
    Granted,
    /// There.
    Committed {
        /// Since when.
        at: Millis,
    },
    /// Deleted, its replicas kept for the grace period.
    Retired,
    /// Its replicas are being deleted, or are.
    Purged,
}

impl Block {
    /// Whether its replicas are to be kept at their number.
    pub fn is_kept(&self) -> bool {
        matches!(self.life, Life::Committed { .. } | Life::Retired)
    }

    /// Who has a good replica, as far as is known.
    pub fn good(&self) -> impl Iterator<Item = usize> + '_ {
        self.holders.iter().filter(|(_, good)| *good).map(|(node, _)| *node)
    }
}
