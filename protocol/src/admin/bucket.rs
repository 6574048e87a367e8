//! The settings of buckets for the block store.

use serde::{Deserialize, Serialize};

use crate::metadata::{Quota, Usage};

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
    /// How much it may use; `None` leaves the quota as it is.
    #[serde(default)]
    pub quota: Option<Quota>,
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
    /// How much it may use.
    #[serde(default)]
    pub quota: Quota,
    /// What it uses.
    #[serde(default)]
    pub usage: Usage,
}

/// Requests buckets with what they use, in the order of their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListBucketUsage {
    /// Only buckets after this name.
    pub after: Option<String>,
    /// Upper limit of buckets in the answer; at most 1,000.
    pub max: u32,
}

/// A page of buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketUsagePage {
    /// In the order of their names.
    pub buckets: Vec<BucketUsage>,
    /// Whether there are more.
    pub truncated: bool,
}

/// A bucket, and what it uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketUsage {
    /// Its name.
    pub bucket: String,
    /// The id of the account that owns it.
    pub account: String,
    /// How much it may use.
    pub quota: Quota,
    /// What it uses.
    pub usage: Usage,
}
