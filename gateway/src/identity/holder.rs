//! The holder of an access key, and whether its policies allow a permission.

use cairn_policy::{Context, Kind, Policies, Policy, PolicyError, Principal, Request, decide};
use cairn_protocol::metadata::{AccessKey, Account, FIRST_ACCOUNT_ID, Identity};
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
    /// Whether a policy asks for the tags of existing objects, which costs a look-up.
    reads_object_tags: bool,
}

#[derive(Debug)]
struct Parsed {
    identity: Vec<Policy>,
    boundary: Option<Policy>,
}

/// Why the policies of an identity cannot decide. Then nothing is allowed.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("a policy cannot be read: {0}")]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Key(#[from] Unfilled),
    #[error("an access key belongs to a role")]
    Role,
}

impl KeyHolder {
    /// The holder of a key that the metanode returned.
    pub fn new(key: AccessKey) -> Self {
        let AccessKey { secret_key, identity, policies, .. } = key;
        let texts = || policies.documents.iter().chain(&policies.boundary);
        let reads_object_tags = texts().any(|text| text.to_ascii_lowercase().contains("existingobjecttag"));
        let (principal, usable) = principal(&identity);
        let policies = usable.and_then(|()| {
            texts().try_for_each(|text| condition_keys::check(text))?;
            let parse = |text: &String| Policy::parse(text, Kind::Identity);
            Ok(Parsed {
                identity: policies.documents.iter().map(parse).collect::<Result<_, _>>()?,
                boundary: policies.boundary.as_ref().map(parse).transpose()?,
            })
        });
        if let Err(error) = &policies {
            warn_self!(%error, ?identity, "an identity can do nothing");
        }
        Self { secret: SecretKey::new(secret_key), identity, principal, policies, reads_object_tags }
    }

    /// The holder of the root credentials of the cluster.
    pub fn root(secret_key: String) -> Self {
        Self {
            secret: SecretKey::new(secret_key),
            identity: Identity::Root { account: Account::first() },
            principal: Principal::Root { account: FIRST_ACCOUNT_ID.to_owned() },
            policies: Ok(Parsed { identity: Vec::new(), boundary: None }),
            reads_object_tags: false,
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

    /// Whether the policies allow an action on a resource of the cluster's first account, which owns all buckets.
    pub(crate) fn allows(&self, action: &str, resource: &str, context: &Context) -> bool {
        let Ok(policies) = &self.policies else { return false };
        let request = Request {
            principal: &self.principal,
            canonical_id: Some(&self.identity.account().canonical_id),
            action,
            resource,
            resource_account: FIRST_ACCOUNT_ID,
            context,
        };
        let allows =
            |identity: &[Policy]| decide(&request, &Policies { identity, ..Policies::default() }).allowed;
        // A permissions boundary limits what the other policies allow.
        allows(&policies.identity)
            && policies.boundary.as_ref().is_none_or(|boundary| allows(std::slice::from_ref(boundary)))
    }

    /// The ARN, for messages.
    pub(crate) fn arn(&self) -> String {
        self.principal.arn().unwrap_or_default()
    }
}

/// The identity as policies name it, and whether it can hold keys.
fn principal(identity: &Identity) -> (Principal, Result<(), Unusable>) {
    match identity {
        Identity::Root { account } => (Principal::Root { account: account.id.clone() }, Ok(())),
        Identity::User { account, path, name, .. } => {
            let name = format!("{}{name}", path.trim_start_matches('/'));
            (Principal::User { account: account.id.clone(), name }, Ok(()))
        }
        Identity::Role { .. } => (Principal::Anonymous, Err(Unusable::Role)),
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::metadata::{AccessEpoch, IdentityPolicies};

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
            epoch: AccessEpoch(1),
        })
    }

    fn allows(holder: &KeyHolder, action: &str, resource: &str) -> bool {
        holder.allows(action, resource, &Context::default())
    }

    const READ: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    const ALL: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    const DENY: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/secret/*"}]}"#;

    #[test]
    fn a_user_may_do_what_its_policies_allow_and_nothing_else() {
        let reader = user(Account::first(), &[READ], None);
        assert!(allows(&reader, "s3:GetObject", "arn:aws:s3:::b/k"));
        for (action, resource) in [
            ("s3:PutObject", "arn:aws:s3:::b/k"),
            ("s3:GetObject", "arn:aws:s3:::c/k"),
            ("s3:ListBucket", "arn:aws:s3:::b"),
        ] {
            assert!(!allows(&reader, action, resource), "{action}");
        }
        assert!(!allows(&user(Account::first(), &[], None), "s3:GetObject", "arn:aws:s3:::b/k"));
        let denied = user(Account::first(), &[ALL, DENY], None);
        assert!(allows(&denied, "s3:PutObject", "arn:aws:s3:::b/k"));
        assert!(!allows(&denied, "s3:GetObject", "arn:aws:s3:::b/secret/k"), "an explicit deny wins");
        assert!(allows(&KeyHolder::root("secret".into()), "s3:PutObject", "arn:aws:s3:::b/k"));
    }

    #[test]
    fn a_boundary_limits_what_policies_allow() {
        let limited = user(Account::first(), &[ALL], Some(READ));
        assert!(allows(&limited, "s3:GetObject", "arn:aws:s3:::b/k"));
        assert!(!allows(&limited, "s3:PutObject", "arn:aws:s3:::b/k"));
    }

    #[test]
    fn other_accounts_and_policies_that_cannot_be_used_allow_nothing() {
        let other = Account { id: "111122223333".into(), canonical_id: "c".into(), display_name: "o".into() };
        assert!(!allows(&user(other, &[ALL], None), "s3:GetObject", "arn:aws:s3:::b/k"));
        let unknown = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*",
            "Condition":{"StringEquals":{"aws:SourceVpc":"x"}}}]}"#;
        for unusable in [unknown, "no JSON", "{}"] {
            let holder = user(Account::first(), &[ALL, unusable], None);
            assert!(!allows(&holder, "s3:GetObject", "arn:aws:s3:::b/k"), "{unusable}");
        }
    }
}
