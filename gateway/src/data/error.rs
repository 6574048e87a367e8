//! What can go wrong in the data path, and the S3 error that each becomes.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::MetadataError;
use thiserror::Error;

use crate::error::{ErrorCode, S3Error};

/// What keeps bytes from being stored or read.
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
        /// What happened last.
        reason: String,
    },
    /// No replica of a block could be read.
    #[error("no replica of block {block} can be read: {reason}")]
    Unreadable {
        /// The block.
        block: BlockId,
        /// What happened last.
        reason: String,
    },
    /// All memory for downloads is in use, and stayed so.
    #[error("too many downloads at once")]
    Overloaded,
    /// The metanode's answer makes no sense.
    #[error("the metanode's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// A task of ours broke.
    #[error("a task broke: {0}")]
    Broken(String),
}

/// What keeps a body from being stored.
#[derive(Debug, Error)]
pub enum WriteError<E> {
    /// The body failed.
    #[error("the body failed")]
    Body(E),
    /// It could not be stored.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl From<DataError> for S3Error {
    fn from(error: DataError) -> Self {
        let answer = match &error {
            DataError::Metadata(metadata) => return metadata.clone().into(),
            // AWS asks clients with these to try again later; all SDKs do.
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
            // The rest of the body is still on its way.
            WriteError::Data(error) => Self::from(error).closing(),
        }
    }
}
