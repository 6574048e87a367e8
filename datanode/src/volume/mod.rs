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
//! | `checkpoint`, `scan`, `recover`, `recover_own` | how a start finds out what is there |
//! | `compact`, `unfinished`, `quarantine` | how dead and damaged records are treated |
//! | `trash` | how deleted blocks are kept for a while, and brought back |
//! | `probe` | whether the disk still does what it is asked |
//! | `scrub_cursor` | how far it was scrubbed |
//! | `write`, `read` | a block coming, a block going |
//! | [`set`] | the volumes of a node |
//! | `opening`, `memo` | how a start opens them, and what the node remembers |
//!
//! Architecture invariant: nothing outside of this folder touches a file, and nothing in it knows of HTTP.

mod checkpoint;
mod compact;
#[cfg(test)]
mod compact_tests;
mod core;
#[cfg(test)]
mod damage_tests;
pub mod disk;
mod error;
#[cfg(test)]
mod full_tests;
pub mod identity;
mod index;
mod log;
mod memo;
mod opening;
mod own;
mod probe;
#[cfg(test)]
mod probe_tests;
mod quarantine;
mod read;
mod record;
mod recover;
mod recover_own;
mod scan;
mod scrub_cursor;
mod segments;
pub mod set;
#[cfg(test)]
mod sim;
mod sync;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod trash;
mod trash_index;
#[cfg(test)]
mod trash_tests;
mod unfinished;
#[cfg(test)]
mod volumes_tests;
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
pub use self::core::{Usage, VolumeOptions};
pub use self::error::{Damage, OpenError, VolumeError};
pub use self::memo::{Scrubbed, Seen};
pub use self::opening::LeftOut;
pub use self::read::BlockReader;
pub use self::recover::Recovery;
pub use self::scrub_cursor::ScrubCursor;
pub use self::write::BlockWriter;

use self::core::Core;
use self::disk::Disk;
use self::identity::{DirectoryLock, Identity};
use self::index::Trashed;
use self::log::{Change, Log};
use self::own::OwnSegments;
use self::recover::Recovered;
pub(crate) use self::write::{aside, blocking};

/// What a volume knows of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The block's length in bytes.
    pub length: u64,
    /// The block's CRC32C.
    pub crc: Crc32c,
}

impl From<index::Entry> for Stored {
    fn from(entry: index::Entry) -> Self {
        Self { length: u64::from(entry.length), crc: entry.crc }
    }
}

/// An open volume.
#[derive(Debug)]
pub struct Volume {
    core: Arc<Core>,
    own: Arc<OwnSegments>,
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
        let core = Arc::new(Core::new(disk, directory, lock, identity.volume, options, env));
        make_directories(&core).map_err(identity::io("create", directory))?;
        match identity.updated().write(&*core.disk, directory) {
            // An earlier version would not understand what is written from now on.
            Err(error) if identity.is_outdated() => return Err(error),
            // A full disk is no reason to keep its blocks from being read and deleted.
            Err(error) => tracing::info!(volume = %identity.volume, %error, "the identity has no good copy"),
            Ok(()) => {}
        }
        let recovery_error = |error| OpenError::Recovery { path: directory.to_path_buf(), error };
        let Recovered { report, active, directories, directory_max } =
            recover::recover(&core).map_err(recovery_error)?;
        let own = Arc::new(OwnSegments::new(core.clone(), directories, directory_max));
        let (log, thread) = Log::start(core.clone(), active).map_err(identity::io("start", directory))?;
        let volume = Self {
            core,
            own,
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
        self.core.id
    }

