//! A volume: blocks on one disk.
//!
//! ```text
//! <directory>/
//!   lock                  locked by the process that uses the directory
//!   identity.json         node, volume and cluster
//!   identity-copy.json    the same, for the case that the first cannot be read
//!   checkpoint            the index as it was
//!   shared/0000002a.segment   blocks below 1 MiB, one after the other
//!   own/0000002a/01f3-<block id>   blocks from 1 MiB on, each its own file
//!   trash/0000002a/…      deleted blocks that had a file of their own, for a while
//!   quarantine/           damaged records, as they were found
//!   probe                 a page that is written and read to see whether the disk works
//!   node.json             what the node remembers beside its blocks
//!   scrub.json            how far the volume was scrubbed
//!   compacting.json       segments whose compaction has begun
//! ```
//!
//! | module | what is there |
//! |---|---|
//! | [`disk`] | the seam to the operating system |
//! | [`identity`] | lock and identity |
//! | `record` | headers, tables, places: the bytes of a block on disk |
//! | `index`, `segments`, `trash_index` | which block lies where, and how full segments are |
//! | `log` | shared segments, written by one thread with group commit |
//! | `own` | blocks with a segment of their own |
//! | `checkpoint`, `scan`, `recover`, `recover_dedicated` | how a start finds out what is there |
//! | `compact`, `unfinished`, `quarantine` | how dead and damaged records are treated |
//! | `trash` | how deleted blocks are kept for a while, and brought back |
//! | `probe` | whether the disk still does what it is asked |
//! | `scrub_cursor` | how far it was scrubbed |
//! | `write`, `read` | a block coming, a block going |
//! | [`set`] | the volumes of a node |
//! | `opening`, `memo` | how a start opens them, and what the node remembers |
//!
//! Architecture invariant: nothing outside of this folder touches a file, and nothing in it knows of HTTP.

mod accounting;
mod checkpoint;
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
mod opening;
mod options;
mod paths;
mod probe;
mod quarantine;
mod read;
mod record;
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
pub mod volumes;
mod write;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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

use self::accounting::take_off;
use self::dedicated::DedicatedSegments;
use self::disk::Disk;
use self::entry::Trashed;
use self::identity::{DirectoryLock, Identity};
use self::log::{Change, Log};
use self::recovery::Recovered;
use self::state::VolumeState;
pub(crate) use self::write::{aside, blocking};

/// What a volume knows of a block without reading it.
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
    /// One compaction or checkpoint at a time.
    maintenance: Arc<Mutex<()>>,
    /// The number of the shared segment from which on the next probe looks for files.
    looked_for: AtomicU32,
}

