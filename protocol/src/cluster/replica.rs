//! A replica on a datanode, and a change of one.

use serde::{Deserialize, Serialize};

use crate::checksum::Crc32c;
use crate::id::BlockId;

/// A replica that a datanode holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedReplica {
    /// The block.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
}

/// A change of one replica on a datanode: an entry of its incremental report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaChange {
    /// The datanode stored it, and it is on stable storage.
    Stored(ReportedReplica),
    /// The datanode deleted it.
    Deleted(BlockId),
    /// The datanode found it corrupt and quarantined it, or lost it with a volume.
    Corrupt(BlockId),
}

impl ReplicaChange {
    /// The block whose replica changed.
    pub fn block(&self) -> BlockId {
        match self {
            Self::Stored(replica) => replica.block,
            Self::Deleted(block) | Self::Corrupt(block) => *block,
        }
    }
}
