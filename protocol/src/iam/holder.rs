//! What users, groups and roles have in common: a path, a name, and policies.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::EntityKind;
use crate::id::MutationId;

/// What a holder of policies is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolderKind {
    /// A user.
    User,
    /// A group of users.
    Group,
    /// A role.
    Role,
}

impl fmt::Display for HolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EntityKind::from(*self).fmt(f)
    }
}

impl From<HolderKind> for EntityKind {
    fn from(kind: HolderKind) -> Self {
        match kind {
            HolderKind::User => Self::User,
            HolderKind::Group => Self::Group,
            HolderKind::Role => Self::Role,
        }
    }
}

/// Names a holder of policies: a user, a group or a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRef {
    /// Account id.
    pub account: String,
    /// What it is.
    pub kind: HolderKind,
    /// Its name.
    pub name: String,
}

/// Names a user, a group or a role, depending on the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRef {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
}

/// Changes the name or the path of a user or group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateEntity {
    /// Account id.
    pub account: String,
    /// Its present name.
    pub name: String,
    /// Its new name; `None` leaves it.
    #[serde(default)]
    pub new_name: Option<String>,
    /// Its new path; `None` leaves it.
    #[serde(default)]
    pub new_path: Option<String>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes a user, a group or a role, depending on the call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteEntity {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// The tags of a user or role: up to 50, with keys of 1 to 128 characters and values of up to 256.
pub type HolderTags = BTreeMap<String, String>;

/// Adds tags to a user or role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TagHolder {
    /// The user or role.
    pub holder: HolderRef,
    /// The tags. They replace those of the same keys.
    pub tags: HolderTags,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Removes tags from a user or role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UntagHolder {
    /// The user or role.
    pub holder: HolderRef,
    /// The keys of the tags.
    pub keys: Vec<String>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Sets the permissions boundary of a user or role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutBoundary {
    /// The user or role.
    pub holder: HolderRef,
    /// The managed policy: its ARN, or its name in the account or among those built in.
    pub policy: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Removes the permissions boundary of a user or role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteBoundary {
    /// The user or role.
    pub holder: HolderRef,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// The path of users, groups, roles and policies that are given none.
pub fn root_path() -> String {
    "/".to_owned()
}
