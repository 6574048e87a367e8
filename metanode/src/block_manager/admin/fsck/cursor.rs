//! The position of fsck. Operators send this cursor back unchanged to get the next page.

use cairn_protocol::admin::{AdminError, FsckCursor};
use cairn_protocol::id::{BlockId, UploadId};
use cairn_protocol::metadata::ListId;
use serde::{Deserialize, Serialize};

use crate::store::counters::Counter;
use crate::store::nodes::NodeOrdinal;

/// A position in the walk, and the restriction of the walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// The only bucket to check; `None` for everything.
    pub(super) only: Option<String>,
    /// Where the next page begins.
    pub(super) place: Place,
}

/// A position in the walk. The stages are in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// Versions of objects: at a key of a bucket, or of the next bucket if this one does not exist, and there at the version
    /// with this sequence or the next older one.
    Objects { bucket: String, key: String, sequence: Option<u64>, open: Option<Open> },
    /// Uploads in progress of a bucket: at a key, an upload and a part.
    Parts { bucket: String, key: String, upload: Option<UploadId>, number: u32, open: Option<Open> },
    /// Retired versions, which may still be read: at an owner in the garbage, or the next one if it does not exist.
    Retired { owner: Option<[u8; 16]>, open: Option<Open> },
    /// All blocks.
    Blocks { after: Option<BlockId> },
    /// All extent lists.
    Lists { after: Option<ListId> },
    /// All replicas.
    Replicas { after: Option<(BlockId, NodeOrdinal)> },
    /// All counters, each against the rows that it counts.
    Counters { after: Option<Counter> },
    /// Counting the queued deletions.
    Deletions { after: Option<(NodeOrdinal, BlockId)> },
    /// Counting the garbage.
    Garbage { after: Option<[u8; 16]> },
}

/// An owner of extents that is checked on several pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    /// The version or part.
    pub(super) owner: [u8; 16],
    /// The offset of its next extent.
    pub(super) from: u64,
    /// The offset at which that extent should begin.
    pub(super) expected: u64,
}

impl Place {
    /// The beginning of a walk.
    pub(super) fn first(bucket: &str) -> Self {
        Self::objects_of(bucket.to_owned())
    }

    /// The position of a bucket's first object.
    pub(super) fn objects_of(bucket: String) -> Self {
        Self::Objects { bucket, key: String::new(), sequence: None, open: None }
    }

    /// The position of a bucket's first upload.
    pub(super) fn parts_of(bucket: String) -> Self {
        Self::Parts { bucket, key: String::new(), upload: None, number: 0, open: None }
    }
}

/// Writes the cursor for the reply.
pub(super) fn encode(cursor: &Cursor) -> Result<FsckCursor, AdminError> {
    serde_json::to_string(cursor).map(FsckCursor).map_err(|_| AdminError::Internal)
}

/// Reads the cursor of a request. `only` is the bucket that the request is restricted to; the cursor must have the
/// same.
pub(super) fn decode(given: Option<&FsckCursor>, only: Option<&str>) -> Result<Cursor, AdminError> {
    let Some(FsckCursor(text)) = given else {
        let place = Place::first(only.unwrap_or_default());
        return Ok(Cursor { only: only.map(str::to_owned), place });
    };
    let malformed = |reason: &str| AdminError::Malformed { reason: reason.to_owned() };
    let cursor: Cursor =
        serde_json::from_str(text).map_err(|_| malformed("the cursor is none that fsck handed out"))?;
    if cursor.only.as_deref() != only {
        return Err(malformed("the cursor is of a check of other buckets"));
    }
    Ok(cursor)
}
