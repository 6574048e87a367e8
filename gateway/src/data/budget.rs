//! Memory budgets for bodies: one for all uploads, one for all downloads. The unit is a [`PAGE`]. Bodies that wait for
//! memory are served in turn ([`fair`](super::fair)).
//!
//! Uploads. A block begins with one page, so that a client that sends single bytes uses one page. When the page is full
//! and was filled quickly, the upload queues for a [`BLOCK_FLOOR`] (less when the body is shorter). Beyond that the
//! block grows only by memory that is free at that moment. When nothing is free, or another upload queues, the block is
//! sealed at its present length and sent. The block of a slow client grows page by page, up to the client's
//! [share](Writer::share). So no upload waits for long while it holds more than one page that is not on its way to a
//! datanode, and memory always becomes free again, for any number of uploads.
//!
//! A client may send quickly at first and then pause while other uploads wait. Its block is sealed at once if it has the
//! length of the upload's share and of a [`BLOCK_FLOOR`]. A shorter block gives back the memory that it does not use, and
//! is sealed after a [`PAUSE`] if it has the length of the share or of a [`TRICKLE_FLOOR`].
//!
//! Downloads. While its client reads, a download holds [`READ_MEMORY`] for the connection to a datanode and for the
//! chunk that is passed on ([`Slot`]). When the client stops reading, the download gives back everything except the
//! piece in the client's connection. From then on it reads single pages, each with a request of its own, until the
//! client is quick again.
//!
//! The memory of a chunk is given back when the last `Bytes` that refers to it is dropped, wherever that is (this
//! process may contain a datanode, too). It is reused without the allocator.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;

use super::DataConfig;
use super::fair::{Fair, Permit};
use super::owner::Owner;

/// The unit of memory, and what a slow client holds. All connections that a gateway accepts by default hold half of the
/// downloads' memory, and a third of the uploads'. A download holds a chunk of 64 KiB until its client has taken the
/// piece by which it turned out to be slow.
pub const PAGE: usize = 16 << 10;

/// The minimum length of a block that is sealed for lack of memory, unless its client is slow. Shorter blocks cost more
/// in metadata and syncs than their memory is worth.
pub const BLOCK_FLOOR: u64 = 1 << 20;

/// The minimum length of a block that is sealed because its client pauses while others wait, unless the number of
/// uploads makes a share smaller.
pub const TRICKLE_FLOOR: u64 = 256 << 10;

/// A client that sends nothing for this long has paused. It is well above the gaps of a client that sends as fast as
/// its network allows.
pub const PAUSE: Duration = Duration::from_secs(1);

/// A client that fills a page within this time is quick, so its block gets more memory than it has filled.
pub const PAGE_TIME: Duration = Duration::from_secs(1);

/// The memory for reading from a datanode: the read buffer of the connection, where pieces of a response stay until
/// they are verified.
pub const READ_MEMORY: u64 = 448 << 10;

/// Upper limit of unused chunk buffers that are kept. They let a few uploads begin without the allocator, and cost an
/// idle gateway at most 8 MiB.
const KEPT_MAX: usize = (8 << 20) / CHUNK_SIZE;

/// The memory budgets. Clones share them.
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    uploads: Fair,
    downloads: Fair,
    /// The number of uploads.
    writers: AtomicUsize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget")
            .field("upload_bytes", &self.upload_bytes())
            .field("download_bytes", &self.download_bytes())
            .finish_non_exhaustive()
    }
}

fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE as u64)).unwrap_or(u32::MAX)
}

fn bytes(pages: u32) -> u64 {
    u64::from(pages) * PAGE as u64
}

