//! Compaction: the live records of a mostly dead shared segment are appended to the log, then its file is removed.
//!
//! Records of the trash are moved too, with the time of their deletion. A tombstone is written again as long as the segment of its
//! target exists: without it, a start without a checkpoint would find the deleted block again. Once that segment is gone, no other
//! segment holds a record of the block, except one whose compaction broke off (`unfinished`).
//!
//! The cost depends on what the segment holds: the index is read once for each record. Only when damage hides a header, or the
//! scan does not reach a record, the whole index is searched for blocks that still point into the segment.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use cairn_protocol::id::BlockId;
use cairn_protocol::warn_self;

use super::entry::{Entry, Trashed};
use super::error::{VolumeError, is_shortage};
use super::index::{self};
use super::log::{Change, Log, Pending, SmallBlock};
use super::quarantine;
use super::read::BlockReader;
use super::record::{Body, Place};
use super::scan::{Record, Scanner};
use super::state::VolumeState;
use super::trash;
use super::unfinished;

/// Changes that are sent to the log and not durable yet, at most. Enough to fill its batches, and at most a few hundred MiB.
const IN_FLIGHT_MAX: usize = 256;

/// What one compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compaction {
    /// Blocks that were moved.
    pub moved: u64,
    /// Bytes of the file that was removed.
    pub freed_bytes: u64,
    /// Blocks that were found damaged and set aside.
    pub damaged: Vec<BlockId>,
}

/// Empties and removes the shared segment `number`. Blocks its thread.
pub(crate) fn compact(state: &VolumeState, log: &Log, number: u32) -> Result<Compaction, VolumeError> {
    state.check()?;
    let mut done = Compaction::default();
    let path = state.segment_path(number);
    let read_error = |error| VolumeError::io("read", &path, error);
    let file = state.disk.open(&path).map_err(read_error)?;
    let mut scanner = Scanner::new(file, state.id, number, 0).map_err(read_error)?;
    // A segment without live records needs no note: nothing of it is moved.
    if state.index().segment(number).is_some_and(|usage| usage.live > 0) {
        unfinished::begin(state, number)?;
    }
    let (mut in_flight, mut damaged) = (VecDeque::new(), Vec::new());
    loop {
        let record = match scanner.next() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) if is_shortage(&error) => return Err(read_error(error)),
            // Too many sectors cannot be read. That ends the scan, but not the compaction: the rest is read block by block.
            Err(_) => break,
        };
        match keep(state, number, &record) {
            Keep::Nothing => {}
            Keep::This(change) => {
                done.moved += u64::from(matches!(change, Change::Put { .. }));
                in_flight.push_back(log.submit(change)?);
            }
            Keep::Damaged(id, entry) => damaged.push((id, entry)),
        }
        if in_flight.len() >= IN_FLIGHT_MAX {
            in_flight.pop_front().map_or(Ok(()), Pending::wait)?;
        }
    }
    in_flight.into_iter().try_for_each(Pending::wait)?;
    for (id, entry) in damaged {
        save(state, log, id, entry, &mut done)?;
    }
    // The scan did not reach these blocks, or did not find their headers.
    for (id, entry) in index::in_segment(state.index_lock(), number) {
        save(state, log, id, entry, &mut done)?;
    }
    carry_trash(state, log, number)?;
    done.freed_bytes = remove(state, number)?;
    Ok(done)
}

/// Moves a block that the scan did not find intact, if it can be read by itself; otherwise sets it aside.
fn save(
    state: &VolumeState,
    log: &Log,
    id: BlockId,
    entry: Entry,
    done: &mut Compaction,
) -> Result<(), VolumeError> {
    if state.index().get(&id) != Some(entry) {
        return Ok(());
    }
    if let Some(block) = read_alone(state, id, entry)? {
        log.submit(Change::Put { block, moved_from: Some(entry.place) })?.wait()?;
        done.moved += 1;
    } else {
        set_aside(state, log, id, entry)?;
        done.damaged.push(id);
    }
    Ok(())
}

