//! Why a block operation failed, and the HTTP status of each reason.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rpc::WireError;
use crate::secret::SecretError;

/// Why a datanode did not execute a request.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum BlockError {
    /// The node has no such block.
    #[error("no such block")]
    NotFound,
    /// The bytes do not have the checksum that was announced.
    #[error("the bytes do not match the announced CRC32C")]
    ChecksumMismatch,
    /// There were fewer or more bytes than announced.
    #[error("expected {expected} bytes, got {received}")]
    LengthMismatch { expected: u64, received: u64 },
    /// A block of that id but other content is stored.
    #[error("another block has this id")]
    Conflict,
    /// The stored bytes do not match their checksum; the replica is quarantined.
    #[error("the replica is corrupt")]
    Corrupt,
    /// No volume has enough free space.
    #[error("no space left")]
    NoSpace,
    /// The node is at its limit of concurrent requests. The caller tries another node, or this one later.
    #[error("busy")]
    Busy,
    /// A volume failed.
    #[error("a volume failed: {reason}")]
    VolumeFailed { reason: String },
    /// The request was not authentic.
    #[error("not authorised: {reason}")]
    Unauthorized { reason: String },
    /// The request breaks the contract between the parts.
    #[error("malformed request: {reason}")]
    Malformed { reason: String },
    /// The node cannot be reached, or the connection ended during the request.
    #[error("unreachable: {reason}")]
    Unreachable { reason: String },
    /// Bytes did not arrive in time.
    #[error("timed out")]
    TimedOut,
    /// An internal error of the node, which its log describes.
    #[error("internal error")]
    Internal,
}

impl WireError for BlockError {
    fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::ChecksumMismatch | Self::LengthMismatch { .. } | Self::Malformed { .. } => 400,
            Self::Conflict => 409,
            Self::Unauthorized { .. } => 403,
            Self::TimedOut => 408,
            Self::Busy | Self::Unreachable { .. } => 503,
            Self::NoSpace => 507,
            Self::Corrupt | Self::VolumeFailed { .. } | Self::Internal => 500,
        }
    }

    fn unavailable(reason: String) -> Self {
        Self::Unreachable { reason }
    }

    fn unauthorized(reason: SecretError) -> Self {
        Self::Unauthorized { reason: reason.to_string() }
    }

    fn malformed(reason: String) -> Self {
        Self::Malformed { reason }
    }
}
