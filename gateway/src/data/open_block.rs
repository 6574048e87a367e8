//! Opens a block at one of its replicas. Others are asked when a replica fails or does not answer in time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{BlockLocation, LocateBlocks, MetadataError, Replica};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::replica::{OpenReplica, ReplicaError, Wanted};
use super::{DataError, Parts};
use crate::retry::while_unavailable;

/// The first pause before the replicas of a block are tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The longest pause. A node that returned is found soon, and a request to one that did not is cheap.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// The failures for one chunk so far.
pub(super) struct Trouble {
    deadline: Duration,
    /// The nodes that failed since the last look-up at the metanode, and whether each failure is permanent: the replica
    /// is missing or corrupt.
    pub(super) tried: HashMap<NodeId, bool>,
    /// How often the block's replicas were looked up again at the metanode.
    asked: u32,
    reason: String,
    delay: Duration,
}

/// How often a block whose replicas are all missing or corrupt is looked up again at the metanode. A replica may have been
/// moved a moment ago, and a read error may not repeat.
const HOPELESS_AFTER: u32 = 2;

impl Trouble {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            deadline: parts.env.monotonic() + parts.timeouts.read,
            tried: HashMap::new(),
            asked: 0,
            reason: "it has no replicas".to_owned(),
            delay: RETRY_DELAY,
        }
    }

    pub(super) fn note(
        &mut self,
        parts: &Arc<Parts>,
        block: &BlockLocation,
        node: NodeId,
        error: &ReplicaError,
    ) {
        error.report(parts, block.block, node);
        self.tried.insert(node, error.is_final());
        self.reason = format!("{node}: {error}");
    }

    /// Whether to give up, because the block has no replica, or because each one is bad according to the metanode, or
    /// missing or corrupt according to its node. A node that does not answer may return, so its replica counts as readable
    /// unless the metanode knows it as bad.
    fn is_hopeless(&self, block: &BlockLocation) -> bool {
        let is_lost = |replica: &Replica| replica.bad || self.tried.get(&replica.node) == Some(&true);
        self.asked >= HOPELESS_AFTER && block.replicas.iter().all(is_lost)
    }
}

/// The replicas in the order in which to try them: the metanode's, with nodes that failed a moment ago last.
fn in_order<'a>(parts: &Parts, replicas: &'a [Replica]) -> Vec<&'a Replica> {
    let mut replicas: Vec<_> = replicas.iter().collect();
    replicas.sort_by_key(|replica| parts.read_suspects.contains(replica.node));
    replicas
}

/// Opens a range of a block at any replica that was not tried. When all were tried, it waits, looks the replicas up again at
/// the metanode and starts over, unless waiting is useless.
pub(super) async fn open_any(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    wanted: Wanted,
    trouble: &mut Trouble,
) -> Result<OpenReplica, DataError> {
    if let Some(open) = open_first(parts, block, wanted, trouble).await {
        return Ok(open);
    }
    let mut block = block.clone();
    loop {
        let unreadable = || DataError::Unreadable { block: block.block, reason: trouble.reason.clone() };
        let left = trouble.deadline.saturating_sub(parts.env.monotonic());
        if left.is_zero() || trouble.is_hopeless(&block) {
            return Err(unreadable());
        }
        parts.env.sleep(trouble.delay.min(left)).await;
        trouble.delay = (trouble.delay * 2).min(RETRY_DELAY_MAX);
        trouble.asked += 1;
        let request = LocateBlocks { blocks: vec![block.block] };
        let located = repeat(parts, || parts.metadata.locate_blocks(request.clone())).await?;
        let Some(now) = located.into_iter().find(|location| location.block == block.block) else {
            return Err(unreadable());
        };
        if (now.length, now.crc32c) != (block.length, block.crc32c) {
            return Err(DataError::Nonsense("a block that has changed"));
        }
        block = now;
        trouble.tried.clear();
        if let Some(open) = open_first(parts, &block, wanted, trouble).await {
            return Ok(open);
        }
    }
}

