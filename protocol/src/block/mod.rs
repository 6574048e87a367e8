//! The block service of a datanode: it stores, returns and deletes blocks.
//!
//! [`BlockService`] has two implementations: the datanode itself, and [`HttpBlockClient`]. A caller of
//! many datanodes holds a [`BlockConnector`].
//!
//! Over HTTP:
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /v1/blocks/{id}` | the block | [`PutBlockReply`] as JSON |
//! | `GET /v1/blocks/{id}` | | the chunk table of the whole block, then the chunks that the range touches; with [`header::BYTES`] just the range |
//! | `HEAD /v1/blocks/{id}` | | headers only |
//! | `DELETE /v1/blocks/{id}` | | 204 |
//!
//! with the headers of [`header`], and a block token as `Authorization: Bearer …`. The version of the protocol is in
//! the path, as everywhere: see [`rpc`](crate::rpc).

mod client;
mod connector;
mod error;
#[cfg(test)]
mod properties;

pub use cairn_types::block::BLOCK_LENGTH_MAX;
pub use client::HttpBlockClient;
pub use connector::Connector;
pub use error::BlockError;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::checksum::{CHUNK_SIZE, ChunkTable, Crc32c};
use crate::id::{BlockId, NodeId, VolumeId};

/// Names of HTTP headers.
pub mod header {
    /// CRC32C of the whole block: eight hexadecimal digits.
    pub const CRC32C: &str = "x-cairn-crc32c";
    /// Length of the whole block in bytes.
    pub const BLOCK_LENGTH: &str = "x-cairn-block-length";
    /// In the answer to a GET: the offset in the block at which the data after the table begins, a multiple of the chunk size.
    pub const DATA_OFFSET: &str = "x-cairn-data-offset";
    /// In a GET: the answer shall have the bytes of the range and nothing else. In its answer: it has. Nodes of an earlier version
    /// send table and chunks all the same.
    pub const BYTES: &str = "x-cairn-bytes";
    /// In a PUT: the rest of the pipeline, a JSON array of [`PipelineTarget`](super::PipelineTarget)s.
    pub const PIPELINE: &str = "x-cairn-pipeline";
    /// In the answer to a GET or HEAD: the node's volume that holds the block.
    pub const VOLUME: &str = "x-cairn-volume";
    /// In the answer to a HEAD: the incarnation in which the node certainly holds the block.
    pub const INCARNATION: &str = "x-cairn-incarnation";
    /// In the answer to a HEAD, which has no body: the [`BlockError`](super::BlockError) as JSON.
    pub const ERROR: &str = "x-cairn-error";
}

/// The bytes of a block as they arrive.
pub type BlockStream = BoxStream<'static, Result<Bytes, BlockError>>;

/// The block service of a datanode.
#[async_trait]
pub trait BlockService: Send + Sync + 'static {
    /// Stores a block and forwards it along the pipeline while receiving it. Idempotent. Returns `Ok` if at least one node of
    /// the pipeline has it on stable storage.
    ///
    /// # Errors
    /// When no node stored the block. No node stores bytes that do not match `request`.
    async fn put(&self, request: PutBlock, data: BlockStream) -> Result<PutBlockReply, BlockError>;

    /// Reads a block or a range of it.
    ///
    /// # Errors
    /// The stream of the data can fail, too.
    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError>;

    /// Reads a range of a block, of up to [`BYTES_MAX`]. Nobody has checked the bytes: the caller knows their CRC32C. They keep no
    /// more than two chunks in memory.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn get_bytes(&self, request: GetBlock) -> Result<Bytes, BlockError> {
        let range = request.range;
        cut_out(self.get(request).await?, range).await
    }

    /// The properties of a block that the node holds.
    ///
    /// # Errors
    /// [`BlockError::NotFound`].
    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError>;

    /// Deletes a block. It is no error if the node does not hold the block.
    ///
    /// # Errors
    /// When the node may still hold the block.
    async fn delete(&self, request: DeleteBlock) -> Result<(), BlockError>;
}

/// Finds the service of a datanode.
pub trait BlockConnector: Send + Sync + 'static {
    /// The service of `node`, which is at `address`.
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn BlockService>;
}

/// The smallest configurable block size, in bytes: one chunk. Smaller blocks would cost the metanode more rows (a GiB has
/// 16,384 blocks of this size), and save nothing, because chunks are the unit of checks and reads. The last block of an
/// object may be shorter.
pub const BLOCK_SIZE_MIN: u64 = crate::checksum::CHUNK_SIZE as u64;

/// The longest range of [`get_bytes`](BlockService::get_bytes), in bytes: one chunk. A longer one is read in chunks, each of which is
/// checked by itself.
pub const BYTES_MAX: u64 = crate::checksum::CHUNK_SIZE as u64;

/// The bytes of a range out of the chunks that it touches. They are not checked, and all of them are in memory.
///
/// # Errors
/// When they cannot be read, or the chunks are others.
pub async fn cut_out(read: BlockRead, range: Option<(u64, u64)>) -> Result<Bytes, BlockError> {
    let (start, end) = range.unwrap_or((0, read.info.length));
    let mut chunks = BytesMut::new();
    let mut data = read.data;
    while let Some(piece) = data.next().await {
        chunks.extend_from_slice(&piece?);
    }
    let place = |at: u64| at.checked_sub(read.data_offset).and_then(|at| usize::try_from(at).ok());
    let within = place(start).zip(place(end)).filter(|(start, end)| start <= end && *end <= chunks.len());
    let (start, end) = within.ok_or_else(|| BlockError::LengthMismatch {
        expected: end.saturating_sub(start),
        received: chunks.len() as u64,
    })?;
    Ok(chunks.freeze().slice(start..end))
}

/// Stores a block.
#[derive(Clone, Debug)]
pub struct PutBlock {
    /// The block.
    pub block: BlockId,
    /// Its length in bytes, 1 to [`BLOCK_LENGTH_MAX`].
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
    /// Token of operation `Put` for this node.
    pub token: String,
    /// The nodes to forward it to, in order.
    pub pipeline: Vec<PipelineTarget>,
}

/// A further node of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineTarget {
    /// The node.
    pub node: NodeId,
    /// Its base URL.
    pub address: String,
    /// Token of operation `Put` for that node.
    pub token: String,
}

/// Which nodes of the pipeline hold the block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBlockReply {
    /// The nodes that hold it on stable storage.
    pub stored: Vec<NodeId>,
    /// The nodes that do not hold it, or whose outcome is unknown.
    pub failed: Vec<FailedTarget>,
    /// For each node that holds it, the incarnation in which it certainly does, by which the metanode notices a later loss. It
    /// is 0 if the node is not registered, or has lost the volume again. Nodes of an earlier version have no entry.
    #[serde(default)]
    pub incarnations: Vec<(NodeId, u64)>,
}

/// A node of a pipeline that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTarget {
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub reason: String,
}

/// Reads a block.
#[derive(Clone, Debug)]
pub struct GetBlock {
    /// The block.
    pub block: BlockId,
    /// The bytes from `.0`, included, to `.1`, excluded; `None` is the whole block.
    pub range: Option<(u64, u64)>,
    /// Token of operation `Get`.
    pub token: String,
}

/// Requests the properties of a block.
#[derive(Clone, Debug)]
pub struct HeadBlock {
    /// The block.
    pub block: BlockId,
    /// Token of operation `Get`.
    pub token: String,
}

/// Deletes a block.
#[derive(Clone, Debug)]
pub struct DeleteBlock {
    /// The block.
    pub block: BlockId,
    /// Token of operation `Delete`.
    pub token: String,
}

/// The properties of a stored block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its length in bytes.
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
    /// The volume that holds it, if the node sent it.
    pub volume: Option<VolumeId>,
    /// The incarnation in which the node certainly holds it, if the node sent it; see [`PutBlockReply::incarnations`].
    pub incarnation: Option<u64>,
}

/// A block being read.
pub struct BlockRead {
    /// The properties of the block as the datanode sent them. A reader compares them with the metanode's records.
    pub info: BlockInfo,
    /// CRC of each chunk of the whole block. A reader checks that it combines to the block's CRC,
    /// and each chunk against it.
    pub table: ChunkTable,
    /// The offset in the block at which the data begins: the range's start, rounded down to a chunk.
    pub data_offset: u64,
    /// The chunks that the range touches, whole, in pieces of any size.
    pub data: BlockStream,
    /// Whether each piece of `data` is one chunk, in memory of its own: who keeps it keeps no other bytes in memory.
    pub owned_chunks: bool,
}

impl std::fmt::Debug for BlockRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockRead")
            .field("info", &self.info)
            .field("data_offset", &self.data_offset)
            .finish_non_exhaustive()
    }
}

/// The range `start..end` of a block of `length` bytes, widened to whole chunks.
pub fn chunk_aligned(start: u64, end: u64, length: u64) -> (u64, u64) {
    let chunk = CHUNK_SIZE as u64;
    (start / chunk * chunk, end.div_ceil(chunk).saturating_mul(chunk).min(length))
}
