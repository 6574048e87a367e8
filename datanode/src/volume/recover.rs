//! What a start does to find out what a volume holds.
//!
//! 1. The checkpoint is loaded; entries whose segment is gone are dropped.
//! 2. The log is replayed from the checkpoint's position. Only the newest segment can be torn: there every record is
//!    verified whole, and what lies behind the last intact one is cut off. A damaged stretch in the middle does not
//!    hide what lies behind it.
//! 3. The directories of own segments are listed. What the checkpoint knows is trusted; what it does not know is read
//!    and verified, and removed if it is not a whole block.
//! 4. All that was found is synced before it is relied on: after the death of the process alone it may still be in the
//!    page cache only.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use cairn_protocol::id::BlockId;

use super::checkpoint;
use super::core::Core;
use super::disk::DiskFile;
use super::error::VolumeError;
use super::index::{Entry, LogPosition};
use super::quarantine;
use super::read::BlockReader;
use super::record::{Body, HEADER_SIZE, Header, Place, segment_header};
use super::scan::Scanner;

/// What is read at once of a block that is verified, in bytes; a multiple of the chunk size.
const PIECE: u64 = 1 << 20;

/// What recovery found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Blocks that the volume holds.
    pub blocks: u64,
    /// Records and files that came after the checkpoint.
    pub replayed: u64,
    /// Half-written blocks that were dropped.
    pub dropped: u64,
    /// Bytes cut off the newest shared segment.
    pub torn_bytes: u64,
}

/// What the volume's writers go on with.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) report: Recovery,
    /// The newest shared segment, to be appended to.
    pub(crate) active: Option<Arc<dyn DiskFile>>,
    /// Directories of own segments with their number of files.
    pub(crate) directories: BTreeMap<u32, u32>,
}

/// Fills the index of `core`. Blocks its thread.
pub(crate) fn recover(core: &Core) -> Result<Recovered, VolumeError> {
    let mut recovered = Recovered::default();
    let segments = open_segments(core)?;
    let from = load_checkpoint(core, &segments)?;
    replay(core, &segments, from, &mut recovered)?;
    recover_own(core, &mut recovered)?;
    let set_aside = quarantine::list(core)
        .map_err(|error| VolumeError::io("list", &core.quarantine_directory(), error))?;
    let mut index = core.index_mut();
    for (id, size) in set_aside {
        index.quarantine(id, size);
    }
    recovered.report.blocks = index.len() as u64;
    Ok(recovered)
}

type Segments = BTreeMap<u32, (Arc<dyn DiskFile>, u64)>;

fn open_segments(core: &Core) -> Result<Segments, VolumeError> {
    let directory = core.shared_directory();
    let names = core.disk.list(&directory).map_err(|error| VolumeError::io("list", &directory, error))?;
    let mut segments = Segments::new();
    for name in names {
        let Some(number) = name.strip_suffix(".segment").and_then(|hex| u32::from_str_radix(hex, 16).ok())
        else {
            continue;
        };
        let path = core.segment_path(number);
        let opened = core.disk.open(&path).and_then(|file| Ok((file.length()?, file)));
        let (length, file) = opened.map_err(|error| VolumeError::io("open", &path, error))?;
        core.index_mut().set_segment_size(number, length);
        segments.insert(number, (file, length));
    }
    Ok(segments)
}

/// Returns where to begin to replay the log.
fn load_checkpoint(core: &Core, segments: &Segments) -> Result<LogPosition, VolumeError> {
    let path = core.directory.join(checkpoint::NAME);
    let mut index = core.index_mut();
    let position = checkpoint::read(&*core.disk, &core.directory, core.id, |id, entry| {
        let exists = entry.place.is_own()
            || segments
                .get(&entry.place.segment())
                .is_some_and(|(_, length)| u64::from(entry.place.offset()) + entry.size() <= *length);
        if exists {
            index.insert(id, entry);
        }
    });
    match position.map_err(|error| VolumeError::io("read", &path, error))? {
        Some(position) => Ok(position),
        None => {
            index.retain(|_| false);
            Ok(LogPosition::default())
        }
    }
}

fn replay(
    core: &Core,
    segments: &Segments,
    from: LogPosition,
    recovered: &mut Recovered,
) -> Result<(), VolumeError> {
    let newest = segments.last_key_value().map(|(number, _)| *number);
    let mut position = LogPosition { segment: from.segment, offset: HEADER_SIZE as u32 };
    for (number, (file, length)) in segments.range(from.segment..) {
        let start = if *number == from.segment { from.offset } else { 0 };
        let is_newest = Some(*number) == newest;
        let path = core.segment_path(*number);
        let end = replay_segment(core, file.clone(), *number, start, is_newest, recovered)
            .map_err(|error| VolumeError::io("read", &path, error))?;
        position = LogPosition { segment: *number, offset: end.unwrap_or(start.max(HEADER_SIZE as u32)) };
        if is_newest {
            let end = u64::from(position.offset);
            finish_tail(core, *number, file, *length, end, recovered)
                .map_err(|error| core.fail("cut", &path, &error))?;
            core.index_mut().set_segment_size(*number, end);
            recovered.active = Some(file.clone());
        }
    }
    core.index_mut().position = position;
    let directory = core.shared_directory();
    core.disk.sync_dir(&directory).map_err(|error| core.fail("fsync", &directory, &error))
}