impl Budget {
    /// Budgets of the configured sizes, of at least one page each.
    pub fn new(config: &DataConfig) -> Self {
        let fair = |memory| Fair::new(pages(memory).clamp(1, u32::MAX >> 4));
        let inner = Inner {
            uploads: fair(config.upload_memory),
            downloads: fair(config.download_memory),
            writers: AtomicUsize::new(0),
            kept: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Bytes that uploads hold now.
    pub fn upload_bytes(&self) -> u64 {
        bytes(self.inner.uploads.taken())
    }

    /// The highest number of bytes that uploads ever held.
    pub fn upload_peak(&self) -> u64 {
        bytes(self.inner.uploads.taken_max())
    }

    /// Bytes that downloads hold now.
    pub fn download_bytes(&self) -> u64 {
        bytes(self.inner.downloads.taken())
    }

    /// The highest number of bytes that downloads ever held.
    pub fn download_peak(&self) -> u64 {
        bytes(self.inner.downloads.taken_max())
    }

    /// The maximum length of a block: half of the budget, so that the next block can be filled while one is sent.
    pub(super) fn block_length_max(&self) -> u64 {
        bytes((self.inner.uploads.units() / 2).max(1))
    }

    /// Counts an upload until the returned value is dropped.
    pub(super) fn writer(&self) -> Writer {
        self.inner.writers.fetch_add(1, Ordering::Relaxed);
        Writer { budget: self.clone(), owner: Owner::current() }
    }

    /// Waits until some upload waits for memory.
    pub(super) async fn pressure(&self) {
        let mut waiting = self.inner.uploads.waiting();
        if waiting.wait_for(|waiting| *waiting > 0).await.is_err() {
            // The sender lives as long as `self`.
            std::future::pending::<()>().await;
        }
    }

    /// The number of downloads that wait for memory.
    pub(super) fn downloads_waiting(&self) -> tokio::sync::watch::Receiver<usize> {
        self.inner.downloads.waiting()
    }

    /// Waits in turn for the memory to read `bytes` from a datanode and to pass them on.
    pub(super) async fn slot(&self, owner: &Owner, bytes: u64) -> Slot {
        let wanted = pages(bytes.min(READ_MEMORY)) + pages(bytes.min(CHUNK_SIZE as u64));
        let permit = self.inner.downloads.acquire(owner, wanted).await;
        Slot { permit: Arc::new(Mutex::new(permit)), budget: self.clone() }
    }

    /// Memory for reading a block ahead, if some is free.
    pub(super) fn read_ahead(&self) -> Option<Permit> {
        self.inner.downloads.try_acquire(pages(READ_MEMORY).min(self.inner.downloads.units()))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory of this capacity, reused if possible.
    fn memory(&self, capacity: usize) -> Vec<u8> {
        let kept = (capacity == CHUNK_SIZE).then(|| self.kept().pop()).flatten();
        kept.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    fn keep(&self, mut memory: Vec<u8>) {
        if memory.capacity() == CHUNK_SIZE {
            memory.clear();
            let mut kept = self.kept();
            if kept.len() < KEPT_MAX {
                kept.push(memory);
            }
        }
    }
}

/// The memory of a download whose client reads.
pub(super) struct Slot {
    permit: Arc<Mutex<Permit>>,
    budget: Budget,
}

impl Slot {
    /// Copies these bytes, at most a chunk, to pass them on. They are slices of larger read buffers, which would stay
    /// allocated otherwise. While the slot exists, the memory comes back to it.
    pub(super) fn piece<'a>(&self, length: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Bytes {
        let capacity = if length > CHUNK_SIZE / 2 { CHUNK_SIZE } else { length };
        let mut memory = self.budget.memory(capacity);
        pieces.for_each(|piece| memory.extend_from_slice(piece));
        self.counted(Copied { memory, budget: self.budget.clone() }, capacity)
    }

    /// Passes on bytes that keep no more than a chunk in memory, without a copy. While the slot exists, the memory comes back
    /// to it.
    pub(super) fn pass_on(&self, bytes: Bytes) -> Bytes {
        self.counted(bytes, CHUNK_SIZE)
    }

    /// Bytes that count as `memory` bytes of the slot until they are dropped.
    fn counted(&self, bytes: impl AsRef<[u8]> + Send + 'static, memory: usize) -> Bytes {
        let permit = lock(&self.permit).split(pages(memory as u64));
        let slot = Arc::downgrade(&self.permit);
        Bytes::from_owner(Piece { bytes, _share: Share { permit: Some(permit), slot } })
    }
}

fn lock(permit: &Mutex<Permit>) -> MutexGuard<'_, Permit> {
    permit.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes on their way to a client.
struct Piece<B> {
    // Dropped first: memory that is free again was given back before.
    bytes: B,
    _share: Share,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Piece<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Bytes in memory of the budget.
struct Copied {
    memory: Vec<u8>,
    budget: Budget,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.budget.keep(std::mem::take(&mut self.memory));
    }
}

/// The part of a slot's memory that a piece has.
struct Share {
    permit: Option<Permit>,
    slot: Weak<Mutex<Permit>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let (Some(permit), Some(slot)) = (self.permit.take(), self.slot.upgrade()) {
            lock(&slot).merge(permit);
        }
    }
}

/// An upload, for as long as this value lives.
pub(super) struct Writer {
    budget: Budget,
    owner: Owner,
}

impl Writer {
    /// The maximum length of a slow client's block: an equal share of half of the budget, and at least one page. The
    /// other half is for blocks on their way.
    pub(super) fn share(&self) -> u64 {
        let inner = &self.budget.inner;
        let writers = inner.writers.load(Ordering::Relaxed).max(1) as u64;
        (bytes(inner.uploads.units()) / writers / 2).max(PAGE as u64)
    }

    /// Waits in turn for `bytes` of memory, at most the whole budget.
    pub(super) async fn reserve(&self, bytes: u64) -> BlockMemory {
        let permit = self.budget.inner.uploads.acquire(&self.owner, pages(bytes).max(1)).await;
        BlockMemory { unused: Some(permit), budget: self.budget.clone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.budget.inner.writers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory that is reserved for a block and not used yet.
pub(super) struct BlockMemory {
    unused: Option<Permit>,
    budget: Budget,
}

impl BlockMemory {
    /// Takes `bytes` more if they are free and no upload waits for them, or else one page if that is free.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        let fair = &self.budget.inner.uploads;
        let grown = fair.try_acquire(pages(bytes).max(1)).or_else(|| fair.try_acquire(1));
        grown.map(|grown| self.add(grown)).is_some()
    }

    /// Adds the memory of another reservation.
    pub(super) fn merge(&mut self, mut other: Self) {
        if let Some(permit) = other.unused.take() {
            self.add(permit);
        }
    }

    fn add(&mut self, permit: Permit) {
        match &mut self.unused {
            Some(unused) => unused.merge(permit),
            None => self.unused = Some(permit),
        }
    }

    /// Takes up to this many bytes out of the reservation, in pages.
    fn take(&mut self, bytes: usize) -> Option<Permit> {
        let unused = self.unused.as_mut()?;
        let taken = unused.split(pages(bytes as u64).max(1));
        if unused.units() == 0 {
            self.unused = None;
        }
        Some(taken)
    }

    /// A buffer for up to `capacity` bytes, at most a chunk; `None` when the reservation is empty.
    pub(super) fn buffer(&mut self, capacity: usize) -> Option<Buffer> {
        let capacity = capacity.min(CHUNK_SIZE);
        let permit = self.take(capacity)?;
        let allocated = capacity.min(permit.units() as usize * PAGE);
        let bytes = self.budget.memory(allocated);
        Some(Buffer { bytes, allocated, capacity, budget: self.budget.clone(), permit })
    }

    /// Gives the reservation back, except for one page if `keep`.
    pub(super) fn give_back(&mut self, keep: bool) {
        self.unused = match self.unused.take() {
            Some(mut unused) if keep => Some(unused.split(1)),
            _ => None,
        };
    }
}

/// The memory of one chunk, or of less at the end of a body.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// The bytes that fit into the allocated memory.
    allocated: usize,
    /// The bytes that it may hold in the end.
    capacity: usize,
    budget: Budget,
    permit: Permit,
}

impl Buffer {
    /// Moves what fits from the front of `bytes` into the chunk, and takes more memory out of `reservation` when
    /// needed.
    pub(super) fn fill(&mut self, bytes: &mut Bytes, reservation: &mut BlockMemory) {
        loop {
            let now = bytes.split_to(bytes.len().min(self.allocated - self.bytes.len()));
            self.bytes.extend_from_slice(&now);
            if bytes.is_empty() || self.is_full() {
                return;
            }
            let Some(more) = reservation.take(self.capacity - self.allocated) else { return };
            self.permit.merge(more);
            self.allocated = self.capacity.min(self.permit.units() as usize * PAGE);
            if self.allocated == CHUNK_SIZE {
                let mut memory = self.budget.memory(CHUNK_SIZE);
                memory.extend_from_slice(&self.bytes);
                self.bytes = memory;
            } else {
                self.bytes.reserve_exact(self.allocated - self.bytes.len());
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() == self.capacity
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy. The memory is given back when the last clone is dropped.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.budget.keep(std::mem::take(&mut self.bytes));
    }
}
