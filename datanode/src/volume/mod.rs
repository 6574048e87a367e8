//! A volume: the blocks on one disk.
//!
//! ```text
//! <directory>/
//!   lock                  locked by the process that uses the directory
//!   identity.json         node, volume and cluster
//!   identity-copy.json    the same, for the case that the first cannot be read
//!   checkpoint            the index as it was when the checkpoint was written
//!   shared/0000002a.segment   a shared segment: blocks below 1 MiB, one after the other
//!   own/0000002a/01f3-<block id>   a dedicated segment: one block from 1 MiB on
//!   trash/0000002a/…      deleted blocks that had a dedicated segment, for a while
//!   quarantine/           damaged records, as they were found
//!   probe                 a page that is written and read to see whether the disk works
//!   node.json             the node record: what a node remembers beside its blocks
//!   scrub.json            how far the volume was scrubbed
//!   compacting.json       segments whose compaction has begun
//! ```
//!
//! | to | modules |
//! |---|---|
//! | use a volume | [`Volume`] here and in `upkeep`; [`volumes`]: all volumes of a node |
//! | write, read | `write`, `read`, `open_files`, `chunk_buffers`; `dedicated`: one file a block; `log`: shared segments, with group commit |
//! | find a block | `index`, of `entry`; `segments`: how full shared segments are; `trash_index` |
//! | delete, bring back | `trash`, `empty_trash` |
//! | free space | `space`: usage and reservations; `compact`, `unfinished`: rewriting segments |
//! | start | `opening` (all volumes), `recover`, `recover_dedicated`, `recovery`, `scan`, `checkpoint` |
//! | treat damage | `quarantine`, `probe`, [`error`](VolumeError) |
//! | know the format | `record`: headers and tables; `paths`: names of files; [`identity`], `node_record`, `scrub_cursor` |
//! | share | `state`: what all of these hold; `options`; `sync`: shared syncs of a directory |
//! | reach the system | [`disk`], which tests replace by `sim` |
//!
//! Architecture invariant: nothing outside of this folder touches a file, and nothing in it knows of HTTP.

mod checkpoint;
mod chunk_buffers;
mod compact;
mod dedicated;
pub mod disk;
mod empty_trash;
mod entry;
mod error;
pub mod identity;
mod index;
mod log;
mod node_record;
mod open_files;
mod opening;
mod options;
mod paths;
mod probe;
mod quarantine;
mod read;
mod record;
#[cfg(test)]
mod record_properties;
mod recover;
mod recover_dedicated;
mod recovery;
mod scan;
mod scrub_cursor;
mod segments;
#[cfg(test)]
mod sim;
mod space;
mod state;
mod sync;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod trash;
mod trash_index;
mod unfinished;
mod upkeep;
pub mod volumes;
mod write;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use cairn_protocol::block::BLOCK_LENGTH_MAX;
use cairn_protocol::checksum::Crc32c;
use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, VolumeId};

pub use self::compact::Compaction;
pub use self::error::{Damage, OpenError, VolumeError};
pub use self::node_record::{LastScrub, SeenDatabase};
pub use self::opening::LeftOut;
pub use self::options::VolumeOptions;
pub use self::read::BlockReader;
pub use self::recovery::Recovery;
pub use self::scrub_cursor::ScrubCursor;
pub use self::space::Usage;
pub use self::write::BlockWriter;

use self::dedicated::DedicatedSegments;
use self::disk::Disk;
use self::entry::Trashed;
use self::identity::{DirectoryLock, Identity};
use self::log::{Change, Log};
use self::recovery::Recovered;
use self::state::VolumeState;
pub(crate) use self::write::{aside, blocking};

/// What is known of a replica without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// The block's length in bytes.
    pub length: u64,
    /// The block's CRC32C.
    pub crc: Crc32c,
}

impl From<entry::Entry> for ReplicaInfo {
    fn from(entry: entry::Entry) -> Self {
        Self { length: u64::from(entry.length), crc: entry.crc }
    }
}

