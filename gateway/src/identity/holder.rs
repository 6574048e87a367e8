//! The holder of an access key, with the policies that say what it may do.

use cairn_policy::{Context, Decision, Kind, Policies, Policy, PolicyError, Principal, Request, decide};
use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::HolderTags;
use cairn_protocol::metadata::{AccessEpoch, AccessKey, Account, FIRST_ACCOUNT_ID, Identity, Session};
use cairn_protocol::warn_self;

use super::condition_keys::{self, Unfilled};
use crate::auth::SecretKey;

/// The holder of an access key: its secret, and what it may do.
#[derive(Debug)]
pub struct KeyHolder {
    secret: SecretKey,
    identity: Identity,
    principal: Principal,
    policies: Result<Parsed, Unusable>,
    session: Option<Session>,
    /// The tags of the user or role.
    tags: HolderTags,
    /// Whether a policy asks for the tags of existing objects, which costs a look-up.
    reads_object_tags: bool,
    /// Whether what it writes counts for a quota of its own.
    has_quota: bool,
    /// The state of access control that it was read from; `None` for the root credentials that the gateway was told at its
    /// start, which no change of access concerns.
    epoch: Option<AccessEpoch>,
}

/// The policies of an identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnPolicies<'a> {
    /// Those of the user and its groups, or of the role of a session.
    pub(crate) identity: &'a [Policy],
    /// The permissions boundary.
    pub(crate) boundary: Option<&'a Policy>,
    /// Those that were passed when a session was opened; `None` if none were, or if there is no session.
    pub(crate) session: Option<&'a [Policy]>,
}

#[derive(Debug)]
struct Parsed {
    identity: Vec<Policy>,
    boundary: Option<Policy>,
    /// Passed when the session was opened.
    session: Option<Vec<Policy>>,
}

/// Why the policies of an identity cannot decide. Then nothing is allowed.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("a policy cannot be read: {0}")]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Key(#[from] Unfilled),
    #[error("an access key belongs to a role, and not to a session of it")]
    Role,
}

impl KeyHolder {
    /// The holder of a key that the metanode returned.
    pub fn new(key: AccessKey) -> Self {
        let AccessKey { secret_key, identity, policies, session, tags, has_quota, epoch } = key;
        let passed = session.as_ref().and_then(|session| session.policies.as_ref());
        let texts =
            || policies.documents.iter().chain(&policies.boundary).chain(passed.into_iter().flatten());
        let reads_object_tags = texts().any(|text| text.to_ascii_lowercase().contains("existingobjecttag"));
        let (principal, usable) = principal(&identity, session.as_ref());
        let policies = usable.and_then(|()| {
            texts().try_for_each(|text| condition_keys::check(text))?;
            let parse = |text: &String| Policy::parse(text, Kind::Identity);
            Ok(Parsed {
                identity: policies.documents.iter().map(parse).collect::<Result<_, _>>()?,
                boundary: policies.boundary.as_ref().map(parse).transpose()?,
                session: passed.map(|texts| texts.iter().map(parse).collect()).transpose()?,
            })
        });
        if let Err(error) = &policies {
            warn_self!(%error, ?identity, "an identity can do nothing");
        }
        let secret = SecretKey::new(secret_key);
        let epoch = Some(epoch);
        Self { secret, identity, principal, policies, session, tags, reads_object_tags, has_quota, epoch }
    }

    /// The holder of the root credentials of the cluster.
    pub fn root(secret_key: String) -> Self {
        Self {
            secret: SecretKey::new(secret_key),
            identity: Identity::Root { account: Account::first() },
            principal: Principal::Root { account: FIRST_ACCOUNT_ID.to_owned() },
            policies: Ok(Parsed { identity: Vec::new(), boundary: None, session: None }),
            session: None,
            tags: HolderTags::new(),
            reads_object_tags: false,
            has_quota: false,
            epoch: None,
        }
    }

