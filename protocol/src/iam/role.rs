//! Roles.

use serde::{Deserialize, Serialize};

use super::{HolderTags, root_path};
use crate::env::Timestamp;
use crate::id::MutationId;

/// The shortest and default value of a role's longest session, in seconds.
pub const SESSION_S_MIN: u32 = 3600;

/// The largest value of a role's longest session, in seconds.
pub const SESSION_S_MAX: u32 = 43_200;

fn session_s_default() -> u32 {
    SESSION_S_MIN
}

/// Creates a role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRole {
    /// Account id.
    pub account: String,
    /// Its name: 1 to 64 of the characters of users' names.
    pub name: String,
    /// Its path.
    #[serde(default = "root_path")]
    pub path: String,
    /// Its description: up to 1,000 characters.
    #[serde(default)]
    pub description: String,
    /// The document that says who may assume it.
    pub trust: String,
    /// The longest session, in seconds: [`SESSION_S_MIN`] to [`SESSION_S_MAX`].
    #[serde(default = "session_s_default")]
    pub session_s_max: u32,
    /// The policy that is its permissions boundary: ARN, or name.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: HolderTags,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `arn:aws:iam::<account>:role<path><name>`.
    pub arn: String,
    /// The unique id: `AROA…`.
    pub id: String,
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The description.
    pub description: String,
    /// The document that says who may assume it.
    pub trust: String,
    /// The longest session, in seconds.
    pub session_s_max: u32,
    /// The ARN of the policy that is its permissions boundary.
    pub boundary: Option<String>,
    /// The tags.
    pub tags: HolderTags,
}

/// Changes the description or the longest session of a role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateRole {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
    /// The new description; `None` leaves it.
    #[serde(default)]
    pub description: Option<String>,
    /// The new longest session, in seconds; `None` leaves it.
    #[serde(default)]
    pub session_s_max: Option<u32>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Replaces the document that says who may assume a role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateRoleTrust {
    /// Account id.
    pub account: String,
    /// The role's name.
    pub name: String,
    /// The new document.
    pub trust: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}
