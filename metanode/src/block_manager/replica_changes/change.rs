//! What can happen to a replica, as the metanode learns of it.

use cairn_protocol::cluster::{ReplicaChange, ReportedReplica};
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::ReplicaProblem;

/// A change of a node's replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block_manager) enum Change {
    /// The node stored it just now: it is good, whatever was thought of the node's replica before.
    Stored(ReportedReplica),
    /// The node holds it, as a block report or an earlier look found: a replica that is suspect stays suspect.
    Held(ReportedReplica),
    /// The node found it corrupt and quarantined it, or lost it with a volume.
    Corrupt(BlockId),
    /// A gateway found something wrong with it.
    Suspected(BlockId, ReplicaProblem),
    /// The node's block report lacks it.
    Missing(BlockId),
    /// The node holds it as expected, but the block has more replicas than it should.
    Surplus(BlockId),
    /// The node deleted it, or it was to delete it and does not hold it.
    Deleted(BlockId),
}

impl Change {
    /// The block whose replica changed.
    pub(super) fn block(&self) -> BlockId {
        match self {
            Self::Stored(replica) | Self::Held(replica) => replica.block,
            Self::Corrupt(block)
            | Self::Suspected(block, _)
            | Self::Missing(block)
            | Self::Surplus(block)
            | Self::Deleted(block) => *block,
        }
    }

    /// The replica as the node reports it; of one that is lost or damaged neither length nor checksum mean anything.
    pub(super) fn replica(&self) -> ReportedReplica {
        match self {
            Self::Stored(replica) | Self::Held(replica) => *replica,
            other => ReportedReplica { block: other.block(), length: 0, crc32c: 0 },
        }
    }
}

impl From<ReplicaChange> for Change {
    fn from(change: ReplicaChange) -> Self {
        match change {
            ReplicaChange::Stored(replica) => Self::Stored(replica),
            ReplicaChange::Deleted(block) => Self::Deleted(block),
            ReplicaChange::Corrupt(block) => Self::Corrupt(block),
        }
    }
}
