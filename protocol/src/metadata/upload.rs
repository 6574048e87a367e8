//! Multipart uploads on the wire: beginning one, its parts, listings, and its completion.

use serde::{Deserialize, Serialize};

use super::{
    ChecksumAlgorithm, ChecksumKind, ListMark, NewExtent, ObjectAttributes, ObjectChecksum, Tags,
    VersionName, VersionRef, WriteCondition,
};
use crate::env::Timestamp;
use crate::id::{MutationId, PartId, UploadId, VersionId};

/// Names an upload. It is found only under its own bucket and key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadRef {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
}

/// Aborts an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AbortUpload {
    /// The upload.
    #[serde(flatten)]
    pub target: UploadRef,
    /// The id by which a repetition is recognised.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Begins a multipart upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateUpload {
    /// The bucket, the key, and the id that the gateway chose.
    #[serde(flatten)]
    pub target: UploadRef,
    /// The attributes of the future object, without a checksum's value.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// The checksum that its parts will have.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// The properties of an upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadInfo {
    /// The key.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// When it began.
    pub initiated_at: Timestamp,
    /// The attributes of the future object.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// The checksum that its parts have.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// Adds a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutPart {
    /// The upload.
    #[serde(flatten)]
    pub target: UploadRef,
    /// The part's number, 1 to 10,000.
    pub number: u32,
    /// Id of this upload of the part, new, chosen by the gateway.
    pub part: PartId,
    /// The length in bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<ObjectChecksum>,
    /// The blocks that were stored for it, in order.
    pub extents: Vec<NewExtent>,
}

/// Adds a part from a range of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyPart {
    /// The upload.
    #[serde(flatten)]
    pub target: UploadRef,
    /// The part's number, 1 to 10,000.
    pub number: u32,
    /// Id of this upload of the part, new, chosen by the gateway.
    pub part: PartId,
    /// The version to copy from.
    pub source: VersionRef,
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// ETag without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<ObjectChecksum>,
}

/// A part that is on stable storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCommitted {
    /// When it was stored.
    pub modified_at: Timestamp,
}

/// Requests the parts of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListParts {
    /// The upload. For a completed one, the answer is [`UploadCompleted`](super::MetadataError::UploadCompleted).
    #[serde(flatten)]
    pub target: UploadRef,
    /// Only parts after this number.
    pub after: u32,
    /// Upper limit of entries in the answer.
    pub max: u32,
}

/// A page of parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartPage {
    /// The upload.
    pub upload: UploadInfo,
    /// In the order of their numbers.
    pub parts: Vec<PartInfo>,
    /// Whether there are more.
    pub truncated: bool,
}

/// The properties of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Its number.
    pub number: u32,
    /// Id of the upload of the part.
    pub part: PartId,
    /// The length in bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<ObjectChecksum>,
    /// When it was stored.
    pub modified_at: Timestamp,
}

/// Requests uploads in progress.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListUploads {
    /// The bucket.
    pub bucket: String,
    /// Only keys with this prefix.
    pub prefix: String,
    /// Rolls up keys that contain it after the prefix. Not empty.
    pub delimiter: Option<String>,
    /// The position after which the page begins; `None` is the beginning.
    pub after: Option<UploadMark>,
    /// Upper limit of entries, which are uploads and common prefixes.
    pub max: u32,
}

/// A position in a listing of uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadMark {
    /// After all uploads of this key, or of this prefix.
    Mark(ListMark),
    /// After this upload of this key.
    Upload {
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
    },
}

/// A page of uploads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadPage {
    /// In order.
    pub entries: Vec<UploadEntry>,
    /// Whether there are more after the last one.
    pub truncated: bool,
}

/// An entry of a listing of uploads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadEntry {
    /// An upload.
    Upload(Box<UploadInfo>),
    /// All keys with this prefix.
    CommonPrefix(String),
}

/// Joins parts to an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompleteUpload {
    /// The upload.
    #[serde(flatten)]
    pub target: UploadRef,
    /// Id of the new version, chosen by the gateway.
    pub version: VersionId,
    /// The parts in the order of their numbers, as `list_parts` returned them. Other parts of the upload are retired.
    pub parts: Vec<(u32, PartId)>,
    /// ETag of the object without quotes.
    pub etag: String,
    /// Checksum of the object.
    pub checksum: Option<ObjectChecksum>,
    /// A digest of the client's request, by which a repetition is recognised.
    pub request_digest: String,
    /// The condition on the current object.
    pub condition: WriteCondition,
}

/// The outcome of a completed upload, which is kept so that a repeated completion gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedUpload {
    /// The version that the completion made.
    pub version: VersionId,
    /// Its ETag without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<ObjectChecksum>,
    /// The version id to show to clients.
    #[serde(default)]
    pub name: Option<VersionName>,
    /// [`CompleteUpload::request_digest`] of the completion.
    pub request_digest: String,
}
