//! One decision: a caller, a permission, and the bucket and object that it is about.

use std::borrow::Cow;
use std::sync::Arc;

use cairn_policy::acl::{AclOf, Requester};
use cairn_policy::decision::{PolicyKind, ROOT_ALWAYS};
use cairn_policy::principal::Named;
use cairn_policy::{Context, Policies, Policy, Principal, Reason, Request, decide};
use cairn_protocol::metadata::{AccessEpoch, Account, Identity};

use super::bucket::{BucketAccess, Rules};
use super::object::ObjectAccess;
use super::permission::Permission;
use crate::error::{ErrorCode, S3Error};
use crate::identity::{KeyHolder, OwnPolicies};

/// What decisions are made with: all of one state of access control.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The holder of the access key; `None` for an anonymous request.
    pub(super) holder: Option<Arc<KeyHolder>>,
    /// The buckets that the request is about.
    pub(super) buckets: Vec<Arc<BucketAccess>>,
    /// The state; `None` if nothing that can change takes part.
    pub(super) epoch: Option<AccessEpoch>,
    /// Whether the metanode was asked for all of it just now.
    pub(super) is_fresh: bool,
}

/// A permission was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied(pub(super) String);

impl From<Denied> for S3Error {
    fn from(denied: Denied) -> Self {
        Self::with_message(ErrorCode::AccessDenied, denied.0)
    }
}

impl Denied {
    /// The words for callers of whom nothing is said.
    pub(super) fn plainly() -> Self {
        Self("Access Denied".to_owned())
    }
}

impl Evidence {
    fn principal(&self) -> &Principal {
        self.holder.as_deref().map_or(&Principal::Anonymous, KeyHolder::principal)
    }

    fn account(&self) -> Option<&Account> {
        self.holder.as_deref().map(|holder| holder.identity().account())
    }

    /// The bucket of this name.
    pub(super) fn bucket(&self, name: &str) -> Option<&Arc<BucketAccess>> {
        self.buckets.iter().find(|bucket| bucket.info.bucket == name)
    }

    /// The bucket that a permission is about.
    pub(super) fn bucket_of(&self, permission: &Permission) -> Option<&BucketAccess> {
        permission.bucket().and_then(|name| self.bucket(name)).map(|bucket| &**bucket)
    }

    /// Whether the decision depends on the object that the permission is about, which costs a look-up.
    pub(super) fn needs_object(&self, permission: &Permission) -> bool {
        let Some(bucket) = self.bucket_of(permission) else { return false };
        let has_acls = bucket.has_acls();
        let is_owner = *self.principal() == Principal::Root { account: bucket.info.owner.id.clone() };
        if is_owner && !has_acls && bucket.rules().is_some_and(|rules| !rules.denies) {
            return false;
        }
        let by_acl = has_acls && (permission.is_about_existing() || permission.action == "s3:DeleteObject");
        let by_tags =
            bucket.reads_object_tags || self.holder.as_ref().is_some_and(|holder| holder.reads_object_tags());
        permission.object().is_some() && (by_acl || by_tags)
    }

