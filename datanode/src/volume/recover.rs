//! Recovery: a start fills the index with what the volume holds.
//!
//! 1. The checkpoint is loaded, without entries whose segment is gone. A checkpoint that is damaged or unreadable counts as none.
//! 2. The log is replayed from the checkpoint's position, one segment after the other. Only the newest segment can be torn. In it
//!    every record is verified as a whole, and what lies behind the last intact one is cut off. A stretch in the middle that is
//!    damaged or unreadable does not hide what lies behind it.
//! 3. The directories of dedicated segments and of the trash are listed (`recover_dedicated`).
//! 4. Everything that was found is synced before it is relied on. If only the process died, it may still be in the page cache
//!    only.
//!
//! **Nothing that could have been acknowledged is removed.** A record that is not whole may be torn, or acknowledged and damaged
//! later; the two cannot be told apart. It is moved into quarantine and reported. If it was torn, the metanode has it deleted.
//!
//! A lack of file descriptors or memory says nothing about the disk. The start then ends with an error and can be repeated.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use cairn_protocol::id::BlockId;
use cairn_protocol::warn_peer;

use super::checkpoint::{self, Checkpoint};
use super::disk::DiskFile;
use super::empty_trash;
use super::entry::{Entry, LogPosition, Trashed};
use super::error::{VolumeError, is_shortage};
use super::quarantine;
use super::record::{Body, HEADER_SIZE, Header, Place, segment_header};
use super::recover_dedicated::{recover_dedicated, recover_trash};
use super::recovery::Recovered;
use super::scan::Scanner;
use super::state::VolumeState;
use super::unfinished;

/// Fills the index of `core`. Blocks its thread.
pub(crate) fn recover(state: &VolumeState) -> Result<Recovered, VolumeError> {
    let mut recovered = Recovered::default();
    let segments = list_segments(state, &mut recovered)?;
    let from = load_checkpoint(state, &segments, &mut recovered)?;
    let is_noted = unfinished::load(state)?;
    replay(state, &segments, from, &mut recovered)?;
    if !is_noted {
        unfinished::assume(state);
    }
    recover_dedicated(state, &mut recovered)?;
    recover_trash(state, &mut recovered)?;
    empty_trash::expire(state);
    empty_trash::limit(state);
    let set_aside = quarantine::list(state)
        .map_err(|error| VolumeError::io("list", &state.quarantine_directory(), error))?;
    let mut index = state.index_mut();
    for (id, size) in set_aside {
        index.quarantine(id, size);
    }
    recovered.report.blocks = index.len() as u64;
    recovered.report.trashed = index.trash_len() as u64;
    Ok(recovered)
}

/// The shared segments that a start found.
#[derive(Debug, Default)]
struct Segments {
    /// Those that can be opened, with their lengths.
    lengths: BTreeMap<u32, u64>,
    /// The highest number that is in use.
    newest: u32,
}

/// Lists the shared segments and their lengths. One file is open at a time, because there may be more segments than a process may
/// have files open.
fn list_segments(state: &VolumeState, recovered: &mut Recovered) -> Result<Segments, VolumeError> {
    let directory = state.shared_directory();
    let names = state.disk.list(&directory).map_err(|error| VolumeError::io("list", &directory, error))?;
    let mut segments = Segments::default();
    for name in names {
        let Some(number) = name.strip_suffix(".segment").and_then(|hex| u32::from_str_radix(hex, 16).ok())
        else {
            continue;
        };
        segments.newest = segments.newest.max(number);
        let path = state.segment_path(number);
        match state.disk.open(&path).and_then(|file| file.length()) {
            Ok(length) => {
                state.index_mut().set_segment_size(number, length);
                segments.lengths.insert(number, length);
            }
            Err(error) if is_shortage(&error) => return Err(VolumeError::io("open", &path, error)),
            Err(error) => {
                recovered.report.unreadable += 1;
                warn_peer!(path = %path.display(), %error, "a segment cannot be opened; its blocks are lost");
            }
        }
    }
    Ok(segments)
}

