//! Why an operation on identities failed, and the HTTP status of each reason.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rpc::WireError;

/// What a [`IamError::NoSuchEntity`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntityKind {
    Account,
    User,
    Group,
    Role,
    AccessKey,
    Policy,
    PolicyVersion,
    AttachedPolicy,
    InlinePolicy,
    Boundary,
    GroupMember,
    OidcProvider,
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::AccessKey => "access key",
            Self::Policy => "policy",
            Self::PolicyVersion => "version of the policy",
            Self::AttachedPolicy => "attached policy",
            Self::InlinePolicy => "inline policy",
            Self::Boundary => "permissions boundary of",
            Self::GroupMember => "group member",
            Self::OidcProvider => "OpenID Connect provider",
        })
    }
}

/// Why an operation on identities failed. It changed nothing, except that the outcome of `Unavailable` is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum IamError {
    /// There is no such entity in the account.
    #[error("there is no {kind} {name}")]
    NoSuchEntity { kind: EntityKind, name: String },
    /// The name is taken. Names that differ only in case are the same.
    #[error("there is a {kind} {name} already")]
    EntityAlreadyExists { kind: EntityKind, name: String },
    /// Something depends on what was to be deleted.
    #[error("{reason}")]
    DeleteConflict { reason: String },
    /// A limit of number or size would be exceeded.
    #[error("{reason}")]
    LimitExceeded { reason: String },
    /// A policy document is not a JSON object.
    #[error("malformed policy document: {reason}")]
    MalformedDocument { reason: String },
    /// A value is not allowed, or what is to be changed cannot be.
    #[error("{reason}")]
    InvalidInput { reason: String },
    /// The metanode cannot be reached, or cannot write now. Try again.
    #[error("the metanode is unavailable: {reason}")]
    Unavailable { reason: String },
    /// The metanode's disk is full: writes fail, and reads succeed.
    #[error("the metanode has no space left")]
    NoSpace,
    /// The request was not authentic.
    #[error("not authorised: {reason}")]
    Unauthorized { reason: String },
    /// The request breaks the contract between the parts.
    #[error("malformed request: {reason}")]
    Malformed { reason: String },
    /// An internal error of the metanode, which its log describes.
    #[error("internal error; the metanode's log tells more")]
    Internal,
}

impl WireError for IamError {
    fn status(&self) -> u16 {
        match self {
            Self::NoSuchEntity { .. } => 404,
            Self::EntityAlreadyExists { .. } | Self::DeleteConflict { .. } | Self::LimitExceeded { .. } => {
                409
            }
            Self::MalformedDocument { .. } | Self::InvalidInput { .. } | Self::Malformed { .. } => 400,
            Self::Unauthorized { .. } => 403,
            Self::Unavailable { .. } => 503,
            Self::NoSpace => 507,
            Self::Internal => 500,
        }
    }

    crate::rpc::common_errors!();
}
