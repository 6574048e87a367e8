//! What all policies that concern a request decide together.
//!
//! Sources: IAM User Guide, "Policy evaluation for requests within a single account" and "Cross-account policy evaluation
//! logic"; S3 User Guide, "How Amazon S3 authorizes a request".

use crate::context::Context;
use crate::document::Policy;
use crate::principal::{Named, Principal, Sender};
use crate::public::is_public;
use crate::statement::{Effect, Statement, Subject};

/// A request: who wants to do what with which resource.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The sender.
    pub principal: &'a Principal,
    /// The owner id of the sender's account.
    pub canonical_id: Option<&'a str>,
    /// The permission, such as `s3:GetObject`.
    pub action: &'a str,
    /// The ARN of the resource.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub resource_account: &'a str,
    /// The condition keys.
    pub context: &'a Context,
}

/// The policies that concern a request.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    /// Those of the user and its groups, or of the role of a session.
    pub identity: &'a [Policy],
    /// Those that were passed when the session was opened; `None` if none were.
    pub session: Option<&'a [Policy]>,
    /// The permissions boundary of the user or role; `None` if there is none.
    pub boundary: Option<&'a Policy>,
    /// That of the bucket.
    pub bucket: Option<&'a Policy>,
    /// Whether the bucket's policy can only deny, because the object belongs to another account than the bucket.
    pub bucket_only_denies: bool,
    /// How an ACL that grants the permission names the sender. ACLs that are disabled or ignored grant nothing.
    pub acl: Named,
    /// `RestrictPublicBuckets`, of the bucket or its account: a public policy gives access to the bucket's account only.
    pub restrict_public_bucket: bool,
}

impl Default for Policies<'_> {
    /// No policies, which allow nothing.
    fn default() -> Self {
        Self {
            identity: &[],
            session: None,
            boundary: None,
            bucket: None,
            bucket_only_denies: false,
            acl: Named::Not,
            restrict_public_bucket: false,
        }
    }
}

/// Whether a request is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
}

/// Why a request is allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A statement denies it.
    ExplicitDeny(Source),
    /// The sender is the root user of the account that owns the resource.
    Root,
    /// A statement allows it.
    Allow(Source),
    /// An ACL grants it.
    Acl,
    /// No policy allows it.
    NoAllow,
    /// It is allowed, but not by the policies that were passed when the session was opened.
    SessionPolicy,
    /// It is allowed, but not by the permissions boundary.
    Boundary,
    /// The resource's owner allows it, but not the sender's own account.
    OwnAccount,
    /// Only a public bucket policy allows it, and `RestrictPublicBuckets` is on.
    RestrictPublicBuckets,
}

/// The statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kind of its policy.
    pub policy: PolicyKind,
    /// Its `Sid`.
    pub sid: Option<String>,
}

/// The kinds of policies that take part in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Of the user, its groups, or the role.
    Identity,
    /// Passed when the session was opened.
    Session,
    /// The permissions boundary.
    Boundary,
    /// Of the bucket.
    Bucket,
}

/// The actions that the root user of a bucket's account always may do, so that no policy can lock the account out (S3 API
/// Reference, "PutBucketPolicy").
pub const ROOT_ALWAYS: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Decides whether a request is allowed.
pub fn decide(request: &Request<'_>, policies: &Policies<'_>) -> Decision {
    let action = request.action.to_ascii_lowercase();
    let sender = Sender::new(request.principal, request.canonical_id);
    let Request { resource, context, .. } = *request;
    let subject = Subject { sender: &sender, action: &action, resource, context };
    let deciding = Deciding { request, policies, subject };
    match deciding.decide() {
        Ok(reason) => Decision { allowed: true, reason },
        Err(reason) => Decision { allowed: false, reason },
    }
}

struct Deciding<'a> {
    request: &'a Request<'a>,
    policies: &'a Policies<'a>,
    subject: Subject<'a>,
}

