//! What rows of several tables are read as. These types use nothing of the tables' modules, so that what keeps them in memory need not
//! know those.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{BucketInfo, ObjectVersion};
use serde::{Deserialize, Serialize};

/// The key of a bucket in other tables. It is never used again after the bucket is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct BucketId(pub(super) i64);

/// A bucket's settings for new blocks; `None` where the cluster's default applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketLayout {
    /// How many replicas each block should have.
    pub(crate) replication: Option<u32>,
    /// The maximum length of an object's first blocks, in bytes.
    pub(crate) block_size: Option<u64>,
}

/// What is looked up of a bucket for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundBucket {
    pub(super) id: BucketId,
    pub(super) info: BucketInfo,
    pub(super) layout: BucketLayout,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its CRC32C.
    pub(crate) crc32c: Crc32c,
    /// How many replicas it should have.
    pub(crate) replication: u32,
}

/// A block and the nodes that have a replica of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockReplicas {
    /// The block.
    pub(crate) block: Block,
    /// The nodes that have a replica, and whether no report said that it is corrupt.
    pub(crate) holders: Vec<(NodeId, bool)>,
}

/// A version, or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredVersion {
    /// The version. That of a delete marker is empty.
    pub(crate) object: ObjectVersion,
    /// Whether it is a delete marker.
    pub(crate) is_delete_marker: bool,
}
