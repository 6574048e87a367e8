//! Deletions that wait for an operator, because the metanode's database may be older than what datanodes hold.

use serde::{Deserialize, Serialize};

use crate::cluster::Generation;
use crate::env::Timestamp;
use crate::id::NodeId;

/// Asks whether deletions are held.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HoldRequest {}

/// Has deletions go on: an operator agrees to give up what this database does not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseHold {
    /// [`HoldStatus::revision`] that the operator has seen. If more has become known since, nothing is done.
    pub revision: u64,
    /// Only tell what would happen.
    pub dry_run: bool,
}

/// Whether deletions are held, why, and what they would delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// Since when nothing is deleted; none if deletions are not held.
    pub since: Option<Timestamp>,
    /// Rises with every reason that becomes known.
    pub revision: u64,
    /// Why, by node; the first some.
    pub reasons: Vec<HoldReason>,
    /// How many reasons there are in all.
    pub reasons_in_all: u64,
    /// Datanodes that are to report after the metanode's start before anything is deleted, and have not.
    pub awaited: Vec<NodeId>,
    /// What would be given up, by node; nodes with nothing are left out.
    pub nodes: Vec<HeldReplicas>,
}

impl HoldStatus {
    /// Whether nothing is deleted until an operator agrees.
    pub fn is_held(&self) -> bool {
        self.since.is_some()
    }
}

/// Why deletions are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReason {
    /// The datanode that showed it.
    pub node: NodeId,
    /// When.
    pub at: Timestamp,
    /// What it showed.
    pub cause: HoldCause,
}

/// What shows that the database may be older than what datanodes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum HoldCause {
    /// The node has seen a state of the database that this one never was in: this is an older copy, or one that went
    /// another way since.
    UnknownGeneration {
        /// What it has seen.
        seen: Generation,
    },
    /// More of the node's blocks than can be left over from uploads that were broken off are not known.
    UnknownBlocks {
        /// Blocks that the database does not know.
        unknown: u64,
        /// Blocks that the node holds.
        reported: u64,
    },
}

/// Replicas of a node that the database does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldReplicas {
    /// The node.
    pub node: NodeId,
    /// Replicas on it of blocks to which nothing refers and whose leases are over.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// All replicas that it reported.
    pub reported: u64,
    /// Replicas that were queued for deletion, and wait as well.
    pub queued: u64,
}
