//! What a bucket is configured to do: one document with a revision for each kind.

use serde::{Deserialize, Serialize};

use super::{AccessEpoch, BucketInfo};
use crate::id::MutationId;

/// A kind of configuration. The names of all kinds of S3 are reserved here; the metanode accepts only those that are
/// implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are S3's own")]
pub enum ConfigurationKind {
    Policy,
    Acl,
    OwnershipControls,
    PublicAccessBlock,
    Cors,
    Encryption,
    Lifecycle,
    Logging,
    Notification,
    ObjectLock,
    Replication,
    RequestPayment,
    Tagging,
    Versioning,
    Website,
}

impl ConfigurationKind {
    /// Every kind that can be put.
    pub const IMPLEMENTED: [Self; 6] = [
        Self::Policy,
        Self::Acl,
        Self::OwnershipControls,
        Self::PublicAccessBlock,
        Self::Tagging,
        Self::Lifecycle,
    ];

    /// The name, by which the metanode keeps it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Acl => "acl",
            Self::OwnershipControls => "ownership_controls",
            Self::PublicAccessBlock => "public_access_block",
            Self::Cors => "cors",
            Self::Encryption => "encryption",
            Self::Lifecycle => "lifecycle",
            Self::Logging => "logging",
            Self::Notification => "notification",
            Self::ObjectLock => "object_lock",
            Self::Replication => "replication",
            Self::RequestPayment => "request_payment",
            Self::Tagging => "tagging",
            Self::Versioning => "versioning",
            Self::Website => "website",
        }
    }

    /// Whether gateways use what they remember of it, so that a change of it begins another [`AccessEpoch`]: what decides about
    /// access, and the lifecycle, of which answers to writes and reads tell.
    pub fn is_remembered(self) -> bool {
        matches!(
            self,
            Self::Policy | Self::Acl | Self::OwnershipControls | Self::PublicAccessBlock | Self::Lifecycle
        )
    }
}

/// A document of a bucket. The gateway checks and reads it; to the metanode it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketConfiguration {
    /// What it configures.
    pub kind: ConfigurationKind,
    /// Grows with each change, and never repeats for a bucket.
    pub revision: u64,
    /// The document.
    pub document: String,
}

/// A bucket and all that it is configured to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketConfigurations {
    /// The bucket, with its owner.
    pub info: BucketInfo,
    /// Its documents, at most one for each kind.
    pub configurations: Vec<BucketConfiguration>,
    /// What the owner's account blocks of public access, for all of its buckets. `None` if it has said nothing.
    #[serde(default)]
    pub account_public_access_block: Option<String>,
    /// The length of a day of lifecycle rules in milliseconds. Metanodes of earlier releases have no rules.
    #[serde(default = "utc_day_ms")]
    pub lifecycle_day_ms: u64,
    /// Whether the bucket has a quota. Metanodes of earlier releases do not say it.
    #[serde(default = "super::quota::may_be_set")]
    pub has_quota: bool,
    /// The state of access control that the rest was read from.
    pub epoch: AccessEpoch,
}

fn utc_day_ms() -> u64 {
    24 * 3600 * 1000
}

/// Puts or deletes a document of a bucket. Deleting one that does not exist succeeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutBucketConfiguration {
    /// The bucket's name.
    pub bucket: String,
    /// What it configures.
    pub kind: ConfigurationKind,
    /// The document; `None` deletes the one that there is.
    pub document: Option<String>,
    /// The revision that the change is based on: 0 if there is no document. Fails with `PreconditionFailed` if it is another
    /// one by now.
    pub expected_revision: Option<u64>,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}

/// A document that a new bucket has from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConfiguration {
    /// What it configures.
    pub kind: ConfigurationKind,
    /// The document.
    pub document: String,
}

impl NewConfiguration {
    /// What S3 gives a new bucket (S3 User Guide, "Default settings for new S3 buckets FAQ", of April 2023): its owner owns all
    /// objects, ACLs do not count, and all public access is blocked.
    pub fn of_new_bucket() -> Vec<Self> {
        let document = |kind, text: &str| Self { kind, document: text.to_owned() };
        vec![
            document(ConfigurationKind::OwnershipControls, "\"BucketOwnerEnforced\""),
            document(
                ConfigurationKind::PublicAccessBlock,
                "{\"block_public_acls\":true,\"ignore_public_acls\":true,\"block_public_policy\":true,\
                 \"restrict_public_buckets\":true}",
            ),
        ]
    }
}

/// Names a document of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountConfigurationRef {
    /// The account's 12 digits.
    pub account: String,
    /// What it configures: [`ConfigurationKind::PublicAccessBlock`].
    pub kind: ConfigurationKind,
}

/// Puts or deletes a document of an account. Deleting one that does not exist succeeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutAccountConfiguration {
    /// The account's 12 digits.
    pub account: String,
    /// What it configures: [`ConfigurationKind::PublicAccessBlock`].
    pub kind: ConfigurationKind,
    /// The document; `None` deletes the one that there is.
    pub document: Option<String>,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}
