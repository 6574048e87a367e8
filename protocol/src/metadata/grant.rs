//! Grants on the wire: asking for blocks, what a grant allows and what of it is signed, and reports of bad replicas.

use serde::{Deserialize, Serialize};

use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};

/// Asks for grants of new blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllocateBlocks {
    /// The bucket that they are for.
    pub bucket: String,
    /// The object's storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// Where in the object the first of these blocks begins: block sizes grow with the object.
    pub object_offset: u64,
    /// The object's length, if it is known.
    pub object_length: Option<u64>,
    /// The length in bytes that the client wants the object's first blocks to have, if it says so; the
    /// bucket's or the cluster's without. Blocks grow with the object all the same.
    #[serde(default)]
    pub block_size: Option<u64>,
    /// How many bytes of each block the client expects to store, if that is less than the block may have: no more is set
    /// aside on its nodes.
    #[serde(default)]
    pub expected_length: Option<u64>,
    /// How many blocks. A last block may come out shorter than granted; a grant may stay unused.
    pub count: u32,
    /// Nodes that failed the client just now.
    pub exclude: Vec<NodeId>,
}

/// The right to store one block: a lease. Its holder renews it or gives it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The block.
    pub block: BlockId,
    /// Where to store it, in the order of the pipeline.
    pub targets: Vec<GrantTarget>,
    /// The largest length in bytes.
    pub block_size: u64,
    /// How many replicas it should have.
    pub replication: u32,
    /// How many replicas it must have to be committed.
    pub min_replicas: u32,
    /// Until when it can be committed, by cluster time: it cannot be compared with another clock.
    pub expires_at: Timestamp,
    /// How long that is from the moment at which it was given or renewed, in milliseconds; 0 from a metanode of
    /// an earlier version. Not signed: it only tells the holder when to renew.
    #[serde(default)]
    pub lifetime_ms: u64,
    /// The metanode's signature over all of the above but the targets' addresses: metanodes need
    /// not remember grants.
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
    /// The block's length in bytes; the extent is the whole block.
    pub length: u64,
    /// The block's CRC32C.
    pub crc32c: Crc32c,
    /// The nodes that hold it on stable storage.
    pub stored_on: Vec<NodeId>,
    /// In which incarnation they do, as they said: see [`PutBlockReply::incarnations`](crate::block::PutBlockReply). Those
    /// that did not say are believed.
    #[serde(default)]
    pub incarnations: Vec<(NodeId, u64)>,
}

/// Extends leases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewGrants {
    /// The grants; expired ones are refused, all together.
    pub grants: Vec<Grant>,
}

/// Gives grants back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseGrants {
    /// The grants. A block that was committed meanwhile is kept.
    pub grants: Vec<Grant>,
}

/// A replica that could not be read, or was wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The block.
    pub block: BlockId,
    /// The datanode.
    pub node: NodeId,
    /// What was wrong.
    pub problem: ReplicaProblem,
}

/// What can be wrong with a replica, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaProblem {
    /// The node does not answer.
    Unreachable,
    /// The node answers that it has no such block.
    Missing,
    /// The bytes do not match the checksum.
    Corrupt,
}
