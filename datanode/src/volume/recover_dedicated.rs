//! Recovery of dedicated segments, and of those in the trash.
//!
//! Files that the checkpoint knows are trusted: they were durable, and each read is checked. What happens to another file depends
//! on what it holds:
//!
//! | a file holds | so it is |
//! |---|---|
//! | a whole block | indexed |
//! | a mark in place of the header, or only zeros | removed: without a header it was not acknowledged |
//! | anything else | moved into quarantine and reported: it may be torn, or acknowledged and damaged later |

use std::collections::HashSet;
use std::io;
use std::path::Path;

use cairn_protocol::id::BlockId;
use cairn_protocol::warn_peer;

use super::disk::DiskFile;
use super::empty_trash;
use super::entry::{Entry, Trashed};
use super::error::{VolumeError, is_shortage};
use super::paths;
use super::paths::quarantine_name;
use super::read::BlockReader;
use super::record::{Body, HEADER_SIZE, Header, Place};
use super::recovery::Recovered;
use super::state::VolumeState;

/// How much of a block is read at once to verify it, in bytes; a multiple of the chunk size.
const PIECE: u64 = 1 << 20;

/// The number of files that is assumed for a directory that cannot be listed. It is so large that the directory never counts as
/// empty.
const FILES_UNKNOWN: u64 = u64::MAX / 2;

pub(super) fn recover_dedicated(state: &VolumeState, recovered: &mut Recovered) -> Result<(), VolumeError> {
    let parent = state.dedicated_directory();
    let names = state.disk.list(&parent).map_err(|error| VolumeError::io("list", &parent, error))?;
    let (mut seen, mut unlisted) = (HashSet::new(), HashSet::new());
    for name in names {
        let Ok(directory) = u32::from_str_radix(&name, 16) else { continue };
        recovered.directory_max = recovered.directory_max.max(directory);
        let path = parent.join(&name);
        let Some(names) = list(state, &path, recovered)? else {
            // The files that the checkpoint knows may still be readable, so their entries stay.
            unlisted.insert(directory);
            recovered.directories.insert(directory, FILES_UNKNOWN);
            continue;
        };
        let (mut files, mut changed) = (0, false);
        for name in names {
            let Some((id, number)) = parse_dedicated_name(&name) else { continue };
            let place = Place::dedicated(directory, number);
            let known = state.index().get(&id).is_some_and(|entry| entry.place == place);
            if !known {
                changed = true;
                recovered.report.replayed += 1;
                if !adopt(state, id, place, recovered)? {
                    continue;
                }
            }
            files += 1;
            seen.insert(place);
        }
        if changed {
            state.sync_dir(&path)?;
        }
        recovered.directories.insert(directory, files);
    }
    state.index_mut().retain(|Entry { place, .. }| {
        !place.is_dedicated() || seen.contains(place) || unlisted.contains(&place.segment())
    });
    Ok(())
}

/// The names in a directory; `None` when it cannot be read.
fn list(
    state: &VolumeState,
    path: &Path,
    recovered: &mut Recovered,
) -> Result<Option<Vec<String>>, VolumeError> {
    match state.disk.list(path) {
        Ok(names) => Ok(Some(names)),
        Err(error) if is_shortage(&error) => Err(VolumeError::io("list", path, error)),
        Err(error) => {
            recovered.report.unreadable += 1;
            warn_peer!(path = %path.display(), %error, "a directory of blocks cannot be read");
            Ok(None)
        }
    }
}

fn parse_dedicated_name(name: &str) -> Option<(BlockId, u32)> {
    let (number, id) = name.split_once('-')?;
    Some((id.parse().ok()?, u32::from_str_radix(number, 16).ok()?))
}

/// Recovers the trash from the names of its files. A file is removed if its block is held, or if the trash has a newer file of the
/// same block.
pub(super) fn recover_trash(state: &VolumeState, recovered: &mut Recovered) -> Result<(), VolumeError> {
    let parent = state.trash_directory();
    for name in list(state, &parent, recovered)?.unwrap_or_default() {
        let Ok(directory) = u32::from_str_radix(&name, 16) else { continue };
        recovered.directory_max = recovered.directory_max.max(directory);
        let path = parent.join(&name);
        for name in list(state, &path, recovered)?.unwrap_or_default() {
            let Some((id, found)) = paths::parse_trash_name(directory, &name) else { continue };
            let mut index = state.index_mut();
            let age = |trashed: &Trashed| (trashed.deleted_at, trashed.entry.place);
            let newer = index.trashed(&id).filter(|other| age(other) > age(&found));
            let unneeded = if index.get(&id).is_some() || newer.is_some() {
                Some(found)
            } else {
                index.add_trash(id, found)
            };
            drop(index);
            if let Some(unneeded) = unneeded {
                empty_trash::discard(state, &id, &unneeded);
            }
        }
        state.sync_dir(&path)?;
    }
    Ok(())
}

