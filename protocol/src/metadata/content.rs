//! What the bytes of a version are: nothing, one extent, or an extent list. With the checksums by which a gateway knows that
//! the metadata it was given is what was written.

use serde::{Deserialize, Serialize};

use super::{ObjectAttributes, ObjectVersion, Tags};
use crate::checksum::{Crc32c, crc32c};
use crate::env::Timestamp;
use crate::id::{BlockId, VersionId};

/// An extent list: a sequence of extents that never changes. Versions, parts and other lists refer to it, and it lasts as long
/// as any of them. No later list has the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListId(pub u64);

/// The bytes of a version or a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Content {
    /// There are none.
    #[default]
    Empty,
    /// One extent. Its length is that of the version.
    Block {
        /// The block.
        block: BlockId,
        /// The offset of the extent in the block.
        offset: u64,
        /// The CRC32C of the extent's bytes, if it was recorded: for slices of blocks that several objects share. A reader then
        /// checks the bytes without the rest of the block.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crc32c: Option<Crc32c>,
    },
    /// All bytes of an extent list.
    List {
        /// The list.
        list: ListId,
    },
}

impl Content {
    /// All of a block.
    pub fn whole(block: BlockId) -> Self {
        Self::Block { block, offset: 0, crc32c: None }
    }

    /// The extent list, if there is one.
    pub fn list(self) -> Option<ListId> {
        match self {
            Self::List { list } => Some(list),
            Self::Empty | Self::Block { .. } => None,
        }
    }
}

/// The target of an entry of an extent list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryTarget {
    /// A block.
    Block(BlockId),
    /// Another list.
    List(ListId),
}

/// An entry of an extent list, as it is stored: `length` bytes of a block or of another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentEntry {
    /// The list.
    pub list: ListId,
    /// The offset of the entry in the list.
    pub place: u64,
    /// Where the bytes are.
    pub target: EntryTarget,
    /// The offset in the target at which they begin.
    pub start: u64,
    /// The length in bytes.
    pub length: u64,
    /// The CRC32C of all of this.
    pub checksum: Crc32c,
}

impl ExtentEntry {
    /// An entry with its checksum.
    pub fn new(list: ListId, place: u64, target: EntryTarget, start: u64, length: u64) -> Self {
        let checksum = checksum_of_entry(list, place, target, start, length);
        Self { list, place, target, start, length, checksum }
    }

    /// Whether the entry is what was written.
    pub fn is_sound(&self) -> bool {
        let Self { list, place, target, start, length, checksum } = *self;
        checksum == checksum_of_entry(list, place, target, start, length)
    }

    /// One past the last byte in the list; `None` if it is beyond 2⁶⁴.
    pub fn end(&self) -> Option<u64> {
        self.place.checked_add(self.length)
    }
}

/// The CRC32C over list, place, start and length, each as 8 bytes, the kind of the target as one byte, and the target's id, all
/// in big-endian order. It contains the list and the place, so that an entry that was moved is not taken for another one.
fn checksum_of_entry(list: ListId, place: u64, target: EntryTarget, start: u64, length: u64) -> Crc32c {
    let mut bytes = Vec::with_capacity(49);
    for number in [list.0, place, start, length] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    match target {
        EntryTarget::Block(block) => {
            bytes.push(0);
            bytes.extend_from_slice(block.as_bytes());
        }
        EntryTarget::List(list) => {
            bytes.push(1);
            bytes.extend_from_slice(&list.0.to_be_bytes());
        }
    }
    crc32c(&bytes)
}

/// An extent that a path of entries leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedExtent {
    /// The offset in the first list at which it begins.
    pub object_offset: u64,
    /// The block.
    pub block: BlockId,
    /// The offset in the block at which it begins.
    pub block_offset: u64,
    /// The length in bytes, at least 1.
    pub length: u64,
}

/// A part of a list that an entry above it makes visible.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The list.
    pub list: ListId,
    /// The first byte of the list that is visible.
    pub from: u64,
    /// One past the last visible byte.
    pub to: u64,
    /// The offset in the first list of the byte at `from`.
    pub object_offset: u64,
}

impl Window {
    /// All of a list.
    pub fn whole(list: ListId) -> Self {
        Self { list, from: 0, to: u64::MAX, object_offset: 0 }
    }

    /// What is visible through an entry of this list: offset in the first list, offset in the entry's target, and length. `None`
    /// if that is nothing, or if the entry is of another list.
    pub fn through(&self, entry: &ExtentEntry) -> Option<(u64, u64, u64)> {
        if entry.list != self.list {
            return None;
        }
        let (from, to) = (self.from.max(entry.place), self.to.min(entry.end()?));
        let length = to.checked_sub(from).filter(|length| *length > 0)?;
        let object_offset = self.object_offset.checked_add(from - self.from)?;
        Some((object_offset, entry.start.checked_add(from - entry.place)?, length))
    }
}

/// The extent at the end of a path: the first entry is one of `list`, and each further one is of the list that the entry before
/// it names. `None` if an entry is damaged, or the entries do not belong together.
pub fn resolve_path(list: ListId, path: &[ExtentEntry]) -> Option<ResolvedExtent> {
    let mut window = Window::whole(list);
    let (last, above) = path.split_last()?;
    for entry in above {
        let (object_offset, from, length) = window.through(entry).filter(|_| entry.is_sound())?;
        let EntryTarget::List(list) = entry.target else { return None };
        window = Window { list, from, to: from.checked_add(length)?, object_offset };
    }
    let (object_offset, block_offset, length) = window.through(last).filter(|_| last.is_sound())?;
    let EntryTarget::Block(block) = last.target else { return None };
    Some(ResolvedExtent { object_offset, block, block_offset, length })
}

