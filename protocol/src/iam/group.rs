//! Groups of users.

use serde::{Deserialize, Serialize};

use super::{Page, User, root_path};
use crate::env::Timestamp;
use crate::id::MutationId;

/// Creates a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateGroup {
    /// Account id.
    pub account: String,
    /// Its name: 1 to 128 of the characters of users' names.
    pub name: String,
    /// Its path.
    #[serde(default = "root_path")]
    pub path: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `arn:aws:iam::<account>:group<path><name>`.
    pub arn: String,
    /// The unique id: `AGPA…`.
    pub id: String,
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Requests a group and its members.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GetGroup {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
    /// The [`next`](Page::next) of the page of members before.
    #[serde(default)]
    pub after: Option<String>,
    /// Upper limit of the members. A page has at most 1,000.
    pub max: u32,
}

/// A group and a page of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMembers {
    /// The group.
    pub group: Group,
    /// Its members, in the order of their names.
    pub members: Page<User>,
}

/// Adds a user to a group, or removes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// Account id.
    pub account: String,
    /// The group's name.
    pub group: String,
    /// The user's name.
    pub user: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}