impl Deciding<'_> {
    /// `Ok` with the reason why the request is allowed, `Err` with the reason why not.
    fn decide(&self) -> Result<Reason, Reason> {
        let own_account = self.request.principal.account() == Some(self.request.resource_account);
        let is_owner = own_account && matches!(self.request.principal, Principal::Root { .. });
        if is_owner && ROOT_ALWAYS.contains(&self.request.action) {
            return Ok(Reason::Root);
        }
        if let Some(source) = self.denied_by() {
            return Err(Reason::ExplicitDeny(source));
        }
        if is_owner {
            return Ok(Reason::Root);
        }
        let by_owner = self.by_resource_owner(own_account);
        if own_account { self.within_account(by_owner) } else { self.across_accounts(by_owner) }
    }

    /// Within an account one allow is enough, the identity's or the resource's. Session policies and the boundary limit both,
    /// unless the bucket's policy names the user or the session itself.
    fn within_account(&self, by_owner: Result<Grant, Reason>) -> Result<Reason, Reason> {
        if let Ok(Grant { named: Named::Itself, reason }) = by_owner {
            return Ok(reason);
        }
        let identity = self.allowed_by(self.policies.identity, PolicyKind::Identity);
        match (identity, by_owner) {
            (Some(source), _) => self.limit(Reason::Allow(source)),
            (None, Ok(grant)) => self.limit(grant.reason),
            (None, Err(reason)) => Err(reason),
        }
    }

    /// Across accounts both must allow: the owner of the resource, and the account of the sender, if there is one.
    fn across_accounts(&self, by_owner: Result<Grant, Reason>) -> Result<Reason, Reason> {
        let grant = by_owner?;
        match self.request.principal {
            Principal::Anonymous | Principal::Root { .. } => Ok(grant.reason),
            Principal::User { .. } | Principal::RoleSession { .. } => {
                match self.allowed_by(self.policies.identity, PolicyKind::Identity) {
                    Some(_) => self.limit(grant.reason),
                    None => Err(Reason::OwnAccount),
                }
            }
        }
    }

    fn limit(&self, reason: Reason) -> Result<Reason, Reason> {
        match self.policies.session {
            Some(session) if self.allowed_by(session, PolicyKind::Session).is_none() => {
                Err(Reason::SessionPolicy)
            }
            _ => match self.policies.boundary.map(std::slice::from_ref) {
                Some(boundary) if self.allowed_by(boundary, PolicyKind::Boundary).is_none() => {
                    Err(Reason::Boundary)
                }
                _ => Ok(reason),
            },
        }
    }

    /// What the owner of the resource grants, by the bucket's policy or an ACL.
    fn by_resource_owner(&self, own_account: bool) -> Result<Grant, Reason> {
        let mut refusal = Reason::NoAllow;
        // An account that is named lets its own policies decide, so this grants nothing within the account.
        let counts = |named: Named| named != Named::Not && (!own_account || named != Named::ByAccount);
        let may_allow = !self.policies.bucket_only_denies;
        let bucket = self.bucket_allows().filter(|(named, _)| may_allow && counts(*named));
        if let Some((named, source)) = bucket {
            let restricted = self.policies.restrict_public_bucket && !own_account;
            if restricted && self.policies.bucket.is_some_and(is_public) {
                refusal = Reason::RestrictPublicBuckets;
            } else {
                return Ok(Grant { named, reason: Reason::Allow(source) });
            }
        }
        if counts(self.policies.acl) {
            return Ok(Grant { named: Named::Indirectly, reason: Reason::Acl });
        }
        Err(refusal)
    }

    /// The statement of the bucket's policy that allows the request and names its sender most exactly.
    fn bucket_allows(&self) -> Option<(Named, Source)> {
        let statements = self.policies.bucket.iter().flat_map(|policy| &policy.statements);
        let allowing = statements.filter(|statement| statement.effect == Effect::Allow);
        let applying = allowing.map(|statement| (statement.applies(&self.subject), statement));
        let (named, statement) =
            applying.filter(|(named, _)| *named != Named::Not).max_by_key(|(named, _)| *named)?;
        Some((named, source(PolicyKind::Bucket, statement)))
    }

    fn allowed_by(&self, policies: &[Policy], kind: PolicyKind) -> Option<Source> {
        self.first(policies, Effect::Allow).map(|statement| source(kind, statement))
    }

    fn denied_by(&self) -> Option<Source> {
        let bucket = self.policies.bucket.map(std::slice::from_ref).unwrap_or_default();
        let session = self.policies.session.unwrap_or_default();
        let boundary = self.policies.boundary.map(std::slice::from_ref).unwrap_or_default();
        let kinds = [
            (bucket, PolicyKind::Bucket),
            (self.policies.identity, PolicyKind::Identity),
            (session, PolicyKind::Session),
            (boundary, PolicyKind::Boundary),
        ];
        kinds.into_iter().find_map(|(policies, kind)| {
            self.first(policies, Effect::Deny).map(|statement| source(kind, statement))
        })
    }

    /// The first statement with this effect that applies.
    fn first<'p>(&self, policies: &'p [Policy], effect: Effect) -> Option<&'p Statement> {
        let statements = policies.iter().flat_map(|policy| &policy.statements);
        let mut with_effect = statements.filter(|statement| statement.effect == effect);
        with_effect.find(|statement| statement.applies(&self.subject) != Named::Not)
    }
}

/// What the owner of a resource grants.
struct Grant {
    /// How the sender is named in it.
    named: Named,
    reason: Reason,
}

fn source(policy: PolicyKind, statement: &Statement) -> Source {
    Source { policy, sid: statement.sid.clone() }
}
