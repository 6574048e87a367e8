//! Sends one block to enough datanodes. A node that fails is left out or replaced, and the same buffer is sent again.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::block::{BlockError, BlockStream, HeadBlock, PipelineTarget, PutBlock, PutBlockReply};
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{Grant, GrantTarget};
use cairn_protocol::secret::BlockOperation;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::watch;

use super::buffer::SealedBlock;
use super::grants::{Grants, Need};
use super::lease::Lease;
use super::replica::token;
use super::stored_block::StoredBlock;
use super::{DataError, Parts, Placement};

/// Upper limit of grants that one block is tried with. Each further grant avoids the nodes that failed if there are enough
/// others.
const GRANTS_MAX: u32 = 5;

/// Stores the blocks of one upload.
pub(super) struct Sender {
    pub(super) parts: Arc<Parts>,
    pub(super) grants: Arc<Grants>,
    pub(super) lease: Arc<Lease>,
}

/// How often a pipeline may stall although all its nodes are alive. Such nodes are slow, and other nodes are probably
/// not faster.
const STALLS_MAX: u32 = 3;

/// The first and the longest pause before a busy node is tried again.
const BUSY_DELAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The outcome of one attempt to send a block along a pipeline.
enum Sent {
    Replied(PutBlockReply),
    /// The first node failed.
    Failed(BlockError),
    /// A node of the pipeline makes no progress.
    Stalled(Probed),
}

/// The answers of all targets to the question whether they have the block.
#[derive(Default)]
struct Probed {
    /// The nodes that have it, with the right length and CRC.
    holding: Vec<NodeId>,
    /// The incarnation of each node that has it.
    incarnations: Vec<(NodeId, u64)>,
    /// The nodes that did not answer, or answered with an error or with another length or CRC.
    silent: Vec<NodeId>,
}

/// The nodes that hold a block, each with its incarnation.
#[derive(Default)]
struct Acknowledged {
    nodes: Vec<NodeId>,
    incarnations: Vec<(NodeId, u64)>,
}

/// Why a block is not on enough targets of a grant.
struct Failure {
    reason: String,
    /// Whether a pipeline stalled.
    stood_still: bool,
}

impl Sender {
    /// A sender of blocks with this placement, whose grants are its own.
    pub(super) fn new(parts: &Arc<Parts>, placement: Placement) -> Self {
        Self::with_lease(parts, placement, Arc::new(Lease::new(parts)))
    }

    /// The same, with grants that were taken before.
    pub(super) fn with_lease(parts: &Arc<Parts>, placement: Placement, lease: Arc<Lease>) -> Self {
        let grants = Arc::new(Grants::new(parts.clone(), lease.clone(), placement));
        Self { parts: parts.clone(), grants, lease }
    }

    /// A sender of blocks with the same placement, which shares no grants with this one.
    pub(super) fn alone(&self) -> Self {
        Self::new(&self.parts, self.grants.placement().clone())
    }

    /// Stores a block on at least `min_replicas` nodes: on the targets of `grant`, or, if too many of them fail, on
    /// those of further grants. `offset` is where in the object the block begins.
    pub(super) async fn store(
        &self,
        mut grant: Grant,
        offset: u64,
        block: SealedBlock,
    ) -> Result<StoredBlock, DataError> {
        let deadline = self.parts.env.monotonic() + self.parts.timeouts.block;
        for attempt in 1.. {
            let Failure { reason, stood_still } = match self.store_under(&grant, &block, deadline).await {
                Ok(Acknowledged { nodes, incarnations }) => {
                    return Ok(StoredBlock {
                        grant,
                        offset,
                        length: block.length,
                        crc32c: block.crc32c,
                        stored_on: nodes,
                        incarnations,
                        packed: None,
                    });
                }
                Err(failure) => failure,
            };
            cairn_protocol::warn_peer!(block = %grant.block, %reason, attempt, "a block was not stored");
            self.lease.release(grant.block);
            if attempt >= GRANTS_MAX || self.parts.env.monotonic() >= deadline {
                return Err(DataError::NotStored { block: grant.block, reason });
            }
            grant = self.grants.take(offset, block.length, Need::One(block.length)).await?;
            // To find out again that nodes hang would take as long as the first time, while the client waits. Nodes
            // that refuse at once may be restarting, and are tried again.
            if stood_still && !self.grants.is_usable(&grant) {
                self.lease.release(grant.block);
                return Err(DataError::NotStored { block: grant.block, reason });
            }
        }
        Err(DataError::Broken("attempts are counted from one up".to_owned()))
    }

