//! From a key to its bytes.

use serde::{Deserialize, Serialize};

use super::node::{AdminState, NodeState};
use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId, VersionId};

/// Asks where an object is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WhereRequest {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// A version; the current one without.
    pub version: Option<VersionId>,
}

/// An object, and where its bytes are.
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

/// An extent, and where its block is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExtentPlace {
    /// Where it begins in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The block.
    pub block: BlockId,
    /// Where it begins in the block.
    pub block_offset: u64,
    /// The block's length in bytes.
    pub block_length: u64,
    /// The block's CRC32C.
    pub crc32c: Crc32c,
    /// How many replicas there should be.
    pub replication: u32,
    /// How many extents refer to the block.
    pub references: u64,
    /// The replicas.
    pub replicas: Vec<ReplicaPlace>,
}

/// A replica of a block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaPlace {
    /// Who holds it.
    pub node: NodeId,
    /// The node's base URL.
    pub address: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Its state.
    pub state: NodeState,
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Whether the replica is good as far as the metanode knows.
    pub good: bool,
}
