//! The memory that bodies use: one budget for all uploads, one for all downloads.
//!
//! Uploads. The unit is a chunk of 64 KiB. A block begins with a reservation of a
//! [`BLOCK_FLOOR`] (less when the body is shorter), for which uploads queue, first come first served. It
//! grows only by what is free at that moment; when nothing is, or somebody queues, the block is sealed as
//! long as it is and sent. So nobody waits for memory while holding a block that is not on its way to a
//! datanode: memory always comes back, for any number of uploads, and none overtakes another for ever.
//!
//! A client that sends slowly would still hold what it has sent. While others wait, a block that has
//! reached its upload's fair share is sealed as soon as its client pauses; one that is shorter gives back
//! what it does not use when its client pauses for [`PAUSE`], and is sealed from [`TRICKLE_FLOOR`] on.
//!
//! A chunk's memory is given back when the last `Bytes` of it is dropped, wherever that is (this process
//! may hold a datanode, too), and is used again without asking the allocator.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::DataConfig;

/// Shortest block that is made for lack of memory, unless its client pauses. Shorter ones cost more in
/// metadata and fsyncs than their memory is worth.
pub const BLOCK_FLOOR: u64 = 1 << 20;

/// Shortest block that is made because others wait and its client pauses.
pub const TRICKLE_FLOOR: u64 = 256 << 10;

/// A client that sends nothing for this long has paused. Well above the gaps of a client that sends as
/// fast as its network lets it.
pub const PAUSE: Duration = Duration::from_secs(1);

/// What one download holds besides what it passes on: the chunk that it verifies, and the read buffer of
/// its connection to the datanode.
pub const DOWNLOAD_MEMORY: u64 = 512 << 10;

/// How much memory is kept for use again when nobody uses it: enough for a few uploads to begin without
/// the allocator, little enough to call the gateway idle.
const KEPT_MAX: usize = (32 << 20) / CHUNK_SIZE;

/// The memory that bodies use. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    uploads: Arc<Semaphore>,
    upload_units: u32,
    downloads: Arc<Semaphore>,
    download_units: u32,
    /// How many uploads queue for memory.
    waiting: watch::Sender<usize>,
    /// How many uploads there are.
    writers: AtomicUsize,
    peak: AtomicUsize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("upload_bytes", &self.upload_bytes()).finish_non_exhaustive()
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(CHUNK_SIZE as u64)).unwrap_or(u32::MAX)
}

