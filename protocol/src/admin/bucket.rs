//! The settings of buckets for the block store.

use serde::{Deserialize, Serialize};

/// Requests a bucket's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GetBucketSettings {
    /// Its name.
    pub bucket: String,
}

/// Replaces a bucket's settings. A setting that is `None` becomes the cluster's default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetBucketSettings {
    /// Its name.
    pub bucket: String,
    /// The replication of its blocks, unless the storage class of an object has another one.
    pub replication: Option<u32>,
    /// The length of its objects' first blocks, in bytes.
    pub block_size: Option<u64>,
}

/// A bucket's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// The bucket's own replication; `None` is the cluster's default.
    pub replication: Option<u32>,
    /// The bucket's own block size in bytes; `None` is the cluster's default.
    pub block_size: Option<u64>,
    /// The replication of a new object's blocks.
    pub effective_replication: u32,
    /// The block size of a new object, in bytes.
    pub effective_block_size: u64,
}
