//! Objects on the wire: versions, their checksums and extents, lookups, commits, deletes and listings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Account, Content, ExtentEntry, ListId, NewExtent, ObjectLock, ResolvedExtent, VersionName, VersionRef,
    resolve_path,
};
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
    /// It covers all bytes.
    FullObject,
    /// It covers the parts' checksums. S3 shows it with the suffix `-<number of parts>`.
    Composite,
}

/// A checksum of an object or a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// The bytes that it covers.
    pub kind: ChecksumKind,
    /// Base64 of its big-endian bytes, without the suffix `-N` of composite ones.
    pub value: String,
}

/// The attributes that a client gave an object. The metanode stores them and, but for the lock,
/// does not interpret them.
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
    /// The checksum that the client chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ObjectChecksum>,
    /// Who owns the object and what its ACL grants, unless the owner of the bucket does and nothing is granted to others. Boxed,
    /// because nearly no object has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Box<ObjectAccess>>,
    /// For uploads: the client's choice for the length of the first blocks in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u64>,
    /// The lock that the client wants for the new version; in answers, the lock that the version has. The metanode acts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<ObjectLock>,
}

/// Who owns an object, and what its ACL grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAccess {
    /// The account that owns it, if it is not the owner of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Account>,
    /// The grants of its ACL, if it has others than full control for the owner. To the metanode they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
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
    /// The length in bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// When it became current.
    pub modified_at: Timestamp,
    /// The attributes that the client sent.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// The number of parts that it was completed from; 0 if it was put whole. A version that CopyObject made has its source's.
    pub part_count: u32,
    /// Its place in the order of versions, which the metanode gives. A later write of a key has a higher one.
    pub sequence: u64,
    /// Whether it is the null version of its key.
    pub is_null: bool,
    /// Whether versioning of its bucket was ever enabled. Only then S3 shows the version id.
    #[serde(default)]
    pub is_versioned: bool,
    /// Where its bytes are.
    pub content: Content,
    /// The CRC32C of what was written; see [`computed_checksum`](Self::computed_checksum).
    pub checksum: Crc32c,
}

impl ObjectVersion {
    /// The version id that clients see.
    pub fn name(&self) -> VersionName {
        match self.is_null {
            true => VersionName::Null,
            false => VersionName::Id { sequence: self.sequence, version: self.version },
        }
    }

    /// The version id to show to clients: none for an object of a bucket whose versioning was never enabled.
    pub fn shown_name(&self) -> Option<VersionName> {
        self.is_versioned.then(|| self.name())
    }
}

/// Requests an object and the extents of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LookupObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version; `None` is the current one.
    pub version: Option<VersionName>,
    /// The requested bytes.
    pub range: LookupRange,
    /// Upper limit of extents in the answer; 0 requests the object's metadata only.
    pub extents_max: u32,
}

/// The bytes of an object that a lookup requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookupRange {
    /// All bytes.
    Whole,
    /// `bytes=first-last`, `last` included; without `last`, to the end.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last bytes: `bytes=-length`.
    Suffix {
        /// The number of bytes.
        length: u64,
    },
    /// One part of a multipart object. Part 1 of another object is the whole object.
    Part {
        /// The part's number, from 1.
        number: u32,
    },
}

/// The bytes that a [`LookupRange`] selects of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResolvedRange {
    /// From `start`, included, to `end`, excluded.
    Satisfiable {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// None of the requested bytes exist.
    Unsatisfiable,
}

/// An object and the extents of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocatedObject {
    /// The object.
    pub object: ObjectVersion,
    /// The range in the object.
    pub range: ResolvedRange,
    /// The first extents of that range, in order, without gaps.
    pub extents: Vec<LocatedExtent>,
    /// Whether [`list_extents`](super::Metadata::list_extents) has more of the range.
    pub more: bool,
    /// How long the version stays readable after it was replaced or deleted, in milliseconds, unless the read is
    /// [renewed](super::Metadata::renew_reads). 0 from metanodes of an earlier release.
    #[serde(default)]
    pub readable_ms: u64,
}

