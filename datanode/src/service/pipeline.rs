//! Forwarding a block along its pipeline: the next node is sent the bytes as they arrive.
//!
//! A node that cannot be reached before it took a byte is left out, and the next one takes its place. A node that fails later is left
//! out too; the nodes behind it are then sent the block from this node's disk, once it is there.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use cairn_protocol::block::{
    BlockConnector, BlockError, BlockStream, FailedTarget, PipelineTarget, PutBlock, PutBlockReply,
};
use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::BlockId;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

/// Pieces (of up to some hundred KiB) that wait for the next node at most: it may lag so far behind this node's disk. More pieces would
/// gain little, and cost memory for each block that is being received.
const PIECES_WAITING: usize = 4;

/// The block that is forwarded, as the sender announced it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) block: BlockId,
    pub(crate) length: u64,
    pub(crate) crc32c: Crc32c,
}

/// The result of forwarding: which of the next nodes hold the block.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    pub(crate) reply: PutBlockReply,
    /// Nodes that were sent nothing, because the node before them failed in the middle.
    pub(crate) left: Vec<PipelineTarget>,
}

/// The pieces of a block, as a stream. It can be given to another target as long as no piece was taken from it.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    receiver: Arc<Mutex<mpsc::Receiver<Bytes>>>,
    taken: Arc<AtomicBool>,
}

impl Pieces {
    pub(crate) fn channel() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        (sender, Self { receiver: Arc::new(Mutex::new(receiver)), taken: Arc::default() })
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, BlockError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.poll_recv(context).map(|piece| {
            self.taken.store(true, Ordering::Relaxed);
            piece.map(Ok)
        })
    }
}

/// Sends pieces to the first target that can be reached, and through it to the targets behind it.
pub(crate) async fn forward(
    connector: Arc<dyn BlockConnector>,
    announced: Announced,
    targets: Vec<PipelineTarget>,
    pieces: Pieces,
) -> Forwarded {
    let mut forwarded = Forwarded::default();
    let mut targets = targets.into_iter();
    while let Some(target) = targets.next() {
        let node = target.node;
        let result = send(&*connector, announced, target, targets.as_slice(), pieces.clone().boxed()).await;
        match result {
            Ok(reply) => {
                forwarded.reply.stored.extend(reply.stored);
                forwarded.reply.failed.extend(reply.failed);
                forwarded.reply.incarnations.extend(reply.incarnations);
                return forwarded;
            }
            Err(error) => {
                forwarded.reply.failed.push(FailedTarget { node, reason: error.to_string() });
                if pieces.taken.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }
    forwarded.left = targets.collect();
    forwarded
}

/// Sends a block to one target, with others behind it.
pub(crate) async fn send(
    connector: &dyn BlockConnector,
    announced: Announced,
    target: PipelineTarget,
    behind: &[PipelineTarget],
    data: BlockStream,
) -> Result<PutBlockReply, BlockError> {
    let Announced { block, length, crc32c } = announced;
    let request = PutBlock { block, length, crc32c, token: target.token, pipeline: behind.to_vec() };
    connector.connect(target.node, &target.address).put(request, data).await
}
