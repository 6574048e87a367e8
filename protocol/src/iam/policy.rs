//! Managed policies, their attachments, and inline policies.

use serde::{Deserialize, Serialize};

use super::{HolderKind, HolderRef, root_path};
use crate::env::Timestamp;
use crate::id::MutationId;

/// Creates a managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatePolicy {
    /// Account id.
    pub account: String,
    /// Its name: 1 to 128 of the characters of users' names.
    pub name: String,
    /// Its path.
    #[serde(default = "root_path")]
    pub path: String,
    /// Its description: up to 1,000 characters. It never changes.
    #[serde(default)]
    pub description: String,
    /// The document of its first version.
    pub document: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A managed policy, without its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// `arn:aws:iam::<account>:policy<path><name>`, with the account `aws` for those built in.
    pub arn: String,
    /// The unique id: `ANPA…`.
    pub id: String,
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The number of the version that applies.
    pub default_version: u32,
    /// How many users, groups and roles it is attached to.
    pub attachments: u64,
    /// How many users and roles have it as their permissions boundary.
    pub boundaries: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its default version was changed.
    pub updated_at: Timestamp,
}

/// Names a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The account that asks.
    pub account: String,
    /// Its ARN, or its name in the account or among those built in.
    pub policy: String,
}

/// Which managed policies a listing has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyScope {
    /// All.
    #[default]
    All,
    /// Those built in.
    Aws,
    /// Those of the account.
    Local,
}

/// Requests a page of managed policies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListPolicies {
    /// Account id.
    pub account: String,
    /// Which.
    #[serde(default)]
    pub scope: PolicyScope,
    /// Only those that are attached to something in the account.
    #[serde(default)]
    pub only_attached: bool,
    /// Only those whose path begins with this; empty for all.
    #[serde(default)]
    pub path_prefix: String,
    /// The [`next`](super::Page::next) of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Upper limit of the account's policies on the page, at most 1,000. The first page has those built in besides.
    pub max: u32,
}

/// Adds a version to a managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatePolicyVersion {
    /// The policy.
    pub policy: PolicyRef,
    /// The document.
    pub document: String,
    /// Whether it applies from now on.
    #[serde(default)]
    pub set_default: bool,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number: 1 of `v1`. No number is used twice.
    pub version: u32,
    /// Whether it is the version that applies.
    pub is_default: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// The document; `None` in listings.
    pub document: Option<String>,
}

/// Names a version of a managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyVersionRef {
    /// The policy.
    pub policy: PolicyRef,
    /// The version; `None` for the default.
    #[serde(default)]
    pub version: Option<u32>,
}

/// Makes a version of a managed policy the default, or deletes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangePolicyVersion {
    /// The policy.
    pub policy: PolicyRef,
    /// The version.
    pub version: u32,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes a managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletePolicy {
    /// The policy.
    pub policy: PolicyRef,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Attaches a managed policy, or detaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyAttachment {
    /// The user, group or role.
    pub holder: HolderRef,
    /// The policy: its ARN, or its name in the account or among those built in.
    pub policy: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A managed policy that is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedPolicy {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
}

/// Requests a page of the users, groups and roles that a managed policy applies to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListPolicyHolders {
    /// The policy.
    pub policy: PolicyRef,
    /// The [`next`](super::Page::next) of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Upper limit of the entries. A page has at most 1,000.
    pub max: u32,
}

/// A user, group or role that a managed policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyHolder {
    /// What it is.
    pub kind: HolderKind,
    /// Its unique id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether the policy is attached.
    pub attached: bool,
    /// Whether the policy is the permissions boundary.
    pub boundary: bool,
}

/// Creates or replaces an inline policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutInlinePolicy {
    /// The user, group or role.
    pub holder: HolderRef,
    /// The policy's name: 1 to 128 of the characters of users' names.
    pub name: String,
    /// The document.
    pub document: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Names an inline policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlinePolicyRef {
    /// The user, group or role.
    pub holder: HolderRef,
    /// The policy's name.
    pub name: String,
}

/// An inline policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlinePolicy {
    /// Its name.
    pub name: String,
    /// The document.
    pub document: String,
}

/// Deletes an inline policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteInlinePolicy {
    /// The user, group or role.
    pub holder: HolderRef,
    /// The policy's name.
    pub name: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}