/// Opens a range of a block at the replica that answers first, among those that were not tried. The next request is sent
/// when an earlier one fails or its answer does not begin in time.
pub(super) async fn open_first(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    wanted: Wanted,
    trouble: &mut Trouble,
) -> Option<OpenReplica> {
    let mut left: VecDeque<&Replica> = in_order(parts, &block.replicas).into();
    left.retain(|replica| !trouble.tried.contains_key(&replica.node));
    let mut requests = Requests { parts, block, wanted, waiting: Vec::new(), answers: None };
    loop {
        let at_once = if requests.waiting.is_empty() { requests.ask(left.pop_front()?) } else { None };
        let answered = match at_once {
            Some(answer) => Some(answer),
            None => tokio::select! {
                biased;
                answer = requests.answer() => Some(answer),
                () = parts.env.sleep(parts.timeouts.hedge), if !left.is_empty() => {
                    left.pop_front().and_then(|replica| requests.ask(replica))
                }
            },
        };
        match answered {
            Some((_, Ok(open))) => {
                // Later reads try other nodes first, until the cause of this delay is known.
                requests.waiting.into_iter().for_each(|slow| parts.read_suspects.add(slow));
                return Some(open);
            }
            Some((node, Err(error))) => trouble.note(parts, block, node, &error),
            None => {}
        }
    }
}

/// What a node answered.
type Answer = (NodeId, Result<OpenReplica, ReplicaError>);

/// Requests to open a range of a block.
struct Requests<'a> {
    parts: &'a Arc<Parts>,
    block: &'a BlockLocation,
    wanted: Wanted,
    /// The nodes that have not answered.
    waiting: Vec<NodeId>,
    /// Where their answers arrive, once there was a node to wait for.
    answers: Option<(mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>)>,
}

impl Requests<'_> {
    /// Begins to open the block at one replica. Returns the answer if it is there at once, as it is when a datanode of this
    /// process has the bytes in memory: a task would cost more than the read. Any other request goes on in a task, so
    /// that its time-outs do not depend on how often the reader is polled, and a failure is reported to the metanode even if
    /// the reader no longer waits.
    fn ask(&mut self, replica: &Replica) -> Option<Answer> {
        let (node, block) = (replica.node, self.block.block);
        let mut open = OpenReplica::open(self.parts.clone(), self.block, replica, self.wanted).boxed();
        if let Some(answer) = (&mut open).now_or_never() {
            return Some((node, answer));
        }
        self.waiting.push(node);
        let (answers, _) = self.answers.get_or_insert_with(mpsc::unbounded_channel);
        let (answers, parts) = (answers.clone(), self.parts.clone());
        tokio::spawn(with_request_id(current_request_id(), async move {
            let answer = open.await;
            if let Err(mpsc::error::SendError((node, Err(error)))) = answers.send((node, answer)) {
                error.report(&parts, block, node);
            }
        }));
        None
    }

    /// Waits for the next answer.
    async fn answer(&mut self) -> Answer {
        let answer = match &mut self.answers {
            Some((_, answered)) => answered.recv().await,
            None => None,
        };
        match answer {
            Some(answer) => {
                self.waiting.retain(|node| *node != answer.0);
                answer
            }
            // No node was asked. A channel stays open, because `self` owns a sender.
            None => std::future::pending().await,
        }
    }
}

/// Sends a request to the metanode, repeated for a limited time while the metanode is unavailable.
pub(super) async fn repeat<T, F>(parts: &Parts, ask: impl Fn() -> F) -> Result<T, DataError>
where
    F: Future<Output = Result<T, MetadataError>>,
{
    let outcome = while_unavailable(&parts.env, (RETRY_DELAY, parts.timeouts.metadata), ask, |_| {}).await;
    Ok(outcome?)
}
