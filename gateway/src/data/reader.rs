//! Reads the bytes of an object or range in order. A replica that fails or stalls is replaced by another one in the
//! middle of a block.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_protocol::block::BYTES_MAX;
use cairn_protocol::checksum::{CHUNK_SIZE, Crc32c};
use cairn_protocol::env::Elapsed;
use cairn_protocol::metadata::{
    BlockLocation, Content, ListExtents, LocatedExtent, LocatedObject, ResolvedRange,
};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::budget::{PAGE, Slot};
use super::download_resources::{DownloadResources, ReplicaAhead};
use super::open_block::{Trouble, open_any, open_first, repeat};
use super::owner::Owner;
use super::reads::ReadGuard;
use super::replica::{Chunk, OpenReplica, ReplicaError, Wanted};
use super::slow_clients::ParkingSpace;
use super::{DataError, Parts};

/// Extents per request after those of the lookup: some gigabytes of an object, in a reply of some hundred KiB.
const EXTENTS_MAX: u32 = 500;

/// The next block is opened when this many bytes of the current one are left: what a fast link carries while a datanode
/// begins its response.
const OPEN_AHEAD: u64 = 1 << 20;

/// The bytes of an object or range, in order and verified. If a block becomes unreadable, the stream fails, and the
/// connection must be closed, because its length was already sent.
pub struct ObjectBody {
    pieces: Pieces,
    length: u64,
}

enum Pieces {
    /// The bytes are all here.
    Read(Option<Bytes>),
    Stream(BoxStream<'static, Result<Bytes, DataError>>),
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
        match &mut self.pieces {
            Pieces::Read(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Pieces::Stream(stream) => stream.poll_next_unpin(cx),
        }
    }
}

impl From<ObjectBody> for Body {
    fn from(body: ObjectBody) -> Self {
        match body.pieces {
            Pieces::Read(bytes) => bytes.map_or_else(Self::empty, Self::from),
            Pieces::Stream(stream) => Self::from_stream(stream),
        }
    }
}

/// Opens an object; see [`DataPath::read`](super::DataPath::read).
pub(super) async fn open(parts: Arc<Parts>, located: LocatedObject) -> Result<ObjectBody, DataError> {
    let ResolvedRange::Satisfiable { start, end } = located.range else {
        return Ok(ObjectBody { pieces: Pieces::Read(None), length: 0 });
    };
    // A reversed range is an error of the metanode. An empty body would hide it from the client.
    let length = end.checked_sub(start).ok_or(DataError::Nonsense("a range that ends before it begins"))?;
    if length == 0 {
        return Ok(ObjectBody { pieces: Pieces::Read(None), length });
    }
    let read = parts.reads.begin(located.object.version, located.readable_ms);
    let mut reader = ObjectReader {
        owner: Owner::current(),
        content: located.object.content,
        position: start,
        end,
        extents: located.extents.into_iter().map(Arc::new).collect(),
        space: None,
        at_rest: false,
        taking: Taking::new(parts.env.monotonic()),
        patience: parts.timeouts.memory,
        parts,
        _read: read,
    };
    let first = reader.next().await?;
    if reader.position == end {
        return Ok(ObjectBody { pieces: Pieces::Read(first), length });
    }
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
    Ok(ObjectBody { pieces: Pieces::Stream(stream.boxed()), length })
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
    extents: VecDeque<Arc<LocatedExtent>>,
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
        let slot = self.parts.env.timeout(self.patience, self.parts.budget.slot(&self.owner, bytes)).await;
        let slot = slot.map_err(|Elapsed| DataError::Overloaded)?;
        Ok(DownloadResources { slot, current: None, ahead: None })
    }