    /// What the start found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Why the volume takes no more writes, if it failed.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.core.failure()
    }

    /// Room on the volume. Blocks its thread.
    ///
    /// # Errors
    /// When the system does not tell; the volume has then failed.
    pub fn usage(&self) -> Result<Usage, VolumeError> {
        self.core.usage().map_err(|error| self.core.sync_error("statvfs", &self.core.directory, error))
    }

    /// What the volume holds in bytes, like [`Usage::used`]. Asks no disk.
    pub(crate) fn used(&self) -> u64 {
        let index = self.core.index();
        index.used() - index.reclaimable()
    }

    /// How many blocks are here, without those in quarantine.
    pub(crate) fn len(&self) -> u64 {
        self.core.index().len() as u64
    }

    /// What is known of a block that is here and not in quarantine.
    pub fn get(&self, id: &BlockId) -> Option<Stored> {
        self.core.index().get(id).map(Stored::from)
    }

    /// Whether a damaged copy of the block is in quarantine here.
    pub fn is_quarantined(&self, id: &BlockId) -> bool {
        self.core.index().is_quarantined(id)
    }

    /// All blocks in quarantine, in the order of ids.
    pub fn quarantined(&self) -> Vec<BlockId> {
        self.core.index().quarantined().into_iter().collect()
    }

    /// Up to `limit` blocks above `after`, in the order of ids.
    pub fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Stored)> {
        let page = index::page(self.core.index_lock(), after, limit);
        page.into_iter().map(|(id, entry)| (id, Stored::from(entry))).collect()
    }

    /// Begins to write a block of `length` bytes with this CRC32C. It is the caller's admin_state that nobody else writes or
    /// deletes the same block meanwhile.
    ///
    /// # Errors
    /// [`VolumeError::Full`], [`VolumeError::Failed`], [`VolumeError::BadLength`].
    pub async fn writer(&self, id: BlockId, length: u64, crc: Crc32c) -> Result<BlockWriter, VolumeError> {
        if !(1..=BLOCK_LENGTH_MAX).contains(&length) {
            return Err(VolumeError::BadLength(length));
        }
        let is_own = length >= self.core.options.own_segment_bytes_min;
        let needed = record::record_size(length, is_own);
        let (core, log, one) = (self.core.clone(), self.log()?, self.maintenance.clone());
        let room = blocking(move || match core.reserve(needed) {
            Err(VolumeError::Full { .. }) if core.can_make_room() => {
                make_room(&core, &log, &one, needed)?;
                core.reserve(needed)
            }
            room => room,
        });
        let room = room.await?;
        if is_own {
            let (core, own) = (self.core.clone(), self.own.clone());
            BlockWriter::own(id, length, crc, core, own, room).await
        } else {
            Ok(BlockWriter::shared(id, length, crc, self.log()?, room))
        }
    }

    /// Opens a block for reading. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::NotFound`], [`VolumeError::Damaged`].
    pub fn reader(&self, id: BlockId) -> Result<BlockReader, VolumeError> {
        BlockReader::open(&self.core, id)
    }

    /// Deletes a block, and its copies in quarantine. Durable when it returns. Returns whether there was one. What was
    /// deleted lies in the trash for a while.
    ///
    /// # Errors
    /// When the block may still be there after a restart.
    pub async fn delete(&self, id: BlockId) -> Result<bool, VolumeError> {
        self.core.check()?;
        let entry = self.core.index().get(&id);
        match entry {
            Some(entry) if entry.place.is_own() => {
                let (core, own) = (self.core.clone(), self.own.clone());
                blocking(move || {
                    core.index_mut().remove_at(&id, entry.place);
                    match core.deletion_time() {
                        0 => own.remove(&id, entry.place),
                        deleted_at => trash::put(&core, &own, id, Trashed { entry, deleted_at }),
                    }
                })
                .await?;
            }
            Some(_) => {
                let deleted_at = self.core.deletion_time();
                self.log()?.apply(Change::Delete { id, deleted_at }).await?;
            }
            None => {}
        }
        if !self.is_quarantined(&id) {
            return Ok(entry.is_some());
        }
        let core = self.core.clone();
        blocking(move || {
            quarantine::remove(&core, &id)?;
            core.index_mut().unquarantine(&id);
            Ok(true)
        })
        .await
    }

    /// Brings a deleted block back from the trash, if it is there and still what its checksum says. Durable when it
    /// returns; returns what is then here of the block. It is the caller's admin_state that nobody else writes or deletes the same
    /// block meanwhile. Blocks its thread.
    ///
    /// # Errors
    /// When the volume cannot write.
    pub fn restore(&self, id: BlockId) -> Result<Option<Stored>, VolumeError> {
        self.core.check()?;
        match self.get(&id) {
            Some(stored) => Ok(Some(stored)),
            None => trash::restore(&self.core, &self.own, &self.log()?, id),
        }
    }

    /// Whether the block lies in the trash.
    pub fn is_trashed(&self, id: &BlockId) -> bool {
        self.core.index().trashed(id).is_some()
    }

    /// Takes out of the trash what has been there for its time, and more while the disk has no room. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn tidy_trash(&self) -> Result<(), VolumeError> {
        self.core.check()?;
        let expired = trash::expire(&self.core);
        if expired.blocks > 0 {
            tracing::debug!(volume = %self.id(), ?expired, "emptied the trash of what was old");
        }
        // The room that others on this disk have taken is missing for tombstones and checkpoints too.
        if self.core.index().trash_len() > 0 && self.core.available_now()? == 0 {
            make_room(&self.core, &self.log()?, &self.maintenance, 1)?;
        }
        Ok(())
    }

    /// Blocks that were found damaged and set aside while room was made, and were not asked for yet.
    pub fn take_found_damaged(&self) -> Vec<BlockId> {
        std::mem::take(&mut *self.core.found_damaged())
    }

    /// Sets a damaged block aside. It is not read or reported as held any more. Returns whether it was here.
    /// Blocks its thread.
    ///
    /// # Errors
    /// When the volume cannot write.
    pub fn set_aside(&self, id: BlockId) -> Result<bool, VolumeError> {
        self.core.check()?;
        let Some(entry) = self.core.index().get(&id) else { return Ok(false) };
        if entry.place.is_own() {
            // First the file: one that the index does not know is taken for half-written by the next start.
            let is_kept = self.own.set_aside(&id, entry.place)?;
            let mut index = self.core.index_mut();
            index.remove_at(&id, entry.place);
            if is_kept {
                index.quarantine(id, entry.size());
            }
        } else {
            compact::set_aside(&self.core, &self.log()?, id, entry)?;
        }
        Ok(true)
    }

    /// Looks whether the disk still does what it is asked. Blocks its thread.
    ///
    /// # Errors
    /// The volume has failed.
    pub fn probe(&self) -> Result<(), VolumeError> {
        probe::probe(&self.core)
    }

    /// Takes the volume out, for a reason that the caller has.
    pub fn give_up(&self, reason: &str) {
        self.core.give_up(reason);
    }

    /// Looks for the files of some shared segments, the next ones with each call; forgets those that are gone, and returns the
    /// blocks that were lost with them. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn lose_missing_segments(&self) -> Result<Vec<BlockId>, VolumeError> {
        self.core.check()?;
        // Without a lock: those who write to a full disk wait for whoever has it.
        let (missing, next) = probe::missing_from(&self.core, self.looked_for.load(Ordering::Relaxed))?;
        self.looked_for.store(next, Ordering::Relaxed);
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        // Compaction may have removed some meanwhile, and forgotten them.
        let still_known = missing.into_iter().filter(|number| self.core.index().segment(*number).is_some());
        let mut lost = Vec::new();
        for segment in probe::missing(&self.core, still_known.collect())? {
            let is_active = self.core.index().position.segment == segment;
            if is_active {
                // From here on nothing comes into it any more.
                self.log()?.submit(Change::Seal)?.wait()?;
            }
            let blocks = index::in_segment(self.core.index_lock(), segment);
            trash::forget_segment(&self.core, segment);
            lost.extend(blocks.iter().map(|(id, _)| *id));
            self.log()?.submit(Change::Lose { segment, blocks })?.wait()?;
        }
        Ok(lost)
    }

    /// Forgets a block of a volume that has failed: nobody can delete it, and nobody wants it any more. A start that
    /// finds it again reports it, and is told to delete it.
    pub(crate) fn forget(&self, id: &BlockId) -> bool {
        let mut index = self.core.index_mut();
        let entry = index.get(id);
        let forgotten = entry.and_then(|entry| index.remove_at(id, entry.place)).is_some();
        index.unquarantine(id) || forgotten
    }

    /// Counts a block that the system could not read.
    ///
    /// # Errors
    /// When there were too many: the volume has failed.
    pub(crate) fn count_unreadable(&self) -> Result<(), VolumeError> {
        self.core.count_unreadable()
    }

    /// Rewrites one shared segment that is less than half alive, if there is one; when there is no room for another segment, also
    /// one that is at least an eighth dead. Blocks its thread.
    ///
    /// # Errors
    /// The segment stays, and nothing is lost.
    pub fn compact(&self) -> Result<Option<Compaction>, VolumeError> {
        let _one = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let is_short = self.core.available_now()? < u64::from(self.core.options.segment_bytes_max);
        let compacted = compact_next(&self.core, &self.log()?, is_short, |_| {})?;
        if compacted.is_some() {
            // With a quota, only the next write shows whether there is room now.
            self.core.below_quota();
        }
        Ok(compacted)
    }

    /// Writes a checkpoint if enough was stored since the last one. Blocks its thread.
    ///
    /// # Errors
    /// The old checkpoint stays.
    pub fn checkpoint_if_due(&self) -> Result<bool, VolumeError> {
        let (since, blocks) = {
            let index = self.core.index();
            (index.since_checkpoint, index.len() as u64)
        };
        // Never so often that checkpoints become a burden: at most one byte in sixty-four.
        let due = self.core.options.checkpoint_bytes.max(blocks * 32 * 64);
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
        self.core.check()?;
        let before = self.core.index().since_checkpoint;
        let core = &self.core;
        checkpoint::write(&*core.disk, &core.directory, core.id, core.index_lock()).map_err(|error| {
            if error::is_out_of_space(&error) {
                VolumeError::Full { needed: before, available: 0 }
            } else {
                core.write_error("write", &core.directory.join(checkpoint::NAME), error)
            }
        })?;
        self.core.index_mut().since_checkpoint -= before;
        Ok(())
    }

    /// Ends the log's thread when those who write now are done, and writes a checkpoint, so that the next start is
    /// quick. Nothing is lost without it. Blocks its thread.
    pub fn close(&self) {
        drop(self.log.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.log_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            cairn_protocol::warn_self!(volume = %self.core.id, "the log's thread panicked");
        }
        if let Err(error) = self.checkpoint() {
            tracing::info!(volume = %self.core.id, %error, "no checkpoint was written at the end");
        }
    }

    fn log(&self) -> Result<Log, VolumeError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(VolumeError::Closed)
    }
}

