//! A bucket as decisions about access see it.

use cairn_lifecycle::{Day, RuleSet};
use cairn_policy::acl::Acl;
use cairn_policy::statement::Effect;
use cairn_policy::{Kind, Policy, PolicyError};
use cairn_protocol::metadata::{
    AccessEpoch, BucketConfiguration, BucketConfigurations, BucketInfo, ConfigurationKind,
};
use cairn_protocol::warn_self;

use super::documents::{Document, Ownership, PublicAccessBlock, Unreadable};
use crate::identity::condition_keys::{self, Unfilled};

/// A bucket: its owner, and what decides about access to it.
#[derive(Debug)]
pub(crate) struct BucketAccess {
    /// The bucket.
    pub(crate) info: BucketInfo,
    /// The state of access control that it was read from.
    pub(super) epoch: AccessEpoch,
    /// Whether a decision may depend on the tags of existing objects.
    pub(super) reads_object_tags: bool,
    /// The bytes of its documents, by which the cache is bounded.
    pub(super) weight: usize,
    /// The revisions of its documents.
    revisions: Vec<(ConfigurationKind, u64)>,
    /// What its account blocks, as text.
    account_blocks: Option<String>,
    rules: Result<Rules, Unusable>,
    /// Whether it has a quota.
    pub(crate) has_quota: bool,
    /// The lifecycle rules, and the length of a day.
    lifecycle: Option<(RuleSet, Day)>,
}

/// What decides.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The policy.
    pub(super) policy: Option<Policy>,
    /// Whether the policy has a statement that denies.
    pub(super) denies: bool,
    /// The setting of ownership; `None` if there is none, which means [`Ownership::ObjectWriter`].
    pub(crate) ownership: Option<Ownership>,
    /// The ACL of the bucket.
    pub(crate) acl: Acl,
    /// What the bucket or its account blocks.
    pub(crate) blocks: PublicAccessBlock,
}

/// Why the documents of a bucket cannot decide. Then nothing is allowed, but for what the owner needs to repair it.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the policy cannot be read: {0}")]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Key(#[from] Unfilled),
    #[error(transparent)]
    Document(#[from] Unreadable),
}

impl BucketAccess {
    /// The bucket that the metanode returned.
    pub(super) fn new(found: BucketConfigurations) -> Self {
        let texts = found.configurations.iter().map(|document| document.document.len());
        let rules = Rules::read(&found);
        if let Err(error) = &rules {
            warn_self!(%error, bucket = found.info.bucket, "nobody may use a bucket");
        }
        Self {
            epoch: found.epoch,
            reads_object_tags: document(&found, ConfigurationKind::Policy).is_some_and(asks_for_tags),
            weight: texts.sum(),
            revisions: decide_access(&found).map(|found| (found.kind, found.revision)).collect(),
            lifecycle: lifecycle(&found),
            has_quota: found.has_quota,
            account_blocks: found.account_public_access_block,
            info: found.info,
            rules,
        }
    }

    /// Whether it is the same bucket with the same documents as before.
    pub(super) fn is_still(&self, before: &Self) -> bool {
        (self.info.created_at, &self.info.owner) == (before.info.created_at, &before.info.owner)
            && self.revisions == before.revisions
            && self.account_blocks == before.account_blocks
    }

    /// Whether new objects get the same owner as before.
    pub(super) fn decides_owner_like(&self, before: &Self) -> bool {
        let ownership = |bucket: &Self| bucket.rules().map(Rules::ownership);
        self.info.owner == before.info.owner && ownership(self) == ownership(before)
    }

    /// The lifecycle rules and the length of a day; `None` if the bucket has no rules.
    pub(crate) fn lifecycle(&self) -> Option<(&RuleSet, Day)> {
        self.lifecycle.as_ref().map(|(set, day)| (set, *day))
    }

    /// Whether ACLs count.
    pub(crate) fn has_acls(&self) -> bool {
        self.rules().is_some_and(Rules::has_acls)
    }

    /// What decides; `None` if a document cannot be used.
    pub(crate) fn rules(&self) -> Option<&Rules> {
        self.rules.as_ref().ok()
    }
}

/// The documents but for the rules of its lifecycle, which decide about no access.
fn decide_access(found: &BucketConfigurations) -> impl Iterator<Item = &BucketConfiguration> {
    found.configurations.iter().filter(|document| document.kind != ConfigurationKind::Lifecycle)
}

fn lifecycle(found: &BucketConfigurations) -> Option<(RuleSet, Day)> {
    let set = serde_json::from_str(document(found, ConfigurationKind::Lifecycle)?);
    let set = set.inspect_err(|error| {
        warn_self!(%error, bucket = found.info.bucket, "the lifecycle rules of a bucket cannot be read");
    });
    Some((set.ok()?, Day::of_ms(found.lifecycle_day_ms)))
}

/// Whether a policy asks for the tags of existing objects.
fn asks_for_tags(policy: &str) -> bool {
    policy.to_ascii_lowercase().contains("existingobjecttag")
}

fn document(found: &BucketConfigurations, kind: ConfigurationKind) -> Option<&str> {
    found.configurations.iter().find(|document| document.kind == kind).map(|found| found.document.as_str())
}

impl Rules {
    fn read(found: &BucketConfigurations) -> Result<Self, Unusable> {
        let BucketConfigurations { info, account_public_access_block, .. } = found;
        let policy = match document(found, ConfigurationKind::Policy) {
            Some(text) => {
                condition_keys::check(text)?;
                Some(Policy::parse(text, Kind::Bucket(&info.bucket))?)
            }
            None => None,
        };
        let blocks =
            |text: Option<&str>| text.map(PublicAccessBlock::read).transpose().map(Option::unwrap_or_default);
        let own = blocks(document(found, ConfigurationKind::PublicAccessBlock))?;
        let acl = document(found, ConfigurationKind::Acl).map(Acl::read).transpose()?;
        let ownership = document(found, ConfigurationKind::OwnershipControls).map(Ownership::read);
        Ok(Self {
            denies: policy
                .iter()
                .flat_map(|policy| &policy.statements)
                .any(|statement| statement.effect == Effect::Deny),
            policy,
            ownership: ownership.transpose()?,
            acl: acl.unwrap_or_else(|| Acl::private(&info.owner.canonical_id)),
            blocks: own.or(blocks(account_public_access_block.as_deref())?),
        })
    }

    /// The setting of ownership that is in force.
    pub(crate) fn ownership(&self) -> Ownership {
        self.ownership.unwrap_or(Ownership::ObjectWriter)
    }

    /// Whether ACLs count.
    pub(crate) fn has_acls(&self) -> bool {
        self.ownership() != Ownership::BucketOwnerEnforced
    }
}