    /// The secret.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Whom the key belongs to.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether a decision may depend on the tags of existing objects.
    pub(crate) fn reads_object_tags(&self) -> bool {
        self.reads_object_tags
    }

    /// Whether what it writes counts for a quota of its own.
    pub(crate) fn has_quota(&self) -> bool {
        self.has_quota
    }

    /// The tags of the user or role.
    pub(crate) fn tags(&self) -> &HolderTags {
        &self.tags
    }

    /// The session that the key belongs to.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether the session that the key belongs to has ended.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.session.as_ref().is_some_and(|session| session.expires_at <= now)
    }

    /// The identity, as policies name it.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The policies; `None` if one of them cannot be used, so that the identity may do nothing.
    pub(crate) fn policies(&self) -> Option<OwnPolicies<'_>> {
        let Parsed { identity, boundary, session } = self.policies.as_ref().ok()?;
        Some(OwnPolicies { identity, boundary: boundary.as_ref(), session: session.as_deref() })
    }

    /// The state of access control that it was read from.
    pub(crate) fn epoch(&self) -> Option<AccessEpoch> {
        self.epoch
    }

    /// Whether the policies allow an action on a resource of the holder's own account, and why. `None` if the policies cannot
    /// be used: then nothing is allowed.
    pub(crate) fn decide_at_home(&self, action: &str, resource: &str, context: &Context) -> Option<Decision> {
        self.decide(action, (&self.identity.account().id, resource), None, context)
    }

    /// Whether the policies and the policy of a resource together allow an action on the resource, of which `place` has the
    /// account and the ARN.
    pub(crate) fn may_use(
        &self,
        action: &str,
        place: (&str, &str),
        policy: &Policy,
        context: &Context,
    ) -> bool {
        self.decide(action, place, Some(policy), context).is_some_and(|decision| decision.allowed)
    }

    fn decide(
        &self,
        action: &str,
        (resource_account, resource): (&str, &str),
        bucket: Option<&Policy>,
        context: &Context,
    ) -> Option<Decision> {
        let OwnPolicies { identity, boundary, session } = self.policies()?;
        let request = Request {
            principal: &self.principal,
            canonical_id: Some(&self.identity.account().canonical_id),
            action,
            resource,
            resource_account,
            context,
        };
        Some(decide(&request, &Policies { identity, session, boundary, bucket, ..Policies::default() }))
    }

    /// The ARN, for messages.
    pub(crate) fn arn(&self) -> String {
        self.principal.arn().unwrap_or_default()
    }
}

