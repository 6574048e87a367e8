//! What all parts of a volume share: its disk and directory, its index, its clock, and whether it has failed.
//!
//! Free space and reservations are in `space`, names of files in `paths`; both are methods of [`VolumeState`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, VolumeId};

use super::chunk_buffers::ChunkBuffers;
use super::disk::Disk;
use super::error::{VolumeError, is_out_of_space, is_shortage};
use super::identity::DirectoryLock;
use super::index::Index;
use super::open_files::OpenFiles;
use super::options::VolumeOptions;

/// The smallest size at which shared segments are sealed, in bytes, however small the reserve is: four of the largest
/// blocks that they hold.
const SEGMENT_BYTES_MIN: u32 = 4 << 20;

/// Unreadable blocks after which a volume is given up. So many are more than a few bad sectors: the disk is about to fail,
/// and its blocks should be copied while they can still be read.
const UNREADABLE_MAX: u32 = 16;

/// The state of one volume. Everything that works on the volume holds a reference to it.
#[derive(Debug)]
pub(crate) struct VolumeState {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) id: VolumeId,
    pub(crate) options: VolumeOptions,
    index: RwLock<Index>,
    /// Files of blocks that are read often.
    pub(crate) open_files: OpenFiles,
    pub(crate) chunk_buffers: ChunkBuffers,
    /// Why the volume failed. Set once, and never reset while the process runs.
    failed: OnceLock<Arc<str>>,
    /// Bytes that are reserved for writers that have not finished.
    pub(super) reserved: AtomicU64,
    /// Blocks that the system could not read since the start.
    unreadable: AtomicU32,
    /// A write found no space although the system reports some: there is a quota. The volume counts as full until a write
    /// succeeds.
    pub(super) is_at_quota: AtomicBool,
    env: Env,
    /// The wall clock's and the monotonic clock's time at the start.
    started: (Timestamp, Duration),
    /// Blocks that were found damaged while space was freed, and are not reported to the metanode yet.
    found_damaged: Mutex<Vec<BlockId>>,
    /// How many threads are emptying the trash to free space.
    pub(super) reclaiming: AtomicU32,
    /// Held while directories of the trash are made or removed.
    trash_directories: Mutex<()>,
    /// Held while the disk is probed.
    probing: Mutex<()>,
    /// Lives as long as the state: while a thread can still write, no other process may use the directory.
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
        // Compaction writes up to half a segment before it frees one, and on a full disk it has only the reserve for that.
        let compactable = u32::try_from(options.reserve_bytes).unwrap_or(u32::MAX).max(SEGMENT_BYTES_MIN);
        options.segment_bytes_max = options.segment_bytes_max.min(compactable);
        Self {
            disk,
            directory: directory.to_path_buf(),
            id,
            options,
            index: RwLock::default(),
            open_files: OpenFiles::default(),
            chunk_buffers: ChunkBuffers::default(),
            failed: OnceLock::new(),
            reserved: AtomicU64::new(0),
            unreadable: AtomicU32::new(0),
            is_at_quota: AtomicBool::new(false),
            started: (env.now(), env.monotonic()),
            env,
            found_damaged: Mutex::default(),
            trash_directories: Mutex::default(),
            probing: Mutex::default(),
            reclaiming: AtomicU32::new(0),
            _lock: lock,
        }
    }

    /// The time by which the trash is judged: the wall clock's at the start, and what has passed since by the monotonic
    /// clock. A wall clock that is set forward does not empty the trash.
    pub(crate) fn trash_time(&self) -> Timestamp {
        let (wall, monotonic) = self.started;
        wall.after(self.env.monotonic().saturating_sub(monotonic))
    }

    /// The time of deletion that is recorded for a block that is deleted now, in milliseconds since the Unix epoch; 0 when
    /// there is no trash.
    pub(crate) fn deletion_time(&self) -> u64 {
        if self.options.trash_age.is_zero() { 0 } else { self.trash_time().0.max(1) }
    }

    /// Keeps directories of the trash from being made or removed. A directory that was just made is empty, and must not be
    /// removed before its first block is in it.
    pub(crate) fn lock_trash_directories(&self) -> MutexGuard<'_, ()> {
        self.trash_directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps other probes away: all of them write and read the same files.
    pub(super) fn lock_probe(&self) -> MutexGuard<'_, ()> {
        self.probing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn found_damaged(&self) -> MutexGuard<'_, Vec<BlockId>> {
        self.found_damaged.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<(), VolumeError> {
        self.disk.sync_dir(path).map_err(|error| self.sync_error("fsync", path, error))
    }

    /// Converts the error of a sync. Any error takes the volume out, because it is unknown then what is on the disk. Only a
    /// lack of file descriptors or memory does not: the directory could not even be opened, and that says nothing about the
    /// disk.
    pub(crate) fn sync_error(&self, operation: &'static str, path: &Path, error: io::Error) -> VolumeError {
        if is_shortage(&error) {
            VolumeError::io(operation, path, error)
        } else {
            self.fail(operation, path, &error)
        }
    }

    /// Converts the error of a write, or of a change of a name. A full disk, and a lack of file descriptors or memory, are no
    /// fault of the disk; any other error takes the volume out.
    pub(crate) fn write_error(&self, operation: &'static str, path: &Path, error: io::Error) -> VolumeError {
        if is_out_of_space(&error) {
            self.full(0)
        } else if is_shortage(&error) {
            VolumeError::io(operation, path, error)
        } else {
            self.fail(operation, path, &error)
        }
    }

    /// Why the volume failed, if it did.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failed.get().cloned()
    }

    /// Returns an error if the volume has failed.
    pub(crate) fn check(&self) -> Result<(), VolumeError> {
        self.failure().map_or(Ok(()), |reason| Err(VolumeError::Failed(reason)))
    }

    /// Takes the volume out for a reason that is not the error of a single operation.
    pub(crate) fn give_up(&self, reason: &str) -> VolumeError {
        self.fail("use", &self.directory, &io::Error::other(reason.to_owned()))
    }

    /// Counts a block that the system cannot read. Too many take the volume out.
    pub(crate) fn count_unreadable(&self) -> Result<(), VolumeError> {
        if self.unreadable.fetch_add(1, Ordering::Relaxed) + 1 < UNREADABLE_MAX {
            return Ok(());
        }
        Err(self.give_up(&format!("{UNREADABLE_MAX} blocks could not be read")))
    }

    /// Takes the volume out until the process is restarted. After a failed write or sync it is unknown what is on the disk,
    /// and a second `fsync` that succeeds proves nothing.
    pub(crate) fn fail(&self, operation: &str, path: &Path, error: &io::Error) -> VolumeError {
        let reason: Arc<str> = format!("{operation} {}: {error}", path.display()).into();
        if self.failed.set(reason.clone()).is_ok() {
            tracing::error!(fault = "peer", volume = %self.id, %reason, "the volume has failed");
        }
        VolumeError::Failed(self.failure().unwrap_or(reason))
    }
}
