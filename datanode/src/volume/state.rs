//! What all parts of a volume share: where it is, its index, and whether it has failed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, VolumeId};

use super::disk::{Disk, Space};
use super::error::{VolumeError, is_out_of_space, is_shortage};
use super::identity::DirectoryLock;
use super::index::{Entry, Index, Trashed};
use super::record::Place;

/// How a volume uses its disk. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Use no more than this of the file system; `None` for all of it. Several nodes that share a disk
    /// would otherwise each offer the whole of it.
    pub capacity_bytes_max: Option<u64>,
    /// Blocks are refused when less than this is free, so that deletes (whose tombstones need space),
    /// checkpoints and compaction still work on a full volume.
    pub reserve_bytes: u64,
    /// Blocks from this length on have a segment of their own. One unlink deletes them, where smaller ones
    /// would waste most of a page and an fsync each.
    pub dedicated_segment_bytes_min: u64,
    /// Shared segments are sealed at this size: what one compaction rewrites at the most.
    pub segment_bytes_max: u32,
    /// A checkpoint is due when so many bytes were stored since the last: what a start after a crash has to
    /// read and verify at the most, some ten seconds of one disk.
    pub checkpoint_bytes: u64,
    /// How long a deleted block lies in the trash, from where it can be brought back; zero for no trash. A day:
    /// long enough for a person to notice that something deleted what it should not have, and it costs nothing,
    /// because the trash is emptied when its space is needed.
    pub trash_age: Duration,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            capacity_bytes_max: None,
            reserve_bytes: 256 << 20,
            dedicated_segment_bytes_min: 1 << 20,
            segment_bytes_max: 256 << 20,
            checkpoint_bytes: 4 << 30,
            trash_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// Shared segments are sealed no earlier than this, however small the reserve is: four of the largest blocks in them.
const SEGMENT_BYTES_MIN: u32 = 4 << 20;

/// So many blocks that the system cannot read are more than a few bad sectors: such a disk is about to fail, and what is
/// on it is better copied while it still can be.
const UNREADABLE_MAX: u32 = 16;

/// The system is not believed that there is space when a write finds none and it says that there is this much, in bytes.
pub(crate) const QUOTA_DOUBT: u64 = 1 << 20;

/// Space on a volume, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What the volume may grow to.
    pub capacity: u64,
    /// What it holds, with dead records and headers, without the trash that can be emptied.
    pub used: u64,
    /// What can still be stored, beyond the reserve and what is being received: the trash is emptied for it.
    pub available: u64,
    /// What lies in the trash.
    pub trash: u64,
    /// Blocks held, without quarantined ones.
    pub blocks: u64,
}

#[derive(Debug)]
pub(crate) struct VolumeState {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) id: VolumeId,
    pub(crate) options: VolumeOptions,
    index: RwLock<Index>,
    failed: OnceLock<Arc<str>>,
    /// Bytes promised to writers that have not finished.
    receiving: AtomicU64,
    /// Blocks that the system could not read since the start.
    unreadable: AtomicU32,
    /// A write found no space where the system says that there is some: a quota. Until one succeeds, there is none.
    is_at_quota: AtomicBool,
    env: Env,
    /// The wall clock's and the monotonic clock's time at the start.
    started: (Timestamp, Duration),
    /// Blocks that were found damaged while space was freed, and not told to anybody yet.
    found_damaged: Mutex<Vec<BlockId>>,
    /// How many are freeing space by emptying the trash.
    reclaiming: AtomicU32,
    /// Held by those who make or remove directories of the trash.
    trash_names: Mutex<()>,
    /// Kept until the last of those who might still write is gone.
    _lock: DirectoryLock,
}