/// An open volume.
#[derive(Debug)]
pub struct Volume {
    state: Arc<VolumeState>,
    dedicated: Arc<DedicatedSegments>,
    log: Mutex<Option<Log>>,
    log_thread: Mutex<Option<JoinHandle<()>>>,
    recovery: Recovery,
    /// Held by a compaction or checkpoint: one at a time.
    maintenance: Arc<Mutex<()>>,
    /// The shared segment from which on the next check for missing files goes.
    next_segment_to_check: AtomicU32,
}

impl Volume {
    /// Recovers the volume in `directory` and opens it. The lock is kept until no thread can write any more. Blocks its thread.
    ///
    /// # Errors
    /// [`OpenError::Io`] or [`OpenError::Recovery`]. What was recovered so far stays recovered; the next start goes on.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        lock: DirectoryLock,
        identity: &Identity,
        options: VolumeOptions,
        env: Env,
    ) -> Result<Self, OpenError> {
        let state = Arc::new(VolumeState::new(disk, directory, lock, identity.volume, options, env));
        make_directories(&state).map_err(identity::io("create", directory))?;
        match identity.updated().write(&*state.disk, directory) {
            // The format on disk must be recorded first: an earlier version would not understand what is written from now on.
            Err(error) if identity.is_outdated() => return Err(error),
            // A full disk must not keep its blocks from being read and deleted.
            Err(error) => tracing::info!(volume = %identity.volume, %error, "the identity has no good copy"),
            Ok(()) => {}
        }
        let recovery_error = |error| OpenError::Recovery { path: directory.to_path_buf(), error };
        let Recovered { report, active, directories, directory_max } =
            recover::recover(&state).map_err(recovery_error)?;
        let dedicated = Arc::new(DedicatedSegments::new(state.clone(), directories, directory_max));
        let (log, thread) = Log::start(state.clone(), active).map_err(identity::io("start", directory))?;
        let volume = Self {
            state,
            dedicated,
            log: Mutex::new(Some(log)),
            log_thread: Mutex::new(Some(thread)),
            recovery: report,
            maintenance: Arc::default(),
            next_segment_to_check: AtomicU32::new(0),
        };
        if let Err(error) = volume.checkpoint() {
            // A full disk must not keep its blocks from being read and deleted.
            tracing::info!(volume = %volume.id(), %error, "no checkpoint was written at the start");
        }
        Ok(volume)
    }

    /// The volume's id.
    pub fn id(&self) -> VolumeId {
        self.state.id
    }

    /// What recovery found and did when the volume was opened.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Why the volume failed, if it did. A failed volume takes no writes.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.state.failure()
    }

    /// How full the volume is. Asks the disk, so it blocks its thread.
    ///
    /// # Errors
    /// When the system cannot tell. The volume has failed then.
    pub fn usage(&self) -> Result<Usage, VolumeError> {
        self.state.usage().map_err(|error| self.state.sync_error("statvfs", &self.state.directory, error))
    }

    /// Bytes that the volume holds, as in [`Usage::used`]. Does not ask the disk.
    pub(crate) fn used(&self) -> u64 {
        self.state.index().used_beside_reclaimable()
    }

    /// Number of replicas on the volume, without those in quarantine.
    pub(crate) fn len(&self) -> u64 {
        self.state.index().len() as u64
    }

    /// What is known of a replica, if the volume holds one that is not in quarantine.
    pub fn get(&self, id: &BlockId) -> Option<ReplicaInfo> {
        self.state.index().get(id).map(ReplicaInfo::from)
    }

    /// Whether a damaged replica of the block is in quarantine on this volume.
    pub fn is_quarantined(&self, id: &BlockId) -> bool {
        self.state.index().is_quarantined(id)
    }

    /// All blocks in quarantine, in the order of ids.
    pub fn quarantined(&self) -> Vec<BlockId> {
        self.state.index().quarantined().into_iter().collect()
    }

    /// Up to `limit` replicas of blocks above `after`, in the order of ids.
    pub fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, ReplicaInfo)> {
        let page = index::page(self.state.index_lock(), after, limit);
        page.into_iter().map(|(id, entry)| (id, ReplicaInfo::from(entry))).collect()
    }

    /// Begins to write a block of `length` bytes with this CRC32C. The caller makes sure that nothing else writes or deletes the
    /// same block at the same time.
    ///
    /// # Errors
    /// [`VolumeError::Full`], [`VolumeError::Failed`], [`VolumeError::BadLength`].
    pub async fn writer(&self, id: BlockId, length: u64, crc: Crc32c) -> Result<BlockWriter, VolumeError> {
        if !(1..=BLOCK_LENGTH_MAX).contains(&length) {
            return Err(VolumeError::BadLength(length));
        }
        let is_dedicated = length >= self.state.options.dedicated_segment_bytes_min;
        let needed = record::record_size(length, is_dedicated);
        let (state, log, maintenance) = (self.state.clone(), self.log()?, self.maintenance.clone());
        let reservation = blocking(move || match state.reserve(needed) {
            Err(VolumeError::Full { .. }) if state.can_reclaim_space() => {
                upkeep::reclaim_space(&state, &log, &maintenance, needed)?;
                state.reserve(needed)
            }
            reserved => reserved,
        });
        let reservation = reservation.await?;
        if is_dedicated {
            let (state, dedicated) = (self.state.clone(), self.dedicated.clone());
            BlockWriter::dedicated(id, length, crc, state, dedicated, reservation).await
        } else {
            Ok(BlockWriter::shared(id, length, crc, self.log()?, reservation))
        }
    }

    /// Opens a replica for reading, by its name in the directory: a file that is missing is noticed. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::NotFound`], [`VolumeError::Damaged`].
    pub fn reader(&self, id: BlockId) -> Result<BlockReader, VolumeError> {
        BlockReader::open(&self.state, id)
    }

    /// Like [`reader`](Self::reader), for blocks that are read again and again: their files stay open. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::NotFound`], [`VolumeError::Damaged`].
    pub(crate) fn reader_kept_open(&self, id: BlockId) -> Result<BlockReader, VolumeError> {
        BlockReader::open_kept(&self.state, id)
    }

    /// Opens a replica and reads the chunk that begins at `start`, if its file is open already and the system has the bytes in
    /// memory. Never waits for the disk. `None` says nothing about the replica: [`reader_kept_open`](Self::reader_kept_open) finds
    /// out.
    pub(crate) fn read_from_memory(&self, id: BlockId, start: u64) -> Option<(BlockReader, Bytes)> {
        BlockReader::open_from_memory(&self.state, id, start)
    }

    /// Reads these bytes of a replica, if its file is open already and the system has them in memory. Nothing is checked. Never
    /// waits for the disk.
    pub(crate) fn bytes_from_memory(&self, id: BlockId, start: u64, end: u64) -> Option<Bytes> {
        read::bytes_from_memory(&self.state, id, start, end)
    }

    /// Deletes a replica, and damaged ones of the same block in quarantine. Durable when it returns. Returns whether there was
    /// one. A deleted replica stays in the trash for a while.
    ///
    /// # Errors
    /// When the replica may be there again after a restart.
    pub async fn delete(&self, id: BlockId) -> Result<bool, VolumeError> {
        self.state.check()?;
        let entry = self.state.index().get(&id);
        match entry {
            Some(entry) if entry.place.is_dedicated() => {
                let (state, dedicated) = (self.state.clone(), self.dedicated.clone());
                blocking(move || {
                    state.index_mut().remove_at(&id, entry.place);
                    match state.deletion_time() {
                        0 => dedicated.remove(&id, entry.place),
                        deleted_at => trash::put(&state, &dedicated, id, Trashed { entry, deleted_at }),
                    }
                })
                .await?;
            }
            Some(_) => {
                let deleted_at = self.state.deletion_time();
                self.log()?.apply(Change::Delete { id, deleted_at }).await?;
            }
            None => {}
        }
        if !self.is_quarantined(&id) {
            return Ok(entry.is_some());
        }
        let state = self.state.clone();
        blocking(move || {
            quarantine::remove(&state, &id)?;
            state.index_mut().unquarantine(&id);
            Ok(true)
        })
        .await
    }

    /// Brings a deleted block back from the trash, if it is there and still matches its checksum. Durable when it returns.
    /// Returns the replica that the volume then holds. The caller makes sure that nothing else writes or deletes the same block
    /// at the same time. Blocks its thread.
    ///
    /// # Errors
    /// When the volume cannot write.
    pub fn restore(&self, id: BlockId) -> Result<Option<ReplicaInfo>, VolumeError> {
        self.state.check()?;
        match self.get(&id) {
            Some(stored) => Ok(Some(stored)),
            None => trash::restore(&self.state, &self.dedicated, &self.log()?, id),
        }
    }

    /// Whether the block is in the trash.
    pub fn is_trashed(&self, id: &BlockId) -> bool {
        self.state.index().trashed(id).is_some()
    }

    /// Blocks that were found damaged and set aside while space was freed, since the last call.
    pub fn take_found_damaged(&self) -> Vec<BlockId> {
        std::mem::take(&mut *self.state.found_damaged())
    }

    /// Moves a damaged replica into quarantine: it is no longer read, nor reported as held. Returns whether there was one.
    /// Blocks its thread.
    ///
    /// # Errors
    /// When the volume cannot write.
    pub fn set_aside(&self, id: BlockId) -> Result<bool, VolumeError> {
        self.state.check()?;
        let Some(entry) = self.state.index().get(&id) else { return Ok(false) };
        if entry.place.is_dedicated() {
            // First the file. After a crash in between, a start would take a file that the index does not know for half-written.
            let is_kept = self.dedicated.set_aside(&id, entry.place)?;
            let mut index = self.state.index_mut();
            index.remove_at(&id, entry.place);
            if is_kept {
                index.quarantine(id, entry.size());
            }
            drop(index);
            self.state.open_files.forget(entry.place);
        } else {
            compact::set_aside(&self.state, &self.log()?, id, entry)?;
        }
        Ok(true)
    }

    /// Takes the volume out until the process is restarted. `reason` is reported to operators.
    pub fn give_up(&self, reason: &str) {
        self.state.give_up(reason);
    }

    /// Removes a block from the index of a volume that has failed, where it cannot be deleted. If a later start finds the
    /// replica again, it reports it, and the metanode has it deleted.
    pub(crate) fn forget(&self, id: &BlockId) -> bool {
        let mut index = self.state.index_mut();
        let entry = index.get(id);
        let forgotten = entry.and_then(|entry| index.remove_at(id, entry.place)).is_some();
        index.unquarantine(id) || forgotten
    }

    /// Counts a replica that the system could not read.
    ///
    /// # Errors
    /// When there were too many. The volume has failed then.
    pub(crate) fn count_unreadable(&self) -> Result<(), VolumeError> {
        self.state.count_unreadable()
    }

    /// Ends the log's thread once the writes under way are done, and writes a checkpoint, so that the next start is quick.
    /// Nothing is lost without it. Blocks its thread.
    pub fn close(&self) {
        drop(self.log.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.log_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            cairn_protocol::warn_self!(volume = %self.state.id, "the log's thread panicked");
        }
        if let Err(error) = self.checkpoint() {
            tracing::info!(volume = %self.state.id, %error, "no checkpoint was written at the end");
        }
    }

    fn log(&self) -> Result<Log, VolumeError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(VolumeError::Closed)
    }
}

fn make_directories(state: &VolumeState) -> io::Result<()> {
    let made = [
        state.shared_directory(),
        state.dedicated_directory(),
        state.trash_directory(),
        state.quarantine_directory(),
    ];
    for directory in made {
        state.disk.create_dir(&directory)?;
    }
    state.disk.sync_dir(&state.directory)
}
