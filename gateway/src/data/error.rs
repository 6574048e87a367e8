//! The errors of the data path, and the S3 error for each.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::MetadataError;
use thiserror::Error;

use crate::error::{ErrorCode, S3Error};

/// Why bytes cannot be stored or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DataError {
    /// The metanode refused, or cannot be reached.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Too few datanodes took a block.
    #[error("too few datanodes stored block {block}: {reason}")]
    NotStored {
        /// The block, under its last grant.
        block: BlockId,
        /// The last failure.
        reason: String,
    },
    /// No replica of a block could be read.
    #[error("no replica of block {block} can be read: {reason}")]
    Unreadable {
        /// The block.
        block: BlockId,
        /// The last failure.
        reason: String,
    },
    /// The downloads' memory was in use for too long.
    #[error("too many downloads at once")]
    Overloaded,
    /// The metanode's answer is not valid.
    #[error("the metanode's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// A task of this process failed.
    #[error("a task broke: {0}")]
    Broken(String),
}

/// Why a body cannot be stored.
#[derive(Debug, Error)]
pub enum WriteError<E> {
    /// The body failed.
    #[error("the body failed")]
    Body(E),
    /// The bytes could not be stored.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl From<DataError> for S3Error {
    fn from(error: DataError) -> Self {
        let answer = match &error {
            DataError::Metadata(metadata) => return metadata.clone().into(),
            // AWS asks clients to retry later with these codes, and all SDKs do.
            DataError::NotStored { .. } => {
                Self::with_message(ErrorCode::SlowDown, "Too few datanodes took the data. Please try again.")
            }
            DataError::Unreadable { .. } => Self::with_message(
                ErrorCode::SlowDown,
                "No copy of the data can be read now. Please try again.",
            ),
            DataError::Overloaded => Self::new(ErrorCode::SlowDown),
            DataError::Nonsense(_) | DataError::Broken(_) => Self::new(ErrorCode::InternalError),
        };
        answer.caused_by(error)
    }
}

impl From<WriteError<S3Error>> for S3Error {
    fn from(error: WriteError<S3Error>) -> Self {
        match error {
            WriteError::Body(error) => error,
            // The client is still sending the rest of the body.
            WriteError::Data(error) => Self::from(error).closing(),
        }
    }
}