/// Moves the blocks of the trash that are left in the segment: they were deleted while it was compacted. No more can come, because
/// the segment holds no block any more that could be deleted.
fn carry_trash(state: &VolumeState, log: &Log, number: u32) -> Result<(), VolumeError> {
    let trashed = state.index().trash_in_segment(number, usize::MAX);
    for (id, trashed) in trashed {
        let Trashed { entry, deleted_at } = trashed;
        match trash::read_shared(state, id, &trashed) {
            Ok(block) => {
                log.submit(Change::PutTrashed { block, moved_from: entry.place, deleted_at })?.wait()?
            }
            // A deleted block that is damaged is of no use, so it is removed with the segment.
            Err(VolumeError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A block of the segment, if it can be read and is intact.
fn read_alone(state: &VolumeState, id: BlockId, entry: Entry) -> Result<Option<SmallBlock>, VolumeError> {
    let read = BlockReader::open(state, id).and_then(|reader| Ok((reader.read(0, reader.length())?, reader)));
    match read {
        Ok((data, reader)) => {
            let table = reader.table().encode();
            Ok(Some(SmallBlock { id, length: entry.length, crc: entry.crc, table, data }))
        }
        Err(VolumeError::Damaged { .. } | VolumeError::NotFound(_)) => Ok(None),
        // For instance a lack of file descriptors. The block may be intact.
        Err(error) => Err(error),
    }
}

/// Moves a block of a shared segment into quarantine.
pub(crate) fn set_aside(
    state: &VolumeState,
    log: &Log,
    id: BlockId,
    entry: Entry,
) -> Result<(), VolumeError> {
    if quarantine::copy_record(state, id, entry)? {
        state.index_mut().quarantine(id, entry.size());
    }
    log.submit(Change::Delete { id, deleted_at: 0 })?.wait()
}

/// What compaction does with a record.
enum Keep {
    Nothing,
    /// It is written again, by this change.
    This(Change),
    /// The record of a block that is held is damaged.
    Damaged(BlockId, Entry),
}

fn keep(state: &VolumeState, number: u32, record: &Record<'_>) -> Keep {
    let (id, place) = (record.header.id, record.header.place);
    match record.header.body {
        Body::Block(body) => {
            let (held, trashed) = {
                let index = state.index();
                (index.get(&id), index.trashed(&id))
            };
            let held = held.filter(|entry| entry.place == place);
            let trashed = trashed.filter(|trashed| trashed.entry.place == place);
            if held.is_none() && trashed.is_none() {
                return Keep::Nothing;
            }
            let Some((table, data)) = record.verified() else {
                return held.map_or(Keep::Nothing, |entry| Keep::Damaged(id, entry));
            };
            let block = SmallBlock {
                id,
                length: body.length,
                crc: body.crc,
                table: Bytes::copy_from_slice(table),
                data: Bytes::copy_from_slice(data),
            };
            Keep::This(match trashed {
                Some(Trashed { deleted_at, .. }) => {
                    Change::PutTrashed { block, moved_from: place, deleted_at }
                }
                None => Change::Put { block, moved_from: Some(place) },
            })
        }
        Body::Mark => Keep::Nothing,
        Body::Tombstone { target, deleted_at } => {
            if state.index().needs_tombstone(target.segment(), number) {
                Keep::This(Change::CarryTombstone { id, target, deleted_at })
            } else {
                Keep::Nothing
            }
        }
    }
}

fn remove(state: &VolumeState, number: u32) -> Result<u64, VolumeError> {
    let path = state.segment_path(number);
    let directory = state.shared_directory();
    // The last replica of a block may lie here, so this is checked in release too, and in the index itself: the counts of a
    // segment only choose what to compact. Nothing is removed, so an error is enough and a panic is not needed.
    let left = index::in_segment(state.index_lock(), number);
    if let Some((block, _)) = left.first() {
        warn_self!(segment = number, %block, blocks = left.len(), "compaction left blocks in a segment; its file stays");
        return Err(VolumeError::io("remove", &path, io::Error::other("blocks are still in the segment")));
    }
    state.disk.remove_file(&path).map_err(|error| state.write_error("remove", &path, error))?;
    // The file is gone, whether that is durable or not. If the segment comes back after a crash, all its blocks are elsewhere too.
    let synced = state.sync_dir(&directory);
    let mut index = state.index_mut();
    let size = index.segment(number).map_or(0, |usage| usage.size);
    index.remove_segment(number);
    drop(index);
    state.open_files.forget(Place::shared(number, 0));
    synced.map(|()| size)
}