/// Compacts the segment whose turn it is, if there is one, once it is prepared. One at a time; blocks its thread.
fn compact_next(
    core: &Core,
    log: &Log,
    is_short: bool,
    prepare: impl FnOnce(u32),
) -> Result<Option<Compaction>, VolumeError> {
    // A store that only ever holds little would otherwise never get the room of deleted blocks back.
    let worth_sealing = u64::from(core.options.segment_bytes_max) / 256;
    let is_mostly_dead = core.index().active_is_mostly_dead(worth_sealing);
    if is_mostly_dead {
        log.submit(Change::Seal)?.wait()?;
    }
    let room = core.room_for_compaction()?;
    let Some(number) = core.index().compaction_candidate(is_short, room) else { return Ok(None) };
    prepare(number);
    compact::compact(core, log, number).map(Some)
}

/// Empties the trash, the oldest first, until `needed` bytes can be stored or nothing is left in it. Blocks its thread.
fn make_room(core: &Core, log: &Log, one: &Mutex<()>, needed: u64) -> Result<(), VolumeError> {
    let _making = core.making_room();
    let _one = one.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        // Those who came first may have made enough room for all.
        let missing = needed.saturating_sub(core.available_now()?);
        if missing == 0 {
            return Ok(());
        }
        let emptied = trash::empty(core, missing);
        if emptied.blocks > 0 {
            tracing::debug!(volume = %core.id, ?emptied, "emptied the trash to make room");
            // With a quota, only the next write shows whether there is room now.
            core.below_quota();
        }
        if emptied.own_bytes > 0 {
            continue;
        }
        // To carry along what is emptied next would leave new blocks among the dead.
        match compact_next(core, log, true, |number| trash::forget_segment(core, number))? {
            Some(compacted) => {
                core.found_damaged().extend(compacted.damaged);
                core.below_quota();
            }
            None if emptied.blocks == 0 => return Ok(()),
            None => {}
        }
    }
}

fn make_directories(core: &Core) -> io::Result<()> {
    let made =
        [core.shared_directory(), core.own_directory(), core.trash_directory(), core.quarantine_directory()];
    for directory in made {
        core.disk.create_dir(&directory)?;
    }
    core.disk.sync_dir(&core.directory)
}
