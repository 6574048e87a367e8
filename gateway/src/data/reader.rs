//! Reads the bytes of an object or range in order. A replica that fails or stalls is replaced by another one in the
//! middle of a block.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::{
    BlockLocation, Content, ListExtents, LocateBlocks, LocatedExtent, LocatedObject, MetadataError, Replica,
    ResolvedRange,
};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::budget::{PAGE, Slot};
use super::download_resources::{DownloadResources, ReplicaAhead};
use super::owner::Owner;
use super::reads::ReadGuard;
use super::replica::{OpenReplica, ReplicaError};
use super::slow_clients::ParkingSpace;
use super::{DataError, Parts};
use crate::retry::while_unavailable;

/// Extents per request after those of the lookup: some gigabytes of an object, in a reply of some hundred KiB.
const EXTENTS_MAX: u32 = 500;

/// The next block is opened when this many bytes of the current one are left: what a fast link carries while a datanode
/// begins its response.
const OPEN_AHEAD: u64 = 1 << 20;

/// The first pause before the replicas of a block are tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The longest pause. A node that returned is found soon, and a request to one that did not is cheap.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

/// The bytes of an object or range, in order and verified. If a block becomes unreadable, the stream fails, and the
/// connection must be closed, because its length was already sent.
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
    /// The length in bytes.
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
    // A reversed range is an error of the metanode. An empty body would hide it from the client.
    let length = end.checked_sub(start).ok_or(DataError::Nonsense("a range that ends before it begins"))?;
    if length == 0 {
        return Ok(ObjectBody { stream: futures_util::stream::empty().boxed(), length });
    }
    let read = parts.reads.begin(located.object.version, located.readable_ms);
    let mut reader = ObjectReader {
        owner: Owner::current(),
        content: located.object.content,
        position: start,
        end,
        extents: located.extents.into(),
        space: None,
        at_rest: false,
        taking: Taking::new(parts.env.monotonic()),
        patience: parts.timeouts.memory,
        parts,
        _read: read,
    };
    let first = reader.next().await?;
    // The response has begun.
    reader.patience = reader.parts.timeouts.read;
    let stream = futures_util::stream::unfold((first, Some(reader)), |(first, reader)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, reader)));
        }
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), (None, Some(reader)))),
            Ok(None) => None,
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "an answer is broken off");
                Some((Err(error), (None, None)))
            }
        }
    });
    Ok(ObjectBody { stream: stream.boxed(), length })
}

struct ObjectReader {
    parts: Arc<Parts>,
    owner: Owner,
    /// Where the version's bytes are, by its own row. Each extent must be one of them.
    content: Content,
    /// The offset in the object of the next byte to pass on.
    position: u64,
    end: u64,
    /// The known extents beyond `position`. The first one contains it.
    extents: VecDeque<LocatedExtent>,
    /// Where the download leaves its resources while the client takes a piece.
    space: Option<ParkingSpace>,
    /// Whether resources were left there.
    at_rest: bool,
    taking: Taking,
    /// How long to wait for memory.
    patience: Duration,
    /// Keeps the version in the metanode while it is read.
    _read: Option<ReadGuard>,
}

/// A client that takes a piece within this time gets a larger one next.
const TAKEN_QUICKLY: Duration = Duration::from_millis(250);

/// The size of the pieces for a client.
///
/// A quick client gets chunks, and the download keeps its resources between them. A client is slow when its resources
/// were taken back. It then gets a page, for which a chunk is read and no resources are kept, so that each of the
/// slowest clients holds one page. When it takes pages quickly, the next piece is larger.
struct Taking {
    /// The maximum size of the next piece; `None` for a quick client.
    piece: Option<usize>,
    given_at: Duration,
}

impl Taking {
    fn new(now: Duration) -> Self {
        Self { piece: None, given_at: now }
    }

    /// The client asks for a piece. `parked` means that its resources were taken back meanwhile.
    fn asked(&mut self, now: Duration, parked: bool) {
        let quickly = now.saturating_sub(self.given_at) < TAKEN_QUICKLY;
        self.piece = match self.piece {
            None if parked => Some(PAGE),
            None => None,
            Some(_) if !quickly => Some(PAGE),
            Some(piece) if piece < CHUNK_SIZE => Some(CHUNK_SIZE),
            Some(_) => None,
        };
    }
}

