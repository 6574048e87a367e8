//! The metanode's errors as S3 errors.

use cairn_protocol::metadata::MetadataError;

use super::{ErrorCode, S3Error};

impl From<MetadataError> for S3Error {
    fn from(error: MetadataError) -> Self {
        let answer = match &error {
            MetadataError::NoSuchBucket { bucket } => {
                Self::new(ErrorCode::NoSuchBucket).detail("BucketName", bucket)
            }
            // CreateBucket looks whose bucket it is.
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
            // Operations that read or write an object answer with more detail.
            MetadataError::DeleteMarker { .. } => Self::new(ErrorCode::MethodNotAllowed),
            MetadataError::NoSuchPart { parts } => {
                Self::new(ErrorCode::InvalidPartNumber).detail("ActualPartCount", parts.to_string())
            }
            MetadataError::NoSuchUpload | MetadataError::UploadCompleted { .. } => {
                Self::new(ErrorCode::NoSuchUpload)
            }
            MetadataError::InvalidPart { number } => {
                Self::new(ErrorCode::InvalidPart).detail("PartNumber", number.to_string())
            }
            MetadataError::ObjectLocked => Self::with_message(
                ErrorCode::AccessDenied,
                "Access Denied because object protected by object lock.",
            ),
            MetadataError::NoObjectLock => {
                Self::invalid_request("Bucket is missing Object Lock Configuration")
            }
            MetadataError::VersioningLocked { .. } => Self::with_message(
                ErrorCode::InvalidBucketState,
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
            ),
            MetadataError::VersioningNotEnabled { .. } => Self::with_message(
                ErrorCode::InvalidBucketState,
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            ),
            // AWS has no quotas. Code and status are those of Ceph's gateway; SDKs do not repeat a request after 403.
            MetadataError::QuotaExceeded { of, unit } => Self::with_message(
                ErrorCode::QuotaExceeded,
                format!("The request would exceed the quota of {unit} of the {of}."),
            ),
            MetadataError::ExpiredToken => Self::new(ErrorCode::ExpiredToken),
            MetadataError::PreconditionFailed => Self::new(ErrorCode::PreconditionFailed),
            MetadataError::ObjectChanged => Self::new(ErrorCode::ConditionalRequestConflict),
            MetadataError::InvalidSourceRange { length } => Self::with_message(
                ErrorCode::InvalidArgument,
                format!("Range specified is not valid for source object of size: {length}"),
            ),
            MetadataError::UnknownStorageClass { class } => {
                Self::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", class)
            }
            // The error says how many nodes there are and how many are needed, for clients and operators.
            MetadataError::NotEnoughNodes { reason } => Self::with_message(
                ErrorCode::ServiceUnavailable,
                format!("Not enough datanodes can store this now: {reason}. Please try again."),
            ),
            MetadataError::Unavailable { .. } => Self::with_message(
                ErrorCode::SlowDown,
                "The metadata service does not answer now. Please try again.",
            ),
            // The client still has the bytes and sends them again.
            MetadataError::GrantExpired | MetadataError::BlockLost { .. } => Self::with_message(
                ErrorCode::SlowDown,
                "The data did not stay on enough datanodes. Please try again.",
            ),
            // SDKs repeat the request, and it is checked against what is there then.
            MetadataError::BucketChanged => Self::with_message(
                ErrorCode::SlowDown,
                "The configuration of the bucket changed during the request. Please try again.",
            ),
            MetadataError::NoSpace => Self::with_message(
                ErrorCode::ServiceUnavailable,
                "The storage has no space left for writing.",
            ),
            // The decision was made anew, and access is denied now.
            MetadataError::AccessChanged { .. } => Self::new(ErrorCode::AccessDenied),
            MetadataError::InvalidGrant { .. }
            | MetadataError::Unauthorized { .. }
            | MetadataError::Malformed { .. }
            | MetadataError::Internal => Self::new(ErrorCode::InternalError),
        };
        answer.caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::id::BlockId;

    use super::*;

    /// S3 clients retry after these errors only.
    #[test]
    fn temporary_failures_are_answered_with_503_and_a_reason() {
        let reason = || "1 of 3 are alive".to_owned();
        for (error, code, words) in [
            (
                MetadataError::NotEnoughNodes { reason: reason() },
                ErrorCode::ServiceUnavailable,
                "1 of 3 are alive",
            ),
            (MetadataError::Unavailable { reason: reason() }, ErrorCode::SlowDown, "does not answer now"),
            (MetadataError::BucketChanged, ErrorCode::SlowDown, "changed during the request"),
            (MetadataError::NoSpace, ErrorCode::ServiceUnavailable, "no space left"),
            (MetadataError::GrantExpired, ErrorCode::SlowDown, "try again"),
            (
                MetadataError::BlockLost { block: BlockId(uuid::Uuid::nil()), reason: reason() },
                ErrorCode::SlowDown,
                "try again",
            ),
        ] {
            let answer = S3Error::from(error);
            assert_eq!((answer.code(), answer.code().status().as_u16()), (code, 503));
            assert!(answer.message().contains(words), "{}", answer.message());
        }
    }
}
