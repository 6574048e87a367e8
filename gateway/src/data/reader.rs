use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_protocol::id::{NodeId, VersionId};
use cairn_protocol::metadata::{
    BlockLocation, ListExtents, LocateBlocks, LocatedExtent, LocatedObject, MetadataError, Replica,
    ResolvedRange,
};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::reads::ReadGuard;
use super::replica::{OpenReplica, ReplicaError};
use super::{DataError, Parts};

/// Extents asked for at once when a lookup's did not suffice: some gigabytes of an object, in an answer
/// of some hundred KiB.
const EXTENTS_MAX: u32 = 500;

/// The next block is opened when this much of the current one is left: what a fast link carries while a
/// datanode begins to answer.
const OPEN_AHEAD: u64 = 1 << 20;

/// How long to wait before the replicas of a block are tried again, at first.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long to wait at the most: a node that came back is found soon, and one that did not costs little to ask.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// The bytes of an object or of a range of it, in order and verified. Fails in mid-stream when a block
/// cannot be read at all any more: the connection must then be broken off, for its length was promised.
pub struct ObjectBody {
    stream: BoxStream<'static, Result<Bytes, DataError>>,
    length: u64,
}

impl std::fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectBody").field("length", &self.length).finish_non_exhaustive()
    }
}

impl ObjectBody {
    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Stream for ObjectBody {
    type Item = Result<Bytes, DataError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

impl From<ObjectBody> for Body {
    fn from(body: ObjectBody) -> Self {
        if body.length == 0 { Self::empty() } else { Self::from_stream(body) }
    }
}

/// Opens an object; see [`DataPath::read`](super::DataPath::read).
pub(super) async fn open(parts: Arc<Parts>, located: LocatedObject) -> Result<ObjectBody, DataError> {
    let ResolvedRange::Satisfiable { start, end } = located.range else {
        return Ok(ObjectBody { stream: futures_util::stream::empty().boxed(), length: 0 });
    };
    let length = end.saturating_sub(start);
    if length == 0 {
        return Ok(ObjectBody { stream: futures_util::stream::empty().boxed(), length });
    }
    let memory = tokio::select! {
        memory = parts.budget.download(length) => memory.ok_or(DataError::Overloaded)?,
        () = parts.env.sleep(parts.timeouts.memory) => return Err(DataError::Overloaded),
    };
    let held = parts.reads.begin(located.object.version, located.readable_ms);
    let mut reader = ObjectReader {
        parts,
        version: located.object.version,
        position: start,
        end,
        extents: located.extents.into(),
        current: None,
        ahead: None,
        verified: VecDeque::new(),
        _memory: memory,
        _held: held,
    };
    reader.advance().await?;
    let stream = futures_util::stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
            Ok(None) => None,
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "an answer is broken off");
                Some((Err(error), None))
            }
        }
    });
    Ok(ObjectBody { stream: stream.boxed(), length })
}

struct ObjectReader {
    parts: Arc<Parts>,
    version: VersionId,
    /// The next byte of the object that is not in `verified`.
    position: u64,
    end: u64,
    /// Those known that reach beyond `position`; the first one holds it.
    extents: VecDeque<LocatedExtent>,
    current: Option<OpenReplica>,
    /// The replica of the second extent, being opened.
    ahead: Option<Ahead>,
    /// Bytes to pass on.
    verified: VecDeque<Bytes>,
    _memory: OwnedSemaphorePermit,
    /// Has the metanode keep the version while it is being read.
    _held: Option<ReadGuard>,
}

struct Ahead {
    task: AbortOnDropHandle<Option<OpenReplica>>,
    /// Where in the object the extent begins.
    object_offset: u64,
    _memory: OwnedSemaphorePermit,
}

impl ObjectReader {
    async fn next(&mut self) -> Result<Option<Bytes>, DataError> {
        if self.verified.is_empty() && self.position < self.end {
            self.advance().await?;
        }
        Ok(self.verified.pop_front())
    }

