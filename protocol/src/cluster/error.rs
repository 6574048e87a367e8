//! Why the metanode refused a datanode.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::ClusterId;
use crate::rpc::WireError;

/// Why the metanode refused a datanode's call.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum ClusterError {
    /// The node carries another cluster's id. It must not try again.
    #[error("this data directory belongs to cluster {theirs}, and this is cluster {ours}")]
    OtherCluster { theirs: ClusterId, ours: ClusterId },
    /// The incarnation is not the latest, or the metanode does not know the node: register.
    #[error("register again")]
    Reregister,
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
    #[error("internal error")]
    Internal,
}

impl WireError for ClusterError {
    fn status(&self) -> u16 {
        match self {
            Self::OtherCluster { .. } | Self::Reregister => 409,
            Self::Unavailable { .. } => 503,
            Self::Unauthorized { .. } => 403,
            Self::Malformed { .. } => 400,
            Self::Internal => 500,
        }
    }

    crate::rpc::common_errors!();
}
