//! The quarantine: damaged replicas are set aside and never destroyed. One may be the last replica of its block, and a person or a
//! later version may still recover something from it. Only a delete of the block removes it.
//!
//! `quarantine/<block id>-own-<directory>-<file>` and `…-shared-<segment>-<offset>` hold the record as it was found on the disk.
//! `quarantine/stretch-<segment>-<offset>` holds bytes of a shared segment in which a start found no record. To which block they
//! belong is not known. Only the newest stretches are kept.

use std::io;
use std::ops::Range;

use cairn_protocol::id::BlockId;

use super::disk::DiskFile;
use super::entry::Entry;
use super::error::VolumeError;
use super::paths::quarantine_name;
use super::state::VolumeState;

/// How much of a damaged record is read at once: one sector, so that a bad sector costs no more than itself.
const PIECE: usize = 512;

/// Copies the record of a shared segment into quarantine, durably, with zeros in place of bytes that cannot be read. Returns whether
/// the segment was there. Blocks its thread.
pub(crate) fn copy_record(state: &VolumeState, id: BlockId, entry: Entry) -> Result<bool, VolumeError> {
    let from = state.record_path(&id, entry.place);
    let directory = state.quarantine_directory();
    let to = directory.join(quarantine_name(&id, entry.place));
    let mut bytes = vec![0; entry.size() as usize];
    match state.disk.open(&from) {
        Ok(file) => {
            for (at, piece) in bytes.chunks_mut(PIECE).enumerate() {
                let offset = u64::from(entry.place.offset()) + (at * PIECE) as u64;
                if file.read_exact_at(piece, offset).is_err() {
                    piece.fill(0);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(state.write_error("open", &from, error)),
    }
    let made = match state.disk.create_new(&to) {
        // A file from before a crash may not be whole. It is overwritten.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => state.disk.open(&to),
        made => made,
    };
    let file = made.map_err(|error| state.write_error("create", &to, error))?;
    if let Err(error) = file.write_all_at(&bytes, 0) {
        // Half a record is of no use, and takes up space.
        let _ = state.disk.remove_file(&to);
        return Err(state.write_error("write", &to, error));
    }
    file.sync().map_err(|error| state.fail("fdatasync", &to, &error))?;
    state.sync_dir(&directory)?;
    Ok(true)
}

/// How many stretches are kept: enough for a person to look at, few enough not to fill a disk.
const STRETCHES_MAX: usize = 16;
/// How much of a stretch is kept at most, in bytes.
const STRETCH_MAX: u64 = 16 << 20;

/// Copies a stretch of a shared segment in which no record was found, unless it has only zeros. Returns whether it was kept. Blocks
/// its thread.
pub(crate) fn copy_stretch(
    state: &VolumeState,
    file: &dyn DiskFile,
    segment: u32,
    range: Range<u64>,
) -> Result<bool, VolumeError> {
    let mut bytes = vec![0; (range.end - range.start).min(STRETCH_MAX) as usize];
    let mut is_nothing = true;
    for (at, piece) in bytes.chunks_mut(PIECE).enumerate() {
        let offset = range.start + (at * PIECE) as u64;
        if file.read_exact_at(piece, offset).is_err() {
            piece.fill(0);
            is_nothing = false;
        }
        is_nothing &= piece.iter().all(|byte| *byte == 0);
    }
    if is_nothing {
        return Ok(false);
    }
    let directory = state.quarantine_directory();
    let names = state.disk.list(&directory).map_err(|error| state.write_error("list", &directory, error))?;
    let name = format!("stretch-{segment:08x}-{:08x}", range.start);
    if names.contains(&name) {
        return Ok(true);
    }
    let mut stretches: Vec<String> = names.into_iter().filter(|name| name.starts_with("stretch-")).collect();
    stretches.sort_unstable();
    let too_many = (stretches.len() + 1).saturating_sub(STRETCHES_MAX);
    for old in stretches.into_iter().take(too_many) {
        let path = directory.join(old);
        state.disk.remove_file(&path).map_err(|error| state.write_error("remove", &path, error))?;
    }
    let path = directory.join(name);
    let kept = state.disk.create_new(&path).and_then(|file| {
        file.write_all_at(&bytes, 0)?;
        file.sync()
    });
    if let Err(error) = kept {
        let _ = state.disk.remove_file(&path);
        return Err(state.write_error("write", &path, error));
    }
    state.sync_dir(&directory).map(|()| true)
}

/// The blocks in quarantine, with their sizes in bytes.
pub(crate) fn list(state: &VolumeState) -> io::Result<Vec<(BlockId, u64)>> {
    let directory = state.quarantine_directory();
    let mut found = Vec::new();
    for name in state.disk.list(&directory)? {
        if let Some(id) = block_of(&name) {
            // The size only counts as used space, so it does not matter for a file that cannot be opened.
            let length = state.disk.open(&directory.join(&name)).and_then(|file| file.length());
            found.push((id, length.unwrap_or(0)));
        }
    }
    Ok(found)
}

/// Removes a block from quarantine. Durable when it returns. Blocks its thread.
pub(crate) fn remove(state: &VolumeState, id: &BlockId) -> Result<(), VolumeError> {
    let directory = state.quarantine_directory();
    let names = state.disk.list(&directory).map_err(|error| state.write_error("list", &directory, error))?;
    for name in names.iter().filter(|name| block_of(name).as_ref() == Some(id)) {
        let path = directory.join(name);
        state.disk.remove_file(&path).map_err(|error| state.write_error("remove", &path, error))?;
    }
    state.sync_dir(&directory)
}

fn block_of(name: &str) -> Option<BlockId> {
    name.get(..36)?.parse().ok()
}