/// The identity as policies name it, and whether it can hold keys.
fn principal(identity: &Identity, session: Option<&Session>) -> (Principal, Result<(), Unusable>) {
    let full = |path: &str, name: &str| format!("{}{name}", path.trim_start_matches('/'));
    match identity {
        Identity::Root { account } => (Principal::Root { account: account.id.clone() }, Ok(())),
        Identity::User { account, path, name, .. } => {
            (Principal::User { account: account.id.clone(), name: full(path, name) }, Ok(()))
        }
        Identity::Role { account, path, name, .. } => {
            match session.and_then(|session| session.name.clone()) {
                Some(session) => {
                    let (account, role) = (account.id.clone(), full(path, name));
                    (Principal::RoleSession { account, role, session }, Ok(()))
                }
                None => (Principal::Anonymous, Err(Unusable::Role)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::metadata::IdentityPolicies;

    use super::*;

    fn user(account: Account, documents: &[&str], boundary: Option<&str>) -> KeyHolder {
        let identity =
            Identity::User { account, id: "AIDAEXAMPLE".into(), path: "/team/".into(), name: "alice".into() };
        KeyHolder::new(AccessKey {
            secret_key: "secret".into(),
            identity,
            policies: IdentityPolicies {
                documents: documents.iter().map(|&text| text.to_owned()).collect(),
                boundary: boundary.map(str::to_owned),
            },
            session: None,
            tags: HolderTags::new(),
            has_quota: false,
            epoch: AccessEpoch(1),
        })
    }

    /// A session of a role with these policies, to which these were passed.
    fn session(documents: &[&str], boundary: Option<&str>, passed: Option<&[&str]>) -> KeyHolder {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let account = Account::first();
        KeyHolder::new(AccessKey {
            secret_key: "secret".into(),
            identity: Identity::Role {
                account,
                id: "AROAEXAMPLE".into(),
                path: "/team/".into(),
                name: "deploy".into(),
            },
            policies: IdentityPolicies { documents: texts(documents), boundary: boundary.map(str::to_owned) },
            session: Some(Session {
                name: Some("build-7".into()),
                policies: passed.map(texts),
                provider: None,
                issued_at: Timestamp(1000),
                expires_at: Timestamp(2000),
            }),
            tags: HolderTags::new(),
            has_quota: false,
            epoch: AccessEpoch(1),
        })
    }

    fn allows(holder: &KeyHolder, action: &str, resource: &str) -> bool {
        let decision = holder.decide_at_home(action, resource, &Context::default());
        decision.is_some_and(|decision| decision.allowed)
    }

    const READ: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    const ALL: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    const DENY: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/secret/*"}]}"#;

    #[test]
    fn a_policy_that_cannot_be_used_makes_all_of_them_unusable() {
        let all = r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        let holder = |document: &str| {
            let identity = Identity::User {
                account: Account::first(),
                id: "AIDAEXAMPLE".into(),
                path: "/team/".into(),
                name: "alice".into(),
            };
            KeyHolder::new(AccessKey {
                secret_key: "secret".into(),
                identity,
                policies: IdentityPolicies { documents: vec![all.into(), document.into()], boundary: None },
                session: None,
                tags: HolderTags::new(),
                has_quota: false,
                epoch: AccessEpoch(1),
            })
        };
        let usable = holder(all);
        assert_eq!(usable.policies().unwrap().identity.len(), 2);
        assert_eq!(usable.arn(), "arn:aws:iam::000000000000:user/team/alice");
        let unknown = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*",
            "Condition":{"StringEquals":{"aws:SourceVpc":"x"}}}]}"#;
        for unusable in [unknown, "no JSON", "{}"] {
            assert!(holder(unusable).policies().is_none(), "{unusable}");
        }
    }

    #[test]
    fn a_session_may_do_what_its_role_and_the_policies_that_were_passed_both_allow() {
        let open = session(&[ALL], None, None);
        assert!(allows(&open, "s3:PutObject", "arn:aws:s3:::b/k"));
        assert_eq!(open.arn(), "arn:aws:sts::000000000000:assumed-role/deploy/build-7");
        let limited = session(&[ALL], None, Some(&[READ]));
        assert!(allows(&limited, "s3:GetObject", "arn:aws:s3:::b/k"));
        assert!(!allows(&limited, "s3:PutObject", "arn:aws:s3:::b/k"));
        let wider = session(&[READ], None, Some(&[ALL]));
        assert!(!allows(&wider, "s3:PutObject", "arn:aws:s3:::b/k"), "a session gains nothing");
        let denied = session(&[ALL], None, Some(&[ALL, DENY]));
        assert!(!allows(&denied, "s3:GetObject", "arn:aws:s3:::b/secret/k"));
        let bounded = session(&[ALL], Some(READ), Some(&[ALL]));
        assert!(!allows(&bounded, "s3:PutObject", "arn:aws:s3:::b/k"));
        assert!(!allows(&session(&[ALL], None, Some(&["no JSON"])), "s3:GetObject", "arn:aws:s3:::b/k"));
    }

    #[test]
    fn a_session_is_over_at_its_end() {
        let session = session(&[ALL], None, None);
        assert!(!session.is_over(Timestamp(1999)));
        assert!(session.is_over(Timestamp(2000)));
        assert!(!user(Account::first(), &[], None).is_over(Timestamp(u64::MAX)));
    }
}
