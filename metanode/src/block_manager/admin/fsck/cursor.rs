//! How far the check is. Operators send this cursor back as it is, to get the next page.

use cairn_protocol::admin::{AdminError, FsckCursor};
use cairn_protocol::id::{BlockId, NodeId, UploadId};
use serde::{Deserialize, Serialize};

/// A place in the walk, and what the walk is restricted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// The only bucket that is looked at.
    pub(super) only: Option<String>,
    /// Where the next page begins.
    pub(super) place: Place,
}

/// A place in the walk. The stages are in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// At a bucket, or the next behind it; there at a key.
    Objects { bucket: String, key: String, open: Option<Open> },
    /// At a bucket's uploads in progress; there at a key, an upload and a part.
    Parts { bucket: String, key: String, upload: Option<UploadId>, number: u32, open: Option<Open> },
    /// At the retired versions, which may still be read: at an owner in the garbage, or the next behind it.
    Retired { owner: Option<[u8; 16]>, open: Option<Open> },
    /// At all blocks.
    Blocks { after: Option<BlockId> },
    /// At all replicas.
    Replicas { after: Option<(BlockId, NodeId)> },
    /// Counting what waits to be deleted.
    Deletions { after: Option<(NodeId, BlockId)> },
    /// Counting what waits for the end of its grace period.
    Garbage { after: Option<[u8; 16]> },
}

/// An owner of extents that the last page ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    /// The version or part.
    pub(super) owner: [u8; 16],
    /// The offset of its next extent.
    pub(super) from: u64,
    /// Where that one should be.
    pub(super) expected: u64,
}

impl Place {
    /// Where a walk begins.
    pub(super) fn first(bucket: &str) -> Self {
        Self::objects_of(bucket.to_owned())
    }

    /// A bucket's first object.
    pub(super) fn objects_of(bucket: String) -> Self {
        Self::Objects { bucket, key: String::new(), open: None }
    }

    /// A bucket's first upload.
    pub(super) fn parts_of(bucket: String) -> Self {
        Self::Parts { bucket, key: String::new(), upload: None, number: 0, open: None }
    }
}

/// The cursor as it is handed out.
pub(super) fn encode(cursor: &Cursor) -> Result<FsckCursor, AdminError> {
    serde_json::to_string(cursor).map(FsckCursor).map_err(|_| AdminError::Internal)
}

/// The cursor that was handed out; `only` is what the request restricts itself to.
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
