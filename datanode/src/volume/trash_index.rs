//! The index of the trash: which deleted blocks can be brought back, where they lie, and when they were deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use cairn_protocol::count::take_off;
use cairn_protocol::id::BlockId;

use super::entry::Trashed;

/// The entries of the trash, by id, by age and by segment.
#[derive(Debug, Default)]
pub(crate) struct TrashIndex {
    blocks: BTreeMap<BlockId, Trashed>,
    /// Blocks in dedicated segments, the oldest first.
    dedicated_by_age: BTreeSet<(u64, BlockId)>,
    /// Blocks in shared segments, the oldest first.
    shared_by_age: BTreeSet<(u64, BlockId)>,
    /// Blocks in shared segments, by segment.
    by_segment: BTreeSet<(u32, BlockId)>,
    /// Bytes of the blocks in dedicated segments.
    dedicated_bytes: u64,
}

impl TrashIndex {
    pub(crate) fn get(&self, id: &BlockId) -> Option<Trashed> {
        self.blocks.get(id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn dedicated_bytes(&self) -> u64 {
        self.dedicated_bytes
    }

    /// Adds a block, which must not be in the trash.
    pub(crate) fn insert(&mut self, id: BlockId, trashed: Trashed) {
        let Trashed { entry, deleted_at } = trashed;
        if entry.place.is_dedicated() {
            self.dedicated_bytes += entry.size();
            self.dedicated_by_age.insert((deleted_at, id));
        } else {
            self.shared_by_age.insert((deleted_at, id));
            self.by_segment.insert((entry.place.segment(), id));
        }
        self.blocks.insert(id, trashed);
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Trashed> {
        let trashed = self.blocks.remove(id)?;
        let Trashed { entry, deleted_at } = trashed;
        if entry.place.is_dedicated() {
            take_off(&mut self.dedicated_bytes, entry.size(), "bytes of dedicated segments in the trash");
            self.dedicated_by_age.remove(&(deleted_at, *id));
        } else {
            self.shared_by_age.remove(&(deleted_at, *id));
            self.by_segment.remove(&(entry.place.segment(), *id));
        }
        Some(trashed)
    }

    /// The block that was deleted first.
    pub(crate) fn oldest(&self) -> Option<(BlockId, Trashed)> {
        let (_, id) =
            [self.dedicated_by_age.first(), self.shared_by_age.first()].into_iter().flatten().min()?;
        Some((*id, self.get(id)?))
    }

    /// The block that was deleted first, of those in dedicated segments.
    pub(crate) fn oldest_dedicated(&self) -> Option<(BlockId, Trashed)> {
        let (_, id) = self.dedicated_by_age.first()?;
        Some((*id, self.get(id)?))
    }

    /// Up to `limit` blocks above `after`, in the order of ids.
    pub(crate) fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Trashed)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.blocks.range((from, Bound::Unbounded));
        behind.take(limit).map(|(id, trashed)| (*id, *trashed)).collect()
    }

    /// Up to `limit` blocks whose record lies in this shared segment.
    pub(crate) fn in_segment(&self, number: u32, limit: usize) -> Vec<(BlockId, Trashed)> {
        let (first, last) = (BlockId(uuid::Uuid::nil()), BlockId(uuid::Uuid::max()));
        let inside = self.by_segment.range((number, first)..=(number, last)).take(limit);
        inside.filter_map(|(_, id)| Some((*id, self.get(id)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::super::record::Place;
    use super::*;
    use uuid::Uuid;

    /// The oldest block in a dedicated segment, and the blocks of one shared segment, were once found by a walk over the whole
    /// trash.
    #[test]
    fn the_trash_is_found_by_age_by_kind_and_by_segment() {
        let id = |n| BlockId(Uuid::from_u128(n));
        let trashed = |place, deleted_at| Trashed { entry: Entry { length: 5, crc: 6, place }, deleted_at };
        let mut trash = TrashIndex::default();
        for n in 0..10u32 {
            trash.insert(id(u128::from(n)), trashed(Place::shared(n / 5, 64 * n), u64::from(n)));
        }
        trash.insert(id(20), trashed(Place::dedicated(1, 0), 7));
        trash.insert(id(21), trashed(Place::dedicated(1, 1), 3));
        let oldest =
            |trash: &TrashIndex| [trash.oldest(), trash.oldest_dedicated()].map(|one| one.unwrap().0);
        assert_eq!(oldest(&trash), [id(0), id(21)]);
        assert_eq!(trash.in_segment(1, 3).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [5, 6, 7].map(id));
        for n in 0..3 {
            trash.remove(&id(n));
        }
        assert_eq!(trash.in_segment(0, 10).len(), 2);
        trash.remove(&id(21));
        assert_eq!(oldest(&trash), [id(3), id(20)]);
        assert_eq!((trash.len(), trash.dedicated_bytes() > 0), (8, true));
        trash.remove(&id(20));
        assert_eq!((trash.oldest_dedicated(), trash.dedicated_bytes()), (None, 0));
    }
}
