//! What keeps a volume in order, called by the datanode's maintenance: probes, compaction, checkpoints, emptying the trash,
//! and noticing files that are gone.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use cairn_protocol::count::take_off;
use cairn_protocol::id::BlockId;

use super::compact::{self, Compaction};
use super::error::{self, VolumeError};
use super::index;
use super::log::{Change, Log};
use super::state::VolumeState;
use super::{Volume, checkpoint, empty_trash, probe};

impl Volume {
    /// Checks that the disk still works. Blocks its thread.
    ///
    /// # Errors
    /// The volume has failed.
    pub fn probe(&self) -> Result<(), VolumeError> {
        probe::probe(&self.state)
    }

    /// Checks that the files of some shared segments exist, the next ones with each call. Removes segments whose file is gone
    /// from the index, and returns the blocks that were lost with them. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn lose_missing_segments(&self) -> Result<Vec<BlockId>, VolumeError> {
        self.state.check()?;
        // Not under the maintenance lock: writers to a full disk wait for it, and a slow disk would hold them up.
        let (missing, next) =
            probe::missing_from(&self.state, self.next_segment_to_check.load(Ordering::Relaxed))?;
        self.next_segment_to_check.store(next, Ordering::Relaxed);
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let _maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        // Compaction may have removed some of them in between, from the index too.
        let still_known = missing.into_iter().filter(|number| self.state.index().segment(*number).is_some());
        let mut lost = Vec::new();
        for segment in probe::missing(&self.state, still_known.collect())? {
            let is_active = self.state.index().position.segment == segment;
            if is_active {
                // After this no record is added to it.
                self.log()?.submit(Change::Seal)?.wait()?;
            }
            let blocks = index::in_segment(self.state.index_lock(), segment);
            empty_trash::forget_segment(&self.state, segment);
            lost.extend(blocks.iter().map(|(id, _)| *id));
            self.log()?.submit(Change::Lose { segment, blocks })?.wait()?;
        }
        Ok(lost)
    }

    /// Removes from the trash what has been there for longer than [`VolumeOptions::trash_age`](super::VolumeOptions::trash_age),
    /// and more when the disk is full. Blocks its thread.
    ///
    /// # Errors
    /// When the volume has failed.
    pub fn tidy_trash(&self) -> Result<(), VolumeError> {
        self.state.check()?;
        let expired = empty_trash::expire(&self.state);
        if expired.blocks > 0 {
            tracing::debug!(volume = %self.id(), ?expired, "removed blocks from the trash whose time is over");
        }
        // Other users of the disk may have filled it. Tombstones and checkpoints need space too, so it is freed although no
        // block is waiting.
        if self.state.index().trash_len() > 0 && self.state.available_now()? == 0 {
            reclaim_space(&self.state, &self.log()?, &self.maintenance, 1)?;
        }
        Ok(())
    }

    /// Compacts one shared segment that is less than half alive, if there is one. When the disk has no space for another
    /// segment, one that is at least an eighth dead is compacted too. Blocks its thread.
    ///
    /// # Errors
    /// The segment stays, and nothing is lost.
    pub fn compact(&self) -> Result<Option<Compaction>, VolumeError> {
        let _maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let is_short = self.state.available_now()? < u64::from(self.state.options.segment_bytes_max);
        let compacted = compact_next(&self.state, &self.log()?, is_short, |_| {})?;
        if compacted.is_some() {
            // With a quota, only the next write shows whether there is space.
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
        // On a large volume a checkpoint is large. It may cost one byte for each 64 bytes that are stored.
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
        let _maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
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
}

/// Calls `prepare` with the segment to compact next, if there is one, and compacts it. The caller holds the maintenance lock.
/// Blocks its thread.
fn compact_next(
    state: &VolumeState,
    log: &Log,
    is_short: bool,
    prepare: impl FnOnce(u32),
) -> Result<Option<Compaction>, VolumeError> {
    // A volume that never holds much has only the active segment, and would never get the space of deleted blocks back.
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

/// Empties the trash, the oldest blocks first, and compacts what that leaves dead, until `needed` bytes can be stored or
/// nothing is left to do. Blocks its thread.
pub(super) fn reclaim_space(
    state: &VolumeState,
    log: &Log,
    maintenance: &Mutex<()>,
    needed: u64,
) -> Result<(), VolumeError> {
    let _reclaiming = state.begin_reclaim();
    let _maintenance = maintenance.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        // While this thread waited for the lock, another one may have freed enough.
        let missing = needed.saturating_sub(state.available_now()?);
        if missing == 0 {
            return Ok(());
        }
        let emptied = empty_trash::empty(state, missing);
        if emptied.blocks > 0 {
            tracing::debug!(volume = %state.id, ?emptied, "emptied the trash to free space");
            // With a quota, only the next write shows whether there is space.
            state.below_quota();
        }
        if emptied.dedicated_bytes > 0 {
            continue;
        }
        // The trash in the segment goes with it. To move it would cost writes, and it would be emptied next.
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
