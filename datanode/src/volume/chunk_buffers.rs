//! Memory for chunks that are read. It is used again and again: to allocate and clear it costs as much as to read into it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;

/// Unused buffers that are kept at most: 8 MiB, which is what a dozen quick readers need.
const KEPT_MAX: usize = (8 << 20) / CHUNK_SIZE;

/// Buffers of one chunk each. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkBuffers {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ChunkBuffers {
    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `length` bytes, at most a chunk. They have any values.
    pub(crate) fn take(&self, length: usize) -> ChunkBuffer {
        debug_assert!(length <= CHUNK_SIZE, "a chunk has at most {CHUNK_SIZE} bytes");
        let memory = self.kept().pop().unwrap_or_else(|| vec![0; CHUNK_SIZE]);
        ChunkBuffer { memory, length: length.min(CHUNK_SIZE), buffers: self.clone() }
    }
}

/// The memory of one chunk. When it is dropped, it is used for another one.
#[derive(Debug)]
pub(crate) struct ChunkBuffer {
    /// As long as a chunk.
    memory: Vec<u8>,
    /// How much of it is in use.
    length: usize,
    buffers: ChunkBuffers,
}

impl ChunkBuffer {
    /// The bytes in use.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }

    /// The bytes, without a copy.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for ChunkBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for ChunkBuffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut kept = self.buffers.kept();
        if kept.len() < KEPT_MAX {
            kept.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_from_it() {
        let buffers = ChunkBuffers::default();
        let mut buffer = buffers.take(3);
        buffer.bytes_mut().copy_from_slice(b"abc");
        let bytes = buffer.freeze();
        let (part, address) = (bytes.slice(1..), bytes.as_ptr());
        drop(bytes);
        let other = buffers.take(CHUNK_SIZE);
        assert_ne!(other.as_ref().as_ptr(), address);
        assert_eq!((&part[..], other.as_ref().len()), (&b"bc"[..], CHUNK_SIZE));
        drop(part);
        let again = buffers.take(5);
        assert_eq!((again.as_ref().as_ptr(), again.as_ref().len()), (address, 5));
    }

    #[test]
    fn few_unused_buffers_are_kept() {
        let buffers = ChunkBuffers::default();
        let taken: Vec<_> = (0..=KEPT_MAX).map(|_| buffers.take(1)).collect();
        drop(taken);
        assert_eq!(buffers.kept().len(), KEPT_MAX);
    }
}
