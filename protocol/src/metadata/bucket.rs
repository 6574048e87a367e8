//! Buckets on the wire: creating, finding, listing and deleting them.

use serde::{Deserialize, Serialize};

use super::{Account, BucketLock, NewConfiguration, QuotaRoom, Versioning};
use crate::env::Timestamp;
use crate::id::MutationId;

/// Names a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketRef {
    /// The bucket's name.
    pub bucket: String,
}

/// Creates a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateBucket {
    /// The bucket's name; the gateway has checked S3's naming rules.
    pub bucket: String,
    /// The region in the client's request.
    pub region: String,
    /// The account that will own it. Gateways of earlier releases know one only.
    #[serde(default = "Account::first")]
    pub owner: Account,
    /// What it is configured to do from the start.
    #[serde(default)]
    pub configurations: Vec<NewConfiguration>,
    /// Whether it has Object Lock, and with it versioning, from the start.
    #[serde(default)]
    pub object_lock: bool,
    /// The id by which a repetition is recognised. `None` from gateways of earlier releases.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

impl CreateBucket {
    /// Creates a bucket of the account of the root credentials, with what S3 configures for a new bucket.
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            owner: Account::first(),
            configurations: NewConfiguration::of_new_bucket(),
            object_lock: false,
            mutation: None,
        }
    }
}

/// Deletes a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteBucket {
    /// The bucket's name.
    pub bucket: String,
    /// The id by which a repetition is recognised.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// The properties of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketInfo {
    /// Its name.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it keeps old versions.
    #[serde(default)]
    pub versioning: Versioning,
    /// The account that owns it.
    #[serde(default = "Account::first")]
    pub owner: Account,
    /// What it locks, if it has Object Lock.
    #[serde(default)]
    pub object_lock: Option<BucketLock>,
    /// What is left of its quota, and of that of the user who asks. In answers of [`get_bucket`](super::Metadata::get_bucket)
    /// only; empty without quotas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<QuotaRoom>,
}

/// Enables or suspends the versioning of a bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetVersioning {
    /// The bucket's name.
    pub bucket: String,
    /// The new state, which is not [`Versioning::Never`].
    pub versioning: Versioning,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}

/// Requests buckets in the order of their names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListBuckets {
    /// Only names with this prefix.
    pub prefix: String,
    /// Only names after this one.
    pub after: Option<String>,
    /// Upper limit of entries in the answer.
    pub max: u32,
    /// Only buckets of the account with these 12 digits.
    #[serde(default)]
    pub owner: Option<String>,
    /// Only buckets of this region.
    #[serde(default)]
    pub region: Option<String>,
}

/// A page of buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketPage {
    /// The buckets in the order of their names.
    pub buckets: Vec<BucketInfo>,
    /// Whether there are more after the last one.
    pub truncated: bool,
}
