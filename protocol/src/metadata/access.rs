//! Whom an access key belongs to, and what its identity may do.

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::env::Timestamp;

/// Names an access key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRef {
    /// Access key id.
    pub access_key: String,
    /// The session token, which belongs to the access key of a session and to no other.
    #[serde(default)]
    pub token: Option<String>,
}

impl AccessKeyRef {
    /// An access key that is no session's.
    pub fn long_term(access_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), token: None }
    }
}

impl std::fmt::Debug for AccessKeyRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = if self.token.is_some() { ", with a token" } else { "" };
        write!(f, "AccessKeyRef({}{token})", self.access_key)
    }
}

/// An access key that may be used now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Secret access key.
    pub secret_key: String,
    /// Whom it belongs to.
    pub identity: Identity,
    /// What the identity may do.
    pub policies: IdentityPolicies,
    /// The session that the key belongs to; `None` for a key that is valid until it is disabled.
    #[serde(default)]
    pub session: Option<Session>,
    /// The tags of the user or role.
    #[serde(default)]
    pub tags: Tags,
    /// Whether what it writes counts for a quota of its own. Metanodes of earlier releases do not say it.
    #[serde(default = "super::quota::may_be_set")]
    pub has_quota: bool,
    /// The state of access control that the rest was read from.
    pub epoch: AccessEpoch,
}

/// What a session of STS has besides its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The name of a role's session; `None` for a session that a user opened for itself.
    pub name: Option<String>,
    /// The policies that were passed when the session was opened, as JSON text. They limit those of the identity. `None` if none
    /// were passed.
    pub policies: Option<Vec<String>>,
    /// The ARN of the OpenID Connect provider whose token opened the session.
    pub provider: Option<String>,
    /// When the session was opened.
    pub issued_at: Timestamp,
    /// When the session ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessKey({:?}, {:?})", self.identity, self.epoch)
    }
}

/// Names a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRef {
    /// Account id.
    pub account: String,
    /// Its name or its unique id, `AROA…`.
    pub role: String,
}

/// A role that may be assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRole {
    /// The role.
    pub identity: Identity,
    /// What it may do.
    pub policies: IdentityPolicies,
    /// The document that says who may assume it.
    pub trust: String,
    /// The longest session, in seconds.
    pub session_s_max: u32,
    /// The state of access control that the rest was read from.
    pub epoch: AccessEpoch,
}

/// An account: it owns buckets, and users and roles belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// Its 12 digits.
    pub id: String,
    /// Its canonical user id, 64 hexadecimal digits, by which ACLs and listings name it.
    pub canonical_id: String,
    /// Its name for people.
    pub display_name: String,
}

/// The id of the account that the root credentials of the cluster belong to.
pub const FIRST_ACCOUNT_ID: &str = "000000000000";

/// The canonical id of that account: the SHA-256 of "root".
pub const FIRST_CANONICAL_ID: &str = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";

/// The name of that account.
pub const FIRST_ACCOUNT_NAME: &str = "root";

impl Account {
    /// The account that the root credentials of the cluster belong to.
    pub fn first() -> Self {
        Self {
            id: FIRST_ACCOUNT_ID.to_owned(),
            canonical_id: FIRST_CANONICAL_ID.to_owned(),
            display_name: FIRST_ACCOUNT_NAME.to_owned(),
        }
    }
}

/// An identity of IAM.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Identity {
    /// The root user of an account.
    Root {
        /// The account.
        account: Account,
    },
    /// A user.
    User {
        /// The account.
        account: Account,
        /// The unique id, which no later user of the same name has: `AIDA…`.
        id: String,
        /// The path: `/`, or names between slashes.
        path: String,
        /// The name.
        name: String,
    },
    /// A role, which sessions of STS take on.
    Role {
        /// The account.
        account: Account,
        /// The unique id, which no later role of the same name has: `AROA…`.
        id: String,
        /// The path: `/`, or names between slashes.
        path: String,
        /// The name.
        name: String,
    },
}

impl Identity {
    /// The account.
    pub fn account(&self) -> &Account {
        match self {
            Self::Root { account } | Self::User { account, .. } | Self::Role { account, .. } => account,
        }
    }
}

/// The policy documents that apply to an identity, as JSON text. The root user has none and needs none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityPolicies {
    /// Inline and attached policies, and those of the user's groups.
    pub documents: Vec<String>,
    /// The permissions boundary.
    pub boundary: Option<String>,
}

/// A state of access control. It changes with every change that can take access away: of keys, users, policies and the
/// settings of buckets that decide about access. Only equality has a meaning.
///
/// A gateway decides with what it has cached, and sends the epoch that its data is of with each call. The metanode
/// refuses the call with `AccessChanged` if its own is another one, and the gateway decides again with fresh data. So
/// access that was taken away is denied at once, although gateways cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessEpoch(pub u64);

/// A principal that a policy or an ACL names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrincipalName {
    /// An account, by its 12 digits.
    Account(String),
    /// An account, by its canonical user id.
    CanonicalUser(String),
    /// A user, by its account and its name, without the path.
    User(String, String),
    /// A role, by its account and its name, without the path.
    Role(String, String),
}

/// Asks which of these principals exist.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindPrincipals {
    /// The principals, at most [`FIND_PRINCIPALS_MAX`].
    pub names: Vec<PrincipalName>,
}

/// Upper limit of the names in one [`FindPrincipals`]: more than a policy of 20 KiB can name.
pub const FIND_PRINCIPALS_MAX: usize = 1_000;

/// A principal that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPrincipal {
    /// As it was asked for.
    pub name: PrincipalName,
    /// Its account.
    pub account: Account,
    /// The path of a user or role; empty for an account.
    pub path: String,
}