    /// Reads and verifies the next chunk from any replica, and takes the next piece out of it.
    async fn advance(&mut self, held: &mut DownloadResources) -> Result<Bytes, DataError> {
        let extent = self.extent().await?;
        let wanted = self.to_read(&extent);
        let mut trouble = Trouble::new(&self.parts);
        let piece = loop {
            let replica = match held.current.take() {
                Some(replica) => replica,
                None => match self.opened_ahead(held, &extent).await {
                    Some(replica) => replica,
                    None => open_any(&self.parts, &extent.block, wanted, &mut trouble).await?,
                },
            };
            match read_chunk(&self.parts, &extent.block, wanted, replica, &mut trouble).await {
                Ok((chunk_offset, chunk, replica)) => {
                    held.current = Some(replica);
                    break self.take(&held.slot, &extent, chunk_offset, &chunk)?;
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
    async fn extent(&mut self) -> Result<Arc<LocatedExtent>, DataError> {
        if self.extents.is_empty() {
            let list = self.content.list().ok_or(DataError::Nonsense("an object without its extent"))?;
            let request = ListExtents { list, start: self.position, end: self.end, max: EXTENTS_MAX };
            let page = repeat(&self.parts, || self.parts.metadata.list_extents(request.clone())).await?;
            self.extents = page.extents.into_iter().map(Arc::new).collect();
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

    /// The bytes to request of an extent: all of a short one whose CRC32C is known; else all wanted bytes, or those of one chunk
    /// for a slow client.
    fn to_read(&self, extent: &LocatedExtent) -> Wanted {
        if let Some(crc32c) = self.crc_of(extent) {
            return Wanted::with_crc((extent.offset, extent.offset + extent.length), crc32c);
        }
        let (start, end) = self.range_in(extent);
        Wanted::range(match self.taking.piece {
            Some(_) => (start, end.min((start / CHUNK_SIZE as u64 + 1) * CHUNK_SIZE as u64)),
            None => (start, end),
        })
    }

    /// The CRC32C of an extent that is read as a whole, if it is known: that of the version, or that of the block if the extent is all
    /// of it.
    fn crc_of(&self, extent: &LocatedExtent) -> Option<Crc32c> {
        if extent.length > BYTES_MAX {
            return None;
        }
        match self.content {
            Content::Block { crc32c: Some(crc32c), .. } => Some(crc32c),
            _ => ((extent.offset, extent.length) == (0, extent.block.length)).then_some(extent.block.crc32c),
        }
    }

    /// Takes the next piece out of a chunk that begins at `chunk_offset` of the extent's block.
    fn take(
        &mut self,
        slot: &Slot,
        extent: &LocatedExtent,
        chunk_offset: u64,
        chunk: &Chunk,
    ) -> Result<Bytes, DataError> {
        let (start, end) = self.range_in(extent);
        let end = self.taking.piece.map_or(end, |piece| end.min(start + piece as u64));
        let mut at = chunk_offset;
        let mut wanted = Vec::with_capacity(chunk.pieces.len());
        for piece in &chunk.pieces {
            let (begins, ends) = (at, at + piece.len() as u64);
            let (from, to) = (start.max(begins), end.min(ends));
            if from < to {
                wanted.push(piece.slice((from - begins) as usize..(to - begins) as usize));
            }
            at = ends;
        }
        let length: usize = wanted.iter().map(|piece| piece.len()).sum();
        if length == 0 {
            return Err(DataError::Nonsense("a chunk beside the range"));
        }
        self.position += length as u64;
        // A smaller part is copied, so that it keeps no whole chunk in memory.
        if chunk.is_owned
            && length > CHUNK_SIZE / 2
            && let Some(piece) = wanted.pop()
        {
            return Ok(slot.pass_on(piece));
        }
        Ok(slot.piece(length, wanted.iter().map(AsRef::as_ref)))
    }

    /// Begins to open the next extent when the current one is nearly read.
    fn open_ahead(&self, held: &mut DownloadResources, extent: &LocatedExtent) {
        let extent_end = extent.object_offset + extent.length;
        if held.ahead.is_some() || extent_end >= self.end || extent_end - self.position > OPEN_AHEAD {
            return;
        }
        let Some(next) = self.extents.get(1).cloned() else { return };
        let Some(memory) = self.parts.budget.read_ahead() else { return };
        let wanted = self.to_read(&next);
        let object_offset = next.object_offset;
        let parts = self.parts.clone();
        let task = tokio::spawn(with_request_id(current_request_id(), async move {
            let mut trouble = Trouble::new(&parts);
            open_first(&parts, &next.block, wanted, &mut trouble).await
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

/// The offset of a chunk in the block, the chunk, and the replica that it came from.
type ReadChunk = (u64, Chunk, OpenReplica);

/// Reads the next chunk of a replica. If it takes too long, another replica is opened as well, and the faster one is
/// used. So a node that hangs in the middle of a block costs no more than one that does not begin.
///
/// # Errors
/// This replica is given up. The error contains the other replica, if it was opened.
async fn read_chunk(
    parts: &Arc<Parts>,
    block: &BlockLocation,
    wanted: Wanted,
    mut replica: OpenReplica,
    trouble: &mut Trouble,
) -> Result<ReadChunk, Option<OpenReplica>> {
    let (node, offset) = (replica.node(), replica.offset());
    let outcome = {
        let mut next = std::pin::pin!(replica.next_chunk());
        match parts.env.timeout(parts.timeouts.hedge, next.as_mut()).await {
            Ok(chunk) => Ok(chunk),
            Err(Elapsed) => {
                trouble.tried.insert(node, false);
                tokio::select! {
                    biased;
                    chunk = next.as_mut() => Ok(chunk),
                    another = open_first(parts, block, wanted, trouble) => match another {
                        Some(another) => Err(another),
                        None => Ok(next.await),
                    },
                }
            }
        }
    };
    match outcome {
        Ok(Ok(chunk)) => Ok((offset, chunk, replica)),
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
