//! S3's actions, and whether each applies to buckets or to objects.
//!
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

use crate::context::Context;
use crate::pattern::{Pattern, Syntax};

/// What an action of S3 applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppliesTo {
    /// `arn:aws:s3:::bucket`.
    Bucket,
    /// `arn:aws:s3:::bucket/key`.
    Object,
    /// The account: no policy of a bucket can allow it.
    Account,
}

const BUCKET: &[&str] = &[
    "CreateBucket",
    "DeleteBucket",
    "DeleteBucketPolicy",
    "DeleteBucketWebsite",
    "GetAccelerateConfiguration",
    "GetAnalyticsConfiguration",
    "GetBucketAcl",
    "GetBucketCORS",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketNotification",
    "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketPublicAccessBlock",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetEncryptionConfiguration",
    "GetIntelligentTieringConfiguration",
    "GetInventoryConfiguration",
    "GetLifecycleConfiguration",
    "GetMetricsConfiguration",
    "GetReplicationConfiguration",
    "ListBucket",
    "ListBucketMultipartUploads",
    "ListBucketVersions",
    "PutAccelerateConfiguration",
    "PutAnalyticsConfiguration",
    "PutBucketAcl",
    "PutBucketCORS",
    "PutBucketLogging",
    "PutBucketNotification",
    "PutBucketObjectLockConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutEncryptionConfiguration",
    "PutIntelligentTieringConfiguration",
    "PutInventoryConfiguration",
    "PutLifecycleConfiguration",
    "PutMetricsConfiguration",
    "PutReplicationConfiguration",
];

const OBJECT: &[&str] = &[
    "AbortMultipartUpload",
    "BypassGovernanceRetention",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjectVersion",
    "DeleteObjectVersionTagging",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionAttributes",
    "GetObjectVersionForReplication",
    "GetObjectVersionTagging",
    "GetObjectVersionTorrent",
    "ListMultipartUploadParts",
    "ObjectOwnerOverrideToBucketOwner",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutObjectVersionAcl",
    "PutObjectVersionTagging",
    "ReplicateDelete",
    "ReplicateObject",
    "ReplicateTags",
    "RestoreObject",
];

const ACCOUNT: &[&str] = &["GetAccountPublicAccessBlock", "ListAllMyBuckets", "PutAccountPublicAccessBlock"];

/// The actions of S3 with what each applies to.
pub fn all() -> impl Iterator<Item = (&'static str, AppliesTo)> {
    let tables = [(BUCKET, AppliesTo::Bucket), (OBJECT, AppliesTo::Object), (ACCOUNT, AppliesTo::Account)];
    tables.into_iter().flat_map(|(names, applies_to)| names.iter().map(move |name| (*name, applies_to)))
}

/// A pattern of actions: `s3:Get*`, `*`. Actions are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionPattern {
    text: String,
    pattern: Pattern,
}

impl ActionPattern {
    /// Parses a pattern; `None` for what is neither `*` nor `service:action`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_action = text.split_once(':').is_some_and(|(service, name)| {
            let plain = |part: &str, more: &[char]| {
                !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
            };
            plain(service, &['-']) && plain(name, &['*', '?', '-', '_'])
        });
        if text != "*" && !is_action {
            return None;
        }
        let pattern = Pattern::parse(&text.to_ascii_lowercase(), Syntax::Wildcards);
        Some(Self { text: text.to_owned(), pattern })
    }

    /// The text of the pattern.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an action, such as `s3:GetObject`, matches.
    pub fn matches(&self, action: &str) -> bool {
        self.matches_lower_case(&action.to_ascii_lowercase())
    }

    /// Whether an action matches that is in lower case already.
    pub(crate) fn matches_lower_case(&self, action: &str) -> bool {
        // A pattern without variables has an answer in every context.
        self.pattern.matches(action, &Context::default()) == Some(true)
    }

    /// What the actions of S3 apply to that match.
    pub fn applies_to(&self) -> impl Iterator<Item = AppliesTo> + '_ {
        all().filter(|(name, _)| self.matches(&format!("s3:{name}"))).map(|(_, applies_to)| applies_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_match_without_regard_to_case() {
        let matches = |pattern: &str, action: &str| ActionPattern::parse(pattern).unwrap().matches(action);
        assert!(matches("S3:getobject", "s3:GetObject"));
        assert!(matches("s3:Get*", "s3:GetObjectTagging"));
        assert!(!matches("s3:Get*", "s3:PutObject"));
        assert!(!matches("s3:GetObject", "s3:GetObjectVersion"));
        assert!(matches("*", "iam:CreateUser"));
        for wrong in ["", "s3", "GetObject", "s3:", ":Get", "s3:Get Object", "s*3:Get", "s3:Get:Object"] {
            assert_eq!(ActionPattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_action_is_listed_once() {
        let mut names: Vec<_> = all().map(|(name, _)| name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let of = |pattern: &str| ActionPattern::parse(pattern).unwrap().applies_to().collect::<Vec<_>>();
        assert_eq!(of("s3:GetObject"), [AppliesTo::Object]);
        assert_eq!(of("s3:ListBucket"), [AppliesTo::Bucket]);
        assert_eq!(of("s3:NoSuchAction"), []);
    }
}