impl Budget {
    /// A budget as configured; at least one chunk each.
    pub fn new(config: &DataConfig) -> Self {
        let upload_units = units(config.upload_memory).clamp(1, u32::MAX >> 4);
        let download_units = units(config.download_memory).clamp(1, u32::MAX >> 4);
        let inner = Inner {
            uploads: Arc::new(Semaphore::new(upload_units as usize)),
            upload_units,
            downloads: Arc::new(Semaphore::new(download_units as usize)),
            download_units,
            waiting: watch::Sender::new(0),
            writers: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            kept: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Bytes that uploads hold now.
    pub fn upload_bytes(&self) -> u64 {
        let free = self.inner.uploads.available_permits();
        (self.inner.upload_units as usize).saturating_sub(free) as u64 * CHUNK_SIZE as u64
    }

    /// The most bytes that uploads ever held.
    pub fn upload_peak(&self) -> u64 {
        self.inner.peak.load(Ordering::Relaxed) as u64 * CHUNK_SIZE as u64
    }

    /// The longest block that fits: half of the budget, so that the next one can be filled meanwhile.
    pub(super) fn block_length_max(&self) -> u64 {
        (u64::from(self.inner.upload_units) / 2).max(1) * CHUNK_SIZE as u64
    }

    /// Counts an upload in.
    pub(super) fn writer(&self) -> Writer {
        self.inner.writers.fetch_add(1, Ordering::Relaxed);
        Writer { budget: self.clone() }
    }

    /// Waits for `bytes` of memory, in the order of asking; no more than the whole budget.
    pub(super) async fn reserve(&self, bytes: u64) -> Reservation {
        let wanted = units(bytes).clamp(1, self.inner.upload_units);
        if let Ok(permit) = self.inner.uploads.clone().try_acquire_many_owned(wanted) {
            return self.reserved(permit);
        }
        let _waiting = Waiting::begin(&self.inner.waiting);
        match self.inner.uploads.clone().acquire_many_owned(wanted).await {
            Ok(permit) => self.reserved(permit),
            // Nobody closes the semaphore.
            Err(_closed) => std::future::pending().await,
        }
    }

    fn reserved(&self, permit: OwnedSemaphorePermit) -> Reservation {
        self.note_peak();
        Reservation { unused: Some(permit), budget: self.clone() }
    }

    fn note_peak(&self) {
        let free = self.inner.uploads.available_permits();
        let used = (self.inner.upload_units as usize).saturating_sub(free);
        self.inner.peak.fetch_max(used, Ordering::Relaxed);
    }

    /// Waits until somebody waits for memory.
    pub(super) async fn pressure(&self) {
        let mut waiting = self.inner.waiting.subscribe();
        if waiting.wait_for(|waiting| *waiting > 0).await.is_err() {
            // The sender lives as long as `self`.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the memory of a download of `bytes`, in the order of asking.
    pub(super) async fn download(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let wanted = units(bytes.min(DOWNLOAD_MEMORY)).clamp(1, self.inner.download_units);
        self.inner.downloads.clone().acquire_many_owned(wanted).await.ok()
    }

    /// Memory for reading a block ahead, if there is some to spare.
    pub(super) fn read_ahead(&self) -> Option<OwnedSemaphorePermit> {
        let wanted = units(DOWNLOAD_MEMORY).clamp(1, self.inner.download_units);
        self.inner.downloads.clone().try_acquire_many_owned(wanted).ok()
    }
}

/// Counts one who waits, also when it stops waiting by being dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// An upload, as long as it lives.
pub(super) struct Writer {
    budget: Budget,
}

impl Writer {
    /// How long a block may be while others wait: half of an equal part of the budget (the other half is
    /// for the blocks on their way), but no less than the floor.
    pub(super) fn fair_share(&self) -> u64 {
        let inner = &self.budget.inner;
        let writers = inner.writers.load(Ordering::Relaxed).max(1) as u64;
        let share = u64::from(inner.upload_units) * CHUNK_SIZE as u64 / writers / 2;
        share.max(BLOCK_FLOOR)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.budget.inner.writers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory that is set aside for a block and not used yet.
pub(super) struct Reservation {
    unused: Option<OwnedSemaphorePermit>,
    budget: Budget,
}

impl Reservation {
    /// Takes `bytes` more if they are free and nobody waits for them.
    fn grow(&mut self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let semaphore = &self.budget.inner.uploads;
        let grown = semaphore.clone().try_acquire_many_owned(units(bytes).max(1)).ok();
        // All of it, or whatever is left.
        let grown = grown.or_else(|| semaphore.clone().try_acquire_owned().ok());
        self.budget.note_peak();
        grown
    }

    /// A buffer of `capacity` bytes, a chunk's at the most; `None` when the budget is spent. Up to
    /// `ahead` bytes will be asked for after it.
    pub(super) fn buffer(&mut self, capacity: usize, ahead: u64) -> Option<Buffer> {
        let mut unused = match self.unused.take() {
            Some(unused) => unused,
            None => self.grow(ahead.clamp(1, BLOCK_FLOOR))?,
        };
        let unit = if unused.num_permits() > 1 {
            let unit = unused.split(1);
            self.unused = Some(unused);
            unit?
        } else {
            unused
        };
        let capacity = capacity.min(CHUNK_SIZE);
        let kept = (capacity == CHUNK_SIZE).then(|| self.budget.kept().pop()).flatten();
        let bytes = kept.unwrap_or_else(|| Vec::with_capacity(capacity));
        Some(Buffer { bytes, capacity, budget: self.budget.clone(), _unit: unit })
    }

    /// Gives back all but `keep` chunks.
    pub(super) fn shrink(&mut self, keep: usize) {
        self.unused = match self.unused.take() {
            Some(mut unused) if unused.num_permits() > keep => unused.split(keep).filter(|_| keep > 0),
            unused => unused,
        };
    }
}

impl Budget {
    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory for one chunk, or for less at the end of a body.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    capacity: usize,
    budget: Budget,
    _unit: OwnedSemaphorePermit,
}

impl Buffer {
    /// Takes what fits from the front of `bytes`.
    pub(super) fn fill(&mut self, bytes: &mut Bytes) {
        let now = bytes.split_to(bytes.len().min(self.capacity - self.bytes.len()));
        self.bytes.extend_from_slice(&now);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() == self.capacity
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, without a copy. The memory comes back when the last clone is dropped.
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
        if self.capacity == CHUNK_SIZE {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let mut kept = self.budget.kept();
            if kept.len() < KEPT_MAX {
                kept.push(bytes);
            }
        }
    }
}
