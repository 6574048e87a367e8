//! Writing a block whose bytes come in pieces. Length and CRC32C are checked; nothing is kept unless both are as announced and the
//! block is durable.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cairn_protocol::checksum::{ChunkTableBuilder, Crc32c};
use cairn_protocol::id::BlockId;
use tokio::task::{JoinError, JoinHandle};

use super::dedicated::{DedicatedFile, DedicatedSegments, file_offset};
use super::error::VolumeError;
use super::log::{Change, Log, SmallBlock};
use super::space::SpaceReservation;
use super::state::VolumeState;

/// Bytes are written to the file in pieces of this size: few system calls and thread switches, and little memory. One piece is
/// written while the next one is collected.
const PIECE: usize = 1 << 20;

/// A block that is being written. If it is dropped before it is finished, nothing of the block is kept.
#[derive(Debug)]
pub struct BlockWriter {
    id: BlockId,
    length: u64,
    crc: Crc32c,
    builder: ChunkTableBuilder,
    gathered: BytesMut,
    target: Target,
    _reservation: SpaceReservation,
}

#[derive(Debug)]
enum Target {
    Shared(Log),
    Dedicated(DedicatedWrite),
}

#[derive(Debug)]
struct DedicatedWrite {
    state: Arc<VolumeState>,
    segments: Arc<DedicatedSegments>,
    file: Option<Arc<DedicatedFile>>,
    /// Bytes of the block that were passed to the file.
    written: u64,
    running: Option<JoinHandle<Result<(), VolumeError>>>,
}

impl BlockWriter {
    pub(crate) fn shared(
        id: BlockId,
        length: u64,
        crc: Crc32c,
        log: Log,
        reservation: SpaceReservation,
    ) -> Self {
        Self::new(id, length, crc, Target::Shared(log), reservation)
    }

    pub(crate) async fn dedicated(
        id: BlockId,
        length: u64,
        crc: Crc32c,
        state: Arc<VolumeState>,
        segments: Arc<DedicatedSegments>,
        reservation: SpaceReservation,
    ) -> Result<Self, VolumeError> {
        let maker = segments.clone();
        let file = blocking(move || maker.create(id)).await?;
        let write = DedicatedWrite { state, segments, file: Some(Arc::new(file)), written: 0, running: None };
        Ok(Self::new(id, length, crc, Target::Dedicated(write), reservation))
    }

    fn new(id: BlockId, length: u64, crc: Crc32c, target: Target, reservation: SpaceReservation) -> Self {
        let gathered = BytesMut::with_capacity(PIECE.min(length as usize));
        let builder = ChunkTableBuilder::default();
        Self { id, length, crc, builder, gathered, target, _reservation: reservation }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The error may be of a write that an earlier call began. Nothing of the block can be kept then; drop the writer.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), VolumeError> {
        let got = self.builder.length() + bytes.len() as u64;
        if got > self.length {
            return Err(VolumeError::WrongLength { expected: self.length, got });
        }
        self.builder.update(&bytes);
        let Target::Dedicated(dedicated) = &mut self.target else {
            self.gathered.extend_from_slice(&bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            let now = bytes.split_to(bytes.len().min(PIECE - self.gathered.len()));
            self.gathered.extend_from_slice(&now);
            if self.gathered.len() == PIECE {
                let full = std::mem::replace(&mut self.gathered, BytesMut::with_capacity(PIECE));
                dedicated.begin_write(full.freeze(), self.length).await?;
            }
        }
        Ok(())
    }

    /// Checks the block, makes it durable and then visible.
    ///
    /// # Errors
    /// Nothing of the block is kept.
    pub async fn finish(self) -> Result<(), VolumeError> {
        let Self { id, length, crc, builder, gathered, target, _reservation } = self;
        if builder.length() != length {
            return Err(VolumeError::WrongLength { expected: length, got: builder.length() });
        }
        let table = builder.finish();
        let got = table.block_crc(length);
        if got != crc {
            return Err(VolumeError::WrongChecksum { expected: crc, got });
        }
        // Volume::writer has checked that the length is at most BLOCK_LENGTH_MAX.
        let short_length = length as u32;
        match target {
            Target::Shared(log) => {
                let block = SmallBlock {
                    id,
                    length: short_length,
                    crc,
                    table: table.encode(),
                    data: gathered.freeze(),
                };
                log.apply(Change::Put { block, moved_from: None }).await
            }
            Target::Dedicated(mut dedicated) => {
                if !gathered.is_empty() {
                    dedicated.begin_write(gathered.freeze(), length).await?;
                }
                dedicated.settle().await?;
                // Taken out of the writer first: if this future is dropped now, `Drop` must not unlink a file that is being
                // published.
                let Some(file) = dedicated.file.take() else { return Err(VolumeError::Closed) };
                let segments = dedicated.segments.clone();
                blocking(move || {
                    segments.finish(&file, short_length, crc, &table).inspect_err(|_| segments.abandon(&file))
                })
                .await
            }
        }
    }
}

impl DedicatedWrite {
    /// Waits until the piece before is written, and begins to write this one.
    async fn begin_write(&mut self, piece: Bytes, length: u64) -> Result<(), VolumeError> {
        self.settle().await?;
        let Some(dedicated) = self.file.clone() else { return Err(VolumeError::Closed) };
        let state = self.state.clone();
        let offset = file_offset(length, self.written);
        self.written += piece.len() as u64;
        self.running = Some(tokio::task::spawn_blocking(move || {
            state.check()?;
            state.write_with_space(dedicated.path(), piece.len() as u64, || {
                dedicated.file.write_all_at(&piece, offset)
            })
        }));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), VolumeError> {
        match &mut self.running {
            Some(running) => {
                let result = running.await;
                self.running = None;
                result.map_err(|_| VolumeError::Closed)?
            }
            None => Ok(()),
        }
    }
}

impl Drop for DedicatedWrite {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let segments = self.segments.clone();
        match tokio::runtime::Handle::try_current() {
            // The result is not awaited, because recovery removes the file if this does not.
            Ok(runtime) => drop(runtime.spawn_blocking(move || segments.abandon(&file))),
            Err(_) => segments.abandon(&file),
        }
    }
}

/// Runs work that blocks its thread, and cannot fail, on a thread that serves no requests. A panic is passed on to the caller. When
/// the runtime ends, this does not return.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

/// Runs work that blocks its thread on a thread that serves no requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    // The work is cancelled only when the runtime ends.
    tokio::task::spawn_blocking(work).await.map_err(|_| VolumeError::Closed)?
}
