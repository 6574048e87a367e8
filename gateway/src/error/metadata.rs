//! What the metanode answers, as S3 says it.

use cairn_protocol::metadata::MetadataError;

use super::{ErrorCode, S3Error};

impl From<MetadataError> for S3Error {
    fn from(error: MetadataError) -> Self {
        let answer = match &error {
            MetadataError::NoSuchBucket { bucket } => {
                Self::new(ErrorCode::NoSuchBucket).detail("BucketName", bucket)
            }
            // There is one account, so whoever has the bucket is the caller.
            MetadataError::BucketExists { bucket } => {
                Self::new(ErrorCode::BucketAlreadyOwnedByYou).detail("BucketName", bucket)
            }
            MetadataError::BucketNotEmpty { bucket } => {
                Self::new(ErrorCode::BucketNotEmpty).detail("BucketName", bucket)
            }
            MetadataError::NoSuchKey | MetadataError::ConditionOnMissingKey => {
                Self::new(ErrorCode::NoSuchKey)
            }
            MetadataError::NoSuchVersion => Self::new(ErrorCode::NoSuchVersion),
            MetadataError::NoSuchPart { parts } => {
                Self::new(ErrorCode::InvalidPartNumber).detail("ActualPartCount", parts.to_string())
            }
            MetadataError::NoSuchUpload | MetadataError::UploadCompleted { .. } => {
                Self::new(ErrorCode::NoSuchUpload)
            }
            MetadataError::InvalidPart { number } => {
                Self::new(ErrorCode::InvalidPart).detail("PartNumber", number.to_string())
            }
            MetadataError::PreconditionFailed => Self::new(ErrorCode::PreconditionFailed),
            MetadataError::InvalidSourceRange { length } => Self::with_message(
                ErrorCode::InvalidArgument,
                format!("Range specified is not valid for source object of size: {length}"),
            ),
            MetadataError::UnknownStorageClass { class } => {
                Self::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", class)
            }
            MetadataError::NotEnoughNodes { .. }
            | MetadataError::Unavailable { .. }
            | MetadataError::GrantExpired => Self::new(ErrorCode::ServiceUnavailable),
            MetadataError::NoSpace => Self::with_message(
                ErrorCode::ServiceUnavailable,
                "The storage has no space left for writing.",
            ),
            MetadataError::InvalidGrant { .. }
            | MetadataError::Unauthorized { .. }
            | MetadataError::Malformed { .. }
            | MetadataError::Internal => Self::new(ErrorCode::InternalError),
        };
        answer.caused_by(error)
    }
}