impl Volume {
    /// Recovers what `directory` holds and opens it. Keeps the lock until nobody writes any more. Blocks its thread.
    ///
    /// # Errors
    /// [`OpenError::Io`] or [`OpenError::Recovery`]; the directory is as it was, or further recovered.
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
            // An earlier version would not understand what is written from now on.
            Err(error) if identity.is_outdated() => return Err(error),
            // A full disk is no reason to keep its blocks from being read and deleted.
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
            looked_for: AtomicU32::new(0),
        };
        if let Err(error) = volume.checkpoint() {
            // A full disk is no reason to keep its blocks from being read and deleted.
            tracing::info!(volume = %volume.id(), %error, "no checkpoint was written at the start");
        }
        Ok(volume)
    }

    /// The volume's id.
    pub fn id(&self) -> VolumeId {
        self.state.id
    }

    /// What the start found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Why the volume takes no more writes, if it failed.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.state.failure()
    }

    /// Space on the volume. Blocks its thread.
    ///
    /// # Errors
    /// When the system does not tell; the volume has then failed.
    pub fn usage(&self) -> Result<Usage, VolumeError> {
        self.state.usage().map_err(|error| self.state.sync_error("statvfs", &self.state.directory, error))
    }

    /// What the volume holds in bytes, like [`Usage::used`]. Asks no disk.
    pub(crate) fn used(&self) -> u64 {
        self.state.index().used_beside_reclaimable()
    }

    /// How many blocks are here, without those in quarantine.
    pub(crate) fn len(&self) -> u64 {
        self.state.index().len() as u64
    }

    /// What is known of a block that is here and not in quarantine.
    pub fn get(&self, id: &BlockId) -> Option<ReplicaInfo> {
        self.state.index().get(id).map(ReplicaInfo::from)
    }

    /// Whether a damaged copy of the block is in quarantine here.
    pub fn is_quarantined(&self, id: &BlockId) -> bool {
        self.state.index().is_quarantined(id)
    }

    /// All blocks in quarantine, in the order of ids.
    pub fn quarantined(&self) -> Vec<BlockId> {
        self.state.index().quarantined().into_iter().collect()
    }

    /// Up to `limit` blocks above `after`, in the order of ids.
    pub fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, ReplicaInfo)> {
        let page = index::page(self.state.index_lock(), after, limit);
        page.into_iter().map(|(id, entry)| (id, ReplicaInfo::from(entry))).collect()
    }

    /// Begins to write a block of `length` bytes with this CRC32C. It is the caller's duty that nobody else writes or
    /// deletes the same block meanwhile.
    ///
    /// # Errors
    /// [`VolumeError::Full`], [`VolumeError::Failed`], [`VolumeError::BadLength`].
    pub async fn writer(&self, id: BlockId, length: u64, crc: Crc32c) -> Result<BlockWriter, VolumeError> {
        if !(1..=BLOCK_LENGTH_MAX).contains(&length) {
            return Err(VolumeError::BadLength(length));
        }
        let is_dedicated = length >= self.state.options.dedicated_segment_bytes_min;
        let needed = record::record_size(length, is_dedicated);
        let (state, log, one) = (self.state.clone(), self.log()?, self.maintenance.clone());
        let reservation = blocking(move || match state.reserve(needed) {
            Err(VolumeError::Full { .. }) if state.can_reclaim_space() => {
                reclaim_space(&state, &log, &one, needed)?;
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

    /// Opens a block for reading. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::NotFound`], [`VolumeError::Damaged`].
    pub fn reader(&self, id: BlockId) -> Result<BlockReader, VolumeError> {
        BlockReader::open(&self.state, id)
    }

    /// Deletes a block, and its copies in quarantine. Durable when it returns. Returns whether there was one. What was
    /// deleted lies in the trash for a while.
    ///
    /// # Errors
    /// When the block may still be there after a restart.
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

    /// Brings a deleted block back from the trash, if it is there and still what its checksum says. Durable when it
    /// returns; returns what is then here of the block. It is the caller's duty that nobody else writes or deletes the same
    /// block meanwhile. Blocks its thread.
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

    /// Whether the block lies in the trash.
    pub fn is_trashed(&self, id: &BlockId) -> bool {
        self.state.index().trashed(id).is_some()
    }

    /// Takes out of the trash what has been there for its time, and more while the disk has no space. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn tidy_trash(&self) -> Result<(), VolumeError> {
        self.state.check()?;
        let expired = empty_trash::expire(&self.state);
        if expired.blocks > 0 {
            tracing::debug!(volume = %self.id(), ?expired, "emptied the trash of what was old");
        }
        // The space that others on this disk have taken is missing for tombstones and checkpoints too.
        if self.state.index().trash_len() > 0 && self.state.available_now()? == 0 {
            reclaim_space(&self.state, &self.log()?, &self.maintenance, 1)?;
        }
        Ok(())
    }

    /// Blocks that were found damaged and set aside while space was freed, and were not asked for yet.
    pub fn take_found_damaged(&self) -> Vec<BlockId> {
        std::mem::take(&mut *self.state.found_damaged())
    }

    /// Sets a damaged block aside. It is not read or reported as held any more. Returns whether it was here.
    /// Blocks its thread.
    ///
    /// # Errors
    /// When the volume cannot write.
    pub fn set_aside(&self, id: BlockId) -> Result<bool, VolumeError> {
        self.state.check()?;
        let Some(entry) = self.state.index().get(&id) else { return Ok(false) };
        if entry.place.is_dedicated() {
            // First the file: one that the index does not know is taken for half-written by the next start.
            let is_kept = self.dedicated.set_aside(&id, entry.place)?;
            let mut index = self.state.index_mut();
            index.remove_at(&id, entry.place);
            if is_kept {
                index.quarantine(id, entry.size());
            }
        } else {
            compact::set_aside(&self.state, &self.log()?, id, entry)?;
        }
        Ok(true)
    }

    /// Looks whether the disk still does what it is asked. Blocks its thread.
    ///
    /// # Errors
    /// The volume has failed.
    pub fn probe(&self) -> Result<(), VolumeError> {
        probe::probe(&self.state)
    }

    /// Takes the volume out, for a reason that the caller has.
    pub fn give_up(&self, reason: &str) {
        self.state.give_up(reason);
    }

    /// Looks for the files of some shared segments, the next ones with each call; forgets those that are gone, and returns the
    /// blocks that were lost with them. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn lose_missing_segments(&self) -> Result<Vec<BlockId>, VolumeError> {
        self.state.check()?;
        // Without a lock: those who write to a full disk wait for whoever has it.
        let (missing, next) = probe::missing_from(&self.state, self.looked_for.load(Ordering::Relaxed))?;
        self.looked_for.store(next, Ordering::Relaxed);
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        // Compaction may have removed some meanwhile, and forgotten them.
        let still_known = missing.into_iter().filter(|number| self.state.index().segment(*number).is_some());
        let mut lost = Vec::new();
        for segment in probe::missing(&self.state, still_known.collect())? {
            let is_active = self.state.index().position.segment == segment;
            if is_active {
                // From here on nothing comes into it any more.
                self.log()?.submit(Change::Seal)?.wait()?;
            }
            let blocks = index::in_segment(self.state.index_lock(), segment);
            empty_trash::forget_segment(&self.state, segment);
            lost.extend(blocks.iter().map(|(id, _)| *id));
            self.log()?.submit(Change::Lose { segment, blocks })?.wait()?;
        }
        Ok(lost)
    }

    /// Forgets a block of a volume that has failed: nobody can delete it, and nobody wants it any more. A start that
    /// finds it again reports it, and is told to delete it.
    pub(crate) fn forget(&self, id: &BlockId) -> bool {
        let mut index = self.state.index_mut();
        let entry = index.get(id);
        let forgotten = entry.and_then(|entry| index.remove_at(id, entry.place)).is_some();
        index.unquarantine(id) || forgotten
    }

    /// Counts a block that the system could not read.
    ///
    /// # Errors
    /// When there were too many: the volume has failed.
    pub(crate) fn count_unreadable(&self) -> Result<(), VolumeError> {
        self.state.count_unreadable()
    }

    /// Rewrites one shared segment that is less than half alive, if there is one; when there is no space for another segment, also
    /// one that is at least an eighth dead. Blocks its thread.
    ///
    /// # Errors
    /// The segment stays, and nothing is lost.
    pub fn compact(&self) -> Result<Option<Compaction>, VolumeError> {
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let is_short = self.state.available_now()? < u64::from(self.state.options.segment_bytes_max);
        let compacted = compact_next(&self.state, &self.log()?, is_short, |_| {})?;
        if compacted.is_some() {
            // With a quota, only the next write shows whether there is space now.
            self.state.below_quota();
        }
        Ok(compacted)
    }

    /// Writes a checkpoint if enough was stored since the last one. Blocks its thread.
    ///
    /// # Errors
    /// The old checkpoint stays.
    pub fn checkpoint_if_due(&self) -> Result<bool, VolumeError> {
        let (since, blocks) = {
            let index = self.state.index();
            (index.since_checkpoint, index.len() as u64)
        };
        // Never so often that checkpoints become a burden: at most one byte in sixty-four.
        let due = self.state.options.checkpoint_bytes.max(blocks * 32 * 64);
        if since < due {
            return Ok(false);
        }
        self.checkpoint().map(|()| true)
    }

    /// Writes a checkpoint. Blocks its thread.
    ///
    /// # Errors
    /// The old checkpoint stays.
    pub fn checkpoint(&self) -> Result<(), VolumeError> {
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.check()?;
        let before = self.state.index().since_checkpoint;
        let state = &self.state;
        checkpoint::write(&*state.disk, &state.directory, state.id, state.index_lock()).map_err(|error| {
            if error::is_out_of_space(&error) {
                VolumeError::Full { needed: before, available: 0 }
            } else {
                state.write_error("write", &state.directory.join(checkpoint::NAME), error)
            }
        })?;
        take_off(&mut self.state.index_mut().since_checkpoint, before, "bytes since the last checkpoint");
        Ok(())
    }

    /// Ends the log's thread when those who write now are done, and writes a checkpoint, so that the next start is
    /// quick. Nothing is lost without it. Blocks its thread.
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

/// Compacts the segment whose turn it is, if there is one, once it is prepared. One at a time; blocks its thread.
fn compact_next(
    state: &VolumeState,
    log: &Log,
    is_short: bool,
    prepare: impl FnOnce(u32),
) -> Result<Option<Compaction>, VolumeError> {
    // A store that only ever holds little would otherwise never get the space of deleted blocks back.
    let worth_sealing = u64::from(state.options.segment_bytes_max) / 256;
    let is_mostly_dead = state.index().active_is_mostly_dead(worth_sealing);
    if is_mostly_dead {
        log.submit(Change::Seal)?.wait()?;
    }
    let space = state.space_for_compaction()?;
    let Some(number) = state.index().compaction_candidate(is_short, space) else { return Ok(None) };
    prepare(number);
    compact::compact(state, log, number).map(Some)
}

/// Empties the trash, the oldest first, until `needed` bytes can be stored or nothing is left in it. Blocks its thread.
fn reclaim_space(state: &VolumeState, log: &Log, one: &Mutex<()>, needed: u64) -> Result<(), VolumeError> {
    let _making = state.begin_reclaim();
    let _one = one.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        // Those who came first may have freed enough space for all.
        let missing = needed.saturating_sub(state.available_now()?);
        if missing == 0 {
            return Ok(());
        }
        let emptied = empty_trash::empty(state, missing);
        if emptied.blocks > 0 {
            tracing::debug!(volume = %state.id, ?emptied, "emptied the trash to free space");
            // With a quota, only the next write shows whether there is space now.
            state.below_quota();
        }
        if emptied.dedicated_bytes > 0 {
            continue;
        }
        // To carry along what is emptied next would leave new blocks among the dead.
        match compact_next(state, log, true, |number| empty_trash::forget_segment(state, number))? {
            Some(compacted) => {
                state.found_damaged().extend(compacted.damaged);
                state.below_quota();
            }
            None if emptied.blocks == 0 => return Ok(()),
            None => {}
        }
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
