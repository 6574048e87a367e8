//! The trash: what is deleted can be brought back for a while.
//!
//! | a block | lies in the trash as | comes back by |
//! |---|---|---|
//! | with a segment of its own | a file in `trash/`, whose name tells when it was deleted | a rename |
//! | in a shared segment | the record that it was, and a tombstone that tells when it was deleted | being stored again |
//!
//! Compaction carries the trash's records along until their time is over. The trash is counted as free: whoever finds no
//! space empties it, the oldest first. A block that is stored again is not in the trash any more.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cairn_protocol::id::BlockId;

use super::ReplicaInfo;
use super::dedicated::DedicatedSegments;
use super::error::{VolumeError, is_out_of_space};
use super::index::{Entry, Trashed, UNDER_ONE_LOCK};
use super::log::{Change, Log, SmallBlock};
use super::read::BlockReader;
use super::record::Place;
use super::state::VolumeState;

/// Blocks in the trash of one volume, at the most: it bounds the memory that the trash takes, to some 80 MiB. Beyond, the
/// oldest go.
const BLOCKS_MAX: usize = 1 << 19;

/// What is read at once of a block that is verified, in bytes.
const PIECE: u64 = 1 << 20;

/// Puts a block with a segment of its own, which the index does not know any more, into the trash. Durable when it
/// returns. Blocks its thread.
pub(crate) fn put(
    state: &VolumeState,
    dedicated: &DedicatedSegments,
    id: BlockId,
    trashed: Trashed,
) -> Result<(), VolumeError> {
    let is_kept = dedicated.throw_away(&id, &trashed).inspect_err(|error| {
        if matches!(error, VolumeError::Io { .. }) {
            state.index_mut().insert(id, trashed.entry);
        }
    })?;
    if !is_kept {
        return Ok(());
    }
    let older = state.index_mut().add_trash(id, trashed);
    if let Some(older) = older {
        discard(state, &id, &older);
    }
    limit(state);
    dedicated.sync_thrown_away(trashed.entry.place)
}

/// Brings a block back, if it is in the trash and what its checksum says. Durable when it returns. Blocks its thread.
pub(crate) fn restore(
    state: &VolumeState,
    dedicated: &DedicatedSegments,
    log: &Log,
    id: BlockId,
) -> Result<Option<ReplicaInfo>, VolumeError> {
    let Some(trashed) = state.index().trashed(&id) else { return Ok(None) };
    if !trashed.entry.place.is_dedicated() {
        let block = match read_shared(state, id, &trashed) {
            Ok(block) => block,
            Err(error) => return damaged(id, error),
        };
        log.submit(Change::Put { block, moved_from: None })?.wait()?;
        return Ok(Some(trashed.entry.into()));
    }
    // Out of the trash first, so that it is not emptied meanwhile.
    if state.index_mut().take_trash(&id).is_none() {
        return Ok(None);
    }
    let back = verify(state, id, &trashed).and_then(|()| dedicated.bring_back(&id, &trashed));
    match back {
        Ok(true) => {
            let mut index = state.index_mut();
            index.since_checkpoint += trashed.entry.size();
            index.insert(id, trashed.entry);
            Ok(Some(trashed.entry.into()))
        }
        Ok(false) => Ok(None),
        Err(error) => {
            state.index_mut().add_trash(id, trashed);
            damaged(id, error)
        }
    }
}

/// A damaged block stays in the trash until its time is over; it cannot be brought back.
fn damaged(id: BlockId, error: VolumeError) -> Result<Option<ReplicaInfo>, VolumeError> {
    match error {
        VolumeError::Damaged { reason, .. } => {
            tracing::warn!(fault = "peer", block = %id, %reason, "a block in the trash is damaged and stays there");
            Ok(None)
        }
        error => Err(error),
    }
}

fn verify(state: &VolumeState, id: BlockId, trashed: &Trashed) -> Result<(), VolumeError> {
    let reader = BlockReader::open_at(state, id, trashed.entry, &state.trash_path(&id, trashed))?;
    let mut start = 0;
    while start < reader.length() {
        let end = (start + PIECE).min(reader.length());
        reader.read(start, end)?;
        start = end;
    }
    Ok(())
}

/// The block in a shared segment of the trash, verified.
pub(crate) fn read_shared(
    state: &VolumeState,
    id: BlockId,
    trashed: &Trashed,
) -> Result<SmallBlock, VolumeError> {
    let Entry { length, crc, place: _ } = trashed.entry;
    let reader = BlockReader::open_at(state, id, trashed.entry, &state.trash_path(&id, trashed))?;
    let data = reader.read(0, reader.length())?;
    Ok(SmallBlock { id, length, crc, table: reader.table().encode(), data })
}

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
    let _nobody_needs_one = state.trash_names();
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

/// What the name of a file in directory `directory` of the trash says.
pub(crate) fn parse_name(directory: u32, name: &str) -> Option<(BlockId, Trashed)> {
    let mut parts = name.splitn(5, '-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        u64::from_str_radix(part, 16).ok()
    };
    let (file, deleted_at, length, crc) = (number(4)?, number(16)?, number(8)?, number(8)?);
    let id = parts.next()?.parse().ok()?;
    let place = Place::dedicated(directory, u32::try_from(file).ok()?);
    let entry = Entry { length: u32::try_from(length).ok()?, crc: u32::try_from(crc).ok()?, place };
    Some((id, Trashed { entry, deleted_at }))
}
