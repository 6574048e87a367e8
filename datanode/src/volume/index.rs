//! The volume's index in memory: where each block lies, what is in the trash and in quarantine, and how full each segment is.
//!
//! A block takes 32 bytes in a B-tree whose nodes are at least about half full: some 75 bytes with all overhead. It is a tree and
//! not a hash map, because block reports are paged in the order of ids, and because a hash map of many millions of entries blocks
//! all who use it when it grows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use cairn_protocol::count::{take_off, without};
use cairn_protocol::id::BlockId;

use super::entry::{Entry, LogPosition, Trashed};
use super::record::{HEADER_SIZE, Place};
use super::segments::{SegmentUse, Segments};
use super::trash_index::TrashIndex;

/// Entries that are read from the index under one lock. It takes some 50 microseconds, for which requests may wait.
pub(crate) const UNDER_ONE_LOCK: usize = 1024;

/// The index. Every entry in it is durable.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: BTreeMap<BlockId, Entry>,
    segments: Segments,
    dedicated_bytes: u64,
    /// Deleted blocks that can be brought back. None of them is in `blocks`.
    trash: TrashIndex,
    /// Blocks in quarantine, with the bytes that they take.
    quarantined: BTreeMap<BlockId, u64>,
    /// Bytes of all blocks in quarantine.
    quarantined_bytes: u64,
    /// Where the log ends.
    pub(crate) position: LogPosition,
    /// Bytes stored since the last checkpoint. A recovery would have to read them.
    pub(crate) since_checkpoint: u64,
    /// How many entries were read for pages.
    #[cfg(test)]
    pub(crate) paged: std::sync::atomic::AtomicUsize,
    /// The largest number of entries that were read under one lock.
    #[cfg(test)]
    pub(crate) paged_at_once: std::sync::atomic::AtomicUsize,
}

/// Up to `limit` blocks above `after`, in the order of ids. The lock is released in between, so a block that is stored or deleted
/// at the same time may or may not be among them.
pub(crate) fn page(index: &RwLock<Index>, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Entry)> {
    let mut page: Vec<(BlockId, Entry)> = Vec::new();
    loop {
        let after = page.last().map(|(id, _)| *id).or(after);
        let size = UNDER_ONE_LOCK.min(limit - page.len());
        let more = index.read().unwrap_or_else(PoisonError::into_inner).page(after, size);
        let is_last = more.len() < size || page.len() + size == limit;
        page.extend(more);
        if is_last {
            return page;
        }
    }
}

/// Blocks whose record lies in this shared segment. The segment must be sealed, so that none is added. If there are any, the whole
/// index is searched; this happens only after damage. A map from places to blocks would avoid that, but cost half as much memory
/// as the index.
pub(crate) fn in_segment(index: &RwLock<Index>, number: u32) -> Vec<(BlockId, Entry)> {
    let is_empty = || {
        let usage = index.read().unwrap_or_else(PoisonError::into_inner).segment(number);
        usage.is_none_or(|usage| !usage.may_hold_blocks())
    };
    let inside = |entry: &Entry| !entry.place.is_dedicated() && entry.place.segment() == number;
    let (mut found, mut after) = (Vec::new(), None);
    while !is_empty() {
        let page = page(index, after, UNDER_ONE_LOCK);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        found.extend(page.into_iter().filter(|(_, entry)| inside(entry)));
    }
    found
}

