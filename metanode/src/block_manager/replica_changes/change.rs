//! Changes of a replica, by how the metanode learned of them.

use cairn_protocol::cluster::{ReplicaChange, ReportedReplica};
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::ReplicaProblem;

/// A change of a node's replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block_manager) enum Change {
    /// The node has just stored it: it is good, even if the node's earlier replica was corrupt.
    Stored(ReportedReplica),
    /// The node has it, according to a block report or an earlier examination. A replica that is listed as corrupt
    /// stays so.
    Held(ReportedReplica),
    /// The node found it corrupt and quarantined it, or lost it with a volume.
    Corrupt(BlockId),
    /// A gateway reported a problem with it.
    Suspected(BlockId, ReplicaProblem),
    /// The node's block report lacks it.
    Missing(BlockId),
    /// The node has it as expected, but the block has more replicas than it should.
    Surplus(BlockId),
    /// The node deleted it, or was ordered to and does not have it.
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

    /// The replica as the node reported it. For a lost or damaged one, length and checksum are 0 and mean nothing.
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
