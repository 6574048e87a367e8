//! Users.

use serde::{Deserialize, Serialize};

use super::{HolderTags, root_path};
use crate::env::Timestamp;
use crate::id::MutationId;
use crate::metadata::{Quota, Usage};

/// Creates a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateUser {
    /// Account id.
    pub account: String,
    /// Its name: 1 to 64 of `A`-`Z`, `a`-`z`, `0`-`9` and `_+=,.@-`.
    pub name: String,
    /// Its path.
    #[serde(default = "root_path")]
    pub path: String,
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

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `arn:aws:iam::<account>:user<path><name>`.
    pub arn: String,
    /// The unique id, which no later user of the same name has: `AIDA…`.
    pub id: String,
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The ARN of the policy that is its permissions boundary.
    pub boundary: Option<String>,
    /// The tags.
    pub tags: HolderTags,
    /// How much its keys may write. The IAM API does not know it.
    #[serde(default)]
    pub quota: Quota,
    /// What is there that its keys wrote.
    #[serde(default)]
    pub usage: Usage,
}

/// Sets how much the keys of a user may write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetUserQuota {
    /// Account id.
    pub account: String,
    /// The name of the user.
    pub name: String,
    /// The quota. Each limit is below 2^63.
    pub quota: Quota,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}
