//! Objects on the wire: versions, their checksums and extents, lookups, commits, deletes and listings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NewExtent;
use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, MutationId, NodeId, VersionId};

/// A checksum that S3 clients choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// Whether a checksum covers an object's bytes, or the checksums of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Of all bytes.
    FullObject,
    /// Of the parts' checksums; shown by S3 with `-<number of parts>` behind it.
    Composite,
}

/// A checksum of an object or a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// Which one.
    pub algorithm: ChecksumAlgorithm,
    /// What it covers.
    pub kind: ChecksumKind,
    /// Base64 of its big-endian bytes; without the `-N` of composite ones.
    pub value: String,
}

/// What a client says about an object; the metanode keeps it and does not look into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAttributes {
    /// Headers that S3 stores and returns (`content-type`, `cache-control`, …), by lower-case name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// User metadata, by lower-case name without `x-amz-meta-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_metadata: BTreeMap<String, String>,
    /// Storage class, when it is not STANDARD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The checksum that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ObjectChecksum>,
    /// For uploads: the length in bytes that the client wants the first blocks to have, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u64>,
}

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// The object's key.
    pub key: String,
    /// The version.
    pub version: VersionId,
    /// Bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// When it became current.
    pub modified_at: Timestamp,
    /// What the client said about it.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// How many parts it was completed from; 0 when it was put whole. A version that CopyObject made has its source's parts.
    pub part_count: u32,
}

/// Asks for an object and the extents of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookupObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// This version rather than the current one. A version that is not current any more is found
    /// until its grace period ends.
    pub version: Option<VersionId>,
    /// Which bytes.
    pub range: LookupRange,
    /// Upper limit of extents; 0 to get the object's metadata only.
    pub extents_max: u32,
}

/// Which bytes of an object are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookupRange {
    /// All.
    Whole,
    /// `bytes=first-last`, `last` included; to the end without `last`.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last bytes: `bytes=-length`.
    Suffix {
        /// How many.
        length: u64,
    },
    /// One part of a multipart object; part 1 of another is the whole.
    Part {
        /// The part's number, from 1.
        number: u32,
    },
}

/// The bytes that a [`LookupRange`] came down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResolvedRange {
    /// From `start`, included, to `end`, excluded.
    Satisfiable {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// None of the bytes asked for exist.
    Unsatisfiable,
}

/// An object and where its bytes are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocatedObject {
    /// The object.
    pub object: ObjectVersion,
    /// The bytes that were asked for.
    pub range: ResolvedRange,
    /// The first extents of that range, in order, without gaps.
    pub extents: Vec<LocatedExtent>,
    /// Whether [`list_extents`](super::Metadata::list_extents) has more of the range.
    pub more: bool,
    /// For how many milliseconds the version stays readable after it was replaced or deleted, unless its
    /// reading is [renewed](super::Metadata::renew_reads). 0 from metanodes of an earlier release.
    #[serde(default)]
    pub readable_ms: u64,
}

/// Asks for further extents of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListExtents {
    /// The version.
    pub version: VersionId,
    /// From this byte of the object, included.
    pub start: u64,
    /// To this byte, excluded.
    pub end: u64,
    /// Upper limit of extents.
    pub max: u32,
}

/// A page of extents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExtentPage {
    /// In order, without gaps.
    pub extents: Vec<LocatedExtent>,
    /// Whether there are more.
    pub more: bool,
}

/// A piece of an object: `length` bytes of a block, from `offset`. Extents of an answer are whole,
/// also where the range begins or ends within one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocatedExtent {
    /// Where in the object the extent begins.
    pub object_offset: u64,
    /// Where in the block it begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// The block.
    pub block: BlockLocation,
}

/// A block and who holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockLocation {
    /// The block.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
    /// Who holds it, in the order in which to ask: live ones first (in random order, so that load
    /// spreads), then stale ones, then dead ones.
    pub replicas: Vec<Replica>,
}

/// One replica of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The datanode.
    pub node: NodeId,
    /// Its base URL.
    pub address: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Whether it is live.
    pub live: bool,
    /// Whether this replica is known to be bad. It is listed all the same, behind the good ones: a reader
    /// verifies what it reads, and what found it bad may have been wrong.
    #[serde(default)]
    pub bad: bool,
}

