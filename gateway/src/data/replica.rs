//! The bytes of one block from one replica. Every chunk of a range is compared here with its checksum, and the chunk
//! table with the checksum of the block that the metanode recorded.

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

/// How long a block token is good for. It is checked when a request begins, so this is only what the
/// clocks of two machines may differ by, and a little more.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// A connection that lay idle for this long because our own client did not read may have been closed by
/// the datanode, or by what lies between; that is not the datanode's fault. A longer pause gives the connection up
/// anyway (see `slow_clients`).
const OUR_FAULT_AFTER: Duration = Duration::from_millis(500);

/// A token for one operation on one block at one node.
pub(super) fn token(parts: &Parts, operation: BlockOperation, block: BlockId, node: NodeId) -> String {
    parts.secret.block_token(operation, block, node, parts.env.now().after(TOKEN_LIFETIME))
}

/// What was wrong with a replica.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ReplicaError {
    /// The datanode said so, or did not begin to answer.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// It broke off in the middle, or fell silent.
    #[error("in the middle of its answer: {0}")]
    Midway(BlockError),
    /// It has other bytes than the metanode recorded.
    #[error("the replica is not what the metanode recorded: {0}")]
    Wrong(&'static str),
    /// It broke off after we had left the connection idle.
    #[error("broken off while our client did not read")]
    OurFault,
}

impl ReplicaError {
    /// What the metanode is told.
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
                // A full queue passes; the others are about us, not about the replica.
                BlockError::Busy
                | BlockError::NoSpace
                | BlockError::Unauthorized { .. }
                | BlockError::Malformed { .. }
                | BlockError::Internal => None,
            },
        }
    }

    /// Whether the replica will not be otherwise in a moment: it is not there, or is not what it should be.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.problem(), Some(ReplicaProblem::Missing | ReplicaProblem::Corrupt))
    }

    /// Tells the metanode, and remembers a node that cannot be reached.
    pub(super) fn report(&self, parts: &Arc<Parts>, block: BlockId, node: NodeId) {
        cairn_protocol::warn_peer!(%block, %node, error = %self, "a replica cannot be read");
        let Some(problem) = self.problem() else { return };
        if problem == ReplicaProblem::Unreachable {
            parts.read_suspects.add(node);
        }
        // There is nobody to store anything either. One that is slow to read from may well be quick to store.
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

/// A replica being read, from a chunk's beginning on.
pub(super) struct OpenReplica {
    parts: Arc<Parts>,
    node: NodeId,
    table: ChunkTable,
    /// The block's length in bytes.
    length: u64,
    data: BlockStream,
    /// Where in the block the next chunk begins.
    offset: u64,
    /// What was received behind the last chunk.
    rest: Bytes,
    /// When bytes were asked for or came last.
    active_at: Duration,
}

impl OpenReplica {
    /// Opens `start..end` of a block, and compares what the datanode says of the block with what the
    /// metanode recorded.
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

    /// Where in the block the next chunk begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next chunk, verified, in the pieces in which it came.
    ///
    /// The time-out holds for each piece, and what has come is looked at before it: nobody may have asked for the
    /// pieces in the meantime, because our own client did not read.
    pub(super) async fn next_chunk(&mut self) -> Result<VecDeque<Bytes>, ReplicaError> {
        let idle = self.parts.env.monotonic().saturating_sub(self.active_at);
        let chunk = self.receive().await;
        self.active_at = self.parts.env.monotonic();
        match chunk {
            Err(ReplicaError::Midway(_)) if idle > OUR_FAULT_AFTER => Err(ReplicaError::OurFault),
            chunk => chunk,
        }
    }

    /// The next piece of the answer.
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

    /// Finds out what is wrong with a replica that was given up because another one was quicker, and tells.
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
                // One that sends a byte at a time is as good as silent.
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