/// Names a version so that its row is found without an index over ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRef {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its place in the order of versions. Without it, the version is found if it is the newest of its key, or retired.
    pub sequence: Option<u64>,
    /// Its id.
    pub version: VersionId,
}

/// What the checksum of a version covers. The order of the fields is part of the format.
#[derive(Serialize)]
struct Covered<'a> {
    key: &'a str,
    version: VersionId,
    sequence: u64,
    is_null: bool,
    length: u64,
    etag: &'a str,
    modified_at: Timestamp,
    part_count: u32,
    attributes: &'a ObjectAttributes,
    tags: &'a Tags,
    content: Content,
}

impl ObjectVersion {
    /// The CRC32C of what was written: of the JSON of all fields that belong to the version and not to its bucket.
    pub fn computed_checksum(&self) -> Crc32c {
        // A lock is no part of the version. It changes, and look-ups add it.
        let attributes = &ObjectAttributes { lock: None, ..self.attributes.clone() };
        let covered = Covered {
            key: &self.key,
            version: self.version,
            sequence: self.sequence,
            is_null: self.is_null,
            length: self.length,
            etag: &self.etag,
            modified_at: self.modified_at,
            part_count: self.part_count,
            attributes,
            tags: &self.tags,
            content: self.content,
        };
        // Maps of text and numbers always have a JSON form.
        serde_json::to_vec(&covered).map_or(0, |json| crc32c(&json))
    }

    /// Whether the version is what was written.
    pub fn is_sound(&self) -> bool {
        self.checksum == self.computed_checksum()
    }

    /// Names the version, given its bucket.
    pub fn reference(&self, bucket: impl Into<String>) -> VersionRef {
        VersionRef {
            bucket: bucket.into(),
            key: self.key.clone(),
            sequence: Some(self.sequence),
            version: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn block(number: u128) -> BlockId {
        BlockId(Uuid::from_u128(number))
    }

    #[test]
    fn a_path_leads_through_the_windows_of_its_entries() {
        let (top, middle) = (ListId(1), ListId(2));
        // Bytes 100..150 of the top list are bytes 30..80 of the middle one, whose bytes 20..60 are in a block from 7 on.
        let above = ExtentEntry::new(top, 100, EntryTarget::List(middle), 30, 50);
        let below = ExtentEntry::new(middle, 20, EntryTarget::Block(block(9)), 7, 40);
        let expected = ResolvedExtent { object_offset: 100, block: block(9), block_offset: 17, length: 30 };
        assert_eq!(resolve_path(top, &[above, below]), Some(expected));
        let later = ExtentEntry::new(middle, 60, EntryTarget::Block(block(8)), 0, 100);
        let expected = ResolvedExtent { object_offset: 130, block: block(8), block_offset: 0, length: 20 };
        assert_eq!(resolve_path(top, &[above, later]), Some(expected));
    }

    #[test]
    fn entries_that_do_not_belong_together_or_are_damaged_lead_nowhere() {
        let (top, middle) = (ListId(1), ListId(2));
        let above = ExtentEntry::new(top, 0, EntryTarget::List(middle), 0, 10);
        let below = ExtentEntry::new(middle, 0, EntryTarget::Block(block(9)), 0, 10);
        assert!(resolve_path(top, &[above, below]).is_some());
        assert_eq!(resolve_path(middle, &[above, below]), None);
        assert_eq!(resolve_path(top, &[above]), None);
        assert_eq!(resolve_path(top, &[]), None);
        assert_eq!(resolve_path(top, &[above, ExtentEntry { start: 1, ..below }]), None);
        assert_eq!(resolve_path(top, &[ExtentEntry { start: 1, ..above }, below]), None);
        let outside = ExtentEntry::new(middle, 10, EntryTarget::Block(block(9)), 0, 10);
        assert_eq!(resolve_path(top, &[above, outside]), None);
        let huge = ExtentEntry::new(middle, 1, EntryTarget::Block(block(9)), 0, u64::MAX);
        assert_eq!(resolve_path(top, &[above, huge]), None);
    }

    /// The checksum is stored, so its format must not change. The expected value is the CRC32C of the 49 bytes by another
    /// implementation, a table of the reversed polynomial 0x82F63B78 in Python.
    #[test]
    fn the_checksum_of_an_entry_covers_each_field() {
        let entry = ExtentEntry::new(ListId(1), 2, EntryTarget::Block(block(5)), 3, 4);
        assert_eq!(entry.checksum, 0xe86a77fd);
        let changes = [
            ExtentEntry { list: ListId(9), ..entry },
            ExtentEntry { place: 9, ..entry },
            ExtentEntry { target: EntryTarget::Block(block(9)), ..entry },
            ExtentEntry { target: EntryTarget::List(ListId(5)), ..entry },
            ExtentEntry { start: 9, ..entry },
            ExtentEntry { length: 9, ..entry },
            ExtentEntry { checksum: !entry.checksum, ..entry },
        ];
        assert!(entry.is_sound());
        assert!(changes.iter().all(|changed| !changed.is_sound()));
    }
}