/// Requests further extents of a version's extent list. The list never changes, and lasts at least as long as the version is
/// readable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListExtents {
    /// The list.
    pub list: ListId,
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
    /// The extents in order, without gaps.
    pub extents: Vec<LocatedExtent>,
    /// Whether there are more.
    pub more: bool,
}

/// An extent of an object: `length` bytes of a block, from `offset`. An answer has whole extents, even if the range begins or
/// ends within one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocatedExtent {
    /// The offset of the extent in the object.
    pub object_offset: u64,
    /// The offset of the extent in the block.
    pub offset: u64,
    /// The length in bytes.
    pub length: u64,
    /// The block.
    pub block: BlockLocation,
    /// For an extent of a list: the entries that lead to it, from the version's list on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<ExtentEntry>,
}

impl LocatedExtent {
    /// Whether the extent is one of a version with this content, by the checksums of the version and of the lists' entries.
    pub fn belongs_to(&self, content: Content) -> bool {
        let (block, object_offset) = (self.block.block, self.object_offset);
        match content {
            Content::Empty => false,
            Content::Block { block: its, offset, crc32c: _ } => {
                (block, self.offset, object_offset) == (its, offset, 0) && self.path.is_empty()
            }
            Content::List { list } => {
                let (block_offset, length) = (self.offset, self.length);
                resolve_path(list, &self.path)
                    == Some(ResolvedExtent { object_offset, block, block_offset, length })
            }
        }
    }
}

/// A block and its replicas.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockLocation {
    /// The block.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
    /// Its replicas in the order in which to read them: those on live nodes first (in random order, to spread the load), then
    /// those on stale nodes, then those on dead ones.
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
    /// Whether the datanode is live.
    pub live: bool,
    /// Whether this replica is known to be bad. It is listed after the good ones: a reader verifies its bytes, and the report
    /// may have been wrong.
    #[serde(default)]
    pub bad: bool,
}

/// Requests the replicas of blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocateBlocks {
    /// The blocks. The answer leaves out those that do not exist.
    pub blocks: Vec<BlockId>,
}

/// Requests the parts of a multipart object, which belong to its extent list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListObjectParts {
    /// The list.
    pub list: ListId,
    /// Only parts after this number.
    pub after: u32,
    /// Upper limit of entries in the answer.
    pub max: u32,
    /// Only the part that begins at this byte of the object.
    #[serde(default)]
    pub offset: Option<u64>,
}

/// Reports that versions are still being read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewReads {
    /// The versions, at most [`RENEW_READS_MAX`].
    pub versions: Vec<VersionId>,
}

/// Upper limit of versions in one [`RenewReads`], which bounds the length of its transaction.
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
    /// The length in bytes.
    pub length: u64,
    /// Its checksum, if the upload had one.
    pub checksum: Option<ObjectChecksum>,
    /// Its ETag without quotes, the MD5 of its bytes. `None` for objects of releases that did not store it.
    #[serde(default)]
    pub etag: Option<String>,
}

/// The condition on the current object under which a write is done. It is checked in the transaction of the write, so it is
/// atomic across all gateways.
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
    /// A new id that the gateway chose. A repeated commit with this id gets the first answer.
    pub version: VersionId,
    /// The length in bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// The attributes that the client sent.
    pub attributes: ObjectAttributes,
    /// Its tags.
    pub tags: Tags,
    /// The blocks that were stored for it, in order; none for an empty object.
    pub extents: Vec<NewExtent>,
    /// The condition of the delete.
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
    /// The version id to show to clients.
    #[serde(default)]
    pub name: Option<VersionName>,
}

/// Copies an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyObject {
    /// The version to copy. A retired version is found until its grace period ends.
    pub source: VersionRef,
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
    /// The condition on the destination.
    pub condition: WriteCondition,
}