impl ObjectReader {
    /// The next piece, verified; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, DataError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let held = self.space.as_ref().and_then(ParkingSpace::resume);
        let parked = std::mem::take(&mut self.at_rest) && held.is_none();
        self.taking.asked(self.parts.env.monotonic(), parked);
        let mut held = match held {
            Some(held) => held,
            None => self.hold().await?,
        };
        let piece = self.advance(&mut held).await?;
        self.taking.given_at = self.parts.env.monotonic();
        if self.position < self.end && self.taking.piece.is_none() && !self.gives_way(&held) {
            self.at_rest = true;
            self.space.get_or_insert_with(|| self.parts.parking.space()).rest(held);
        }
        Ok(Some(piece))
    }

    /// At the end of a block the download gives way to others.
    fn gives_way(&self, held: &DownloadResources) -> bool {
        held.current.is_none() && *self.parts.budget.downloads_waiting().borrow() > 0
    }

    /// Waits for memory.
    async fn hold(&self) -> Result<DownloadResources, DataError> {
        let left = self.end - self.position;
        let bytes = if self.taking.piece.is_some() { left.min(CHUNK_SIZE as u64) } else { left };
        tokio::select! {
            slot = self.parts.budget.slot(&self.owner, bytes) => Ok(DownloadResources { slot, current: None, ahead: None }),
            () = self.parts.env.sleep(self.patience) => Err(DataError::Overloaded),
        }
    }

    /// Reads and verifies the next chunk from any replica, and takes the next piece out of it.
    async fn advance(&mut self, held: &mut DownloadResources) -> Result<Bytes, DataError> {
        let extent = self.extent().await?;
        let range = self.range_to_read(&extent);
        let mut trouble = Trouble::new(&self.parts);
        let piece = loop {
            let replica = match held.current.take() {
                Some(replica) => replica,
                None => match self.opened_ahead(held, &extent).await {
                    Some(replica) => replica,
                    None => open_any(&self.parts, &extent.block, range, &mut trouble).await?,
                },
            };
            match read_chunk(&self.parts, &extent.block, range, replica, &mut trouble).await {
                Ok((chunk_offset, pieces, replica)) => {
                    held.current = Some(replica);
                    break self.take(&held.slot, &extent, chunk_offset, &pieces)?;
                }
                Err(another) => held.current = another,
            }
        };
        if self.position == extent.object_offset + extent.length {
            held.current = None;
            self.extents.pop_front();
        } else if self.taking.piece.is_none() {
            self.open_ahead(held, &extent);
        }
        Ok(piece)
    }

    /// The extent that contains `position`.
    async fn extent(&mut self) -> Result<LocatedExtent, DataError> {
        if self.extents.is_empty() {
            let list = self.content.list().ok_or(DataError::Nonsense("an object without its extent"))?;
            let request = ListExtents { list, start: self.position, end: self.end, max: EXTENTS_MAX };
            let page = repeat(&self.parts, || self.parts.metadata.list_extents(request.clone())).await?;
            self.extents = page.extents.into();
        }
        let extent = self.extents.front().ok_or(DataError::Nonsense("an object with a gap"))?;
        let holds = extent.object_offset <= self.position
            && self.position < extent.object_offset.saturating_add(extent.length)
            && extent.offset.checked_add(extent.length).is_some_and(|end| end <= extent.block.length);
        if !extent.belongs_to(self.content) {
            return Err(DataError::Nonsense("an extent that is not what was written"));
        }
        if !holds {
            return Err(DataError::Nonsense("an extent that is not where it should be"));
        }
        Ok(extent.clone())
    }

    /// The wanted bytes of an extent from `position` on, as a range of its block.
    fn range_in(&self, extent: &LocatedExtent) -> (u64, u64) {
        let start = self.position.max(extent.object_offset) - extent.object_offset;
        let end = self.end.min(extent.object_offset + extent.length) - extent.object_offset;
        (extent.offset + start, extent.offset + end)
    }

    /// The range to request of an extent: all wanted bytes, or those of one chunk for a slow client.
    fn range_to_read(&self, extent: &LocatedExtent) -> (u64, u64) {
        let (start, end) = self.range_in(extent);
        match self.taking.piece {
            Some(_) => (start, end.min((start / CHUNK_SIZE as u64 + 1) * CHUNK_SIZE as u64)),
            None => (start, end),
        }
    }

    /// Takes the next piece out of a chunk that begins at `chunk_offset` of the extent's block.
    fn take(
        &mut self,
        slot: &Slot,
        extent: &LocatedExtent,
        chunk_offset: u64,
        pieces: &VecDeque<Bytes>,
    ) -> Result<Bytes, DataError> {
        let (start, end) = self.range_in(extent);
        let end = self.taking.piece.map_or(end, |piece| end.min(start + piece as u64));
        let mut at = chunk_offset;
        let mut wanted = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let (begins, ends) = (at, at + piece.len() as u64);
            let (from, to) = (start.max(begins), end.min(ends));
            if from < to {
                wanted.push(&piece[(from - begins) as usize..(to - begins) as usize]);
            }
            at = ends;
        }
        let length: usize = wanted.iter().map(|piece| piece.len()).sum();
        if length == 0 {
            return Err(DataError::Nonsense("a chunk beside the range"));
        }
        self.position += length as u64;
        Ok(slot.piece(length, wanted.into_iter()))
    }

    /// Begins to open the next extent when the current one is nearly read.
    fn open_ahead(&self, held: &mut DownloadResources, extent: &LocatedExtent) {
        let extent_end = extent.object_offset + extent.length;
        if held.ahead.is_some() || extent_end >= self.end || extent_end - self.position > OPEN_AHEAD {
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
        held.ahead =
            Some(ReplicaAhead { task: AbortOnDropHandle::new(task), object_offset, _memory: memory });
    }

    /// The replica that was opened ahead for this extent, if that succeeded.
    async fn opened_ahead(
        &self,
        held: &mut DownloadResources,
        extent: &LocatedExtent,
    ) -> Option<OpenReplica> {
        let ahead = held.ahead.take_if(|ahead| ahead.object_offset <= extent.object_offset)?;
        if ahead.object_offset != extent.object_offset || self.position != extent.object_offset {
            return None;
        }
        let replica = ahead.task.await.ok().flatten()?;
        // Its node may have failed meanwhile.
        (!self.parts.read_suspects.contains(replica.node())).then_some(replica)
    }
}