/// Loads the checkpoint into the index. Returns the position from which to replay the log.
fn load_checkpoint(
    state: &VolumeState,
    segments: &Segments,
    recovered: &mut Recovered,
) -> Result<LogPosition, VolumeError> {
    let path = state.directory.join(checkpoint::NAME);
    let mut index = state.index_mut();
    let exists = |entry: &Entry| {
        let end = u64::from(entry.place.offset()) + entry.size();
        entry.place.is_dedicated()
            || segments.lengths.get(&entry.place.segment()).is_some_and(|length| end <= *length)
    };
    let read = checkpoint::read(&*state.disk, &state.directory, state.id, |id, entry| {
        if exists(&entry) {
            index.insert(id, entry);
        }
    });
    let found = match read {
        Err(error) if is_shortage(&error) => return Err(VolumeError::io("read", &path, error)),
        Err(error) => {
            recovered.report.lost_checkpoint = true;
            warn_peer!(path = %path.display(), %error, "the checkpoint cannot be read; all segments are read instead");
            None
        }
        Ok(found) => found,
    };
    let Some(Checkpoint { position, trash }) = found else {
        index.retain(|_| false);
        return Ok(LogPosition::default());
    };
    for (id, trashed) in trash {
        // A block that is in both was deleted after its entry was written to the checkpoint. The log has its tombstone.
        if exists(&trashed.entry) && index.get(&id).is_none() {
            index.add_trash(id, trashed);
        }
    }
    Ok(position)
}

fn replay(
    state: &VolumeState,
    segments: &Segments,
    from: LogPosition,
    recovered: &mut Recovered,
) -> Result<(), VolumeError> {
    let newest = segments.newest;
    let mut position = LogPosition { segment: newest.max(from.segment), offset: HEADER_SIZE as u32 };
    for (number, length) in segments.lengths.range(from.segment..) {
        let start = if *number == from.segment { from.offset } else { 0 };
        let path = state.segment_path(*number);
        let replayed = state.disk.open(&path).and_then(|file| {
            let replayed = replay_segment(state, file.clone(), *number, start, *number == newest, recovered)?;
            Ok((file, replayed))
        });
        let (file, replayed) = match replayed {
            Ok(found) => found,
            Err(error) if is_shortage(&error) => return Err(VolumeError::io("read", &path, error)),
            Err(error) => {
                recovered.report.unreadable += 1;
                warn_peer!(path = %path.display(), %error, "a segment cannot be read to its end");
                continue;
            }
        };
        let is_kept = set_aside(state, &*file, *number, &replayed, recovered)?;
        if *number != newest {
            continue;
        }
        let end = replayed.end.unwrap_or(start.max(HEADER_SIZE as u32));
        position.offset = end;
        // Nothing is written to a segment with bad sectors, or with damaged records that could not be copied into quarantine.
        if replayed.has_gaps || !is_kept {
            continue;
        }
        finish_tail(state, *number, &file, *length, u64::from(end), recovered)
            .map_err(|error| state.fail("cut", &path, &error))?;
        state.index_mut().set_segment_size(*number, u64::from(end));
        recovered.active = Some(file);
    }
    state.index_mut().position = position;
    state.sync_dir(&state.shared_directory())
}

/// What the replay of a segment found.
#[derive(Debug, Default)]
struct Replayed {
    /// The end of the last record.
    end: Option<u32>,
    /// Blocks whose records are not whole.
    damaged: BTreeMap<Place, (BlockId, Entry)>,
    /// The ranges of these records, and of those that were deleted later. Stretches inside of them are not unknown.
    known: Vec<std::ops::Range<u64>>,
    /// Stretches in which no record was found.
    skipped: Vec<std::ops::Range<u64>>,
    /// Whether a part of the segment could not be read.
    has_gaps: bool,
}

