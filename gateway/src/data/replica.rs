//! Reads the bytes of one block from one replica. Every chunk of a range is compared with its checksum here, and the
//! chunk table with the block's checksum that the metanode recorded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::{
    BYTES_MAX, BlockError, BlockRead, BlockService, BlockStream, GetBlock, chunk_aligned,
};
use cairn_protocol::checksum::{self, CHUNK_SIZE, ChunkTable, ChunkTableBuilder, Crc32c};
use cairn_protocol::env::Elapsed;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{BlockLocation, Replica, ReplicaProblem, ReplicaReport};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use cairn_protocol::secret::BlockOperation;
use futures_util::StreamExt;
use thiserror::Error;

use super::Parts;

/// The lifetime of a block token. It is checked when a request begins, so it need only cover the difference between the
/// clocks of two machines.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// A connection that was idle for this long because the client did not read may have been closed by the datanode or by
/// the network. The datanode is not blamed then. After a longer pause the download gives the connection up anyway (see
/// `slow_clients`).
const OUR_FAULT_AFTER: Duration = Duration::from_millis(500);

/// Signs a token for one operation on one block at one node.
pub(super) fn token(parts: &Parts, operation: BlockOperation, block: BlockId, node: NodeId) -> String {
    parts.secret.block_token(operation, block, node, parts.env.now().after(TOKEN_LIFETIME))
}

/// Why a replica cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ReplicaError {
    /// The datanode answered with an error, or did not begin to answer.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The response broke off in the middle, or stalled.
    #[error("in the middle of its answer: {0}")]
    Midway(BlockError),
    /// Its bytes do not match the checksum that the metanode recorded.
    #[error("the replica is not what the metanode recorded: {0}")]
    Wrong(&'static str),
    /// The response broke off after this gateway had left the connection idle.
    #[error("broken off while our client did not read")]
    OurFault,
}

impl ReplicaError {
    /// The problem to report to the metanode.
    fn problem(&self) -> Option<ReplicaProblem> {
        match self {
            Self::Wrong(_) => Some(ReplicaProblem::Corrupt),
            Self::OurFault => None,
            Self::Block(error) | Self::Midway(error) => match error {
                BlockError::NotFound => Some(ReplicaProblem::Missing),
                BlockError::Corrupt | BlockError::ChecksumMismatch | BlockError::Conflict => {
                    Some(ReplicaProblem::Corrupt)
                }
                BlockError::Unreachable { .. }
                | BlockError::TimedOut
                | BlockError::LengthMismatch { .. }
                | BlockError::VolumeFailed { .. } => Some(ReplicaProblem::Unreachable),
                // A full queue is temporary, and the other errors concern this gateway and not the replica.
                BlockError::Busy
                | BlockError::NoSpace
                | BlockError::Unauthorized { .. }
                | BlockError::Malformed { .. }
                | BlockError::Internal => None,
            },
        }
    }

    /// Whether the failure is permanent: the replica is missing or corrupt.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.problem(), Some(ReplicaProblem::Missing | ReplicaProblem::Corrupt))
    }

    /// Reports the failure to the metanode, and remembers a node that cannot be reached.
    pub(super) fn report(&self, parts: &Arc<Parts>, block: BlockId, node: NodeId) {
        cairn_protocol::warn_peer!(%block, %node, error = %self, "a replica cannot be read");
        let Some(problem) = self.problem() else { return };
        if problem == ReplicaProblem::Unreachable {
            parts.read_suspects.add(node);
        }
        // A node that cannot be reached can store nothing either. A node that reads slowly may still write fast.
        if matches!(self, Self::Block(BlockError::Unreachable { .. })) {
            parts.write_suspects.add(node);
        }
        let metadata = parts.metadata.clone();
        tokio::spawn(with_request_id(current_request_id(), async move {
            if let Err(error) = metadata.report_replica(ReplicaReport { block, node, problem }).await {
                cairn_protocol::warn_peer!(%error, "a replica's problem could not be reported");
            }
        }));
    }
}

/// A verified chunk of a block.
pub(super) struct Chunk {
    /// Its bytes, in the pieces in which they arrived.
    pub(super) pieces: Vec<Bytes>,
    /// Whether it is one piece, which keeps no other bytes in memory.
    pub(super) is_owned: bool,
}

