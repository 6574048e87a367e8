//! The blocks and replicas of an object.

use serde::{Deserialize, Serialize};

use super::node::{AdminState, NodeState};
use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId, VersionId};
use crate::metadata::VersionName;

/// Requests the place of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WhereRequest {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version; `None` is the current one.
    pub version: Option<VersionName>,
}

/// An object and its extents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The version.
    pub version: VersionId,
    /// Its length in bytes.
    pub length: u64,
    /// Its ETag.
    pub etag: String,
    /// When it was written.
    pub modified_at: Timestamp,
    /// Its extents, in order.
    pub extents: Vec<ExtentPlace>,
}

/// An extent and the replicas of its block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExtentPlace {
    /// The offset of the extent in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The block.
    pub block: BlockId,
    /// The offset of the extent in the block.
    pub block_offset: u64,
    /// The block's length in bytes.
    pub block_length: u64,
    /// The block's CRC32C.
    pub crc32c: Crc32c,
    /// The block's replication.
    pub replication: u32,
    /// The number of extents that refer to the block.
    pub references: u64,
    /// The replicas.
    pub replicas: Vec<ReplicaPlace>,
}

/// A replica of a block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaPlace {
    /// The node that holds the replica.
    pub node: NodeId,
    /// The node's base URL.
    pub address: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Its state.
    pub state: NodeState,
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Whether the replica is good, as far as the metanode knows.
    pub good: bool,
}
