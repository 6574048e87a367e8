//! What buckets want of the block store.

use serde::{Deserialize, Serialize};

/// Asks for a bucket's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GetBucketSettings {
    /// Its name.
    pub bucket: String,
}

/// Sets a bucket's settings; what is left out becomes the cluster's default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetBucketSettings {
    /// Its name.
    pub bucket: String,
    /// How many replicas its blocks have, if its storage class says nothing else.
    pub replication: Option<u32>,
    /// The length in bytes of its objects' first blocks.
    pub block_size: Option<u64>,
}

/// A bucket's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// Its own replication; the cluster's default, without.
    pub replication: Option<u32>,
    /// Its own block size; the cluster's default, without.
    pub block_size: Option<u64>,
    /// What holds for a new object: replicas.
    pub effective_replication: u32,
    /// What holds for a new object: bytes.
    pub effective_block_size: u64,
}