    /// Whether the caller would have a permission on a bucket if its policy were another one.
    pub(super) fn decide_under<'c>(
        &self,
        policy: Option<&Policy>,
        permission: &Permission,
        context: impl FnOnce() -> Cow<'c, Context>,
    ) -> Result<(), Denied> {
        self.decide_with(policy, permission, None, context)
    }

    /// Whether the caller has a permission. `context` makes the condition keys, which not every decision needs.
    pub(super) fn decide<'c>(
        &self,
        permission: &Permission,
        object: Option<&ObjectAccess>,
        context: impl FnOnce() -> Cow<'c, Context>,
    ) -> Result<(), Denied> {
        self.decide_with(None, permission, object, context)
    }

    /// `policy` stands for that of the bucket, if there is one.
    fn decide_with<'c>(
        &self,
        policy: Option<&Policy>,
        permission: &Permission,
        object: Option<&ObjectAccess>,
        context: impl FnOnce() -> Cow<'c, Context>,
    ) -> Result<(), Denied> {
        let bucket = self.bucket_of(permission);
        let rules = bucket.map(BucketAccess::rules);
        let has_acls = matches!(rules, Some(Some(rules)) if rules.has_acls());
        let counts = has_acls && permission.is_about_existing();
        let foreign = object.filter(|_| counts).and_then(|object| object.owner.as_ref());
        let owner = foreign.or(bucket.map(|bucket| &bucket.info.owner)).or(self.account());
        // Nobody may do anything with an account but those who belong to one.
        let owner = owner.ok_or_else(Denied::plainly)?;
        let is_owner = *self.principal() == Principal::Root { account: owner.id.clone() };
        let rules = match rules {
            Some(Some(rules)) => Some(rules),
            None => None,
            Some(None) if is_owner && ROOT_ALWAYS.contains(&permission.action) => return Ok(()),
            Some(None) => return Err(Denied::plainly()),
        };
        if is_owner && policy.is_none() && !rules.is_some_and(|rules| rules.denies) {
            return Ok(());
        }
        let own = match &self.holder {
            Some(holder) => {
                holder.policies().ok_or_else(|| self.denied(permission, owner, &Reason::NoAllow))?
            }
            None => OwnPolicies { identity: &[], boundary: None, session: None },
        };
        let policies = Policies {
            identity: own.identity,
            session: own.session,
            boundary: own.boundary,
            bucket: policy.or(rules.and_then(|rules| rules.policy.as_ref())),
            bucket_only_denies: foreign.is_some(),
            acl: rules.map_or(Named::Not, |rules| self.named_by_acl(rules, permission, object)),
            restrict_public_bucket: rules.is_some_and(|rules| rules.blocks.restrict_public_buckets),
        };
        let (resource, context) = (permission.resource_arn(), context());
        let request = Request {
            principal: self.principal(),
            canonical_id: self.account().map(|account| account.canonical_id.as_str()),
            action: permission.action,
            resource: &resource,
            resource_account: &owner.id,
            context: &context,
        };
        let decision = decide(&request, &policies);
        if decision.allowed { Ok(()) } else { Err(self.denied(permission, owner, &decision.reason)) }
    }

    /// How the ACLs that count name the caller in what they grant.
    fn named_by_acl(&self, rules: &Rules, permission: &Permission, object: Option<&ObjectAccess>) -> Named {
        if !rules.has_acls() {
            return Named::Not;
        }
        let canonical_id = self.account().map(|account| account.canonical_id.as_str());
        let requester = Requester { principal: self.principal(), canonical_id };
        let ignore = rules.blocks.ignore_public_acls;
        let owns = object
            .and_then(|object| object.owner.as_ref())
            .is_some_and(|owner| canonical_id == Some(owner.canonical_id.as_str()));
        // "WRITE: … for the bucket and object owners of existing objects, also allows deletions and overwrites of those objects."
        let action =
            if permission.action == "s3:DeleteObject" && owns { "s3:PutObject" } else { permission.action };
        let by_bucket = rules.acl.grants(AclOf::Bucket, action, &requester, ignore);
        let acl = object.filter(|_| permission.is_about_existing()).and_then(|object| object.acl.as_ref());
        let by_object = acl.map_or(Named::Not, |acl| acl.grants(AclOf::Object, action, &requester, ignore));
        by_bucket.max(by_object)
    }

    /// AWS's words (IAM User Guide, "Troubleshoot access denied error messages"). Other accounts than the owner's learn nothing.
    fn denied(&self, permission: &Permission, owner: &Account, reason: &Reason) -> Denied {
        let (Some(holder), Some(account)) = (&self.holder, self.account()) else { return Denied::plainly() };
        if account.id != owner.id || matches!(holder.identity(), Identity::Root { .. }) {
            return Denied::plainly();
        }
        let action = permission.action;
        let because = match reason {
            Reason::ExplicitDeny(source) => {
                let kind = match source.policy {
                    PolicyKind::Identity => "an identity-based policy",
                    PolicyKind::Session => "a session policy",
                    PolicyKind::Boundary => "a permissions boundary",
                    PolicyKind::Bucket => "a resource-based policy",
                };
                format!("with an explicit deny in {kind}")
            }
            Reason::SessionPolicy => format!("because no session policy allows the {action} action"),
            Reason::Boundary => format!("because no permissions boundary allows the {action} action"),
            Reason::NoAllow
            | Reason::OwnAccount
            | Reason::RestrictPublicBuckets
            | Reason::Root
            | Reason::Allow(_)
            | Reason::Acl => format!("because no identity-based policy allows the {action} action"),
        };
        let (arn, resource) = (holder.arn(), permission.resource_arn());
        Denied(format!(
            "User: {arn} is not authorized to perform: {action} on resource: \"{resource}\" {because}"
        ))
    }
}