/// The bytes of a block that are read.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The offset in the block of the first.
    start: u64,
    /// One past the last.
    end: u64,
    /// The CRC32C of exactly these bytes, if it is known and they are few. They are then read and checked without the rest of
    /// the block.
    crc32c: Option<Crc32c>,
}

impl Wanted {
    /// Bytes that are checked by the block's chunk table.
    pub(super) fn range((start, end): (u64, u64)) -> Self {
        Self { start, end, crc32c: None }
    }

    /// At most [`BYTES_MAX`] bytes with this CRC32C.
    pub(super) fn with_crc((start, end): (u64, u64), crc32c: Crc32c) -> Self {
        Self { start, end, crc32c: Some(crc32c).filter(|_| end.saturating_sub(start) <= BYTES_MAX) }
    }
}

/// An open replica, positioned at the beginning of a chunk.
pub(super) struct OpenReplica {
    parts: Arc<Parts>,
    node: NodeId,
    table: ChunkTable,
    /// The block's length in bytes.
    length: u64,
    data: BlockStream,
    /// Whether the pieces of `data` are chunks, each in memory of its own.
    owned_chunks: bool,
    /// The offset in the block of the next chunk.
    offset: u64,
    /// The bytes that were received after the last chunk.
    rest: Bytes,
    /// When bytes were requested or received last.
    active_at: Duration,
    /// All bytes that were wanted, verified.
    whole: Option<Bytes>,
}

impl OpenReplica {
    /// Opens a replica, and compares the datanode's facts about the block with what the metanode recorded.
    pub(super) fn open(
        parts: Arc<Parts>,
        location: &BlockLocation,
        replica: &Replica,
        wanted: Wanted,
    ) -> impl Future<Output = Result<Self, ReplicaError>> + Send + use<> {
        let node = replica.node;
        let expected = Recorded { length: location.length, crc32c: location.crc32c };
        let service = parts.blocks.connect(node, &replica.address);
        let request = GetBlock {
            block: location.block,
            range: Some((wanted.start, wanted.end)),
            token: token(&parts, BlockOperation::Get, location.block, node),
        };
        async move {
            if let Some(crc32c) = wanted.crc32c {
                return Self::read_whole(parts, node, (service, request), wanted, crc32c, expected).await;
            }
            let read = parts.env.timeout(parts.timeouts.open, service.get(request)).await;
            let read = read.unwrap_or(Err(BlockError::TimedOut))?;
            check(&read, expected, wanted.start, wanted.end)?;
            Ok(Self::at_chunks(parts, node, expected, read))
        }
    }

    fn at_chunks(parts: Arc<Parts>, node: NodeId, recorded: Recorded, read: BlockRead) -> Self {
        let active_at = parts.env.monotonic();
        let BlockRead { info: _, table, data_offset, data, owned_chunks } = read;
        Self {
            parts,
            node,
            table,
            length: recorded.length,
            data,
            owned_chunks,
            offset: data_offset,
            rest: Bytes::new(),
            active_at,
            whole: None,
        }
    }

