//! Sending a block. Every chunk is checked against its CRC32C before it is sent. The next piece is read while one is being sent.

use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::block::{BlockError, BlockInfo, BlockRead, BlockStream, chunk_aligned};
use cairn_protocol::id::BlockId;
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::BlockStore;
use crate::volume::{BlockReader, Volume, VolumeError};

/// How much is read at once, in bytes: four chunks. Two pieces per reader are in memory.
const PIECE: u64 = 256 * 1024;

type Piece = JoinHandle<Result<Bytes, VolumeError>>;

impl BlockStore {
    /// Opens a block and reads its first piece.
    pub(crate) async fn read(
        &self,
        block: BlockId,
        range: Option<(u64, u64)>,
    ) -> Result<BlockRead, BlockError> {
        let permit = self.reads.clone().try_acquire_owned().map_err(|_| BlockError::Busy)?;
        let Some((volume, replica)) = self.volumes.find(&block) else {
            let is_quarantined = self.volumes.is_quarantined(&block);
            return Err(if is_quarantined { BlockError::Corrupt } else { BlockError::NotFound });
        };
        let (start, end) = range.unwrap_or((0, replica.length));
        let end = end.min(replica.length);
        if start >= end {
            let reason = format!("the range begins at {start}, the block has {} bytes", replica.length);
            return Err(BlockError::Malformed { reason });
        }
        let (start, end) = chunk_aligned(start, end, replica.length);
        let opening = volume.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let reader = opening.reader(block)?;
            let first = reader.read(start, end.min(start + PIECE))?;
            Ok((reader, first))
        });
        let opened = opened.await.unwrap_or(Err(VolumeError::Closed));
        let (reader, first) = opened.map_err(|error| self.read_error(&volume, block, error))?;
        let info = BlockInfo {
            length: reader.length(),
            crc32c: reader.crc(),
            volume: Some(volume.id()),
            incarnation: None,
        };
        let table = reader.table().clone();
        let next = start + first.len() as u64;
        let sending = Sending {
            blocks: self.clone(),
            volume,
            block,
            reader: Arc::new(reader),
            next,
            end,
            ahead: None,
            _permit: permit,
        };
        Ok(BlockRead { info, table, data_offset: start, data: sending.stream(first) })
    }

    /// Converts an error of a read. A damaged replica is examined in the background.
    fn read_error(&self, volume: &Arc<Volume>, block: BlockId, error: VolumeError) -> BlockError {
        if let VolumeError::Damaged { .. } = &error {
            self.suspect(volume.clone(), block);
        }
        error.into()
    }
}

/// A block that is being sent.
struct Sending {
    blocks: BlockStore,
    volume: Arc<Volume>,
    block: BlockId,
    reader: Arc<BlockReader>,
    /// The offset of the piece that is read next.
    next: u64,
    end: u64,
    ahead: Option<Piece>,
    _permit: OwnedSemaphorePermit,
}

impl Sending {
    fn stream(mut self, first: Bytes) -> BlockStream {
        self.read_ahead();
        let rest = futures_util::stream::unfold(Some(self), |sending| async move {
            let mut sending = sending?;
            match sending.ahead.take()?.await.unwrap_or(Err(VolumeError::Closed)) {
                Ok(piece) => {
                    sending.read_ahead();
                    Some((Ok(piece), Some(sending)))
                }
                Err(error) => {
                    let error = sending.blocks.read_error(&sending.volume, sending.block, error);
                    Some((Err(error), None))
                }
            }
        });
        futures_util::stream::once(async move { Ok(first) }).chain(rest).boxed()
    }

    fn read_ahead(&mut self) {
        if self.next >= self.end {
            return;
        }
        let (start, end) = (self.next, self.end.min(self.next + PIECE));
        self.next = end;
        let reader = self.reader.clone();
        self.ahead = Some(tokio::task::spawn_blocking(move || reader.read(start, end)));
    }
}
