//! A block that is on stable storage.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{BlockSlice, Grant, NewExtent};

use super::buffer::SealedBlock;

/// A block that enough nodes have stored.
pub(super) struct StoredBlock {
    pub(super) grant: Grant,
    /// The offset in the object at which it begins.
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: Crc32c,
    pub(super) stored_on: Vec<NodeId>,
    /// The incarnation in which each node stored it.
    pub(super) incarnations: Vec<(NodeId, u64)>,
    /// The body's place in the block, if other bodies are in it too.
    pub(super) packed: Option<Packed>,
}

/// A body in a block with others.
pub(super) struct Packed {
    /// Its offset in the block.
    pub(super) offset: u64,
    /// The body. Its memory is kept until it is committed: it is short, and the block cannot be read back by itself.
    pub(super) body: SealedBlock,
}

impl StoredBlock {
    /// The same block, for the body that is at this place of it.
    pub(super) fn in_pack(&self, packed: Option<Packed>) -> Self {
        Self {
            grant: self.grant.clone(),
            offset: 0,
            length: self.length,
            crc32c: self.crc32c,
            stored_on: self.stored_on.clone(),
            incarnations: self.incarnations.clone(),
            packed,
        }
    }

    /// The length in bytes of what was stored for this upload.
    pub(super) fn extent_length(&self) -> u64 {
        self.packed.as_ref().map_or(self.length, |packed| packed.body.length)
    }

    /// The CRC32C of what was stored for this upload.
    pub(super) fn extent_crc32c(&self) -> Crc32c {
        self.packed.as_ref().map_or(self.crc32c, |packed| packed.body.crc32c)
    }

    /// The extent to commit under this grant.
    pub(super) fn extent(&self, grant: Grant) -> NewExtent {
        let slice = self.packed.as_ref().map(|packed| BlockSlice {
            offset: packed.offset,
            length: packed.body.length,
            crc32c: packed.body.crc32c,
        });
        NewExtent {
            grant,
            length: self.length,
            crc32c: self.crc32c,
            stored_on: self.stored_on.clone(),
            incarnations: self.incarnations.clone(),
            slice,
        }
    }
}
