//! Which block lies where: the volume's index in memory, and what each segment holds.
//!
//! 32 bytes a block, in a B-tree whose nodes are at least about half full: some 75 bytes a block with all
//! overhead. A tree rather than a hash map because block reports are paged in the order of ids, and because a
//! hash map of many millions stalls everybody when it grows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::BlockId;

use super::record::{HEADER_SIZE, Place, record_size};

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
        record_size(u64::from(self.length), self.place.is_own())
    }
}

/// How full a shared segment is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    /// The file.
    pub(crate) size: u64,
    /// Records that the index points at, the trash's too, and tombstones whose target's segment is still there.
    pub(crate) live: u64,
    /// Of these, records in the trash.
    pub(crate) trash: u64,
}

impl SegmentUse {
    /// What compaction gives back once the trash is emptied: it takes segments that are less than half alive.
    fn reclaimable(self) -> u64 {
        if (self.live - self.trash) * 2 < self.size { self.trash } else { 0 }
    }
}

/// A block that was deleted and can still be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) entry: Entry,
    /// In milliseconds since the Unix epoch.
    pub(crate) deleted_at: u64,
}

/// How far the log of shared segments is durable and indexed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPosition {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// The index. Everything in it is durable.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: BTreeMap<BlockId, Entry>,
    segments: BTreeMap<u32, SegmentUse>,
    own_bytes: u64,
    /// Deleted blocks that can be brought back: none of them is in `blocks`.
    trash: BTreeMap<BlockId, Trashed>,
    /// The same, the oldest first.
    trash_by_age: BTreeSet<(u64, BlockId)>,
    /// Bytes of those with a segment of their own.
    trash_own_bytes: u64,
    /// Bytes of the others.
    trash_shared_bytes: u64,
    /// Bytes of the others that compaction would give back.
    reclaimable_bytes: u64,
    /// How many tombstones for records of a segment (first) lie in another one (second). Without them a segment full of
    /// tombstones would seem dead, and be compacted over and over to no avail.
    tombstones: BTreeMap<(u32, u32), u64>,
    /// Sum of the sizes in `segments`.
    shared_bytes: u64,
    /// Blocks set aside as damaged, with the bytes that they take.
    quarantined: BTreeMap<BlockId, u64>,
    /// Where the log ends.
    pub(crate) position: LogPosition,
    /// Bytes stored since the last checkpoint: what a recovery would have to look through.
    pub(crate) since_checkpoint: u64,
}

