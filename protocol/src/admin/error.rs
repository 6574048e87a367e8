//! Why an operator's request was not carried out, and the HTTP status of each reason.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::NodeId;
use crate::rpc::WireError;

/// Why an operator's request was not carried out. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum AdminError {
    /// No such node ever registered, or it was removed.
    #[error("there is no node {node}; `cairn admin node list` shows those that there are")]
    UnknownNode { node: NodeId },
    /// No such bucket.
    #[error("there is no bucket {bucket}")]
    NoSuchBucket { bucket: String },
    /// No such object or version.
    #[error("there is no such object in bucket {bucket}")]
    NoSuchKey { bucket: String },
    /// The request would do harm, or does not fit the present state.
    #[error("{reason}")]
    Refused { reason: String },
    /// The metanode cannot be reached, or cannot write now. Try again.
    #[error("the metanode is unavailable: {reason}")]
    Unavailable { reason: String },
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

impl WireError for AdminError {
    fn status(&self) -> u16 {
        match self {
            Self::UnknownNode { .. } | Self::NoSuchBucket { .. } | Self::NoSuchKey { .. } => 404,
            Self::Refused { .. } => 409,
            Self::Unavailable { .. } => 503,
            Self::Unauthorized { .. } => 403,
            Self::Malformed { .. } => 400,
            Self::Internal => 500,
        }
    }

    crate::rpc::common_errors!();
}