    /// Sends the block to the targets of one grant until enough of them have it or have failed.
    async fn store_under(
        &self,
        grant: &Grant,
        block: &SealedBlock,
        deadline: Duration,
    ) -> Result<Acknowledged, Failure> {
        let enough = grant.min_replicas.max(1) as usize;
        let Acknowledged { nodes: mut stored, mut incarnations } = Acknowledged::default();
        let mut reason = "no targets".to_owned();
        let mut stood_still = false;
        let mut left = self.targets(grant, enough);
        let mut busy_delay = BUSY_DELAY.0;
        while stored.len() < enough {
            if stored.len() + left.len() < enough {
                return Err(Failure { reason, stood_still });
            }
            let first = left[0].node;
            let mut failed = Vec::new();
            match self.send(grant, &left, block).await {
                Sent::Replied(reply) => {
                    incarnations.extend(reply.incarnations);
                    stored.extend(reply.stored.iter().filter(|node| left.iter().any(|t| t.node == **node)));
                    for target in reply.failed {
                        reason = format!("{}: {}", target.node, target.reason);
                        failed.push(target.node);
                    }
                    // An answer that names no node must not cause the same request again.
                    if !stored.contains(&first) && !failed.contains(&first) {
                        failed.push(first);
                    }
                }
                // A busy node works, so it is not avoided. It gets a pause.
                Sent::Failed(BlockError::Busy) if self.parts.env.monotonic() < deadline => {
                    reason = format!("{first}: {}", BlockError::Busy);
                    self.parts.env.sleep(busy_delay).await;
                    busy_delay = (busy_delay * 2).min(BUSY_DELAY.1);
                }
                Sent::Failed(error) => {
                    if matches!(error, BlockError::Unreachable { .. } | BlockError::TimedOut) {
                        self.parts.read_suspects.add(first);
                    }
                    reason = format!("{first}: {error}");
                    failed.push(first);
                }
                Sent::Stalled(probed) => {
                    reason = "the pipeline stands still".to_owned();
                    stood_still = true;
                    stored.extend(probed.holding);
                    incarnations.extend(probed.incarnations);
                    probed.silent.iter().for_each(|node| self.parts.read_suspects.add(*node));
                    failed.extend(probed.silent);
                    if !stored.contains(&first) && failed.is_empty() {
                        failed.push(first);
                    }
                }
            }
            for node in &stored {
                self.parts.write_suspects.clear(*node);
            }
            for node in &failed {
                self.grants.exclude(*node);
            }
            left.retain(|target| !stored.contains(&target.node) && !failed.contains(&target.node));
        }
        Ok(Acknowledged { nodes: stored, incarnations })
    }

    /// The targets in order. Nodes that failed a moment ago are left out unless they are needed.
    fn targets(&self, grant: &Grant, enough: usize) -> Vec<GrantTarget> {
        let good: Vec<_> =
            grant.targets.iter().filter(|target| !self.grants.is_excluded(target.node)).cloned().collect();
        if good.len() >= enough { good } else { grant.targets.clone() }
    }