impl Index {
    pub(crate) fn get(&self, id: &BlockId) -> Option<Entry> {
        self.blocks.get(id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Points `id` at its newest record and returns what it pointed at.
    pub(crate) fn insert(&mut self, id: BlockId, entry: Entry) -> Option<Entry> {
        let old = self.blocks.insert(id, entry);
        if let Some(old) = old {
            self.release(old);
        }
        if entry.place.is_own() {
            self.own_bytes += entry.size();
        } else {
            self.change_segment(entry.place.segment(), |segment| segment.live += entry.size());
        }
        old
    }

    /// Every change of what is in a segment goes through here, so that the sums stay right.
    fn change_segment(&mut self, number: u32, change: impl FnOnce(&mut SegmentUse)) {
        let segment = self.segments.entry(number).or_default();
        self.reclaimable_bytes -= segment.reclaimable();
        self.shared_bytes -= segment.size;
        self.trash_shared_bytes -= segment.trash;
        change(segment);
        self.reclaimable_bytes += segment.reclaimable();
        self.shared_bytes += segment.size;
        self.trash_shared_bytes += segment.trash;
    }

    /// Puts a deleted block into the trash; returns what lay there under its name before.
    pub(crate) fn add_trash(&mut self, id: BlockId, trashed: Trashed) -> Option<Trashed> {
        let old = self.take_trash(&id);
        let size = trashed.entry.size();
        if trashed.entry.place.is_own() {
            self.trash_own_bytes += size;
        } else {
            self.change_segment(trashed.entry.place.segment(), |segment| {
                segment.live += size;
                segment.trash += size;
            });
        }
        self.trash_by_age.insert((trashed.deleted_at, id));
        self.trash.insert(id, trashed);
        old
    }

    /// Takes a block out of the trash.
    pub(crate) fn take_trash(&mut self, id: &BlockId) -> Option<Trashed> {
        let trashed = self.trash.remove(id)?;
        self.trash_by_age.remove(&(trashed.deleted_at, *id));
        let (place, size) = (trashed.entry.place, trashed.entry.size());
        if place.is_own() {
            self.trash_own_bytes -= size;
        } else if self.segments.contains_key(&place.segment()) {
            self.change_segment(place.segment(), |segment| {
                segment.live -= size;
                segment.trash -= size;
            });
        }
        Some(trashed)
    }

    /// What lies in the trash of a block.
    pub(crate) fn trashed(&self, id: &BlockId) -> Option<Trashed> {
        self.trash.get(id).copied()
    }

    /// The block that was deleted first of those in the trash.
    pub(crate) fn oldest_trash(&self) -> Option<(BlockId, Trashed)> {
        let (_, id) = self.trash_by_age.first()?;
        Some((*id, self.trashed(id)?))
    }

    /// The one that was deleted first of those with a segment of their own.
    pub(crate) fn oldest_own_trash(&self) -> Option<(BlockId, Trashed)> {
        let in_order = self.trash_by_age.iter().filter_map(|(_, id)| Some((*id, self.trashed(id)?)));
        in_order.into_iter().find(|(_, trashed)| trashed.entry.place.is_own())
    }

    /// How many blocks lie in the trash.
    pub(crate) fn trash_len(&self) -> usize {
        self.trash.len()
    }

    /// Bytes of what lies in the trash.
    pub(crate) fn trash_bytes(&self) -> u64 {
        self.trash_own_bytes + self.trash_shared_bytes
    }

    /// Bytes that there are once the trash is emptied: of [`used`](Self::used).
    pub(crate) fn reclaimable(&self) -> u64 {
        self.trash_own_bytes + self.reclaimable_bytes
    }

    /// Up to `limit` blocks of the trash above `after`, in the order of ids.
    pub(crate) fn trash_page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Trashed)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.trash.range((from, Bound::Unbounded));
        behind.take(limit).map(|(id, trashed)| (*id, *trashed)).collect()
    }

    /// Blocks of the trash whose record lies in this shared segment. Walks the whole trash.
    pub(crate) fn trash_in_segment(&self, number: u32) -> Vec<(BlockId, Trashed)> {
        if self.segment(number).is_none_or(|segment| segment.trash == 0) {
            return Vec::new();
        }
        let inside = |place: Place| !place.is_own() && place.segment() == number;
        let all = self.trash.iter().filter(|(_, trashed)| inside(trashed.entry.place));
        all.map(|(id, trashed)| (*id, *trashed)).collect()
    }

    /// Forgets `id`, if it still lies at `place`.
    pub(crate) fn remove_at(&mut self, id: &BlockId, place: Place) -> Option<Entry> {
        let entry = self.get(id).filter(|entry| entry.place == place)?;
        self.blocks.remove(id);
        self.release(entry);
        Some(entry)
    }

    fn release(&mut self, entry: Entry) {
        if entry.place.is_own() {
            self.own_bytes -= entry.size();
        } else if self.segments.contains_key(&entry.place.segment()) {
            self.change_segment(entry.place.segment(), |segment| segment.live -= entry.size());
        }
    }

