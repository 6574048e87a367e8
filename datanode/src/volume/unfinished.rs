//! Segments whose compaction has begun and not ended, kept in `compacting.json`.
//!
//! A compaction that broke off (the disk was full, the power failed) leaves records behind whose blocks were moved. The
//! tombstone of such a block names its newest record; when that record's segment goes, and then the tombstone's, a start
//! that reads all segments would find the block in the segment that was left behind. So before the first block is moved it is
//! written down, durably, which segment is being emptied; and for as long as that segment is there, tombstones are
//! kept for all that is newer than it. It is the first to be compacted again.
//!
//! The file is not written when a compaction ends: numbers are not used twice, and a segment that is gone does not matter.

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

/// Writes down that blocks are about to be moved out of segment `number`. Durable when it returns. Blocks its thread.
///
/// # Errors
/// When the volume cannot write; nothing may be moved then.
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

/// Reads at the start what was written down. Returns whether there was anything that could be read. Blocks its thread.
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

/// Takes each segment for one that may have been left behind which earlier versions would have compacted: they wrote nothing down,
/// and began with no other one before such a segment was gone.
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
