//! Emptying the trash: blocks are removed when their time is over, when free space is needed (the oldest first), and when they are
//! stored again. Writes that fail on a full disk empty the trash and are repeated.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cairn_protocol::id::BlockId;

use super::entry::Trashed;
use super::error::{VolumeError, is_out_of_space};
use super::index::UNDER_ONE_LOCK;
use super::record::Place;
use super::state::VolumeState;

/// Blocks in the trash of one volume at the most. It bounds the memory that the trash takes, to some 80 MiB; beyond it
/// the oldest blocks are removed.
const BLOCKS_MAX: usize = 1 << 19;

/// What was removed from the trash for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptied {
    /// Blocks.
    pub(crate) blocks: u64,
    /// Bytes of dedicated segments. They are free at once.
    pub(crate) dedicated_bytes: u64,
    /// Bytes in shared segments. They are free after compaction.
    pub(crate) shared_bytes: u64,
}

/// Removes the blocks that have been in the trash for longer than its age. Blocks its thread.
pub(crate) fn expire(state: &VolumeState) -> Emptied {
    let over = state.trash_time().before(state.options.trash_age);
    let mut emptied = Emptied::default();
    let mut directories = BTreeSet::new();
    loop {
        let due = {
            let mut index = state.index_mut();
            let oldest = index.oldest_trash().filter(|(_, trashed)| trashed.deleted_at <= over.0);
            oldest.and_then(|(id, _)| Some((id, index.take_trash(&id)?)))
        };
        let Some((id, trashed)) = due else { break };
        emptied.count(&trashed);
        directories.insert(trashed.entry.place);
        discard(state, &id, &trashed);
    }
    remove_empty(state, directories);
    emptied
}

/// Removes the oldest blocks from the trash until they make up `bytes`. Blocks its thread.
pub(crate) fn empty(state: &VolumeState, bytes: u64) -> Emptied {
    let mut emptied = Emptied::default();
    let mut directories = BTreeSet::new();
    while emptied.dedicated_bytes + emptied.shared_bytes < bytes {
        let oldest = {
            let mut index = state.index_mut();
            index.oldest_trash().and_then(|(id, _)| Some((id, index.take_trash(&id)?)))
        };
        let Some((id, trashed)) = oldest else { break };
        emptied.count(&trashed);
        directories.insert(trashed.entry.place);
        discard(state, &id, &trashed);
    }
    remove_empty(state, directories);
    emptied
}

/// Removes the blocks of the trash that are in a shared segment.
pub(crate) fn forget_segment(state: &VolumeState, number: u32) {
    loop {
        let mut index = state.index_mut();
        let some = index.trash_in_segment(number, UNDER_ONE_LOCK);
        if some.is_empty() {
            return;
        }
        for (id, _) in some {
            index.take_trash(&id);
        }
    }
}

impl Emptied {
    fn count(&mut self, trashed: &Trashed) {
        self.blocks += 1;
        let size = trashed.entry.size();
        if trashed.entry.place.is_dedicated() {
            self.dedicated_bytes += size;
        } else {
            self.shared_bytes += size;
        }
    }
}

/// Removes the oldest blocks while the trash has more than [`BLOCKS_MAX`]. Blocks its thread.
pub(crate) fn limit(state: &VolumeState) {
    while state.index().trash_len() > BLOCKS_MAX {
        if empty(state, 1).blocks == 0 {
            return;
        }
    }
}

/// Removes the file of a block that was removed from the trash. Blocks its thread.
pub(crate) fn discard(state: &VolumeState, id: &BlockId, trashed: &Trashed) {
    if !trashed.entry.place.is_dedicated() {
        // Its record is dead, and is removed with its segment.
        return;
    }
    let path = state.trash_path(id, trashed);
    match state.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // The next start finds the file and has it in the trash again. If the disk is broken, the probe notices it.
            tracing::info!(path = %path.display(), %error, "cannot remove a block from the trash");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Removes directories of the trash that have become empty.
fn remove_empty(state: &VolumeState, places: BTreeSet<Place>) {
    let dedicated = places.into_iter().filter(|place| place.is_dedicated());
    let directories: BTreeSet<PathBuf> = dedicated.map(|place| state.trash_directory_of(place)).collect();
    let _nobody_needs_one = state.lock_trash_directories();
    for directory in directories {
        // Most are not empty, and then this fails. A directory that is needed again is made again.
        let _ = state.disk.remove_dir(&directory);
    }
}

impl VolumeState {
    /// Runs `write`. While it fails on a full disk, removes dedicated segments from the trash and runs it again.
    pub(crate) fn write_with_space(
        &self,
        path: &Path,
        needed: u64,
        write: impl Fn() -> io::Result<()>,
    ) -> Result<(), VolumeError> {
        self.try_write_with_space(needed, write).map_err(|error| self.write_error("write", path, error))
    }

    /// Like [`write_with_space`](Self::write_with_space), for callers that handle the error themselves.
    pub(crate) fn try_write_with_space(
        &self,
        needed: u64,
        write: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            match write() {
                Err(error) if is_out_of_space(&error) && self.empty_files(needed) => {}
                result => return result,
            }
        }
    }

    /// Removes files from the trash, the oldest first, until `bytes` are free. Returns whether there were any.
    fn empty_files(&self, bytes: u64) -> bool {
        let mut freed = 0;
        while freed < bytes.max(1) {
            let oldest = {
                let mut index = self.index_mut();
                index.oldest_dedicated_trash().and_then(|(id, _)| Some((id, index.take_trash(&id)?)))
            };
            let Some((id, trashed)) = oldest else { break };
            discard(self, &id, &trashed);
            freed += trashed.entry.size();
        }
        freed > 0
    }
}
