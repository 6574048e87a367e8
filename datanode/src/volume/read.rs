//! Reading a replica. No byte leaves a volume before its chunk was checked against the chunk table, and the table against the
//! header.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, Crc32c};
use cairn_protocol::id::BlockId;

use super::chunk_buffers::ChunkBuffers;
use super::disk::DiskFile;
use super::entry::Entry;
use super::error::{Damage, VolumeError, is_shortage};
use super::record::{Body, HEADER_SIZE, Header, data_offset, decode_table, first_bad_chunk};
use super::state::VolumeState;

/// Blocks up to this length are read together with their header: those of one chunk. A disk has one request less.
const SINGLE_READ_MAX: u64 = CHUNK_SIZE as u64;

/// The same for blocks in memory. Beyond this, another system call costs less than to clear the memory for both.
const SINGLE_READ_MAX_IN_MEMORY: u64 = 16 * 1024;

/// Bytes that [`BlockReader::verify`] reads at a time: large enough for a disk to read in one go, small enough to keep in memory.
const PIECE: u64 = 1 << 20;

/// How often a block is looked up again when compaction moved it between look-up and opening. Each time a whole segment was
/// rewritten in between, so more than a few times is not to be expected.
const LOOK_UPS_MAX: usize = 8;

/// A replica that is open for reading. It can be read to its end even if it is deleted or moved in the meantime.
#[derive(Debug)]
pub struct BlockReader {
    id: BlockId,
    entry: Entry,
    table: ChunkTable,
    file: Arc<dyn DiskFile>,
    /// The offset in the file at which the block's data begin.
    data_start: u64,
    /// All data of a small block: they were read together with the header.
    whole: Option<Bytes>,
    buffers: ChunkBuffers,
}

/// Where bytes of a file come from.
#[derive(Clone, Copy)]
enum Source {
    /// Wherever they are. Blocks its thread.
    Disk,
    /// The system's memory. It is an error if they are not there. Never waits for the disk.
    Memory,
}

