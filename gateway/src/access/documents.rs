//! The configurations of a bucket that decide about access, as the metanode keeps them: as JSON, but for the policy, which is kept as
//! the client sent it.
//!
//! A document that is missing has a meaning, and it is AWS's: no policy, the ACL that gives the owner full control, the ownership
//! `ObjectWriter`, and no public access is blocked. Buckets that are made today begin with documents
//! ([`NewConfiguration::of_new_bucket`](cairn_protocol::metadata::NewConfiguration::of_new_bucket)).

use cairn_policy::acl::Acl;
use serde::{Deserialize, Serialize};

/// Who owns the objects of a bucket, and whether ACLs count (S3 User Guide, "Controlling ownership of objects and disabling ACLs").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ownership {
    /// The owner of the bucket. ACLs do not count.
    BucketOwnerEnforced,
    /// The owner of the bucket owns what is uploaded with the canned ACL `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// The account that uploads an object.
    ObjectWriter,
}

impl Ownership {
    /// Every setting.
    pub(crate) const ALL: [Self; 3] =
        [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    /// The name in documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// The setting of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ownership| ownership.name() == name)
    }
}

/// Which public access is blocked (S3 User Guide, "Blocking public access to your Amazon S3 storage").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the four settings of S3")]
pub(crate) struct PublicAccessBlock {
    /// Requests that set a public ACL are refused.
    pub(crate) block_public_acls: bool,
    /// Grants to the public do not count.
    pub(crate) ignore_public_acls: bool,
    /// Requests that set a public policy are refused.
    pub(crate) block_public_policy: bool,
    /// A public policy gives access to the account of the bucket only.
    pub(crate) restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// What is blocked by either of two: the bucket's and its account's.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

/// A document cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a configuration of kind {kind} cannot be read: {error}")]
pub(crate) struct Unreadable {
    kind: &'static str,
    error: serde_json::Error,
}

/// A kind of document.
pub(crate) trait Document: Serialize + for<'a> Deserialize<'a> {
    /// Its name in messages.
    const NAME: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// If it is not what [`write`](Self::write) wrote.
    fn read(text: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(text).map_err(|error| Unreadable { kind: Self::NAME, error })
    }

    /// Writes it.
    fn write(&self) -> String {
        // Enumerations and structs of booleans and strings are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Document for Ownership {
    const NAME: &'static str = "ownership controls";
}

impl Document for PublicAccessBlock {
    const NAME: &'static str = "public access block";
}

impl Document for Acl {
    const NAME: &'static str = "ACL";
}

#[cfg(test)]
mod tests {
    use cairn_protocol::metadata::{ConfigurationKind, NewConfiguration};

    use super::*;

    #[test]
    fn a_new_bucket_blocks_all_public_access_and_has_no_acls() {
        let documents = NewConfiguration::of_new_bucket();
        let of = |kind| &documents.iter().find(|document| document.kind == kind).unwrap().document;
        let ownership = Ownership::read(of(ConfigurationKind::OwnershipControls)).unwrap();
        assert_eq!(ownership, Ownership::BucketOwnerEnforced);
        let blocks = PublicAccessBlock::read(of(ConfigurationKind::PublicAccessBlock)).unwrap();
        let all = PublicAccessBlock {
            block_public_acls: true,
            ignore_public_acls: true,
            block_public_policy: true,
            restrict_public_buckets: true,
        };
        assert_eq!(blocks, all);
        assert_eq!(PublicAccessBlock::read(&all.write()).unwrap(), all);
        assert_eq!(PublicAccessBlock::default().or(all), all);
    }
}