/// What a file holds that the checkpoint does not know.
#[derive(Debug)]
enum File {
    Block(Entry),
    HalfWritten,
    Damaged(String),
}

/// Verifies a file that the checkpoint does not know, and indexes it. Returns whether it is still there.
fn adopt(
    state: &VolumeState,
    id: BlockId,
    place: Place,
    recovered: &mut Recovered,
) -> Result<bool, VolumeError> {
    let path = state.record_path(&id, place);
    let looked_at = state.disk.open(&path).and_then(|file| look_at(state, &*file, id, place));
    let entry = match looked_at {
        Ok(File::Block(entry)) => entry,
        Ok(File::HalfWritten) => {
            recovered.report.dropped += 1;
            return remove(state, id, place).map(|()| false);
        }
        Ok(File::Damaged(reason)) => return set_aside(state, id, place, &reason, recovered),
        Err(error) if is_shortage(&error) => return Err(VolumeError::io("read", &path, error)),
        Err(error) => return set_aside(state, id, place, &error.to_string(), recovered),
    };
    let replaced = state.index_mut().insert(id, entry);
    match verify(state, id).and_then(|()| sync(state, id, place)) {
        Ok(()) => {
            state.index_mut().take_trash(&id);
            if let Some(old) = replaced.filter(|old| old.place.is_dedicated()) {
                // The block was written again, and the older file outlived the crash.
                remove(state, id, old.place)?;
            }
            Ok(true)
        }
        Err(VolumeError::Damaged { reason, .. }) => {
            let mut index = state.index_mut();
            index.remove_at(&id, place);
            if let Some(replaced) = replaced {
                index.insert(id, replaced);
            }
            drop(index);
            set_aside(state, id, place, &reason, recovered)
        }
        Err(error) => Err(error),
    }
}

fn look_at(state: &VolumeState, file: &dyn DiskFile, id: BlockId, place: Place) -> io::Result<File> {
    let length = file.length()?;
    if length < HEADER_SIZE as u64 {
        // Every block is longer than this.
        return Ok(File::HalfWritten);
    }
    let mut head = [0; HEADER_SIZE];
    file.read_exact_at(&mut head, 0)?;
    let header = Header::decode(&head, state.id, place).filter(|header| header.id == id);
    Ok(match header.map(|header| header.body) {
        Some(Body::Block(body)) => File::Block(Entry { length: body.length, crc: body.crc, place }),
        Some(Body::Mark) => File::HalfWritten,
        None if is_empty(file, length)? => File::HalfWritten,
        Some(Body::Tombstone { .. }) | None => File::Damaged("its header is damaged".to_owned()),
    })
}

/// Whether the file has only zeros.
fn is_empty(file: &dyn DiskFile, length: u64) -> io::Result<bool> {
    let mut piece = Vec::new();
    let mut offset = 0;
    while offset < length {
        piece.resize((length - offset).min(PIECE) as usize, 0);
        file.read_exact_at(&mut piece, offset)?;
        if piece.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += piece.len() as u64;
    }
    Ok(true)
}

/// Moves a file into quarantine, by a rename. Recovery adds quarantined blocks to the index at its end. Returns false, as the file
/// is not where it was.
fn set_aside(
    state: &VolumeState,
    id: BlockId,
    place: Place,
    reason: &str,
    recovered: &mut Recovered,
) -> Result<bool, VolumeError> {
    warn_peer!(block = %id, reason, "a block is torn or damaged; it is set aside");
    let path = state.record_path(&id, place);
    let directory = state.quarantine_directory();
    let to = directory.join(quarantine_name(&id, place));
    state.disk.rename(&path, &to).map_err(|error| state.write_error("rename", &path, error))?;
    recovered.report.set_aside += 1;
    state.sync_dir(&directory).map(|()| false)
}

fn remove(state: &VolumeState, id: BlockId, place: Place) -> Result<(), VolumeError> {
    let path = state.record_path(&id, place);
    match state.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(state.write_error("remove", &path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a block from front to back.
fn verify(state: &VolumeState, id: BlockId) -> Result<(), VolumeError> {
    BlockReader::open(state, id)?.verify()
}

fn sync(state: &VolumeState, id: BlockId, place: Place) -> Result<(), VolumeError> {
    let path = state.record_path(&id, place);
    let synced = state.disk.open(&path).and_then(|file| file.sync());
    synced.map_err(|error| state.fail("fdatasync", &path, &error))
}
