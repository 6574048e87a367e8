//! Reads the bytes of one block from one replica. Every chunk of a range is compared with its checksum here, and the
//! chunk table with the block's checksum that the metanode recorded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::{BlockError, BlockRead, BlockStream, GetBlock, chunk_aligned};
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, ChunkTableBuilder};
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

/// An open replica, positioned at the beginning of a chunk.
pub(super) struct OpenReplica {
    parts: Arc<Parts>,
    node: NodeId,
    table: ChunkTable,
    /// The block's length in bytes.
    length: u64,
    data: BlockStream,
    /// The offset in the block of the next chunk.
    offset: u64,
    /// The bytes that were received after the last chunk.
    rest: Bytes,
    /// When bytes were requested or received last.
    active_at: Duration,
}

impl OpenReplica {
    /// Opens `start..end` of a block, and compares the datanode's facts about the block with what the metanode
    /// recorded.
    pub(super) async fn open(
        parts: Arc<Parts>,
        location: &BlockLocation,
        replica: &Replica,
        (start, end): (u64, u64),
    ) -> Result<Self, ReplicaError> {
        let service = parts.blocks.connect(replica.node, &replica.address);
        let request = GetBlock {
            block: location.block,
            range: Some((start, end)),
            token: token(&parts, BlockOperation::Get, location.block, replica.node),
        };
        let read = tokio::select! {
            read = service.get(request) => read?,
            () = parts.env.sleep(parts.timeouts.open) => return Err(BlockError::TimedOut.into()),
        };
        check(&read, location, start, end)?;
        let active_at = parts.env.monotonic();
        let BlockRead { table, data_offset, data, .. } = read;
        Ok(Self {
            parts,
            node: replica.node,
            table,
            length: location.length,
            data,
            offset: data_offset,
            rest: Bytes::new(),
            active_at,
        })
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// The offset in the block of the next chunk.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next chunk, verified, in the pieces in which it arrived.
    ///
    /// The time-out applies to each piece, and bytes that have arrived are taken before it is checked, because the
    /// pieces may have waited for this gateway while its client did not read.
    pub(super) async fn next_chunk(&mut self) -> Result<VecDeque<Bytes>, ReplicaError> {
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
        tokio::select! {
            biased;
            piece = self.data.next() => match piece {
                Some(piece) => piece,
                None => Err(BlockError::LengthMismatch { expected: self.length, received: self.offset }),
            },
            () = self.parts.env.sleep(self.parts.timeouts.chunk) => Err(BlockError::TimedOut),
        }
    }

    /// Finds out why a replica was slower than the one that was used instead, and reports it.
    pub(super) async fn examine(mut self, block: BlockId) {
        if let Err(error) = self.piece().await {
            ReplicaError::Midway(error).report(&self.parts, block, self.node);
        }
    }

    async fn receive(&mut self) -> Result<VecDeque<Bytes>, ReplicaError> {
        let wanted = (self.length - self.offset).min(CHUNK_SIZE as u64) as usize;
        let mut pieces = VecDeque::new();
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
            pieces.push_back(piece);
        }
        let index = usize::try_from(self.offset / CHUNK_SIZE as u64).unwrap_or(usize::MAX);
        if digest.finish().crcs().first() != self.table.crcs().get(index) {
            return Err(ReplicaError::Wrong("a chunk does not match the table"));
        }
        self.offset += wanted as u64;
        Ok(pieces)
    }
}

fn check(read: &BlockRead, location: &BlockLocation, start: u64, end: u64) -> Result<(), ReplicaError> {
    if read.info.length != location.length || read.info.crc32c != location.crc32c {
        return Err(ReplicaError::Wrong("another length or CRC"));
    }
    if !read.table.matches(location.length, location.crc32c) {
        return Err(ReplicaError::Wrong("the table does not combine to the block's CRC"));
    }
    if read.data_offset != chunk_aligned(start, end, location.length).0 {
        return Err(ReplicaError::Wrong("the data begins elsewhere"));
    }
    Ok(())
}
