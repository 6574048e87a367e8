//! What the index knows of one block: an entry of a block that is held, an entry of one in the trash, and the position
//! of the log up to which all entries are durable.

use cairn_protocol::checksum::Crc32c;

use super::record::{Place, record_size};

/// What the index knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) length: u32,
    pub(crate) crc: Crc32c,
    pub(crate) place: Place,
}

impl Entry {
    /// Bytes on disk.
    pub(crate) fn size(&self) -> u64 {
        record_size(u64::from(self.length), self.place.is_dedicated())
    }
}

/// How far the log of shared segments is durable and indexed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPosition {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// A block that was deleted and can still be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) entry: Entry,
    /// In milliseconds since the Unix epoch.
    pub(crate) deleted_at: u64,
}