    /// Reads and verifies the next chunk, from whichever replica has it.
    async fn advance(&mut self) -> Result<(), DataError> {
        let extent = self.extent().await?;
        let mut trouble = Trouble::new(&self.parts);
        while self.verified.is_empty() {
            let mut replica = match self.current.take() {
                Some(replica) => replica,
                None => match self.opened_ahead(&extent).await {
                    Some(replica) => replica,
                    None => {
                        let range = self.range_in(&extent);
                        open_any(&self.parts, &extent.block, range, &mut trouble).await?
                    }
                },
            };
            let chunk_offset = replica.offset();
            match replica.next_chunk().await {
                Ok(pieces) => {
                    self.take(&extent, chunk_offset, pieces)?;
                    self.current = Some(replica);
                }
                // The same replica may well be asked again.
                Err(ReplicaError::OurFault) => {}
                Err(error) => trouble.note(&self.parts, &extent.block, replica.node(), &error),
            }
        }
        if self.position == extent.object_offset + extent.length {
            self.current = None;
            self.extents.pop_front();
        } else {
            self.open_ahead(&extent);
        }
        Ok(())
    }

    /// The extent that holds `position`.
    async fn extent(&mut self) -> Result<LocatedExtent, DataError> {
        if self.extents.is_empty() {
            let request =
                ListExtents { version: self.version, start: self.position, end: self.end, max: EXTENTS_MAX };
            let page = repeat(&self.parts, || self.parts.metadata.list_extents(request.clone())).await?;
            self.extents = page.extents.into();
        }
        let extent = self.extents.front().ok_or(DataError::Nonsense("an object with a gap"))?;
        let holds = extent.object_offset <= self.position
            && self.position < extent.object_offset.saturating_add(extent.length)
            && extent.offset.checked_add(extent.length).is_some_and(|end| end <= extent.block.length);
        if !holds {
            return Err(DataError::Nonsense("an extent that is not where it should be"));
        }
        Ok(extent.clone())
    }

    /// What is wanted of an extent, from `position` on, as a range of its block.
    fn range_in(&self, extent: &LocatedExtent) -> (u64, u64) {
        let start = self.position.max(extent.object_offset) - extent.object_offset;
        let end = self.end.min(extent.object_offset + extent.length) - extent.object_offset;
        (extent.offset + start, extent.offset + end)
    }

    /// Takes what is wanted of a chunk that begins at `chunk_offset` of the extent's block.
    fn take(
        &mut self,
        extent: &LocatedExtent,
        chunk_offset: u64,
        pieces: VecDeque<Bytes>,
    ) -> Result<(), DataError> {
        let (start, end) = self.range_in(extent);
        let mut at = chunk_offset;
        for mut piece in pieces {
            let begins = at;
            at += piece.len() as u64;
            if at <= start || begins >= end {
                continue;
            }
            if at > end {
                piece.truncate((end - begins) as usize);
            }
            if begins < start {
                piece = piece.slice((start - begins) as usize..);
            }
            self.position += piece.len() as u64;
            self.verified.push_back(piece);
        }
        if self.verified.is_empty() {
            return Err(DataError::Nonsense("a chunk beside the range"));
        }
        Ok(())
    }

    /// Begins to open the next extent when the current one is nearly over.
    fn open_ahead(&mut self, extent: &LocatedExtent) {
        let extent_end = extent.object_offset + extent.length;
        if self.ahead.is_some() || extent_end >= self.end || extent_end - self.position > OPEN_AHEAD {
            return;
        }
        let Some(next) = self.extents.get(1).cloned() else { return };
        let Some(memory) = self.parts.budget.read_ahead() else { return };
        let range = self.range_in(&next);
        let object_offset = next.object_offset;
        let parts = self.parts.clone();
        let task = tokio::spawn(with_request_id(current_request_id(), async move {
            let mut trouble = Trouble::new(&parts);
            open_first(&parts, &next.block, range, &mut trouble).await
        }));
        self.ahead = Some(Ahead { task: AbortOnDropHandle::new(task), object_offset, _memory: memory });
    }

    /// The replica that was opened ahead for this extent, if that went well.
    async fn opened_ahead(&mut self, extent: &LocatedExtent) -> Option<OpenReplica> {
        let ahead = self.ahead.take_if(|ahead| ahead.object_offset <= extent.object_offset)?;
        if ahead.object_offset != extent.object_offset || self.position != extent.object_offset {
            return None;
        }
        ahead.task.await.ok().flatten()
    }
}

/// What went wrong with one chunk so far.
struct Trouble {
    deadline: Duration,
    /// Who failed since the metanode was asked last, and whether it answered that there is nothing to be had: its
    /// replica is missing or bad, and will not be otherwise in a moment.
    tried: HashMap<NodeId, bool>,
    /// How often the metanode was asked where else the block is.
    asked: u32,
    reason: String,
    delay: Duration,
}

/// The metanode is asked so often where a block is whose replicas are all missing or bad: one may just have been
/// moved, and what was read wrong once may be read right.
const HOPELESS_AFTER: u32 = 2;