/// A chunk, its offset in the block, and the replica that it came from.
type Chunk = (u64, VecDeque<Bytes>, OpenReplica);

/// Reads the next chunk of a replica. If it takes too long, another replica is opened as well, and the faster one is
/// used. So a node that hangs in the middle of a block costs no more than one that does not begin.
///
/// # Errors
/// This replica is given up. The error contains the other replica, if it was opened.
async fn read_chunk(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    range: (u64, u64),
    mut replica: OpenReplica,
    trouble: &mut Trouble,
) -> Result<Chunk, Option<OpenReplica>> {
    let (node, offset) = (replica.node(), replica.offset());
    let outcome = {
        let mut next = std::pin::pin!(replica.next_chunk());
        tokio::select! {
            biased;
            chunk = next.as_mut() => Ok(chunk),
            () = parts.env.sleep(parts.timeouts.hedge) => {
                trouble.tried.insert(node, false);
                tokio::select! {
                    biased;
                    chunk = next.as_mut() => Ok(chunk),
                    another = open_first(parts, block, range, trouble) => match another {
                        Some(another) => Err(another),
                        None => Ok(next.await),
                    },
                }
            }
        }
    };
    match outcome {
        Ok(Ok(pieces)) => Ok((offset, pieces, replica)),
        // The same replica may be tried again.
        Ok(Err(ReplicaError::OurFault)) => Err(None),
        Ok(Err(error)) => {
            trouble.note(parts, block, node, &error);
            Err(None)
        }
        Err(another) => {
            parts.read_suspects.add(node);
            tokio::spawn(with_request_id(current_request_id(), replica.examine(block.block)));
            Err(Some(another))
        }
    }
}

/// The failures for one chunk so far.
struct Trouble {
    deadline: Duration,
    /// The nodes that failed since the last look-up at the metanode, and whether each failure is permanent: the replica
    /// is missing or corrupt.
    tried: HashMap<NodeId, bool>,
    /// How often the block's replicas were looked up again at the metanode.
    asked: u32,
    reason: String,
    delay: Duration,
}

/// How often a block whose replicas are all missing or corrupt is looked up again at the metanode. A replica may have been
/// moved a moment ago, and a read error may not repeat.
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

    /// Whether to give up, because the block has no replica, or because each one is bad according to the metanode, or
    /// missing or corrupt according to its node. A node that does not answer may return, so its replica counts as readable
    /// unless the metanode knows it as bad.
    fn is_hopeless(&self, block: &BlockLocation) -> bool {
        let is_lost = |replica: &Replica| replica.bad || self.tried.get(&replica.node) == Some(&true);
        self.asked >= HOPELESS_AFTER && block.replicas.iter().all(is_lost)
    }
}

/// The replicas in the order in which to try them: the metanode's, with nodes that failed a moment ago last.
fn in_order(parts: &Parts, replicas: &[Replica]) -> Vec<Replica> {
    let mut replicas = replicas.to_vec();
    replicas.sort_by_key(|replica| parts.read_suspects.contains(replica.node));
    replicas
}

/// Opens a range of a block at any replica that was not tried. When all were tried, it waits, looks the replicas up again at
/// the metanode and starts over, unless waiting is useless.
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

/// Opens a range of a block at the replica that answers first, among those that were not tried. The next request is sent
/// when an earlier one fails or its answer does not begin in time.
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
            // This function owns a sender, so the channel stays open.
            Some((node, answer)) = answered.recv() => {
                asked.retain(|other| *other != node);
                match answer {
                    Ok(open) => {
                        // Later reads try other nodes first, until the cause of this delay is known.
                        asked.into_iter().for_each(|slow| parts.read_suspects.add(slow));
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

/// Begins to open a range of a block at one replica. A failure is reported to the metanode even if the reader no longer
/// waits.
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

/// Sends a request to the metanode, repeated for a limited time while the metanode is unavailable.
async fn repeat<T, F>(parts: &Parts, ask: impl Fn() -> F) -> Result<T, DataError>
where
    F: Future<Output = Result<T, MetadataError>>,
{
    let outcome = while_unavailable(&parts.env, (RETRY_DELAY, parts.timeouts.metadata), ask, |_| {}).await;
    Ok(outcome?)
}