impl VolumeState {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        lock: DirectoryLock,
        id: VolumeId,
        mut options: VolumeOptions,
        env: Env,
    ) -> Self {
        // Compaction writes up to half a segment before it frees one, and on a full disk it has the reserve for that.
        let compactable = u32::try_from(options.reserve_bytes).unwrap_or(u32::MAX).max(SEGMENT_BYTES_MIN);
        options.segment_bytes_max = options.segment_bytes_max.min(compactable);
        Self {
            disk,
            directory: directory.to_path_buf(),
            id,
            options,
            index: RwLock::default(),
            failed: OnceLock::new(),
            receiving: AtomicU64::new(0),
            unreadable: AtomicU32::new(0),
            is_at_quota: AtomicBool::new(false),
            started: (env.now(), env.monotonic()),
            env,
            found_damaged: Mutex::default(),
            trash_names: Mutex::default(),
            reclaiming: AtomicU32::new(0),
            _lock: lock,
        }
    }

    /// The time by which the trash is judged: the wall clock's at the start, and what has passed since. A wall clock
    /// that jumps ahead does not empty the trash.
    pub(crate) fn trash_time(&self) -> Timestamp {
        let (wall, monotonic) = self.started;
        wall.after(self.env.monotonic().saturating_sub(monotonic))
    }

    /// What is written down about a block that is deleted now: since when it lies in the trash; 0 without a trash.
    pub(crate) fn deletion_time(&self) -> u64 {
        if self.options.trash_age.is_zero() { 0 } else { self.trash_time().0.max(1) }
    }

    /// Keeps directories of the trash from being removed while they are empty.
    pub(crate) fn trash_names(&self) -> MutexGuard<'_, ()> {
        self.trash_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there can be more space for those who wait: there is trash, or a segment to compact, or somebody is at it.
    pub(crate) fn can_reclaim_space(&self) -> bool {
        let index = self.index();
        index.trash_len() > 0
            || index.compaction_candidate(true, u64::MAX).is_some()
            || self.reclaiming.load(Ordering::Relaxed) > 0
    }

    /// Says that space is being made, for as long as the guard lives.
    pub(crate) fn reclaiming(&self) -> ReclaimGuard<'_> {
        self.reclaiming.fetch_add(1, Ordering::Relaxed);
        ReclaimGuard(self)
    }

    pub(crate) fn found_damaged(&self) -> MutexGuard<'_, Vec<BlockId>> {
        self.found_damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the names in a directory durable. To open it may need a file descriptor too many; that says nothing about
    /// the disk.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<(), VolumeError> {
        self.disk.sync_dir(path).map_err(|error| self.sync_error("fsync", path, error))
    }

    /// What a failed sync says. Never that there is too little space: nobody knows then what is on the disk.
    pub(crate) fn sync_error(&self, operation: &'static str, path: &Path, error: io::Error) -> VolumeError {
        if is_shortage(&error) {
            VolumeError::io(operation, path, error)
        } else {
            self.fail(operation, path, &error)
        }
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_lock(&self) -> &RwLock<Index> {
        &self.index
    }

    pub(crate) fn shared_directory(&self) -> PathBuf {
        self.directory.join("shared")
    }

    pub(crate) fn dedicated_directory(&self) -> PathBuf {
        self.directory.join("own")
    }

    pub(crate) fn trash_directory(&self) -> PathBuf {
        self.directory.join("trash")
    }

    /// The directory of the trash that takes the files of this directory of own segments.
    pub(crate) fn trash_directory_of(&self, place: Place) -> PathBuf {
        self.trash_directory().join(format!("{:08x}", place.segment()))
    }

    /// The file that holds a block in the trash.
    pub(crate) fn trash_path(&self, id: &BlockId, trashed: &Trashed) -> PathBuf {
        let Trashed { entry: Entry { length, crc, place }, deleted_at } = trashed;
        if !place.is_dedicated() {
            return self.segment_path(place.segment());
        }
        let name = format!("{:04x}-{deleted_at:016x}-{length:08x}-{crc:08x}-{id}", place.offset());
        self.trash_directory_of(*place).join(name)
    }

    pub(crate) fn quarantine_directory(&self) -> PathBuf {
        self.directory.join("quarantine")
    }

    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        self.shared_directory().join(Self::segment_name(number))
    }

    /// The name of a shared segment's file.
    pub(crate) fn segment_name(number: u32) -> String {
        format!("{number:08x}.segment")
    }

    /// The file that holds the record of `id` at `place`.
    pub(crate) fn record_path(&self, id: &BlockId, place: Place) -> PathBuf {
        if place.is_dedicated() {
            self.dedicated_directory()
                .join(format!("{:08x}", place.segment()))
                .join(dedicated_name(id, place.offset()))
        } else {
            self.segment_path(place.segment())
        }
    }

    /// Why the volume failed, if it did.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failed.get().cloned()
    }

    pub(crate) fn check(&self) -> Result<(), VolumeError> {
        self.failure().map_or(Ok(()), |reason| Err(VolumeError::Failed(reason)))
    }

    /// Takes the volume out for a reason that no single operation gave.
    pub(crate) fn give_up(&self, reason: &str) -> VolumeError {
        self.fail("use", &self.directory, &io::Error::other(reason.to_owned()))
    }

    /// Counts a block that the system cannot read; too many take the volume out.
    pub(crate) fn count_unreadable(&self) -> Result<(), VolumeError> {
        if self.unreadable.fetch_add(1, Ordering::Relaxed) + 1 < UNREADABLE_MAX {
            return Ok(());
        }
        Err(self.give_up(&format!("{UNREADABLE_MAX} blocks could not be read")))
    }

    /// What a failed write, or a change of a name, says: there is no space, or this process lacks something; anything else
    /// takes the volume out.
    pub(crate) fn write_error(&self, operation: &'static str, path: &Path, error: io::Error) -> VolumeError {
        if is_out_of_space(&error) {
            self.full(0)
        } else if is_shortage(&error) {
            VolumeError::io(operation, path, error)
        } else {
            self.fail(operation, path, &error)
        }
    }

    /// What a write becomes that the system had no space for.
    pub(crate) fn full(&self, needed: u64) -> VolumeError {
        let used = self.index().used();
        let free = self.disk.space(&self.directory).map_or(0, |space| self.free_beyond_reserve(space, used));
        // Up to so much, several writers at once may have found it, and taken it.
        if free >= needed.max(QUOTA_DOUBT) {
            self.is_at_quota.store(true, Ordering::Relaxed);
        }
        VolumeError::Full { needed, available: 0 }
    }

    /// Whether writes found no space although the system says that there is some.
    pub(crate) fn is_at_quota(&self) -> bool {
        self.is_at_quota.load(Ordering::Relaxed)
    }

    /// There is space again.
    pub(crate) fn below_quota(&self) {
        self.is_at_quota.store(false, Ordering::Relaxed);
    }

    /// Takes the volume out: after a failed write or sync nobody can know what is on the disk, and a second
    /// `fsync` that succeeds proves nothing.
    pub(crate) fn fail(&self, operation: &str, path: &Path, error: &io::Error) -> VolumeError {
        let reason: Arc<str> = format!("{operation} {}: {error}", path.display()).into();
        if self.failed.set(reason.clone()).is_ok() {
            tracing::error!(fault = "peer", volume = %self.id, %reason, "the volume has failed");
        }
        VolumeError::Failed(self.failure().unwrap_or(reason))
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let space = self.disk.space(&self.directory)?;
        let capacity = self.options.capacity_bytes_max.map_or(space.capacity, |max| max.min(space.capacity));
        let (used, reclaimable, trash, blocks) = {
            let index = self.index();
            (index.used(), index.reclaimable(), index.trash_bytes(), index.len() as u64)
        };
        let emptied = Space { available: space.available.saturating_add(reclaimable), ..space };
        let used = used - reclaimable;
        let available =
            self.free_beyond_reserve(emptied, used).saturating_sub(self.receiving.load(Ordering::Relaxed));
        Ok(Usage { capacity, used, available, trash, blocks })
    }

    /// What can be stored with the trash as it is: free bytes beyond the reserve and what is promised.
    pub(crate) fn available_now(&self) -> Result<u64, VolumeError> {
        let space = self.disk.space(&self.directory);
        let space = space.map_err(|error| self.sync_error("statvfs", &self.directory, error))?;
        let free = self.free_beyond_reserve(space, self.index().used());
        Ok(free.saturating_sub(self.receiving.load(Ordering::Relaxed)))
    }

    /// What compaction may write, in bytes: it frees more than that, so the reserve is for it. None where there is a quota, for
    /// nobody knows how much.
    pub(crate) fn space_for_compaction(&self) -> Result<u64, VolumeError> {
        let space = self.disk.space(&self.directory);
        let space = space.map_err(|error| self.sync_error("statvfs", &self.directory, error))?;
        let used = self.index().used();
        let left = self.options.capacity_bytes_max.map_or(u64::MAX, |max| max.saturating_sub(used));
        Ok(if self.is_at_quota() { 0 } else { space.available.min(left) })
    }

    /// Free bytes beyond the reserve, what is promised to writers included.
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

    /// Promises `needed` bytes to a writer until the promise is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, needed: u64) -> Result<SpaceReservation, VolumeError> {
        self.check()?;
        let space = self.disk.space(&self.directory);
        let space = space.map_err(|error| self.sync_error("statvfs", &self.directory, error))?;
        let used = self.index().used();
        let free = self.free_beyond_reserve(space, used);
        let promised = self.receiving.fetch_add(needed, Ordering::Relaxed);
        let reservation = SpaceReservation { state: self.clone(), bytes: needed };
        let available = free.saturating_sub(promised);
        if needed > available { Err(VolumeError::Full { needed, available }) } else { Ok(reservation) }
    }
}

/// Somebody is freeing space.
#[derive(Debug)]
pub(crate) struct ReclaimGuard<'a>(&'a VolumeState);

impl Drop for ReclaimGuard<'_> {
    fn drop(&mut self) {
        self.0.reclaiming.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The name of a block's own segment in its directory.
pub(crate) fn dedicated_name(id: &BlockId, number: u32) -> String {
    format!("{number:04x}-{id}")
}

/// The name in quarantine of what lay at `place`.
pub(crate) fn quarantine_name(id: &BlockId, place: Place) -> String {
    let [a, b] = [place.segment(), place.offset()];
    format!("{id}-{}-{a:08x}-{b:08x}", if place.is_dedicated() { "own" } else { "shared" })
}

/// Space that is kept for a writer.
#[derive(Debug)]
pub(crate) struct SpaceReservation {
    state: Arc<VolumeState>,
    bytes: u64,
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.state.receiving.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
