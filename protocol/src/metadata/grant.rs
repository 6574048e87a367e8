//! Grants on the wire: requests for grants, the grant and its signature, and reports of bad replicas.

use serde::{Deserialize, Serialize};

use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};

/// Requests grants for new blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllocateBlocks {
    /// The bucket that they are for.
    pub bucket: String,
    /// The object's storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// The offset in the object at which the first of these blocks begins, because block sizes grow with the object.
    pub object_offset: u64,
    /// The object's length in bytes, if it is known.
    pub object_length: Option<u64>,
    /// The client's choice for the length of the object's first blocks in bytes; `None` is the bucket's or the cluster's. Blocks
    /// grow with the object in any case.
    #[serde(default)]
    pub block_size: Option<u64>,
    /// The bytes of each block that the client expects to store, if they are fewer than the block size. The reservation on the
    /// nodes is then no larger.
    #[serde(default)]
    pub expected_length: Option<u64>,
    /// The number of blocks. The last block may be shorter than granted, and grants may stay unused.
    pub count: u32,
    /// Nodes on which the client's writes have just failed.
    pub exclude: Vec<NodeId>,
}

/// A grant: the permission to store one block for the time of a lease. The holder renews or releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The block.
    pub block: BlockId,
    /// The nodes to store it on, in the order of the pipeline.
    pub targets: Vec<GrantTarget>,
    /// The largest length of the block in bytes.
    pub block_size: u64,
    /// The replication of the block.
    pub replication: u32,
    /// The number of replicas that a commit needs.
    pub min_replicas: u32,
    /// The end of the lease by cluster time, which cannot be compared with another clock.
    pub expires_at: Timestamp,
    /// The duration of the lease in milliseconds, from the moment at which it was given or renewed; 0 from metanodes of an
    /// earlier version. It is not signed, because the holder only uses it to choose when to renew.
    #[serde(default)]
    pub lifetime_ms: u64,
    /// The metanode's signature over all fields above except the targets' addresses and the duration. With it, the metanode
    /// need not keep grants.
    pub signature: String,
}

/// A datanode that a grant names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantTarget {
    /// The datanode.
    pub node: NodeId,
    /// Its base URL.
    pub address: String,
}

impl Grant {
    /// The bytes that [`signature`](Self::signature) signs, for the purpose `grant`.
    pub fn message(&self) -> Vec<u8> {
        let nodes: Vec<_> = self.targets.iter().map(|target| target.node.to_string()).collect();
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}",
            self.block,
            nodes.join(","),
            self.block_size,
            self.replication,
            self.min_replicas,
            self.expires_at.0
        )
        .into_bytes()
    }
}

/// A block that was stored under a grant, as part of an object or a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewExtent {
    /// The grant.
    pub grant: Grant,
    /// The block's length in bytes.
    pub length: u64,
    /// The block's CRC32C.
    pub crc32c: Crc32c,
    /// The nodes that hold it on stable storage.
    pub stored_on: Vec<NodeId>,
    /// The incarnations in which they hold it, as they sent them: see
    /// [`PutBlockReply::incarnations`](crate::block::PutBlockReply). A node without an entry counts as a holder.
    #[serde(default)]
    pub incarnations: Vec<(NodeId, u64)>,
    /// The slice of the block that is the extent, for a block that several objects share; `None` if the extent is the whole
    /// block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<BlockSlice>,
}

impl NewExtent {
    /// The length of the extent in bytes.
    pub fn extent_length(&self) -> u64 {
        self.slice.map_or(self.length, |slice| slice.length)
    }
}

/// A slice of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSlice {
    /// The offset in the block at which it begins.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The CRC32C of its bytes.
    pub crc32c: Crc32c,
}

/// Extends leases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewGrants {
    /// The grants. If one has expired, all are refused.
    pub grants: Vec<Grant>,
}

/// Releases grants that will not be committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseGrants {
    /// The grants. A block that has been committed is kept.
    pub grants: Vec<Grant>,
    /// Whether nothing was sent to a datanode under them, so that there is nothing to delete.
    #[serde(default)]
    pub unused: bool,
}

/// Reports a replica that could not be read, or had wrong bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The block.
    pub block: BlockId,
    /// The datanode.
    pub node: NodeId,
    /// The problem.
    pub problem: ReplicaProblem,
}

/// The problems of a replica that a reader can notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaProblem {
    /// The node does not answer.
    Unreachable,
    /// The node answers that it has no such block.
    Missing,
    /// The bytes do not match the checksum.
    Corrupt,
}
