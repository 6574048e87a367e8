//! Why a metadata operation failed, and the HTTP status of each reason.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::BlockId;
use crate::rpc::WireError;

/// Why a metadata operation failed. It changed nothing, except that the outcome of `Unavailable` is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum MetadataError {
    /// There is no bucket of that name.
    #[error("bucket {bucket} does not exist")]
    NoSuchBucket { bucket: String },
    /// A bucket of that name exists already.
    #[error("bucket {bucket} exists already")]
    BucketExists { bucket: String },
    /// The bucket has objects.
    #[error("bucket {bucket} is not empty")]
    BucketNotEmpty { bucket: String },
    /// There is no current object of that key.
    #[error("the object does not exist")]
    NoSuchKey,
    /// There is no such version, or it was retired longer than the grace period ago.
    #[error("the version does not exist any more")]
    NoSuchVersion,
    /// The requested version is a delete marker.
    #[error("the version is a delete marker")]
    DeleteMarker { name: super::VersionName, modified_at: crate::env::Timestamp },
    /// The object has no part of that number.
    #[error("the object has no part of that number; it has {parts}")]
    NoSuchPart { parts: u32 },
    /// There is no such upload in progress, for that bucket and key.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// The upload is already completed.
    #[error("the upload was completed already")]
    UploadCompleted { completed: Box<super::CompletedUpload> },
    /// A part named in the completion is missing or was replaced.
    #[error("part {number} is missing or was replaced")]
    InvalidPart { number: u32 },
    /// The write's condition does not hold.
    #[error("the condition does not hold")]
    PreconditionFailed,
    /// An object that the gateway decided on is not the current one any more. The gateway decides again.
    #[error("the object was replaced meanwhile")]
    ObjectChanged,
    /// The write's If-Match condition names an object that does not exist.
    #[error("the condition names an object that does not exist")]
    ConditionOnMissingKey,
    /// The version is locked: it may not be deleted, and its retention may not be shortened.
    #[error("the version is locked")]
    ObjectLocked,
    /// The bucket does not have Object Lock.
    #[error("the bucket does not have Object Lock")]
    NoObjectLock,
    /// The bucket has Object Lock, so its versioning stays enabled.
    #[error("bucket {bucket} has Object Lock and keeps its versioning")]
    VersioningLocked { bucket: String },
    /// Versioning of the bucket is not enabled, which Object Lock needs.
    #[error("versioning of bucket {bucket} is not enabled")]
    VersioningNotEnabled { bucket: String },
    /// The write would exceed a quota.
    #[error("the quota of {unit} of the {of} would be exceeded")]
    QuotaExceeded { of: super::QuotaOf, unit: super::QuotaUnit },
    /// A range of the source is beyond its end.
    #[error("the range is beyond the source's {length} bytes")]
    InvalidSourceRange { length: u64 },
    /// A grant's signature is wrong, or the grant was used already.
    #[error("a grant is not valid: {reason}")]
    InvalidGrant { reason: String },
    /// A grant's lease ran out before the commit.
    #[error("a grant has expired")]
    GrantExpired,
    /// A block is not certainly on as many datanodes as it must be, because it was abandoned or its nodes lost it. Nothing was
    /// committed. A gateway that still has the block's bytes may store them under a new grant.
    #[error("block {block} cannot be committed: {reason}")]
    BlockLost { block: BlockId, reason: String },
    /// The configuration has no storage class of that name.
    #[error("the configuration has no storage class {class}")]
    UnknownStorageClass { class: String },
    /// There are not enough datanodes that can take a block.
    #[error("not enough datanodes: {reason}")]
    NotEnoughNodes { reason: String },
    /// The metanode cannot be reached, or cannot write now. Try again.
    #[error("the metanode is unavailable: {reason}")]
    Unavailable { reason: String },
    /// The metanode's disk is full: writes fail, and reads succeed.
    #[error("the metanode has no space left")]
    NoSpace,
    /// The caller decided with another state of access control than the metanode's, so access may have been taken away since.
    #[error("access control has changed")]
    AccessChanged { epoch: super::AccessEpoch },
    /// The configuration of the bucket changed while the request was on its way, and is not what the request was checked against.
    #[error("the configuration of the bucket has changed")]
    BucketChanged,
    /// The session of the token has ended.
    #[error("the session token has expired")]
    ExpiredToken,
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

impl WireError for MetadataError {
    fn status(&self) -> u16 {
        match self {
            Self::NoSuchBucket { .. }
            | Self::NoSuchKey
            | Self::NoSuchVersion
            | Self::DeleteMarker { .. }
            | Self::NoSuchPart { .. }
            | Self::NoSuchUpload => 404,
            Self::BucketExists { .. }
            | Self::BucketNotEmpty { .. }
            | Self::UploadCompleted { .. }
            | Self::AccessChanged { .. }
            | Self::ObjectChanged
            | Self::BucketChanged
            | Self::VersioningLocked { .. }
            | Self::VersioningNotEnabled { .. }
            | Self::BlockLost { .. } => 409,
            Self::PreconditionFailed | Self::ConditionOnMissingKey => 412,
            Self::InvalidPart { .. }
            | Self::InvalidSourceRange { .. }
            | Self::InvalidGrant { .. }
            | Self::GrantExpired
            | Self::ExpiredToken
            | Self::UnknownStorageClass { .. }
            | Self::NoObjectLock
            | Self::Malformed { .. } => 400,
            Self::Unauthorized { .. } | Self::ObjectLocked | Self::QuotaExceeded { .. } => 403,
            Self::NotEnoughNodes { .. } | Self::Unavailable { .. } => 503,
            Self::NoSpace => 507,
            Self::Internal => 500,
        }
    }

    crate::rpc::common_errors!();
}
