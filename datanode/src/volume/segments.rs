//! How full the shared segments are, and in which of them tombstones lie. The cost of a look-up does not grow with the number of
//! segments, because a disk of some TiB has ten thousand.

use std::collections::{BTreeMap, BTreeSet};

use super::record::HEADER_SIZE;
use cairn_protocol::count::take_off;

/// How full a shared segment is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    /// Size of the file.
    pub(crate) size: u64,
    /// Bytes of live records: those of blocks that are held or in the trash, and tombstones that are still needed.
    pub(crate) live: u64,
    /// Of these, records in the trash.
    pub(crate) trash: u64,
    /// Of `live`, tombstones.
    pub(crate) tombstones: u64,
}

impl SegmentUse {
    /// Whether there may be records of blocks that are held. Also true when the counts contradict each other, so that the caller
    /// searches the index instead of trusting them.
    pub(crate) fn may_hold_blocks(self) -> bool {
        self.live != self.trash + self.tombstones
    }

    /// Bytes of the trash that compaction would free once the trash is emptied. It compacts segments that are less than half
    /// alive; in others the trash frees nothing.
    fn reclaimable(self) -> u64 {
        if self.live * 2 < self.size + self.trash * 2 { self.trash } else { 0 }
    }

    fn is_mostly_dead(self) -> bool {
        self.live * 2 < self.record_bytes()
    }

    /// How much of it is alive, in thousandths.
    fn share(self) -> u64 {
        self.live * 1000 / self.record_bytes()
    }

    fn record_bytes(self) -> u64 {
        self.size.saturating_sub(HEADER_SIZE as u64).max(1)
    }

    /// Whether its live records fit into `space` bytes, so that its compaction can end. Half a segment always fits into the
    /// reserve.
    fn fits(self, space: u64) -> bool {
        self.is_mostly_dead() || self.live <= space
    }
}

/// On a full disk a segment is worth compacting when at most this share of it is alive, in thousandths. To free a gigabyte then
/// costs writing seven at most.
const SHARE_MAX_WHEN_SHORT: u64 = 875;

/// How many segments are examined for one whose live part fits. They are in the order of their live share; only because their
/// sizes differ may a later one fit when an earlier one does not.
const LOOKED_AT_WHEN_SHORT: usize = 64;

/// The shared segments, indexed by how full they are, and sums over all of them.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: BTreeMap<u32, SegmentUse>,
    /// Those that are less than half alive.
    mostly_dead: BTreeSet<u32>,
    /// All by how much of them is alive, in thousandths, the deadest first.
    by_share: BTreeSet<(u64, u32)>,
    /// Segments whose compaction has begun. They may hold records of blocks that were moved elsewhere.
    unfinished: BTreeSet<u32>,
    /// How many tombstones for records of a segment (first) lie in another one (second). These tombstones count as live: a
    /// segment full of them would otherwise seem dead, and be compacted again and again without freeing anything.
    tombstones: BTreeMap<(u32, u32), u64>,
    /// The same pairs reversed: the segment in which tombstones lie (first), and the segment of their targets (second).
    tombstones_within: BTreeSet<(u32, u32)>,
    size: u64,
    trash: u64,
    reclaimable: u64,
}

impl Segments {
    pub(crate) fn get(&self, number: u32) -> Option<SegmentUse> {
        self.all.get(&number).copied()
    }

    /// Up to `limit` segments from number `from` on, in order.
    pub(crate) fn from(&self, from: u32, limit: usize) -> Vec<u32> {
        self.all.range(from..).take(limit).map(|(number, _)| *number).collect()
    }