    /// Reads the wanted bytes and nothing else. If they are wrong, the chunks around them are read too, so that the datanode notices
    /// damage by itself.
    async fn read_whole(
        parts: Arc<Parts>,
        node: NodeId,
        (service, request): (Arc<dyn BlockService>, GetBlock),
        wanted: Wanted,
        crc32c: Crc32c,
        recorded: Recorded,
    ) -> Result<Self, ReplicaError> {
        let bytes = parts.env.timeout(parts.timeouts.open, service.get_bytes(request.clone())).await;
        let bytes = bytes.unwrap_or(Err(BlockError::TimedOut))?;
        if bytes.len() as u64 == wanted.end - wanted.start && checksum::crc32c(&bytes) == crc32c {
            return Ok(Self {
                active_at: parts.env.monotonic(),
                parts,
                node,
                table: ChunkTable::default(),
                length: wanted.end,
                data: futures_util::stream::empty().boxed(),
                owned_chunks: false,
                offset: wanted.start,
                rest: Bytes::new(),
                whole: Some(bytes),
            });
        }
        let read = parts.env.timeout(parts.timeouts.open, service.get(request)).await;
        let read = read.unwrap_or(Err(BlockError::TimedOut))?;
        check(&read, recorded, wanted.start, wanted.end)?;
        let mut chunks = Self::at_chunks(parts, node, recorded, read);
        while chunks.offset < wanted.end {
            chunks.next_chunk().await?;
        }
        Err(ReplicaError::Wrong("the bytes of an object are not what was written"))
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// The offset in the block of the next chunk.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next chunk, verified.
    ///
    /// The time-out applies to each piece, and bytes that have arrived are taken before it is checked, because the
    /// pieces may have waited for this gateway while its client did not read.
    pub(super) async fn next_chunk(&mut self) -> Result<Chunk, ReplicaError> {
        let idle = self.parts.env.monotonic().saturating_sub(self.active_at);
        let chunk = self.receive().await;
        self.active_at = self.parts.env.monotonic();
        match chunk {
            Err(ReplicaError::Midway(_)) if idle > OUR_FAULT_AFTER => Err(ReplicaError::OurFault),
            chunk => chunk,
        }
    }

    /// The next piece of the response.
    async fn piece(&mut self) -> Result<Bytes, BlockError> {
        match self.parts.env.timeout(self.parts.timeouts.chunk, self.data.next()).await {
            Ok(Some(piece)) => piece,
            Ok(None) => Err(BlockError::LengthMismatch { expected: self.length, received: self.offset }),
            Err(Elapsed) => Err(BlockError::TimedOut),
        }
    }

    /// Finds out why a replica was slower than the one that was used instead, and reports it.
    pub(super) async fn examine(mut self, block: BlockId) {
        if let Err(error) = self.piece().await {
            ReplicaError::Midway(error).report(&self.parts, block, self.node);
        }
    }

    async fn receive(&mut self) -> Result<Chunk, ReplicaError> {
        if let Some(whole) = self.whole.take() {
            self.offset += whole.len() as u64;
            return Ok(Chunk { pieces: vec![whole], is_owned: true });
        }
        let wanted = (self.length - self.offset).min(CHUNK_SIZE as u64) as usize;
        let mut pieces = Vec::with_capacity(1);
        let mut received = 0;
        let mut digest = ChunkTableBuilder::default();
        let deadline = self.parts.env.monotonic() + self.parts.timeouts.read;
        while received < wanted {
            if self.rest.is_empty() {
                // A node that sends single bytes counts as stalled.
                if self.parts.env.monotonic() >= deadline {
                    return Err(ReplicaError::Midway(BlockError::TimedOut));
                }
                self.rest = self.piece().await.map_err(ReplicaError::Midway)?;
                continue;
            }
            let piece = self.rest.split_to(self.rest.len().min(wanted - received));
            digest.update(&piece);
            received += piece.len();
            pieces.push(piece);
        }
        let index = usize::try_from(self.offset / CHUNK_SIZE as u64).unwrap_or(usize::MAX);
        if digest.finish().crcs().first() != self.table.crcs().get(index) {
            return Err(ReplicaError::Wrong("a chunk does not match the table"));
        }
        self.offset += wanted as u64;
        let is_owned = self.owned_chunks && pieces.len() == 1 && self.rest.is_empty();
        Ok(Chunk { pieces, is_owned })
    }
}

/// What the metanode recorded of a block.
#[derive(Clone, Copy)]
struct Recorded {
    length: u64,
    crc32c: Crc32c,
}

fn check(read: &BlockRead, recorded: Recorded, start: u64, end: u64) -> Result<(), ReplicaError> {
    if read.info.length != recorded.length || read.info.crc32c != recorded.crc32c {
        return Err(ReplicaError::Wrong("another length or CRC"));
    }
    if !read.table.matches(recorded.length, recorded.crc32c) {
        return Err(ReplicaError::Wrong("the table does not combine to the block's CRC"));
    }
    if read.data_offset != chunk_aligned(start, end, recorded.length).0 {
        return Err(ReplicaError::Wrong("the data begins elsewhere"));
    }
    Ok(())
}