impl Trouble {
    fn new(parts: &Parts) -> Self {
        Self {
            deadline: parts.env.monotonic() + parts.timeouts.read,
            tried: HashMap::new(),
            asked: 0,
            reason: "it has no replicas".to_owned(),
            delay: RETRY_DELAY,
        }
    }

    fn note(&mut self, parts: &Arc<Parts>, block: &BlockLocation, node: NodeId, error: &ReplicaError) {
        error.report(parts, block.block, node);
        self.tried.insert(node, error.is_final());
        self.reason = format!("{node}: {error}");
    }

    /// Whether there is nothing to wait for: each replica that the metanode knows of is missing or bad, as itself or
    /// its node says, or there is none. A node that does not answer may come back, unless its replica is known to be
    /// bad.
    fn is_hopeless(&self, block: &BlockLocation) -> bool {
        let is_lost = |replica: &Replica| replica.bad || self.tried.get(&replica.node) == Some(&true);
        self.asked >= HOPELESS_AFTER && block.replicas.iter().all(is_lost)
    }
}

/// Replicas in the order in which to ask: the metanode's, but with those last that failed just now.
fn in_order(parts: &Parts, replicas: &[Replica]) -> Vec<Replica> {
    let mut replicas = replicas.to_vec();
    replicas.sort_by_key(|replica| parts.suspects.contains(replica.node));
    replicas
}

/// Opens a range of a block at any replica that was not tried. When all were, asks the metanode again
/// where they are, waits a little and begins anew, unless there is nothing to wait for.
async fn open_any(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    range: (u64, u64),
    trouble: &mut Trouble,
) -> Result<OpenReplica, DataError> {
    let mut block = block.clone();
    loop {
        if let Some(open) = open_first(parts, &block, range, trouble).await {
            return Ok(open);
        }
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
    }
}

/// Opens a range of a block at the replica that answers first, of those that were not tried. They are
/// asked one by one, the next when one failed or does not begin to answer for a while.
async fn open_first(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    range: (u64, u64),
    trouble: &mut Trouble,
) -> Option<OpenReplica> {
    let mut left: VecDeque<Replica> = in_order(parts, &block.replicas).into();
    left.retain(|replica| !trouble.tried.contains_key(&replica.node));
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut asked = Vec::new();
    loop {
        if asked.is_empty() {
            asked.push(ask(parts, block, left.pop_front()?, range, answers.clone()));
        }
        tokio::select! {
            biased;
            // There is a sender here, so that it never ends.
            Some((node, answer)) = answered.recv() => {
                asked.retain(|other| *other != node);
                match answer {
                    Ok(open) => {
                        // Others are asked first now, until it is known what is wrong with these.
                        asked.into_iter().for_each(|slow| parts.suspects.add(slow));
                        return Some(open);
                    }
                    Err(error) => trouble.note(parts, block, node, &error),
                }
            }
            () = parts.env.sleep(parts.timeouts.hedge), if !left.is_empty() => {
                asked.extend(left.pop_front().map(|replica| ask(parts, block, replica, range, answers.clone())));
            }
        }
    }
}

/// Begins to open a range of a block at one replica. What is wrong with it is reported also when
/// nobody waits for its answer any more.
fn ask(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    replica: Replica,
    range: (u64, u64),
    answers: mpsc::UnboundedSender<(NodeId, Result<OpenReplica, ReplicaError>)>,
) -> NodeId {
    let (parts, block, node) = (parts.clone(), block.clone(), replica.node);
    tokio::spawn(with_request_id(current_request_id(), async move {
        let answer = OpenReplica::open(parts.clone(), &block, &replica, range).await;
        if let Err(mpsc::error::SendError((node, Err(error)))) = answers.send((node, answer)) {
            error.report(&parts, block.block, node);
        }
    }));
    node
}

/// Asks the metanode, again and again for a while if it cannot be reached.
async fn repeat<T, F>(parts: &Parts, ask: impl Fn() -> F) -> Result<T, DataError>
where
    F: Future<Output = Result<T, MetadataError>>,
{
    let deadline = parts.env.monotonic() + parts.timeouts.metadata;
    loop {
        match ask().await {
            Err(MetadataError::Unavailable { .. }) if parts.env.monotonic() < deadline => {
                parts.env.sleep(RETRY_DELAY).await;
            }
            outcome => return outcome.map_err(DataError::from),
        }
    }
}
