//! A block in memory that is being filled, and the checksums of its chunks.

use bytes::Bytes;
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, Crc32c, crc32c};

use super::budget::{BlockMemory, Buffer};

/// A block that is being filled. Bytes are copied once, into chunks of the budget, because they arrive as slices of
/// larger read buffers, which would stay allocated otherwise.
pub(super) struct BlockBuffer {
    reservation: BlockMemory,
    current: Option<Buffer>,
    full: Vec<Bytes>,
    crcs: Vec<Crc32c>,
    length: u64,
    length_max: u64,
}

/// A complete block. Clones share its bytes.
#[derive(Clone)]
pub(super) struct SealedBlock {
    /// Its bytes, in order.
    pub(super) pieces: Vec<Bytes>,
    /// Its length in bytes.
    pub(super) length: u64,
    /// Its CRC.
    pub(super) crc32c: Crc32c,
}

/// Whether a block accepts more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FreeSpace {
    /// It has memory for more.
    Left,
    /// It accepts more when it gets memory.
    NoMemory,
    /// It has reached its maximum length.
    None,
}

impl BlockBuffer {
    /// An empty block of up to `length_max` bytes.
    pub(super) fn new(reservation: BlockMemory, length_max: u64) -> Self {
        Self { reservation, current: None, full: Vec::new(), crcs: Vec::new(), length: 0, length_max }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Raises the maximum length.
    pub(super) fn set_length_max(&mut self, length_max: u64) {
        self.length_max = length_max;
    }

    /// The bytes that are left to the maximum length.
    pub(super) fn left(&self) -> u64 {
        self.length_max - self.length
    }

    /// The memory that is reserved for bytes to come.
    pub(super) fn reservation(&mut self) -> &mut BlockMemory {
        &mut self.reservation
    }

    /// Moves what fits from the front of `bytes` into the block.
    pub(super) fn push(&mut self, bytes: &mut Bytes) -> FreeSpace {
        while !bytes.is_empty() {
            let left = self.left();
            let mut buffer = match self.current.take() {
                Some(buffer) => buffer,
                None if left == 0 => return FreeSpace::None,
                None => match self.reservation.buffer(usize::try_from(left).unwrap_or(CHUNK_SIZE)) {
                    Some(buffer) => buffer,
                    None => return FreeSpace::NoMemory,
                },
            };
            let before = bytes.len();
            buffer.fill(bytes, &mut self.reservation);
            self.length += (before - bytes.len()) as u64;
            if buffer.is_full() {
                self.end_chunk(buffer);
            } else {
                self.current = Some(buffer);
                if !bytes.is_empty() {
                    return FreeSpace::NoMemory;
                }
            }
        }
        if self.left() == 0 { FreeSpace::None } else { FreeSpace::Left }
    }

    /// The checksum is computed while the chunk is still in the processor's cache.
    fn end_chunk(&mut self, chunk: Buffer) {
        self.crcs.push(crc32c(chunk.bytes()));
        self.full.push(chunk.freeze());
    }

    /// Gives back the reserved memory, except for one page.
    pub(super) fn give_back(&mut self) {
        self.reservation.give_back(self.current.is_none());
    }

    /// Completes the block.
    pub(super) fn seal(mut self) -> SealedBlock {
        if let Some(chunk) = self.current.take() {
            self.end_chunk(chunk);
        }
        let crc32c = ChunkTable::from_crcs(self.crcs).block_crc(self.length);
        SealedBlock { pieces: self.full, length: self.length, crc32c }
    }
}
