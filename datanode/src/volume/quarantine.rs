//! Damaged blocks are set aside, never destroyed: one may be the last copy, and a person or a later version may
//! still make something of it. Only a delete of the block itself removes it.
//!
//! `quarantine/<block id>-own-<directory>-<file>` or `…-shared-<segment>-<offset>` holds the record as it was found on the disk.

use std::io;

use cairn_protocol::id::BlockId;

use super::core::{Core, quarantine_name};
use super::error::VolumeError;
use super::index::Entry;

/// What is read at once of a damaged record; a page, so that one bad sector costs no more than that.
const PIECE: usize = 4096;

/// Copies the record of a shared segment into quarantine, durably; what cannot be read becomes zeros. Returns whether
/// there was anything to keep. Blocks its thread.
pub(crate) fn copy_record(core: &Core, id: BlockId, entry: Entry) -> Result<bool, VolumeError> {
    let from = core.record_path(&id, entry.place);
    let directory = core.quarantine_directory();
    let to = directory.join(quarantine_name(&id, entry.place));
    let mut bytes = vec![0; entry.size() as usize];
    match core.disk.open(&from) {
        Ok(file) => {
            for (at, piece) in bytes.chunks_mut(PIECE).enumerate() {
                let offset = u64::from(entry.place.offset()) + (at * PIECE) as u64;
                if file.read_exact_at(piece, offset).is_err() {
                    piece.fill(0);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(core.write_error("open", &from, error)),
    }
    let made = match core.disk.create_new(&to) {
        // From before a crash, and maybe not whole.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => core.disk.open(&to),
        made => made,
    };
    let file = made.map_err(|error| core.write_error("create", &to, error))?;
    if let Err(error) = file.write_all_at(&bytes, 0) {
        // Half a record would only take up room.
        let _ = core.disk.remove_file(&to);
        return Err(core.write_error("write", &to, error));
    }
    file.sync().map_err(|error| core.fail("fdatasync", &to, &error))?;
    core.disk.sync_dir(&directory).map_err(|error| core.fail("fsync", &directory, &error))?;
    Ok(true)
}

/// What lies in quarantine, with its size in bytes.
pub(crate) fn list(core: &Core) -> io::Result<Vec<(BlockId, u64)>> {
    let directory = core.quarantine_directory();
    let mut found = Vec::new();
    for name in core.disk.list(&directory)? {
        if let Some(id) = block_of(&name) {
            found.push((id, core.disk.open(&directory.join(&name))?.length()?));
        }
    }
    Ok(found)
}

/// Removes what lies in quarantine of a block. Durable when it returns. Blocks its thread.
pub(crate) fn remove(core: &Core, id: &BlockId) -> Result<(), VolumeError> {
    let directory = core.quarantine_directory();
    let names = core.disk.list(&directory).map_err(|error| core.write_error("list", &directory, error))?;
    for name in names.iter().filter(|name| block_of(name).as_ref() == Some(id)) {
        let path = directory.join(name);
        core.disk.remove_file(&path).map_err(|error| core.write_error("remove", &path, error))?;
    }
    core.disk.sync_dir(&directory).map_err(|error| core.fail("fsync", &directory, &error))
}

fn block_of(name: &str) -> Option<BlockId> {
    name.get(..36)?.parse().ok()
}