    /// Changes the counts of a segment, and the sums with them. Every change goes through here. A segment that is not known is
    /// added.
    pub(crate) fn change(&mut self, number: u32, change: impl FnOnce(&mut SegmentUse)) {
        let before = self.get(number);
        let old = before.unwrap_or_default();
        let mut new = old;
        change(&mut new);
        self.all.insert(number, new);
        self.size = self.size - old.size + new.size;
        self.trash = self.trash - old.trash + new.trash;
        self.reclaimable = self.reclaimable - old.reclaimable() + new.reclaimable();
        if before.is_none_or(|before| before.share() != new.share()) {
            self.by_share.remove(&(old.share(), number));
            self.by_share.insert((new.share(), number));
        }
        match (before.is_some_and(SegmentUse::is_mostly_dead), new.is_mostly_dead()) {
            (false, true) => {
                self.mostly_dead.insert(number);
            }
            (true, false) => {
                self.mostly_dead.remove(&number);
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Like [`change`](Self::change), but does nothing when the segment is not known.
    pub(crate) fn change_existing(&mut self, number: u32, change: impl FnOnce(&mut SegmentUse)) {
        if self.all.contains_key(&number) {
            self.change(number, change);
        }
    }

    /// Counts a tombstone in segment `number` for a record of segment `target`. It is live as long as that segment exists, or else
    /// an older one that may hold a record of the same block.
    pub(crate) fn add_tombstone(&mut self, number: u32, target: u32) {
        if number == target {
            return;
        }
        let is_there = self.all.contains_key(&target);
        let older = self.unfinished.range(..target).next().copied().filter(|older| *older != number);
        let Some(target) = Some(target).filter(|_| is_there).or(older) else { return };
        *self.tombstones.entry((target, number)).or_default() += 1;
        self.tombstones_within.insert((number, target));
        self.change(number, |segment| {
            segment.live += HEADER_SIZE as u64;
            segment.tombstones += HEADER_SIZE as u64;
        });
    }

    /// Removes a segment. Tombstones for its records are dead from now on.
    pub(crate) fn remove(&mut self, number: u32) {
        let idle: Vec<(u32, u64)> = self
            .tombstones
            .range((number, 0)..=(number, u32::MAX))
            .map(|((_, within), count)| (*within, *count * HEADER_SIZE as u64))
            .collect();
        for (within, bytes) in idle {
            self.tombstones.remove(&(number, within));
            self.tombstones_within.remove(&(within, number));
            self.change_existing(within, |segment| {
                take_off(&mut segment.live, bytes, "live bytes of a segment");
                take_off(&mut segment.tombstones, bytes, "bytes of tombstones in a segment");
            });
        }
        let targets = self.tombstones_within.range((number, 0)..=(number, u32::MAX));
        for (_, target) in targets.copied().collect::<Vec<_>>() {
            self.tombstones_within.remove(&(number, target));
            self.tombstones.remove(&(target, number));
        }
        self.change(number, |segment| *segment = SegmentUse::default());
        self.all.remove(&number);
        self.mostly_dead.remove(&number);
        self.by_share.remove(&(SegmentUse::default().share(), number));
        self.unfinished.remove(&number);
    }

    /// The oldest segment below number `end` that is less than half alive.
    pub(crate) fn oldest_mostly_dead(&self, end: u32) -> Option<u32> {
        self.mostly_dead.first().copied().filter(|number| *number < end)
    }

    /// All segments that are less than half alive.
    pub(crate) fn mostly_dead(&self) -> Vec<u32> {
        self.mostly_dead.iter().copied().collect()
    }

    /// The segment below number `end` with the smallest live share, of those that are at least an eighth dead and whose live part
    /// fits `space` bytes.
    pub(crate) fn deadest(&self, end: u32, space: u64) -> Option<u32> {
        let worth_it = self.by_share.iter().take_while(|(share, _)| *share <= SHARE_MAX_WHEN_SHORT);
        let sealed = worth_it.map(|(_, number)| *number).filter(|number| *number < end);
        sealed
            .take(LOOKED_AT_WHEN_SHORT)
            .find(|number| self.get(*number).is_some_and(|usage| usage.fits(space)))
    }

    /// The oldest segment whose compaction has begun and whose live part fits `space` bytes.
    pub(crate) fn unfinished_that_fits(&self, space: u64) -> Option<u32> {
        let fits = |number: &&u32| self.get(**number).is_some_and(|usage| usage.fits(space));
        self.unfinished.iter().find(fits).copied()
    }

    /// Segments whose compaction has begun.
    pub(crate) fn unfinished(&self) -> Vec<u32> {
        self.unfinished.iter().copied().collect()
    }

    /// Notes that the compaction of this segment has begun. A segment that is not known is ignored.
    pub(crate) fn set_unfinished(&mut self, number: u32) {
        if self.all.contains_key(&number) {
            self.unfinished.insert(number);
        }
    }

    /// Whether a tombstone for a record of segment `target` is still needed once segment `number` is gone.
    pub(crate) fn needs_tombstone(&self, target: u32, number: u32) -> bool {
        let is_there = target != number && self.all.contains_key(&target);
        is_there || self.unfinished.range(..target).any(|older| *older != number)
    }

    /// Bytes of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the trash in all segments.
    pub(crate) fn trash(&self) -> u64 {
        self.trash
    }

    /// Bytes of the trash in all segments that compaction would free.
    pub(crate) fn reclaimable(&self) -> u64 {
        self.reclaimable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Size(u32, u64),
        Blocks(u32, u64),
        Trash(u32, u64),
        Tombstone(u32, u32),
        Remove(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        let number = || 0u32..6;
        prop_oneof![
            (number(), 0u64..2000).prop_map(|(number, size)| Op::Size(number, size)),
            (number(), 0u64..1000).prop_map(|(number, bytes)| Op::Blocks(number, bytes)),
            (number(), 0u64..1000).prop_map(|(number, bytes)| Op::Trash(number, bytes)),
            (number(), number()).prop_map(|(number, target)| Op::Tombstone(number, target)),
            number().prop_map(Op::Remove),
        ]
    }

    /// A model that answers every question by looking at all segments.
    #[derive(Default)]
    struct Plain {
        /// Size, bytes of blocks, bytes of trash.
        segments: BTreeMap<u32, (u64, u64, u64)>,
        /// The segment of each tombstone, and the segment of its target.
        tombstones: Vec<(u32, u32)>,
    }

    impl Plain {
        fn usage(&self, number: u32) -> Option<SegmentUse> {
            let (size, blocks, trash) = *self.segments.get(&number)?;
            let within = self.tombstones.iter().filter(|(at, _)| *at == number).count() as u64;
            let tombstones = within * HEADER_SIZE as u64;
            Some(SegmentUse { size, live: blocks + trash + tombstones, trash, tombstones })
        }

        fn all(&self) -> Vec<SegmentUse> {
            self.segments.keys().filter_map(|number| self.usage(*number)).collect()
        }
    }

    proptest! {
        #[test]
        fn the_counts_of_segments_match_those_of_a_plain_model(ops in proptest::collection::vec(op(), 1..80)) {
            let (mut segments, mut plain) = (Segments::default(), Plain::default());
            for op in ops {
                match op {
                    Op::Size(number, size) => {
                        segments.change(number, |segment| segment.size = size);
                        plain.segments.entry(number).or_default().0 = size;
                    }
                    Op::Blocks(number, bytes) => {
                        segments.change(number, |segment| segment.live += bytes);
                        plain.segments.entry(number).or_default().1 += bytes;
                    }
                    Op::Trash(number, bytes) => {
                        segments.change(number, |segment| {
                            segment.live += bytes;
                            segment.trash += bytes;
                        });
                        plain.segments.entry(number).or_default().2 += bytes;
                    }
                    Op::Tombstone(number, target) => {
                        segments.add_tombstone(number, target);
                        if number != target && plain.segments.contains_key(&target) {
                            plain.segments.entry(number).or_default();
                            plain.tombstones.push((number, target));
                        }
                    }
                    Op::Remove(number) => {
                        segments.remove(number);
                        plain.segments.remove(&number);
                        plain.tombstones.retain(|(at, target)| *at != number && *target != number);
                    }
                }
                for number in 0..6 {
                    prop_assert_eq!(segments.get(number), plain.usage(number));
                    let dead = plain.segments.keys().find(|n| plain.usage(**n).unwrap().is_mostly_dead());
                    let share = |n: &u32| (plain.usage(*n).unwrap().share(), *n);
                    let deadest = plain.segments.keys().filter(|n| **n < number).map(share).min();
                    let deadest = deadest.filter(|(share, _)| *share <= SHARE_MAX_WHEN_SHORT);
                    prop_assert_eq!(segments.deadest(number, u64::MAX), deadest.map(|(_, n)| n));
                    prop_assert_eq!(segments.oldest_mostly_dead(number), dead.copied().filter(|n| *n < number));
                }
                let sum = |what: fn(&SegmentUse) -> u64| plain.all().iter().map(what).sum::<u64>();
                prop_assert_eq!(segments.size(), sum(|segment| segment.size));
                prop_assert_eq!(segments.trash(), sum(|segment| segment.trash));
                prop_assert_eq!(segments.reclaimable(), sum(|segment| segment.reclaimable()));
                let keys: Vec<u32> = plain.segments.keys().copied().collect();
                prop_assert_eq!(segments.from(0, 9), keys);
            }
        }
    }

    #[test]
    fn the_deadest_segment_is_taken_whose_live_part_fits() {
        let mut segments = Segments::default();
        let sizes = [(1, 900, 1000), (2, 600, 1000), (3, 700, 1000), (4, 140, 200), (5, 10, 1000)];
        for (number, live, size) in sizes {
            segments
                .change(number, |segment| (segment.live, segment.size) = (live, size + HEADER_SIZE as u64));
        }
        assert_eq!(segments.deadest(5, 1000), Some(2));
        assert_eq!(segments.deadest(5, 599), Some(4));
        assert_eq!(segments.deadest(5, 100), None);
        // A segment that is less than half alive fits into the reserve, even when there is no other space.
        assert_eq!(segments.deadest(6, 0), Some(5));
    }

    #[test]
    fn tombstones_stay_while_an_older_segment_is_half_compacted() {
        let mut segments = Segments::default();
        for number in [1, 3, 6, 7] {
            segments.change(number, |segment| segment.size = 100);
        }
        assert!(segments.needs_tombstone(3, 6) && !segments.needs_tombstone(6, 6));
        assert!(!segments.needs_tombstone(5, 6));
        segments.set_unfinished(3);
        assert!(segments.needs_tombstone(5, 6) && segments.needs_tombstone(6, 6));
        // Records of older segments cannot lie in it, and it does not keep its own tombstones alive.
        assert!(!segments.needs_tombstone(2, 6) && !segments.needs_tombstone(3, 3));
        segments.add_tombstone(7, 5);
        assert_eq!(segments.get(7).unwrap().tombstones, HEADER_SIZE as u64);
        segments.remove(3);
        assert!(!segments.needs_tombstone(5, 6));
        assert_eq!(segments.get(7).unwrap().tombstones, 0);
    }
}
