//! Receiving a block: each piece is written to a volume and forwarded to the next node of the pipeline as it arrives.
//!
//! Volume and pipeline fail independently. If one fails, the other goes on, and the reply lists the nodes that hold the block. Only
//! bytes that do not match the announced length or checksum end the write on all nodes.

use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::block::{
    BLOCK_LENGTH_MAX, BlockError, BlockStream, FailedTarget, PipelineTarget, PutBlock, PutBlockReply,
};
use cairn_protocol::checksum::Crc32c;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::warn_peer;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::BlockStore;
use super::pipeline::{Announced, Forwarded, Pieces, forward, send};
use crate::block_locks::BlockLock;
use crate::volume::{BlockWriter, Volume, VolumeError, aside};

/// How many targets a pipeline may have at most: more than any replication factor in use. It bounds the work of one request.
const PIPELINE_MAX: usize = 16;

/// The write of a block on this node.
enum Local {
    /// The node holds a replica of the same block already.
    Held,
    Writing(Arc<Volume>, Box<BlockWriter>),
    Failed(BlockError),
}

impl BlockStore {
    pub(crate) async fn receive(
        &self,
        request: PutBlock,
        data: BlockStream,
    ) -> Result<PutBlockReply, BlockError> {
        let PutBlock { block, length, crc32c, token: _, pipeline } = request;
        if !(1..=BLOCK_LENGTH_MAX).contains(&length) {
            return Err(BlockError::Malformed { reason: format!("a block cannot have {length} bytes") });
        }
        if pipeline.len() > PIPELINE_MAX {
            return Err(BlockError::Malformed { reason: format!("{} nodes in a pipeline", pipeline.len()) });
        }
        let _permit = self.receives.clone().try_acquire_owned().map_err(|_| BlockError::Busy)?;
        let lock = self.block_locks.lock_to_write(block, &self.env).await.ok_or(BlockError::Busy)?;
        let announced = Announced { block, length, crc32c };
        let behind: Vec<NodeId> = pipeline.iter().map(|target| target.node).collect();
        let local = self.begin(announced).await?;
        let (next, forwarding) = self.begin_forwarding(announced, pipeline);
        let received = Receiving { blocks: self, lock: &lock, local, next }.run(data, length).await;
        let (local, mut forwarded) = match received {
            Ok(local) => {
                // In a task of its own, so that the lock is held until the block is durable or given up, even if this future is
                // dropped because the caller disconnects.
                let blocks = self.clone();
                let local = tokio::spawn(async move {
                    let _lock = lock;
                    blocks.finish(announced, local).await
                });
                let (local, forwarded) = tokio::join!(local, self.await_forwarding(forwarding, &behind));
                (local.unwrap_or(Err(BlockError::Internal)), forwarded)
            }
            Err(error) => {
                if let Some(forwarding) = forwarding {
                    forwarding.abort();
                }
                return Err(error);
            }
        };
        if let Err(error @ (BlockError::ChecksumMismatch | BlockError::LengthMismatch { .. })) = local {
            return Err(error);
        }
        let left = std::mem::take(&mut forwarded.left);
        if local.is_ok() {
            self.forward_from_disk(announced, left, &mut forwarded.reply).await;
        } else {
            let not_reached = |target: PipelineTarget| FailedTarget {
                node: target.node,
                reason: "the node before it in the pipeline failed".to_owned(),
            };
            forwarded.reply.failed.extend(left.into_iter().map(not_reached));
        }
        self.reply(block, local, forwarded.reply)
    }

    /// Begins the write on this node, on the first volume that has space.
    async fn begin(&self, announced: Announced) -> Result<Local, BlockError> {
        let Announced { block, length, crc32c } = announced;
        if self.holds(ReportedReplica { block, length, crc32c })? {
            return Ok(Local::Held);
        }
        Ok(match self.writer(block, length, crc32c).await {
            Ok((volume, writer)) => Local::Writing(volume, Box::new(writer)),
            Err(error) => Local::Failed(error.into()),
        })
    }

    pub(crate) async fn writer(
        &self,
        block: BlockId,
        length: u64,
        crc32c: Crc32c,
    ) -> Result<(Arc<Volume>, BlockWriter), VolumeError> {
        let mut failure = VolumeError::Failed("no volume is left".into());
        let volumes = self.volumes.clone();
        for volume in aside(move || volumes.in_order_for_writing()).await {
            match volume.writer(block, length, crc32c).await {
                Ok(writer) => return Ok((volume, writer)),
                Err(error) => failure = error,
            }
        }
        if matches!(failure, VolumeError::Failed(_)) {
            self.incremental_report.heartbeat_now();
        }
        Err(failure)
    }

    fn begin_forwarding(
        &self,
        announced: Announced,
        pipeline: Vec<PipelineTarget>,
    ) -> (Option<mpsc::Sender<Bytes>>, Option<JoinHandle<Forwarded>>) {
        if pipeline.is_empty() {
            return (None, None);
        }
        let (sender, pieces) = Pieces::channel();
        let forwarding = forward(self.connector.clone(), announced, pipeline, pieces);
        let id = cairn_protocol::rpc::current_request_id();
        (Some(sender), Some(tokio::spawn(cairn_protocol::rpc::with_request_id(id, forwarding))))
    }

