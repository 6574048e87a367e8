//! Sessions of STS: temporary credentials.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;

/// The shortest session, in seconds.
pub const SESSION_LENGTH_S_MIN: u32 = 900;

/// The longest session that a user may open for itself, in seconds: 36 hours.
pub const SESSION_LENGTH_S_MAX: u32 = 129_600;

/// Whose identity a session has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SessionOf {
    /// The root user of the account.
    Root,
    /// A user.
    User {
        /// Its unique id: `AIDA…`.
        id: String,
    },
    /// A role.
    Role {
        /// Its unique id: `AROA…`.
        id: String,
        /// The name of the session.
        name: String,
        /// The ARN of the OpenID Connect provider whose token opened the session.
        #[serde(default)]
        provider: Option<String>,
    },
}

/// Opens a session. The caller has checked that its client may open it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSession {
    /// Account id.
    pub account: String,
    /// Whose identity it has.
    pub of: SessionOf,
    /// How long it lasts, in seconds: [`SESSION_LENGTH_S_MIN`] to [`SESSION_LENGTH_S_MAX`].
    pub length_s: u32,
    /// A policy that limits those of the identity.
    #[serde(default)]
    pub policy: Option<String>,
    /// ARNs of managed policies of the account that limit those of the identity. Their documents are read when the session is used.
    #[serde(default)]
    pub policy_arns: Vec<String>,
}

/// The credentials of a session. Nothing is stored of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// Access key id: `ASIA…`.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// The session token. It is sealed: only the metanode can read it.
    pub token: String,
    /// When the session ends.
    pub expires_at: Timestamp,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSession({})", self.access_key)
    }
}