/// Asks where blocks are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocateBlocks {
    /// The blocks; those that do not exist are left out of the answer.
    pub blocks: Vec<BlockId>,
}

/// Asks for the parts of a multipart object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListObjectParts {
    /// The version.
    pub version: VersionId,
    /// Only parts after this number.
    pub after: u32,
    /// Upper limit of parts.
    pub max: u32,
    /// Only the part that begins at this byte of the object.
    #[serde(default)]
    pub offset: Option<u64>,
}

/// Says that versions are still being read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewReads {
    /// The versions, at most [`RENEW_READS_MAX`].
    pub versions: Vec<VersionId>,
}

/// Upper limit of versions in one [`RenewReads`]. It limits the length of its transaction.
pub const RENEW_READS_MAX: usize = 1_000;

/// A page of an object's parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectPartPage {
    /// In the order of their numbers.
    pub parts: Vec<ObjectPart>,
    /// Whether there are more.
    pub truncated: bool,
}

/// A part that an object was completed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// Its number.
    pub number: u32,
    /// Bytes.
    pub length: u64,
    /// Its checksum, if the upload had one.
    pub checksum: Option<ObjectChecksum>,
    /// Its ETag without quotes: the MD5 of its bytes. `None` for objects that were completed before it was kept.
    #[serde(default)]
    pub etag: Option<String>,
}

/// What must hold of the current object for a write to be done. Checked in the transaction of the
/// write, so it is atomic across all gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteCondition {
    /// Nothing.
    #[default]
    None,
    /// There is no object: `If-None-Match: *`.
    Absent,
    /// There is an object: `If-Match: *`.
    Present,
    /// The object has this ETag (without quotes): `If-Match`.
    Etag(String),
}

/// Makes a version current.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommitObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its id, new, chosen by the gateway; a commit of an id that exists answers as the first did.
    pub version: VersionId,
    /// Bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// What the client says about it.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// The blocks that were stored for it, in order; none for an empty object.
    pub extents: Vec<NewExtent>,
    /// What must hold.
    pub condition: WriteCondition,
}

/// A write that is on stable storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The version that was made.
    pub version: VersionId,
    /// Its ETag without quotes.
    pub etag: String,
    /// When it became current.
    pub modified_at: Timestamp,
}

/// Copies an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyObject {
    /// The version to copy; found as by [`LookupObject::version`].
    pub source: VersionId,
    /// The bucket to copy to.
    pub bucket: String,
    /// The key to copy to.
    pub key: String,
    /// Id of the new version, chosen by the gateway.
    pub version: VersionId,
    /// ETag of the new version without quotes.
    pub etag: String,
    /// Replaces the source's attributes.
    pub attributes: Option<ObjectAttributes>,
    /// Replaces the source's tags.
    pub tags: Option<Tags>,
    /// What must hold of the destination.
    pub condition: WriteCondition,
}

/// Deletes objects of one bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteObjects {
    /// The bucket.
    pub bucket: String,
    /// What to delete.
    pub objects: Vec<DeleteObject>,
    /// Has a repetition recognised. It gets the answers that the first one got, and deletes nothing.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteObject {
    /// Its key.
    pub key: String,
    /// What must hold. An object that is not there is deleted without error, unless there is a condition.
    pub condition: WriteCondition,
}

/// What a delete did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The version that was current and is no more.
    pub version: Option<VersionId>,
}

/// Replaces the tags of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateTags {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The new tags.
    pub tags: Tags,
    /// Has a repetition recognised.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Asks for objects in the order of their keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Rolls up keys that have it behind the prefix; not empty.
    pub delimiter: Option<String>,
    /// Where to begin.
    pub after: Option<ListMark>,
    /// Upper limit of entries (objects and common prefixes together).
    pub max: u32,
}

/// Where a listing begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListMark {
    /// Behind this key.
    Key(String),
    /// Behind every key that begins so.
    Prefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectPage {
    /// In order.
    pub entries: Vec<ListEntry>,
    /// Whether there are more behind the last one.
    pub truncated: bool,
    /// The bucket's region; empty where an older metanode did not tell it.
    #[serde(default)]
    pub region: String,
}

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListEntry {
    /// An object.
    Object(Box<ObjectSummary>),
    /// All keys that begin so.
    CommonPrefix(String),
}

/// An object, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSummary {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// When it became current.
    pub modified_at: Timestamp,
    /// Storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}