    /// Finishes the write on this node, once all bytes were received.
    async fn finish(&self, announced: Announced, local: Local) -> Result<(), BlockError> {
        let Announced { block, length, crc32c } = announced;
        let (volume, writer) = match local {
            Local::Held => return Ok(()),
            Local::Failed(error) => return Err(error),
            Local::Writing(volume, writer) => (volume, writer),
        };
        if let Err(error) = writer.finish().await {
            if volume.failure().is_some() {
                self.incremental_report.heartbeat_now();
            }
            return Err(error.into());
        }
        self.note_stored(ReportedReplica { block, length, crc32c });
        self.events.publish(EventKind::BlockStored { block, node: self.node });
        Ok(())
    }

    /// Sends the block from the disk to the targets that the pipeline did not reach.
    async fn forward_from_disk(
        &self,
        announced: Announced,
        targets: Vec<PipelineTarget>,
        reply: &mut PutBlockReply,
    ) {
        let mut targets = targets.into_iter();
        while let Some(target) = targets.next() {
            let node = target.node;
            let sent = match self.read(announced.block, None).await {
                Ok(read) => send(&*self.connector, announced, target, targets.as_slice(), read.data).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(behind) => {
                    reply.stored.extend(behind.stored);
                    reply.failed.extend(behind.failed);
                    reply.incarnations.extend(behind.incarnations);
                    return;
                }
                Err(error) => reply.failed.push(FailedTarget { node, reason: error.to_string() }),
            }
        }
    }

    /// Waits for the reply of the next nodes, once all bytes were forwarded. Each node of a pipeline waits one time-out less than the
    /// node before it, so that the node next to the fault times out first and can name it.
    async fn await_forwarding(
        &self,
        forwarding: Option<JoinHandle<Forwarded>>,
        behind: &[NodeId],
    ) -> Forwarded {
        let Some(mut forwarding) = forwarding else { return Forwarded::default() };
        let patience = self.stall_timeout.saturating_mul(u32::try_from(behind.len()).unwrap_or(u32::MAX));
        match self.env.timeout(patience, &mut forwarding).await {
            Ok(Ok(forwarded)) => forwarded,
            Ok(Err(_)) | Err(_) => {
                forwarding.abort();
                let silent = |node: &NodeId| FailedTarget {
                    node: *node,
                    reason: "the pipeline did not answer in time".to_owned(),
                };
                let failed = behind.iter().map(silent).collect();
                let reply = PutBlockReply { failed, ..PutBlockReply::default() };
                Forwarded { reply, left: Vec::new() }
            }
        }
    }

    fn reply(
        &self,
        block: BlockId,
        local: Result<(), BlockError>,
        mut reply: PutBlockReply,
    ) -> Result<PutBlockReply, BlockError> {
        for FailedTarget { node, reason } in &reply.failed {
            warn_peer!(%node, %reason, "a node of the pipeline does not hold the block");
        }
        match local {
            Ok(()) => {
                reply.stored.insert(0, self.node);
                reply.incarnations.insert(0, (self.node, self.acknowledge(&block)));
            }
            Err(error) if reply.stored.is_empty() => return Err(error),
            Err(error) => {
                reply.failed.insert(0, FailedTarget { node: self.node, reason: error.to_string() });
            }
        }
        Ok(reply)
    }
}

/// A block whose bytes are being received.
struct Receiving<'a> {
    blocks: &'a BlockStore,
    lock: &'a BlockLock,
    local: Local,
    /// The channel to the next node of the pipeline, as long as it takes pieces.
    next: Option<mpsc::Sender<Bytes>>,
}

impl Receiving<'_> {
    /// Receives all pieces. Returns the write on this node, ready to be finished.
    async fn run(mut self, mut data: BlockStream, length: u64) -> Result<Local, BlockError> {
        let stop = self.lock.stop();
        let mut received = 0;
        loop {
            let piece = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Err(BlockError::Unreachable { reason: "the block is being deleted".to_owned() });
                }
                piece = self.blocks.env.timeout(self.blocks.stall_timeout, data.next()) => piece,
            };
            let piece = match piece.map_err(|_| BlockError::TimedOut)? {
                Some(piece) => piece?,
                None => break,
            };
            received += piece.len() as u64;
            if received > length {
                return Err(BlockError::LengthMismatch { expected: length, received });
            }
            self.pass_on(&piece).await;
            self.store(piece).await;
            if self.next.is_none() && matches!(self.local, Local::Failed(_)) {
                // Both the local write and the pipeline have failed, so the rest is not needed.
                return Ok(self.local);
            }
        }
        if received < length {
            return Err(BlockError::LengthMismatch { expected: length, received });
        }
        Ok(self.local)
    }

    async fn pass_on(&mut self, piece: &Bytes) {
        let Some(next) = &self.next else { return };
        let sent = self.blocks.env.timeout(self.blocks.stall_timeout, next.send(piece.clone())).await;
        // Dropping the sender ends the stream to the next node. The result of the pipeline has the reason.
        if !matches!(sent, Ok(Ok(()))) {
            self.next = None;
        }
    }

    async fn store(&mut self, piece: Bytes) {
        let Local::Writing(_, writer) = &mut self.local else { return };
        if let Err(error) = writer.write(piece).await {
            self.blocks.incremental_report.heartbeat_now();
            self.local = Local::Failed(error.into());
        }
    }
}
