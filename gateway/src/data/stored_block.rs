//! A block that is on stable storage.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::Grant;

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
}