    async fn send(&self, grant: &Grant, targets: &[GrantTarget], block: &SealedBlock) -> Sent {
        let token = |target: &GrantTarget| token(&self.parts, BlockOperation::Put, grant.block, target.node);
        let [first, rest @ ..] = targets else {
            return Sent::Failed(BlockError::Malformed { reason: "no targets".to_owned() });
        };
        let pipeline = rest
            .iter()
            .map(|target| PipelineTarget {
                node: target.node,
                address: target.address.clone(),
                token: token(target),
            })
            .collect();
        let request = PutBlock {
            block: grant.block,
            length: block.length,
            crc32c: block.crc32c,
            token: token(first),
            pipeline,
        };
        // The semaphore is never closed, and the time-outs below limit how long each turn lasts.
        let _turn = self.parts.sends.acquire().await;
        let (data, mut left) = pieces(block);
        let service = self.parts.blocks.connect(first.node, &first.address);
        let mut put = service.put(request, data);
        for stalls in 1.. {
            let diagnosis = async {
                self.stalled(&mut left).await;
                self.probe(grant.block, targets, block).await
            };
            let probed = tokio::select! {
                outcome = put.as_mut() => match outcome {
                    Ok(reply) => return Sent::Replied(reply),
                    Err(BlockError::TimedOut) => self.probe(grant.block, targets, block).await,
                    Err(error) => return Sent::Failed(error),
                },
                diagnosis = diagnosis => {
                    let enough = holding_enough(&diagnosis.holding, grant);
                    if !enough && diagnosis.silent.is_empty() && stalls < STALLS_MAX {
                        continue;
                    }
                    diagnosis
                }
            };
            return Sent::Stalled(probed);
        }
        Sent::Failed(BlockError::TimedOut)
    }

    /// Waits until the pipeline has accepted no chunk for `put_progress`, or has not replied for `put_reply` after the last one.
    async fn stalled(&self, left: &mut watch::Receiver<usize>) {
        let timeouts = &self.parts.timeouts;
        loop {
            let all_taken = *left.borrow_and_update() == 0;
            let limit = if all_taken { timeouts.put_reply } else { timeouts.put_progress };
            tokio::select! {
                () = self.parts.env.sleep(limit) => return,
                // An error means that the stream was dropped, which may happen when all bytes are taken.
                changed = left.changed() => if changed.is_err() {
                    return self.parts.env.sleep(timeouts.put_reply).await;
                }
            }
        }
    }

    /// Sends a request to all targets at once that tells whether they have the block.
    async fn probe(&self, id: BlockId, targets: &[GrantTarget], block: &SealedBlock) -> Probed {
        let answers = join_all(targets.iter().map(|target| async {
            let service = self.parts.blocks.connect(target.node, &target.address);
            let token = token(&self.parts, BlockOperation::Get, id, target.node);
            tokio::select! {
                answer = service.head(HeadBlock { block: id, token }) => (target.node, answer),
                () = self.parts.env.sleep(self.parts.timeouts.probe) => (target.node, Err(BlockError::TimedOut)),
            }
        }));
        let mut probed = Probed::default();
        for (node, answer) in answers.await {
            match answer {
                Ok(info) if info.length == block.length && info.crc32c == block.crc32c => {
                    probed.holding.push(node);
                    probed.incarnations.extend(info.incarnation.map(|incarnation| (node, incarnation)));
                }
                Err(BlockError::NotFound | BlockError::Busy) => {}
                Ok(_) | Err(_) => probed.silent.push(node),
            }
        }
        probed
    }
}

fn holding_enough(holding: &[NodeId], grant: &Grant) -> bool {
    holding.len() >= grant.min_replicas.max(1) as usize
}

/// The block as a stream, with a count of the pieces that were not taken yet.
fn pieces(block: &SealedBlock) -> (BlockStream, watch::Receiver<usize>) {
    let count = block.pieces.len();
    let (sender, receiver) = watch::channel(count);
    let pieces = block.pieces.clone().into_iter().enumerate().map(move |(index, piece)| {
        sender.send_replace(count - index - 1);
        Ok(piece)
    });
    (futures_util::stream::iter(pieces).boxed(), receiver)
}