impl Source {
    fn fill(self, buffer: &mut [u8], file: &dyn DiskFile, offset: u64) -> io::Result<()> {
        match self {
            Self::Disk => file.read_exact_at(buffer, offset),
            Self::Memory if file.read_from_memory_at(buffer, offset) => Ok(()),
            Self::Memory => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl BlockReader {
    /// Opens the replica that the index points at. Blocks its thread.
    pub(crate) fn open(state: &VolumeState, id: BlockId) -> Result<Self, VolumeError> {
        for _ in 0..LOOK_UPS_MAX {
            let entry = {
                let index = state.index();
                index.get(&id).ok_or_else(|| {
                    if index.is_quarantined(&id) {
                        VolumeError::damaged(id, Damage::Wrong, "it is in quarantine")
                    } else {
                        VolumeError::NotFound(id)
                    }
                })?
            };
            let path = state.record_path(&id, entry.place);
            match state.disk.open(&path) {
                Ok(file) => return Self::read_head(state, id, entry, file, Source::Disk),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if state.index().get(&id) == Some(entry) {
                        let reason = format!("{} is missing", path.display());
                        return Err(VolumeError::damaged(id, Damage::Missing, reason));
                    }
                }
                Err(error) if is_shortage(&error) => return Err(VolumeError::io("open", &path, error)),
                Err(error) => return Err(unreadable(id, &error)),
            }
        }
        Err(VolumeError::NotFound(id))
    }

    /// Opens the replica that the index points at, in a file that is open already or is kept open from now on. Blocks its
    /// thread.
    pub(crate) fn open_kept(state: &VolumeState, id: BlockId) -> Result<Self, VolumeError> {
        let entry = state.index().get(&id);
        if let Some(entry) = entry {
            let file = state.open_files.get(entry.place);
            if let Some(Ok(reader)) = file.map(|file| Self::read_head(state, id, entry, file, Source::Disk)) {
                return Ok(reader);
            }
            // The file may have been removed or replaced by another program. Its name decides.
            state.open_files.forget(entry.place);
        }
        let reader = Self::open(state, id)?;
        let is_there = || state.index().get(&id) == Some(reader.entry);
        state.open_files.keep(reader.entry.place, &reader.file, is_there);
        Ok(reader)
    }

    /// Opens the replica that the index points at and reads the chunk that begins at `start`. `None` unless its file is open and
    /// all of this is in memory and intact. Never waits for the disk.
    pub(crate) fn open_from_memory(state: &VolumeState, id: BlockId, start: u64) -> Option<(Self, Bytes)> {
        let entry = state.index().get(&id)?;
        let file = state.open_files.get(entry.place)?;
        let reader = Self::read_head(state, id, entry, file, Source::Memory).ok()?;
        let data = reader.chunk_from_memory(start)?;
        Some((reader, data))
    }

    /// Opens a replica in this file, such as one in the trash. Blocks its thread.
    pub(crate) fn open_at(
        state: &VolumeState,
        id: BlockId,
        entry: Entry,
        path: &Path,
    ) -> Result<Self, VolumeError> {
        match state.disk.open(path) {
            Ok(file) => Self::read_head(state, id, entry, file, Source::Disk),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("{} is missing", path.display());
                Err(VolumeError::damaged(id, Damage::Missing, reason))
            }
            Err(error) if is_shortage(&error) => Err(VolumeError::io("open", path, error)),
            Err(error) => Err(unreadable(id, &error)),
        }
    }

    /// Reads the whole replica and checks every chunk, front to back, in pieces. Blocks its thread.
    pub(crate) fn verify(&self) -> Result<(), VolumeError> {
        let mut start = 0;
        while start < self.length() {
            let end = (start + PIECE).min(self.length());
            self.read(start, end)?;
            start = end;
        }
        Ok(())
    }

    fn read_head(
        state: &VolumeState,
        id: BlockId,
        entry: Entry,
        file: Arc<dyn DiskFile>,
        source: Source,
    ) -> Result<Self, VolumeError> {
        let length = u64::from(entry.length);
        let start = if entry.place.is_dedicated() { 0 } else { u64::from(entry.place.offset()) };
        let data_at = data_offset(length, entry.place.is_dedicated());
        let single_read_max = match source {
            Source::Disk => SINGLE_READ_MAX,
            Source::Memory => SINGLE_READ_MAX_IN_MEMORY,
        };
        let at_once = if length <= single_read_max { data_at + length } else { data_at };
        let mut bytes = vec![0; at_once as usize];
        source.fill(&mut bytes, &*file, start).map_err(|error| unreadable(id, &error))?;
        let mut head = [0; HEADER_SIZE];
        head.copy_from_slice(&bytes[..HEADER_SIZE]);
        let header = Header::decode(&head, state.id, entry.place)
            .ok_or_else(|| VolumeError::damaged(id, Damage::Wrong, "its header is damaged"))?;
        let body = match header.body {
            Body::Block(body) if header.id == id && body.length == entry.length && body.crc == entry.crc => {
                body
            }
            Body::Block(_) | Body::Tombstone { .. } | Body::Mark => {
                return Err(VolumeError::damaged(id, Damage::Wrong, "another record lies in its place"));
            }
        };
        let table = decode_table(&body, &bytes[HEADER_SIZE..data_at as usize])
            .ok_or_else(|| VolumeError::damaged(id, Damage::Wrong, "its chunk table is damaged"))?;
        let whole = (at_once > data_at).then(|| Bytes::from(bytes).slice(data_at as usize..));
        let buffers = state.chunk_buffers.clone();
        Ok(Self { id, entry, table, file, data_start: start + data_at, whole, buffers })
    }

    /// The block's length in bytes.
    pub fn length(&self) -> u64 {
        u64::from(self.entry.length)
    }

    /// The block's CRC32C.
    pub fn crc(&self) -> Crc32c {
        self.entry.crc
    }

    /// CRC32C of each chunk.
    pub fn table(&self) -> &ChunkTable {
        &self.table
    }

    /// Reads and checks the bytes from `start` to `end`. Both must be multiples of the chunk size; `end` may also be the block's
    /// length. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::Damaged`] when they are not what was written.
    pub fn read(&self, start: u64, end: u64) -> Result<Bytes, VolumeError> {
        self.check_range(start, end)?;
        let data = match &self.whole {
            Some(whole) => whole.slice(start as usize..end as usize),
            None => {
                let mut buffer = vec![0; (end - start) as usize];
                self.fill(Source::Disk, &mut buffer, start)?;
                Bytes::from(buffer)
            }
        };
        self.checked(start, data)
    }

    /// Reads and checks the chunk that begins at `start`, if the system has it in memory. Never waits for the disk. `None` says
    /// nothing about the replica.
    pub(crate) fn chunk_from_memory(&self, start: u64) -> Option<Bytes> {
        self.chunk_from(Source::Memory, start).ok()
    }

    /// Reads and checks the chunk that begins at `start`. It has memory of its own. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::Damaged`] when it is not what was written.
    pub(crate) fn chunk(&self, start: u64) -> Result<Bytes, VolumeError> {
        self.chunk_from(Source::Disk, start)
    }

    /// Reads the bytes from `start` to `end`, which are not checked. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::Damaged`] when they cannot be read.
    pub(crate) fn bytes(&self, start: u64, end: u64) -> Result<Bytes, VolumeError> {
        let length = self.length();
        if start > end || end > length {
            return Err(VolumeError::WrongLength { expected: length, got: end });
        }
        if let Some(whole) = &self.whole {
            return Ok(whole.slice(start as usize..end as usize));
        }
        let mut buffer = self.buffers.take((end - start) as usize);
        self.fill(Source::Disk, buffer.bytes_mut(), start)?;
        Ok(buffer.freeze())
    }

    fn chunk_from(&self, source: Source, start: u64) -> Result<Bytes, VolumeError> {
        let end = start.saturating_add(CHUNK_SIZE as u64).min(self.length());
        self.check_range(start, end)?;
        let data = match &self.whole {
            Some(whole) => whole.slice(start as usize..end as usize),
            None => {
                let mut buffer = self.buffers.take((end - start) as usize);
                self.fill(source, buffer.bytes_mut(), start)?;
                buffer.freeze()
            }
        };
        self.checked(start, data)
    }

    fn check_range(&self, start: u64, end: u64) -> Result<(), VolumeError> {
        let length = self.length();
        let is_aligned = start.is_multiple_of(CHUNK_SIZE as u64)
            && (end.is_multiple_of(CHUNK_SIZE as u64) || end == length);
        if is_aligned && start <= end && end <= length {
            return Ok(());
        }
        Err(VolumeError::WrongLength { expected: length, got: end })
    }

    fn fill(&self, source: Source, buffer: &mut [u8], start: u64) -> Result<(), VolumeError> {
        source.fill(buffer, &*self.file, self.data_start + start).map_err(|error| unreadable(self.id, &error))
    }

    /// The bytes from `start` of the block, if they match the chunk table.
    fn checked(&self, start: u64, data: Bytes) -> Result<Bytes, VolumeError> {
        match first_bad_chunk(&self.table, (start / CHUNK_SIZE as u64) as usize, &data) {
            None => Ok(data),
            Some(chunk) => Err(VolumeError::damaged(
                self.id,
                Damage::Wrong,
                format!("chunk {chunk} of {} does not match its CRC32C", self.table.crcs().len()),
            )),
        }
    }
}

/// Reads these bytes of the replica that the index points at. `None` unless its file is open and they are in memory. They are not
/// checked. Never waits for the disk.
pub(super) fn bytes_from_memory(state: &VolumeState, id: BlockId, start: u64, end: u64) -> Option<Bytes> {
    let entry = state.index().get(&id)?;
    let length = u64::from(entry.length);
    if start > end || end > length {
        return None;
    }
    let file = state.open_files.get(entry.place)?;
    let record = if entry.place.is_dedicated() { 0 } else { u64::from(entry.place.offset()) };
    let at = record + data_offset(length, entry.place.is_dedicated()) + start;
    let mut buffer = state.chunk_buffers.take((end - start) as usize);
    file.read_from_memory_at(buffer.bytes_mut(), at).then(|| buffer.freeze())
}

/// The error for a replica that cannot be read.
fn unreadable(id: BlockId, error: &io::Error) -> VolumeError {
    // A file that is too short is damaged, but it is no sign of a bad disk.
    let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
    let damage = if is_short { Damage::Wrong } else { Damage::Unreadable };
    VolumeError::damaged(id, damage, format!("it cannot be read: {error}"))
}