/// Deletes objects of one bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteObjects {
    /// The bucket.
    pub bucket: String,
    /// The objects to delete.
    pub objects: Vec<DeleteObject>,
    /// The id by which a repetition is recognised. It gets the first answers, and deletes nothing.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteObject {
    /// Its key.
    pub key: String,
    /// The condition of the delete. Without one, it is no error if the object does not exist.
    pub condition: WriteCondition,
    /// The version to delete for good. Without one, a bucket with versioning gets a delete marker.
    #[serde(default)]
    pub version: Option<VersionName>,
    /// Whether the caller may bypass governance retention, and wants to.
    #[serde(default)]
    pub bypass_governance: bool,
}

/// The outcome of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The version whose bytes were given up. `None` if there was none, or it was a delete marker.
    pub version: Option<VersionId>,
    /// The delete marker that was made, or that was deleted.
    #[serde(default)]
    pub marker: Option<VersionName>,
}

/// Replaces the tags of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateTags {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version; `None` is the current one.
    #[serde(default)]
    pub version: Option<VersionName>,
    /// The new tags.
    pub tags: Tags,
    /// The id by which a repetition is recognised.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Replaces owner and ACL of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateAccess {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version; `None` is the current one.
    pub version: Option<VersionName>,
    /// What the version has from now on.
    pub access: Option<Box<ObjectAccess>>,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}

/// Requests objects in the order of their keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListObjects {
    /// The bucket.
    pub bucket: String,
    /// Only keys with this prefix.
    pub prefix: String,
    /// Rolls up keys that contain it after the prefix. Not empty.
    pub delimiter: Option<String>,
    /// The position after which the page begins; `None` is the beginning.
    pub after: Option<ListMark>,
    /// Upper limit of entries, which are objects and common prefixes.
    pub max: u32,
}

/// A position in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListMark {
    /// After this key.
    Key(String),
    /// After every key with this prefix.
    Prefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectPage {
    /// In order.
    pub entries: Vec<ListEntry>,
    /// Whether there are more after the last one.
    pub truncated: bool,
    /// The bucket's region; empty from metanodes of an earlier release.
    #[serde(default)]
    pub region: String,
}

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListEntry {
    /// An object.
    Object(Box<ObjectSummary>),
    /// All keys with this prefix.
    CommonPrefix(String),
}

/// An object, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSummary {
    /// Its key.
    pub key: String,
    /// The length in bytes.
    pub length: u64,
    /// ETag without quotes.
    pub etag: String,
    /// When it became current.
    pub modified_at: Timestamp,
    /// Storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// The account that owns it, if it is not the owner of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Account>,
}

/// Requests versions and delete markers, in the order of their keys, and of one key from the newest on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListVersions {
    /// The bucket.
    pub bucket: String,
    /// Only keys with this prefix.
    pub prefix: String,
    /// Rolls up keys that contain it after the prefix. Not empty.
    pub delimiter: Option<String>,
    /// The position after which the page begins; `None` is the beginning.
    pub after: Option<VersionMark>,
    /// Upper limit of entries, which are versions, delete markers and common prefixes.
    pub max: u32,
}

/// A position in a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionMark {
    /// After all versions of this key.
    Key(String),
    /// After this version of this key. If it does not exist any more, after its place; for the null version, after the key.
    Version(String, VersionName),
    /// After every key with this prefix.
    Prefix(String),
}

/// A page of versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionPage {
    /// In order.
    pub entries: Vec<VersionEntry>,
    /// Whether there are more after the last one.
    pub truncated: bool,
    /// The bucket's region.
    pub region: String,
}

/// An entry of a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionEntry {
    /// A version, or a delete marker.
    Version(Box<VersionSummary>),
    /// All keys with this prefix.
    CommonPrefix(String),
}

/// A version or a delete marker, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSummary {
    /// What listings of objects show. The length and ETag of a delete marker are empty.
    pub object: ObjectSummary,
    /// The version id.
    pub name: VersionName,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
}
