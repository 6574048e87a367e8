//! Unfinished compactions: segments whose compaction has begun and not ended, kept in `compacting.json`.
//!
//! An interrupted compaction (the disk is full, the power fails) leaves old records of moved blocks behind. When such a
//! block is deleted, its tombstone names only the newest record. Once that record's segment and then the tombstone's segment are
//! compacted, a start that reads all segments would find the old record, and the deleted block would be back. So before the first
//! block is moved, the number of the segment is written to the file, durably. As long as that segment exists, tombstones for all
//! newer segments are kept, and it is compacted before all others.
//!
//! The file is not written when a compaction ends: numbers of segments are never used again, so a segment that is gone does no
//! harm in the list.

use std::io;

use serde::{Deserialize, Serialize};

use super::disk::{read_file, replace_file};
use super::error::{VolumeError, is_shortage};
use super::state::VolumeState;

const NAME: &str = "compacting.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Compacting {
    segments: Vec<u32>,
}

/// Records that the compaction of segment `number` begins. Durable when it returns. Blocks its thread.
///
/// # Errors
/// When the volume cannot write. Nothing may be moved then.
pub(crate) fn begin(state: &VolumeState, number: u32) -> Result<(), VolumeError> {
    let mut segments = state.index().unfinished();
    if segments.contains(&number) {
        return Ok(());
    }
    segments.push(number);
    let path = state.directory.join(NAME);
    write(state, segments).map_err(|error| state.write_error("write", &path, error))?;
    state.index_mut().set_unfinished(number);
    Ok(())
}

fn write(state: &VolumeState, segments: Vec<u32>) -> io::Result<()> {
    let bytes = serde_json::to_vec(&Compacting { segments }).map_err(io::Error::other)?;
    replace_file(&*state.disk, &state.directory, NAME, &bytes)
}

/// Reads the list at the start. Returns whether there was one that could be read. Blocks its thread.
///
/// # Errors
/// A lack of file descriptors or memory.
pub(crate) fn load(state: &VolumeState) -> Result<bool, VolumeError> {
    let path = state.directory.join(NAME);
    let found = match read_file(&*state.disk, &path) {
        Err(error) if is_shortage(&error) => return Err(VolumeError::io("read", &path, error)),
        Err(error) => {
            tracing::info!(path = %path.display(), %error, "which segments were being compacted cannot be read");
            None
        }
        Ok(bytes) => bytes.and_then(|bytes| serde_json::from_slice::<Compacting>(&bytes).ok()),
    };
    let Some(Compacting { segments }) = found else { return Ok(false) };
    let mut index = state.index_mut();
    for number in segments {
        index.set_unfinished(number);
    }
    Ok(true)
}

/// Assumes that the compaction of each segment that is less than half alive may have begun. Earlier versions of the software kept
/// no list; they compacted only such segments, and finished each one before they began the next.
pub(crate) fn assume(state: &VolumeState) {
    let mut index = state.index_mut();
    for number in index.mostly_dead() {
        index.set_unfinished(number);
    }
    let segments = index.unfinished();
    drop(index);
    if let Err(error) = write(state, segments) {
        // The next start assumes the same.
        tracing::info!(volume = %state.id, %error, "which segments may be half compacted was not written down");
    }
}
