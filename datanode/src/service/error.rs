//! Converts errors of a volume to errors of the block service. The text of an IO error is logged and not
//! sent to callers.

use cairn_protocol::block::BlockError;
use cairn_protocol::warn_self;

use crate::volume::VolumeError;

impl From<VolumeError> for BlockError {
    fn from(error: VolumeError) -> Self {
        match error {
            VolumeError::Full { .. } => Self::NoSpace,
            VolumeError::Failed(reason) => Self::VolumeFailed { reason: reason.to_string() },
            VolumeError::NotFound(_) => Self::NotFound,
            VolumeError::Conflict { .. } => Self::Conflict,
            VolumeError::WrongLength { expected, got } => Self::LengthMismatch { expected, received: got },
            VolumeError::WrongChecksum { .. } => Self::ChecksumMismatch,
            VolumeError::BadLength(length) => {
                Self::Malformed { reason: format!("a block cannot have {length} bytes") }
            }
            VolumeError::Damaged { .. } => Self::Corrupt,
            VolumeError::Io { .. } => {
                warn_self!(%error, "a volume cannot do what it was asked");
                Self::Internal
            }
            VolumeError::Closed => Self::Unreachable { reason: "the node is shutting down".to_owned() },
        }
    }
}
