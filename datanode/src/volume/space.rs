//! Free space: what a volume holds and can still take, what is reserved for writers that have not finished, and whether
//! more can be had by emptying the trash.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::Space;
use super::error::VolumeError;
use super::state::VolumeState;
use cairn_protocol::count::without;

/// How much free space the system must report for a failed write to mean a quota, in bytes. With less, several writers may
/// have found the same space at once, and one of them took it.
pub(crate) const QUOTA_DOUBT: u64 = 1 << 20;

/// Space on a volume, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What the volume may grow to.
    pub capacity: u64,
    /// What it holds, dead records and headers included. The trash counts as free as far as emptying it frees space.
    pub used: u64,
    /// What can still be stored: free bytes beyond the reserve and beyond what is reserved for writers. The trash is emptied
    /// when this is used up.
    pub available: u64,
    /// What lies in the trash.
    pub trash: u64,
    /// Blocks held, without quarantined ones.
    pub blocks: u64,
}

impl VolumeState {
    /// Whether more space can be had: there is something in the trash, a segment to compact, or another thread is freeing
    /// space already.
    pub(crate) fn can_reclaim_space(&self) -> bool {
        let index = self.index();
        index.trash_len() > 0
            || index.compaction_candidate(true, u64::MAX).is_some()
            || self.reclaiming.load(Ordering::Relaxed) > 0
    }

    /// Marks that space is being freed, for as long as the guard lives.
    pub(crate) fn begin_reclaim(&self) -> ReclaimGuard<'_> {
        self.reclaiming.fetch_add(1, Ordering::Relaxed);
        ReclaimGuard(self)
    }

    /// How full the volume is. Asks the disk.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let space = self.disk.space(&self.directory)?;
        let capacity = self.options.capacity_bytes_max.map_or(space.capacity, |max| max.min(space.capacity));
        let (used, reclaimable, trash, blocks) = {
            let index = self.index();
            (index.used_beside_reclaimable(), index.reclaimable(), index.trash_bytes(), index.len() as u64)
        };
        let emptied = Space { available: space.available.saturating_add(reclaimable), ..space };
        let available = self.unreserved(self.free_beyond_reserve(emptied, used));
        Ok(Usage { capacity, used, available, trash, blocks })
    }

    /// What can be stored without emptying the trash, in bytes: what is free beyond the reserve and not reserved for writers.
    pub(crate) fn available_now(&self) -> Result<u64, VolumeError> {
        let space = self.disk_space()?;
        Ok(self.unreserved(self.free_beyond_reserve(space, self.index().used())))
    }

    /// What compaction may write, in bytes. It may use the reserve, because it frees more than it writes. With a quota it may
    /// write nothing, because it is unknown how much the quota leaves.
    pub(crate) fn space_for_compaction(&self) -> Result<u64, VolumeError> {
        let space = self.disk_space()?;
        let used = self.index().used();
        // A capacity that was lowered may be below what is used already: then nothing is left.
        let left = self.options.capacity_bytes_max.map_or(u64::MAX, |max| max.saturating_sub(used));
        Ok(if self.is_at_quota() { 0 } else { space.available.min(left) })
    }

    fn disk_space(&self) -> Result<Space, VolumeError> {
        let space = self.disk.space(&self.directory);
        space.map_err(|error| self.sync_error("statvfs", &self.directory, error))
    }

    /// Free bytes beyond the reserve, before anything is taken off for writers. At least 0: another user of the disk may have
    /// taken the reserve, and the capacity may have been lowered.
    fn free_beyond_reserve(&self, space: Space, used: u64) -> u64 {
        if self.is_at_quota() {
            return 0;
        }
        let free = match self.options.capacity_bytes_max {
            Some(max) => space.available.min(max.saturating_sub(used)),
            None => space.available,
        };
        free.saturating_sub(self.options.reserve_bytes)
    }

    /// What of `free` is not reserved for writers. At least 0: another user of the disk may have taken what was reserved.
    fn unreserved(&self, free: u64) -> u64 {
        free.saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    /// Reserves `needed` bytes for a writer, until the reservation is dropped.
    ///
    /// # Errors
    /// [`VolumeError::Full`] when there are not so many.
    pub(crate) fn reserve(self: &Arc<Self>, needed: u64) -> Result<SpaceReservation, VolumeError> {
        self.check()?;
        let space = self.disk_space()?;
        let free = self.free_beyond_reserve(space, self.index().used());
        // Added first, so that of two writers at once the second one sees the reservation of the first.
        let reserved_before = self.reserved.fetch_add(needed, Ordering::Relaxed);
        let reservation = SpaceReservation { state: self.clone(), bytes: needed };
        let available = free.saturating_sub(reserved_before);
        if needed > available { Err(VolumeError::Full { needed, available }) } else { Ok(reservation) }
    }

    /// The error of a write of `needed` bytes for which the system had no space. Notes that there is a quota when the system
    /// reports enough space nevertheless.
    pub(crate) fn full(&self, needed: u64) -> VolumeError {
        let used = self.index().used();
        let free = self.disk.space(&self.directory).map_or(0, |space| self.free_beyond_reserve(space, used));
        if free >= needed.max(QUOTA_DOUBT) {
            self.is_at_quota.store(true, Ordering::Relaxed);
        }
        VolumeError::Full { needed, available: 0 }
    }

    /// Whether writes found no space although the system reports some.
    pub(crate) fn is_at_quota(&self) -> bool {
        self.is_at_quota.load(Ordering::Relaxed)
    }

    /// Notes that a write may succeed again: a probe could write, or space was freed.
    pub(crate) fn below_quota(&self) {
        self.is_at_quota.store(false, Ordering::Relaxed);
    }
}

/// Lives while a thread frees space.
#[derive(Debug)]
pub(crate) struct ReclaimGuard<'a>(&'a VolumeState);

impl Drop for ReclaimGuard<'_> {
    fn drop(&mut self) {
        self.0.reclaiming.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Space that is reserved for a writer until this is dropped.
#[derive(Debug)]
pub(crate) struct SpaceReservation {
    state: Arc<VolumeState>,
    bytes: u64,
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        // A count that wrapped around would make the volume refuse every block until the next start.
        let release = |reserved| without(reserved, self.bytes, "reserved bytes");
        self.state.reserved.update(Ordering::Relaxed, Ordering::Relaxed, release);
    }
}