    /// Up to `limit` blocks above `after`, in the order of ids.
    pub(crate) fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Entry)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.blocks.range((from, Bound::Unbounded)).take(limit).map(|(id, entry)| (*id, *entry)).collect()
    }

    /// Drops entries that recovery found to point at nothing.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let gone: Vec<(BlockId, Entry)> =
            self.blocks.iter().filter(|(_, entry)| !keep(entry)).map(|(id, entry)| (*id, *entry)).collect();
        for (id, entry) in gone {
            self.remove_at(&id, entry.place);
        }
    }

    /// Blocks whose record lies in this shared segment. Walks the whole index.
    pub(crate) fn in_segment(&self, number: u32) -> Vec<(BlockId, Entry)> {
        let inside = |entry: &Entry| !entry.place.is_own() && entry.place.segment() == number;
        self.blocks.iter().filter(|(_, entry)| inside(entry)).map(|(id, entry)| (*id, *entry)).collect()
    }

    pub(crate) fn set_segment_size(&mut self, number: u32, size: u64) {
        self.change_segment(number, |segment| segment.size = size);
    }

    /// A tombstone for a record of segment `target` was written to segment `number`.
    pub(crate) fn add_tombstone(&mut self, number: u32, target: u32) {
        if number != target && self.segments.contains_key(&target) {
            *self.tombstones.entry((target, number)).or_default() += 1;
            self.change_segment(number, |segment| segment.live += HEADER_SIZE as u64);
        }
    }

    /// Forgets a segment, and what of the trash is in it.
    pub(crate) fn remove_segment(&mut self, number: u32) {
        for (id, _) in self.trash_in_segment(number) {
            self.take_trash(&id);
        }
        let mut idle = Vec::new();
        self.tombstones.retain(|(target, within), count| {
            if *target == number {
                idle.push((*within, *count * HEADER_SIZE as u64));
            }
            *target != number && *within != number
        });
        for (within, bytes) in idle {
            if self.segments.contains_key(&within) {
                self.change_segment(within, |segment| segment.live -= bytes);
            }
        }
        self.change_segment(number, |segment| *segment = SegmentUse::default());
        self.segments.remove(&number);
    }

    /// Up to `limit` shared segments from number `from` on, in order.
    pub(crate) fn segments(&self, from: u32, limit: usize) -> Vec<u32> {
        self.segments.range(from..).take(limit).map(|(number, _)| *number).collect()
    }

    pub(crate) fn segment(&self, number: u32) -> Option<SegmentUse> {
        self.segments.get(&number).copied()
    }

    /// The oldest sealed segment that is less than half alive. Oldest first is what makes it safe to drop a
    /// tombstone once its target's segment is gone: no older copy of the target can be left anywhere.
    pub(crate) fn compaction_candidate(&self) -> Option<u32> {
        self.segments
            .range(..self.position.segment)
            .find(|(_, usage)| usage.live * 2 < usage.size.saturating_sub(HEADER_SIZE as u64).max(1))
            .map(|(number, _)| *number)
    }

    /// Whether the active segment holds at least `bytes_min` and is less than half alive: it is worth sealing early, so
    /// that compaction can have it.
    pub(crate) fn active_is_mostly_dead(&self, bytes_min: u64) -> bool {
        let active = self.segment(self.position.segment);
        active
            .is_some_and(|usage| usage.size >= bytes_min + HEADER_SIZE as u64 && usage.live * 2 < usage.size)
    }

    pub(crate) fn quarantine(&mut self, id: BlockId, size: u64) {
        self.quarantined.insert(id, size);
    }

    pub(crate) fn unquarantine(&mut self, id: &BlockId) -> bool {
        self.quarantined.remove(id).is_some()
    }

    pub(crate) fn is_quarantined(&self, id: &BlockId) -> bool {
        self.quarantined.contains_key(id)
    }

    pub(crate) fn quarantined(&self) -> BTreeSet<BlockId> {
        self.quarantined.keys().copied().collect()
    }

    /// Bytes of all that is stored, dead records, trash and quarantine included.
    pub(crate) fn used(&self) -> u64 {
        let quarantined: u64 = self.quarantined.values().sum();
        self.own_bytes + self.trash_own_bytes + self.shared_bytes + quarantined
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

    /// A leaf of the standard B-tree holds up to 11 entries; in ascending order of insertion (block ids ascend
    /// with time) each is left with 6. With its pointers and the inner nodes that is 100 bytes a block at most.
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
        assert_eq!(index.compaction_candidate(), None);
        index.remove_at(&id(1), entry(1).place);
        assert_eq!(index.compaction_candidate(), Some(1));
        index.remove_segment(1);
        assert_eq!(index.compaction_candidate(), None);
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
