//! Buckets on the wire: creating, finding, listing and deleting them.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::MutationId;

/// Names a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketRef {
    /// The bucket's name.
    pub bucket: String,
}

/// Makes a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateBucket {
    /// The bucket's name; the gateway has checked S3's naming rules.
    pub bucket: String,
    /// The region that the client asked for.
    pub region: String,
    /// Has a repetition recognised. None from gateways that send no such ids yet.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteBucket {
    /// The bucket's name.
    pub bucket: String,
    /// Has a repetition recognised.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// What is known of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketInfo {
    /// Its name.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Asks for buckets in the order of their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListBuckets {
    /// Only names that begin so.
    pub prefix: String,
    /// Only names after this one.
    pub after: Option<String>,
    /// Upper limit of buckets.
    pub max: u32,
}

/// A page of buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketPage {
    /// In the order of their names.
    pub buckets: Vec<BucketInfo>,
    /// Whether there are more after the last one.
    pub truncated: bool,
}
