//! Reading a replica. No byte leaves a volume before its chunk was checked against the chunk table, and the table against the
//! header.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, Crc32c};
use cairn_protocol::id::BlockId;

use super::disk::DiskFile;
use super::entry::Entry;
use super::error::{Damage, VolumeError, is_shortage};
use super::record::{Body, HEADER_SIZE, Header, data_offset, decode_table, first_bad_chunk};
use super::state::VolumeState;

/// Records up to this size are read with one system call.
const SINGLE_READ_MAX: u64 = 128 * 1024;

/// Bytes that [`BlockReader::verify`] reads at a time: large enough for a disk to read in one go, small enough to keep in memory.
const PIECE: u64 = 1 << 20;

/// How often a block is looked up again when compaction moved it between look-up and opening. Each time a whole segment was
/// rewritten in between, so more than a few times is not to be expected.
const LOOK_UPS_MAX: usize = 8;

/// A replica that is open for reading. It can be read to its end even if it is deleted or moved in the meantime.
#[derive(Debug)]
pub struct BlockReader {
    id: BlockId,
    length: u64,
    crc: Crc32c,
    table: ChunkTable,
    file: Arc<dyn DiskFile>,
    /// The offset in the file at which the block's data begin.
    data_start: u64,
    /// All data of a small block: they were read together with the header.
    whole: Option<Bytes>,
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
                Ok(file) => return Self::read_head(state, id, entry, file),
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

    /// Opens a replica in this file, such as one in the trash. Blocks its thread.
    pub(crate) fn open_at(
        state: &VolumeState,
        id: BlockId,
        entry: Entry,
        path: &Path,
    ) -> Result<Self, VolumeError> {
        match state.disk.open(path) {
            Ok(file) => Self::read_head(state, id, entry, file),
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
    ) -> Result<Self, VolumeError> {
        let length = u64::from(entry.length);
        let start = if entry.place.is_dedicated() { 0 } else { u64::from(entry.place.offset()) };
        let data_at = data_offset(length, entry.place.is_dedicated());
        let at_once = if data_at + length <= SINGLE_READ_MAX { data_at + length } else { data_at };
        let mut bytes = vec![0; at_once as usize];
        file.read_exact_at(&mut bytes, start).map_err(|error| unreadable(id, &error))?;
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
        let (data_start, crc) = (start + data_at, entry.crc);
        Ok(Self { id, length, crc, table, file, data_start, whole })
    }

    /// The block's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The block's CRC32C.
    pub fn crc(&self) -> Crc32c {
        self.crc
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
        let aligned = start.is_multiple_of(CHUNK_SIZE as u64)
            && (end.is_multiple_of(CHUNK_SIZE as u64) || end == self.length);
        if !aligned || start > end || end > self.length {
            return Err(VolumeError::WrongLength { expected: self.length, got: end });
        }
        let data = match &self.whole {
            Some(whole) => whole.slice(start as usize..end as usize),
            None => {
                let mut buffer = vec![0; (end - start) as usize];
                self.file
                    .read_exact_at(&mut buffer, self.data_start + start)
                    .map_err(|error| unreadable(self.id, &error))?;
                Bytes::from(buffer)
            }
        };
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

/// The error for a replica that cannot be read.
fn unreadable(id: BlockId, error: &io::Error) -> VolumeError {
    // A file that is too short is damaged, but it is no sign of a bad disk.
    let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
    let damage = if is_short { Damage::Wrong } else { Damage::Unreadable };
    VolumeError::damaged(id, damage, format!("it cannot be read: {error}"))
}
