//! The hold: nothing is deleted until an operator agrees, because the metanode's database may be older than the datanodes'
//! replicas.

use serde::{Deserialize, Serialize};

use crate::cluster::Generation;
use crate::env::Timestamp;
use crate::id::NodeId;

/// Requests the state of the hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HoldRequest {}

/// Ends the hold: an operator agrees that replicas which this database does not know are deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseHold {
    /// The [`HoldStatus::revision`] that the operator has seen. If it has risen since, the request is refused.
    pub revision: u64,
    /// Only report what would happen.
    pub dry_run: bool,
}

/// Whether deletions are held, why, and what they would delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// The time since which deletions are held; `None` if they are not.
    pub since: Option<Timestamp>,
    /// A number that rises with each new reason.
    pub revision: u64,
    /// The first reasons, by node.
    pub reasons: Vec<HoldReason>,
    /// The number of all reasons.
    pub reasons_in_all: u64,
    /// Datanodes whose block report is missing since the metanode's start. Nothing is deleted before they have reported.
    pub awaited: Vec<NodeId>,
    /// The replicas that a release would delete, by node; nodes without any are left out.
    pub nodes: Vec<HeldReplicas>,
}

impl HoldStatus {
    /// Whether nothing is deleted until an operator agrees.
    pub fn is_held(&self) -> bool {
        self.since.is_some()
    }
}

/// A reason for the hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReason {
    /// The datanode whose message showed it.
    pub node: NodeId,
    /// When the message arrived.
    pub at: Timestamp,
    /// What the message showed.
    pub cause: HoldCause,
}

/// The signs that the database may be older than the datanodes' replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum HoldCause {
    /// The node has seen a generation that this database never had: this database is an older copy, or has had other changes
    /// since then.
    UnknownGeneration {
        /// The generation that the node has seen.
        seen: Generation,
    },
    /// The database does not know so many of the node's blocks that they cannot all be left over from aborted uploads.
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
    /// Its replicas of blocks to which nothing refers and whose leases have ended.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of all replicas that it reported.
    pub reported: u64,
    /// Replicas that were queued for deletion before, and are held as well.
    pub queued: u64,
}