/// Applies the records of a segment.
fn replay_segment(
    state: &VolumeState,
    file: Arc<dyn DiskFile>,
    number: u32,
    start: u32,
    is_newest: bool,
    recovered: &mut Recovered,
) -> io::Result<Replayed> {
    let mut scanner = Scanner::new(file, state.id, number, start)?;
    let mut replayed = Replayed::default();
    while let Some(record) = scanner.next()? {
        let Header { id, place, body } = record.header;
        if (is_newest || record.has_gaps) && !record.is_intact() {
            recovered.report.dropped += 1;
            let start = u64::from(place.offset());
            replayed.known.push(start..start + record.header.record_size());
            if let Body::Block(body) = body
                && body.deleted_at == 0
            {
                replayed.damaged.insert(place, (id, Entry { length: body.length, crc: body.crc, place }));
            }
            scanner.distrust(place);
            continue;
        }
        replayed.end = Some(record.end());
        recovered.report.replayed += 1;
        apply(state, id, place, body, &mut replayed);
    }
    replayed.skipped = scanner.skipped().to_vec();
    replayed.has_gaps = scanner.has_gaps();
    Ok(replayed)
}

/// Applies a record to the index.
fn apply(state: &VolumeState, id: BlockId, place: Place, body: Body, replayed: &mut Replayed) {
    let mut index = state.index_mut();
    match body {
        Body::Block(body) => {
            let entry = Entry { length: body.length, crc: body.crc, place };
            if body.deleted_at == 0 {
                index.insert(id, entry);
                index.take_trash(&id);
            } else if index.get(&id).is_none() {
                index.add_trash(id, Trashed { entry, deleted_at: body.deleted_at });
            }
        }
        Body::Tombstone { target, deleted_at } => {
            replayed.damaged.remove(&target);
            if let Some(entry) = index.remove_at(&id, target)
                && deleted_at > 0
            {
                index.add_trash(id, Trashed { entry, deleted_at });
            }
            index.add_tombstone(place.segment(), target.segment());
        }
        Body::Mark => {}
    }
}

/// Copies records that could have been acknowledged and are not whole into quarantine. Returns whether there was space for all of
/// them.
fn set_aside(
    state: &VolumeState,
    file: &dyn DiskFile,
    number: u32,
    replayed: &Replayed,
    recovered: &mut Recovered,
) -> Result<bool, VolumeError> {
    let mut is_kept = true;
    let mut note = |kept: Result<bool, VolumeError>| match kept {
        Ok(kept) => {
            recovered.report.set_aside += u64::from(kept);
            Ok(())
        }
        Err(VolumeError::Full { .. }) => {
            is_kept = false;
            Ok(())
        }
        Err(error) => Err(error),
    };
    for (id, entry) in replayed.damaged.values() {
        if state.index().get(id).is_some() {
            continue;
        }
        warn_peer!(block = %id, segment = number, "a block is torn or damaged; it is set aside");
        note(quarantine::copy_record(state, *id, *entry))?;
        state.index_mut().quarantine(*id, entry.size());
    }
    for stretch in &replayed.skipped {
        let is_known =
            |known: &std::ops::Range<u64>| known.start <= stretch.start && stretch.end <= known.end;
        if !replayed.known.iter().any(is_known) {
            note(quarantine::copy_stretch(state, file, number, stretch.clone()))?;
        }
    }
    Ok(is_kept)
}

/// Cuts off what lies behind `end`, and makes the rest durable.
fn finish_tail(
    state: &VolumeState,
    number: u32,
    file: &Arc<dyn DiskFile>,
    length: u64,
    end: u64,
    recovered: &mut Recovered,
) -> io::Result<()> {
    if length > end {
        recovered.report.torn_bytes = length - end;
        file.set_length(end)?;
    }
    if end == HEADER_SIZE as u64 {
        // The segment may have been made right before the crash, without a whole header.
        file.write_all_at(&segment_header(state.id, number), 0)?;
    }
    file.sync()
}