/// Applies the records of a segment; returns the end of the last one.
fn replay_segment(
    core: &Core,
    file: Arc<dyn DiskFile>,
    number: u32,
    start: u32,
    is_newest: bool,
    recovered: &mut Recovered,
) -> io::Result<Option<u32>> {
    let mut scanner = Scanner::new(file, core.id, number, start)?;
    let mut last_end = None;
    while let Some(record) = scanner.next()? {
        let Header { id, place, body } = record.header;
        if is_newest && !record.is_intact() {
            recovered.report.dropped += 1;
            scanner.distrust(place);
            continue;
        }
        last_end = Some(record.end());
        recovered.report.replayed += 1;
        let mut index = core.index_mut();
        match body {
            Body::Block(body) => {
                index.insert(id, Entry { length: body.length, crc: body.crc, place });
            }
            Body::Tombstone { target } => {
                index.remove_at(&id, target);
                index.add_tombstone(place.segment(), target.segment());
            }
        }
    }
    Ok(last_end)
}

/// Cuts off what lies behind `end`, and makes the rest durable.
fn finish_tail(
    core: &Core,
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
        // It may have been made in the moment of the crash.
        file.write_all_at(&segment_header(core.id, number), 0)?;
    }
    file.sync()
}

fn recover_own(core: &Core, recovered: &mut Recovered) -> Result<(), VolumeError> {
    let parent = core.own_directory();
    let list =
        |path: &std::path::Path| core.disk.list(path).map_err(|error| VolumeError::io("list", path, error));
    let mut seen = HashSet::new();
    for name in list(&parent)? {
        let Ok(directory) = u32::from_str_radix(&name, 16) else { continue };
        let path = parent.join(&name);
        let (mut files, mut changed) = (0, false);
        for name in list(&path)? {
            let Some((id, number)) = parse_own_name(&name) else { continue };
            let place = Place::own(directory, number);
            let known = core.index().get(&id).is_some_and(|entry| entry.place == place);
            if !known {
                changed = true;
                recovered.report.replayed += 1;
                if !adopt(core, id, place)? {
                    recovered.report.dropped += 1;
                    continue;
                }
            }
            files += 1;
            seen.insert(place);
        }
        if changed {
            core.disk.sync_dir(&path).map_err(|error| core.fail("fsync", &path, &error))?;
        }
        recovered.directories.insert(directory, files);
    }
    core.index_mut().retain(|entry| !entry.place.is_own() || seen.contains(&entry.place));
    Ok(())
}

fn parse_own_name(name: &str) -> Option<(BlockId, u32)> {
    let (number, id) = name.split_once('-')?;
    Some((id.parse().ok()?, u32::from_str_radix(number, 16).ok()?))
}

/// Verifies a file that the checkpoint does not know, and indexes it; removes it if it is half-written.
fn adopt(core: &Core, id: BlockId, place: Place) -> Result<bool, VolumeError> {
    let path = core.record_path(&id, place);
    let entry = read_entry(core, id, place).map_err(|error| VolumeError::io("read", &path, error))?;
    let Some(entry) = entry else {
        remove(core, id, place)?;
        return Ok(false);
    };
    let replaced = core.index_mut().insert(id, entry);
    match verify(core, id).and_then(|()| sync(core, id, place)) {
        Ok(()) => {
            if let Some(old) = replaced.filter(|old| old.place.is_own()) {
                // The block was written again, and the older file outlived the crash.
                remove(core, id, old.place)?;
            }
            Ok(true)
        }
        Err(VolumeError::Damaged { reason, .. }) => {
            tracing::info!(block = %id, %reason, "dropping a block that was not written to its end");
            let mut index = core.index_mut();
            index.remove_at(&id, place);
            if let Some(replaced) = replaced {
                index.insert(id, replaced);
            }
            drop(index);
            remove(core, id, place)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn remove(core: &Core, id: BlockId, place: Place) -> Result<(), VolumeError> {
    let path = core.record_path(&id, place);
    match core.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(core.fail("remove", &path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read_entry(core: &Core, id: BlockId, place: Place) -> io::Result<Option<Entry>> {
    let file = core.disk.open(&core.record_path(&id, place))?;
    let length = file.length()?;
    if length < HEADER_SIZE as u64 {
        return Ok(None);
    }
    let mut head = [0; HEADER_SIZE];
    file.read_exact_at(&mut head, 0)?;
    let header = Header::decode(&head, core.id, place).filter(|header| header.id == id);
    Ok(header.and_then(|header| match header.body {
        Body::Block(body) => Some(Entry { length: body.length, crc: body.crc, place }),
        Body::Tombstone { .. } => None,
    }))
}

/// Reads a block from front to back.
fn verify(core: &Core, id: BlockId) -> Result<(), VolumeError> {
    let reader = BlockReader::open(core, id)?;
    let mut start = 0;
    while start < reader.length() {
        let end = (start + PIECE).min(reader.length());
        reader.read(start, end)?;
        start = end;
    }
    Ok(())
}

fn sync(core: &Core, id: BlockId, place: Place) -> Result<(), VolumeError> {
    let path = core.record_path(&id, place);
    let synced = core.disk.open(&path).and_then(|file| file.sync());
    synced.map_err(|error| core.fail("fdatasync", &path, &error))
}