impl Index {
    pub(crate) fn get(&self, id: &BlockId) -> Option<Entry> {
        self.blocks.get(id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Points `id` at its newest record and returns the old entry.
    pub(crate) fn insert(&mut self, id: BlockId, entry: Entry) -> Option<Entry> {
        let old = self.blocks.insert(id, entry);
        if let Some(old) = old {
            self.release(old);
        }
        if entry.place.is_dedicated() {
            self.dedicated_bytes += entry.size();
        } else {
            self.segments.change(entry.place.segment(), |segment| segment.live += entry.size());
        }
        old
    }

    /// Adds a deleted block to the trash. Returns the entry that the trash had of the block before.
    pub(crate) fn add_trash(&mut self, id: BlockId, trashed: Trashed) -> Option<Trashed> {
        let old = self.take_trash(&id);
        let size = trashed.entry.size();
        if !trashed.entry.place.is_dedicated() {
            self.segments.change(trashed.entry.place.segment(), |segment| {
                segment.live += size;
                segment.trash += size;
            });
        }
        self.trash.insert(id, trashed);
        old
    }

    /// Removes a block from the trash.
    pub(crate) fn take_trash(&mut self, id: &BlockId) -> Option<Trashed> {
        let trashed = self.trash.remove(id)?;
        let (place, size) = (trashed.entry.place, trashed.entry.size());
        if !place.is_dedicated() {
            self.segments.change_existing(place.segment(), |segment| {
                take_off(&mut segment.live, size, "live bytes of a segment");
                take_off(&mut segment.trash, size, "bytes of the trash in a segment");
            });
        }
        Some(trashed)
    }

    /// The entry of a block in the trash.
    pub(crate) fn trashed(&self, id: &BlockId) -> Option<Trashed> {
        self.trash.get(id)
    }

    /// The block of the trash that was deleted first.
    pub(crate) fn oldest_trash(&self) -> Option<(BlockId, Trashed)> {
        self.trash.oldest()
    }

    /// The block of the trash that was deleted first, of those in dedicated segments.
    pub(crate) fn oldest_dedicated_trash(&self) -> Option<(BlockId, Trashed)> {
        self.trash.oldest_dedicated()
    }

    /// Number of blocks in the trash.
    pub(crate) fn trash_len(&self) -> usize {
        self.trash.len()
    }

    /// Bytes of the blocks in the trash.
    pub(crate) fn trash_bytes(&self) -> u64 {
        self.trash.dedicated_bytes() + self.segments.trash()
    }

    /// Bytes of [`used`](Self::used) that emptying the trash would free.
    pub(crate) fn reclaimable(&self) -> u64 {
        self.trash.dedicated_bytes() + self.segments.reclaimable()
    }

    /// Up to `limit` blocks of the trash above `after`, in the order of ids.
    pub(crate) fn trash_page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Trashed)> {
        self.trash.page(after, limit)
    }

    /// Up to `limit` blocks of the trash whose record lies in this shared segment.
    pub(crate) fn trash_in_segment(&self, number: u32, limit: usize) -> Vec<(BlockId, Trashed)> {
        self.trash.in_segment(number, limit)
    }

    /// Removes the entry of `id`, if it still points at `place`.
    pub(crate) fn remove_at(&mut self, id: &BlockId, place: Place) -> Option<Entry> {
        let entry = self.get(id).filter(|entry| entry.place == place)?;
        self.blocks.remove(id);
        self.release(entry);
        Some(entry)
    }

    fn release(&mut self, entry: Entry) {
        if entry.place.is_dedicated() {
            take_off(&mut self.dedicated_bytes, entry.size(), "bytes of dedicated segments");
        } else {
            self.segments.change_existing(entry.place.segment(), |segment| {
                take_off(&mut segment.live, entry.size(), "live bytes of a segment");
            });
        }
    }

    /// Up to `limit` blocks above `after`, in the order of ids.
    pub(crate) fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Entry)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.blocks.range((from, Bound::Unbounded)).take(limit);
        let page: Vec<_> = behind.map(|(id, entry)| (*id, *entry)).collect();
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::Relaxed;
            self.paged.fetch_add(page.len(), Relaxed);
            self.paged_at_once.fetch_max(page.len(), Relaxed);
        }
        page
    }

    /// Removes the entries that `keep` refuses: recovery found that they point at nothing.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let gone: Vec<(BlockId, Entry)> =
            self.blocks.iter().filter(|(_, entry)| !keep(entry)).map(|(id, entry)| (*id, *entry)).collect();
        for (id, entry) in gone {
            self.remove_at(&id, entry.place);
        }
    }

    pub(crate) fn set_segment_size(&mut self, number: u32, size: u64) {
        self.segments.change(number, |segment| segment.size = size);
    }

    /// Counts a tombstone that was written to segment `number` for a record of segment `target`.
    pub(crate) fn add_tombstone(&mut self, number: u32, target: u32) {
        self.segments.add_tombstone(number, target);
    }

    /// Removes a segment, and with it the blocks of the trash that lie in it.
    pub(crate) fn remove_segment(&mut self, number: u32) {
        for (id, _) in self.trash_in_segment(number, usize::MAX) {
            self.take_trash(&id);
        }
        self.segments.remove(number);
    }

    /// Up to `limit` shared segments from number `from` on, in order.
    pub(crate) fn segments(&self, from: u32, limit: usize) -> Vec<u32> {
        self.segments.from(from, limit)
    }

    pub(crate) fn segment(&self, number: u32) -> Option<SegmentUse> {
        self.segments.get(number)
    }

    /// The sealed segment to compact next: one whose compaction has begun; else the oldest one that is less than half alive; else,
    /// if the disk `is_short` of space, the one with the smallest live share of those that are at least an eighth dead. The live
    /// part of a segment that is more than half alive must fit `space` bytes.
    pub(crate) fn compaction_candidate(&self, is_short: bool, space: u64) -> Option<u32> {
        let end = self.position.segment;
        let unfinished = self.segments.unfinished_that_fits(space).filter(|number| *number < end);
        let candidate = unfinished.or_else(|| self.segments.oldest_mostly_dead(end));
        candidate.or_else(|| if is_short { self.segments.deadest(end, space) } else { None })
    }

    /// Whether a tombstone for a record of segment `target` is still needed once segment `number` is gone.
    pub(crate) fn needs_tombstone(&self, target: u32, number: u32) -> bool {
        self.segments.needs_tombstone(target, number)
    }

    /// Segments whose compaction has begun.
    pub(crate) fn unfinished(&self) -> Vec<u32> {
        self.segments.unfinished()
    }

    /// Notes that the compaction of this segment has begun.
    pub(crate) fn set_unfinished(&mut self, number: u32) {
        self.segments.set_unfinished(number);
    }

    /// Sealed segments that are less than half alive.
    pub(crate) fn mostly_dead(&self) -> Vec<u32> {
        let all = self.segments.mostly_dead().into_iter();
        all.filter(|number| *number < self.position.segment).collect()
    }

    /// Whether the active segment has at least `bytes_min` and is less than half alive. It is then worth sealing early, so that it
    /// can be compacted.
    pub(crate) fn active_is_mostly_dead(&self, bytes_min: u64) -> bool {
        let active = self.segment(self.position.segment);
        active
            .is_some_and(|usage| usage.size >= bytes_min + HEADER_SIZE as u64 && usage.live * 2 < usage.size)
    }

    pub(crate) fn quarantine(&mut self, id: BlockId, size: u64) {
        let old = self.quarantined.insert(id, size);
        take_off(&mut self.quarantined_bytes, old.unwrap_or(0), "bytes in quarantine");
        self.quarantined_bytes += size;
    }

    pub(crate) fn unquarantine(&mut self, id: &BlockId) -> bool {
        let size = self.quarantined.remove(id);
        take_off(&mut self.quarantined_bytes, size.unwrap_or(0), "bytes in quarantine");
        size.is_some()
    }

    pub(crate) fn is_quarantined(&self, id: &BlockId) -> bool {
        self.quarantined.contains_key(id)
    }

    pub(crate) fn quarantined(&self) -> BTreeSet<BlockId> {
        self.quarantined.keys().copied().collect()
    }

    /// [`used`](Self::used) without the bytes that emptying the trash would free.
    pub(crate) fn used_beside_reclaimable(&self) -> u64 {
        without(self.used(), self.reclaimable(), "bytes in use")
    }

    /// Bytes of all that is stored, dead records, trash and quarantine included.
    pub(crate) fn used(&self) -> u64 {
        self.dedicated_bytes + self.trash.dedicated_bytes() + self.segments.size() + self.quarantined_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> BlockId {
        BlockId(Uuid::from_u128(n))
    }

    fn entry(segment: u32) -> Entry {
        Entry { length: 100, crc: 0, place: Place::shared(segment, 64) }
    }

    /// A leaf of the standard library's B-tree holds up to 11 entries. When entries are inserted in ascending order (block ids
    /// ascend with time), each leaf is left with 6. With pointers and inner nodes that is 100 bytes a block at most.
    #[test]
    fn a_block_costs_at_most_a_hundred_bytes_of_memory() {
        let block = size_of::<BlockId>() + size_of::<Entry>();
        assert_eq!(block, 32);
        let leaf = 11 * block + 16;
        let inner = leaf + 12 * size_of::<usize>();
        // Six entries a leaf, and an inner node for every seven children.
        assert!((leaf * 7 + inner) / (6 * 7 + 6) <= 100);
    }

    #[test]
    fn a_segment_is_compacted_once_it_is_less_than_half_alive_and_never_while_it_is_written() {
        let mut index = Index { position: LogPosition { segment: 2, offset: 64 }, ..Index::default() };
        for segment in [1, 2] {
            index.set_segment_size(segment, 64 + 2 * 192);
        }
        index.insert(id(1), entry(1));
        assert_eq!(index.compaction_candidate(false, 0), None);
        index.remove_at(&id(1), entry(1).place);
        assert_eq!(index.compaction_candidate(false, 0), Some(1));
        index.remove_segment(1);
        assert_eq!(index.compaction_candidate(false, 0), None);
    }

    #[test]
    fn pages_come_in_the_order_of_ids_and_miss_nothing() {
        let mut index = Index::default();
        for n in [5u128, 1, 3, 2, 4] {
            index.insert(id(n), entry(1));
        }
        let first = index.page(None, 2);
        let second = index.page(Some(first[1].0), 10);
        let ids: Vec<BlockId> = first.iter().chain(&second).map(|(id, _)| *id).collect();
        assert_eq!(ids, (1..=5u128).map(id).collect::<Vec<_>>());
    }
}
