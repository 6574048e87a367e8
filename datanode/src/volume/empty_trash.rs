//! Emptying the trash: of what has been there for its time, of the oldest when free space is needed, and of what is
//! stored again. Who writes to the disk and finds no space left empties it too.

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

/// What was taken out of the trash for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptied {
    /// Blocks.
    pub(crate) blocks: u64,
    /// Bytes that there are at once.
    pub(crate) dedicated_bytes: u64,
    /// Bytes that compaction gives back.
    pub(crate) shared_bytes: u64,
}

/// Takes out what has lain in the trash for its time. Blocks its thread.
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

/// Empties the trash, the oldest first, until `bytes` were taken out. Blocks its thread.
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

/// Takes out what is in a shared segment.
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

/// Keeps the trash within what memory may be spent on it. Blocks its thread.
pub(crate) fn limit(state: &VolumeState) {
    while state.index().trash_len() > BLOCKS_MAX {
        if empty(state, 1).blocks == 0 {
            return;
        }
    }
}

/// Removes the file of a block that is not in the trash any more. Blocks its thread.
pub(crate) fn discard(state: &VolumeState, id: &BlockId, trashed: &Trashed) {
    if !trashed.entry.place.is_dedicated() {
        // Its record is dead, and goes with its segment.
        return;
    }
    let path = state.trash_path(id, trashed);
    match state.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // It is in the trash again after the next start. A disk that is broken shows when it is probed.
            tracing::info!(path = %path.display(), %error, "cannot remove a block from the trash");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Directories that have become empty go, too.
fn remove_empty(state: &VolumeState, places: BTreeSet<Place>) {
    let dedicated = places.into_iter().filter(|place| place.is_dedicated());
    let directories: BTreeSet<PathBuf> = dedicated.map(|place| state.trash_directory_of(place)).collect();
    let _nobody_needs_one = state.lock_trash_directories();
    for directory in directories {
        // Most are not empty, and whoever needs one makes it.
        let _ = state.disk.remove_dir(&directory);
    }
}

impl VolumeState {
    /// Writes; when there is no space, empties the trash of blocks with files of their own until there is.
    pub(crate) fn write_with_space(
        &self,
        path: &Path,
        needed: u64,
        write: impl Fn() -> io::Result<()>,
    ) -> Result<(), VolumeError> {
        self.try_write_with_space(needed, write).map_err(|error| self.write_error("write", path, error))
    }

    /// [`write_with_space`](Self::write_with_space), for those who have more to do when it fails.
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
