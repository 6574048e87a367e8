//! Sending a block. Every chunk is checked against its CRC32C before it is sent.
//!
//! Chunks that the system has in memory are read when they are wanted, where they are wanted: a thread would cost more than the
//! read. The first one that is not there is left to a thread that may wait for the disk. From then on, the next piece is read
//! while one is being sent.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::block::{BYTES_MAX, BlockError, BlockInfo, BlockRead, BlockStream, chunk_aligned};
use cairn_protocol::checksum::CHUNK_SIZE;
use cairn_protocol::id::BlockId;
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::BlockStore;
use crate::volume::{BlockReader, Volume, VolumeError, blocking};

/// How much a thread reads at once, in bytes: four chunks. Two pieces per reader are in memory.
const PIECE: u64 = 256 * 1024;

/// Some chunks, in order.
type Piece = VecDeque<Bytes>;

impl BlockStore {
    /// Opens a block and reads its first chunk.
    pub(crate) async fn read(
        &self,
        block: BlockId,
        range: Option<(u64, u64)>,
    ) -> Result<BlockRead, BlockError> {
        let permit = self.reads.clone().try_acquire_owned().map_err(|_| BlockError::Busy)?;
        let (volume, length) = self.find(block)?;
        let (start, end) = range.unwrap_or((0, length));
        let end = end.min(length);
        if start >= end {
            let reason = format!("the range begins at {start}, the block has {length} bytes");
            return Err(BlockError::Malformed { reason });
        }
        let (start, end) = chunk_aligned(start, end, length);
        let (reader, ready, is_in_memory) = match volume.read_from_memory(block, start) {
            Some((reader, first)) => (reader, Piece::from([first]), true),
            None => {
                let opening = volume.clone();
                let opened = blocking(move || {
                    let reader = opening.reader_kept_open(block)?;
                    let piece = read_piece(&reader, start, end)?;
                    Ok((reader, piece))
                });
                let (reader, piece) = opened.await.map_err(|error| self.read_error(&volume, block, error))?;
                (reader, piece, false)
            }
        };
        let info = BlockInfo {
            length: reader.length(),
            crc32c: reader.crc(),
            volume: Some(volume.id()),
            incarnation: None,
        };
        let table = reader.table().clone();
        let next = start + ready.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        if next >= end {
            let data = futures_util::stream::iter(ready).map(move |chunk| {
                // Given back with the stream.
                let _held = &permit;
                Ok(chunk)
            });
            return Ok(BlockRead { info, table, data_offset: start, data: data.boxed(), owned_chunks: true });
        }
        let mut sending = Sending {
            blocks: self.clone(),
            volume,
            block,
            reader: Arc::new(reader),
            next,
            end,
            ready,
            ahead: None,
            _permit: permit,
        };
        if !is_in_memory {
            sending.read_ahead();
        }
        Ok(BlockRead { info, table, data_offset: start, data: sending.stream(), owned_chunks: true })
    }

    /// Reads a short range of a block and nothing else. Nothing is checked but the length.
    pub(crate) async fn read_bytes(
        &self,
        block: BlockId,
        range: Option<(u64, u64)>,
    ) -> Result<Bytes, BlockError> {
        let _permit = self.reads.clone().try_acquire_owned().map_err(|_| BlockError::Busy)?;
        let (volume, length) = self.find(block)?;
        let (start, end) = range.unwrap_or((0, length));
        if start >= end || end > length || end - start > BYTES_MAX {
            let reason = format!("the bytes {start} to {end} of a block of {length}");
            return Err(BlockError::Malformed { reason });
        }
        if let Some(bytes) = volume.bytes_from_memory(block, start, end) {
            return Ok(bytes);
        }
        let opening = volume.clone();
        let read = blocking(move || opening.reader_kept_open(block)?.bytes(start, end)).await;
        read.map_err(|error| self.read_error(&volume, block, error))
    }

    /// The volume that holds a block, and the block's length.
    fn find(&self, block: BlockId) -> Result<(Arc<Volume>, u64), BlockError> {
        match self.volumes.find(&block) {
            Some((volume, replica)) => Ok((volume, replica.length)),
            None if self.volumes.is_quarantined(&block) => Err(BlockError::Corrupt),
            None => Err(BlockError::NotFound),
        }
    }

    /// Converts an error of a read. A damaged replica is examined in the background.
    fn read_error(&self, volume: &Arc<Volume>, block: BlockId, error: VolumeError) -> BlockError {
        if let VolumeError::Damaged { .. } = &error {
            self.suspect(volume.clone(), block);
        }
        error.into()
    }
}

/// Reads the chunks from `start`, as many as a piece has and not beyond `end`. Blocks its thread.
fn read_piece(reader: &BlockReader, start: u64, end: u64) -> Result<Piece, VolumeError> {
    let chunks = (start..end.min(start + PIECE)).step_by(CHUNK_SIZE);
    chunks.map(|start| reader.chunk(start)).collect()
}

/// A block that is being sent.
struct Sending {
    blocks: BlockStore,
    volume: Arc<Volume>,
    block: BlockId,
    reader: Arc<BlockReader>,
    /// The offset of the chunk that is read next.
    next: u64,
    end: u64,
    /// Chunks to send.
    ready: Piece,
    /// The next piece, which a thread reads.
    ahead: Option<JoinHandle<Result<Piece, VolumeError>>>,
    _permit: OwnedSemaphorePermit,
}

impl Sending {
    fn stream(self) -> BlockStream {
        let chunks = futures_util::stream::unfold(Some(self), |sending| async move {
            let mut sending = sending?;
            match sending.next_chunk().await {
                Ok(chunk) => Some((Ok(chunk?), Some(sending))),
                Err(error) => {
                    let error = sending.blocks.read_error(&sending.volume, sending.block, error);
                    Some((Err(error), None))
                }
            }
        });
        chunks.boxed()
    }

    /// The next chunk; `None` at the end.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, VolumeError> {
        if let Some(chunk) = self.ready.pop_front() {
            return Ok(Some(chunk));
        }
        if self.ahead.is_none() {
            if self.next >= self.end {
                return Ok(None);
            }
            // Chunks in memory never make their reader wait, so a long read would keep its thread from other tasks.
            tokio::task::coop::consume_budget().await;
            if let Some(chunk) = self.reader.chunk_from_memory(self.next) {
                self.next += chunk.len() as u64;
                return Ok(Some(chunk));
            }
            self.read_ahead();
        }
        let Some(ahead) = self.ahead.as_mut() else { return Ok(None) };
        let piece = ahead.await.unwrap_or(Err(VolumeError::Closed));
        self.ahead = None;
        self.ready = piece?;
        self.read_ahead();
        Ok(self.ready.pop_front())
    }

    /// Has a thread read the next piece.
    fn read_ahead(&mut self) {
        if self.next >= self.end {
            return;
        }
        let (start, end) = (self.next, self.end);
        self.next = end.min(start + PIECE);
        let reader = self.reader.clone();
        self.ahead = Some(tokio::task::spawn_blocking(move || read_piece(&reader, start, end)));
    }
}
