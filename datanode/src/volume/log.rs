//! The log: the volume's shared segments, written by one thread.
//!
//! Architecture invariant: only this thread appends to shared segments and changes index entries that point into them. So the order
//! of records on disk is the order of changes to the index.
//!
//! **Group commit.** The thread takes all requests that wait, writes them with one `write`, makes them durable with one
//! `fdatasync`, applies them to the index, and answers all of them. While it syncs, the next batch collects. Nothing is answered or
//! indexed before it is durable. A segment is sealed only when all of it is durable, so after a crash only the newest segment can
//! have a torn tail.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::BlockId;
use tokio::sync::{mpsc, oneshot};

use super::disk::DiskFile;
use super::empty_trash;
use super::entry::{Entry, LogPosition, Trashed};
use super::error::{VolumeError, is_out_of_space, is_shortage};
use super::index::UNDER_ONE_LOCK;
use super::record::{Body, HEADER_SIZE, Header, Place, record_size, segment_header};
use super::state::VolumeState;

/// A batch is closed at this size, in bytes. It is large enough that the shared sync costs more than the write, and small enough
/// that the first requests of a batch do not wait long.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Length of the queue of requests. When it is full, senders wait.
const QUEUE_LENGTH: usize = 1024;

/// A change of the shared segments.
#[derive(Debug)]
pub(crate) enum Change {
    /// Store a block. Compaction names the place in `moved_from`, and the block is stored only if it still lies there.
    Put { block: SmallBlock, moved_from: Option<Place> },
    /// Store a block of the trash again (compaction), if it still lies at `moved_from`.
    PutTrashed { block: SmallBlock, moved_from: Place, deleted_at: u64 },
    /// Delete a block, if it lies in a shared segment. It goes into the trash with the time `deleted_at`, in milliseconds since the
    /// Unix epoch; with 0 it does not go into the trash.
    Delete { id: BlockId, deleted_at: u64 },
    /// Write an old tombstone again, because its segment is removed before the segment of its target.
    CarryTombstone { id: BlockId, target: Place, deleted_at: u64 },
    /// Begin a new segment.
    Seal,
    /// Remove a sealed segment whose file is gone from the index, and these blocks, which were in it.
    Lose { segment: u32, blocks: Vec<(BlockId, Entry)> },
}

/// A block for a shared segment. Its bytes were checked against length and CRC32C.
#[derive(Clone, Debug)]
pub(crate) struct SmallBlock {
    pub(crate) id: BlockId,
    pub(crate) length: u32,
    pub(crate) crc: Crc32c,
    /// The encoded chunk table.
    pub(crate) table: Bytes,
    pub(crate) data: Bytes,
}

type Reply = oneshot::Sender<Result<(), VolumeError>>;

#[derive(Debug)]
struct Request {
    change: Change,
    reply: Reply,
}

/// A handle for sending changes to the log's thread.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    requests: mpsc::Sender<Request>,
}

impl Log {
    /// Starts the thread. It appends to `file`, if recovery left a segment to go on with, and ends when all handles are dropped.
    pub(crate) fn start(
        state: Arc<VolumeState>,
        file: Option<Arc<dyn DiskFile>>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (requests, waiting) = mpsc::channel(QUEUE_LENGTH);
        let position = state.index().position;
        let writer = Writer { state, file, position, batch: Batch::default() };
        // A dedicated thread, because it waits for the disk most of the time.
        let thread = std::thread::Builder::new().name("volume-log".into()).spawn(|| writer.run(waiting))?;
        Ok((Self { requests }, thread))
    }

    /// Makes a change and returns when it is durable.
    pub(crate) async fn apply(&self, change: Change) -> Result<(), VolumeError> {
        let (reply, result) = oneshot::channel();
        self.requests.send(Request { change, reply }).await.map_err(|_| VolumeError::Closed)?;
        result.await.map_err(|_| VolumeError::Closed)?
    }

    /// Like [`apply`](Self::apply), but returns before the change is durable. Blocks its thread while the queue is full.
    pub(crate) fn submit(&self, change: Change) -> Result<Pending, VolumeError> {
        let (reply, result) = oneshot::channel();
        self.requests.blocking_send(Request { change, reply }).map_err(|_| VolumeError::Closed)?;
        Ok(Pending(result))
    }
}

/// A change that was sent to the log and may not be durable yet.
#[derive(Debug)]
pub(crate) struct Pending(oneshot::Receiver<Result<(), VolumeError>>);

impl Pending {
    /// Blocks until the change is durable.
    pub(crate) fn wait(self) -> Result<(), VolumeError> {
        self.0.blocking_recv().map_err(|_| VolumeError::Closed)?
    }
}

#[derive(Debug)]
struct Writer {
    state: Arc<VolumeState>,
    /// The active segment; none before the first write to a new volume.
    file: Option<Arc<dyn DiskFile>>,
    /// Where the active segment ends.
    position: LogPosition,
    batch: Batch,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    steps: Vec<Step>,
    replies: Vec<Reply>,
    /// Where the blocks of this batch will lie once it is published; `None` for a block that it deletes.
    overlay: HashMap<BlockId, Option<Place>>,
}

/// What a batch does to the index once it is durable.
#[derive(Debug)]
enum Step {
    Insert(BlockId, Entry),
    Remove(BlockId, Place),
    /// Moves the entry from the index into the trash.
    Trash(BlockId, Place, u64),
    /// Moves a block of the trash from one place (first) to another one.
    MoveTrash(Place, BlockId, Trashed),
    /// A tombstone for a record of this segment was written.
    Tombstone(u32),
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        while let Some(first) = waiting.blocking_recv() {
            self.stage(first);
            while self.batch.bytes.len() < BATCH_BYTES_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                self.stage(next);
            }
            self.commit();
        }
    }

    /// Adds the records of a request to the batch.
    fn stage(&mut self, request: Request) {
        let Request { change, reply } = request;
        let size = match &change {
            Change::Put { block, .. } | Change::PutTrashed { block, .. } => {
                record_size(u64::from(block.length), false)
            }
            Change::Delete { .. } | Change::CarryTombstone { .. } => HEADER_SIZE as u64,
            Change::Seal | Change::Lose { .. } => 0,
        };
        if let Err(error) = self.ensure_segment_fits(size) {
            // The sender may have been dropped; then the answer is not needed.
            let _ = reply.send(Err(error));
            return;
        }
        match change {
            Change::Put { block, moved_from } => self.stage_put(&block, moved_from),
            Change::PutTrashed { block, moved_from, deleted_at } => {
                if self.state.index().trashed(&block.id).is_some_and(|found| found.entry.place == moved_from)
                {
                    let entry = self.stage_block(&block, deleted_at);
                    let moved = Trashed { entry, deleted_at };
                    self.batch.steps.push(Step::MoveTrash(moved_from, block.id, moved));
                }
            }
            Change::Delete { id, deleted_at } => {
                if let Some(target) = self.place_of(&id) {
                    self.stage_tombstone(id, target, deleted_at);
                    self.batch.steps.push(match deleted_at {
                        0 => Step::Remove(id, target),
                        _ => Step::Trash(id, target, deleted_at),
                    });
                    self.batch.overlay.insert(id, None);
                }
            }
            Change::CarryTombstone { id, target, deleted_at } => self.stage_tombstone(id, target, deleted_at),
            Change::Seal => {
                self.commit();
                let _ = reply.send(self.state.check().and_then(|()| self.begin_segment()));
                return;
            }
            Change::Lose { segment, blocks } => {
                self.commit();
                let _ = reply.send(self.state.check().map(|()| self.lose(segment, &blocks)));
                return;
            }
        }
        self.batch.replies.push(reply);
    }

    fn lose(&self, segment: u32, blocks: &[(BlockId, Entry)]) {
        for some in blocks.chunks(UNDER_ONE_LOCK) {
            let mut index = self.state.index_mut();
            for (id, entry) in some {
                index.remove_at(id, entry.place);
            }
        }
        self.state.index_mut().remove_segment(segment);
        self.state.open_files.forget(Place::shared(segment, 0));
    }

    fn stage_put(&mut self, block: &SmallBlock, moved_from: Option<Place>) {
        if moved_from.is_some() && self.place_of(&block.id) != moved_from {
            return;
        }
        let replaced = self.place_of(&block.id).filter(|_| moved_from.is_none());
        let entry = self.stage_block(block, 0);
        if let Some(replaced) = replaced {
            // Once the new record and its tombstone are gone, a start without a checkpoint must not find the older record.
            self.stage_tombstone(block.id, replaced, 0);
        }
        self.batch.steps.push(Step::Insert(block.id, entry));
        self.batch.overlay.insert(block.id, Some(entry.place));
    }

    fn stage_block(&mut self, block: &SmallBlock, deleted_at: u64) -> Entry {
        let place = self.next_place();
        let header = Header::of_block(block.id, place, block.length, block.crc, &block.table);
        let header = header.trashed(deleted_at);
        let bytes = &mut self.batch.bytes;
        bytes.extend_from_slice(&header.encode(self.state.id));
        bytes.extend_from_slice(&block.table);
        bytes.extend_from_slice(&block.data);
        bytes.resize(bytes.len().next_multiple_of(HEADER_SIZE), 0);
        Entry { length: block.length, crc: block.crc, place }
    }

    fn stage_tombstone(&mut self, id: BlockId, target: Place, deleted_at: u64) {
        let header = Header { id, place: self.next_place(), body: Body::Tombstone { target, deleted_at } };
        self.batch.bytes.extend_from_slice(&header.encode(self.state.id));
        self.batch.steps.push(Step::Tombstone(target.segment()));
    }

    fn next_place(&self) -> Place {
        // `ensure_segment_fits` keeps offsets within 32 bits.
        Place::shared(self.position.segment, self.position.offset + self.batch.bytes.len() as u32)
    }

    /// Where in the shared segments a block lies once the batch is published.
    fn place_of(&self, id: &BlockId) -> Option<Place> {
        match self.batch.overlay.get(id) {
            Some(place) => *place,
            None => self.state.index().get(id).map(|entry| entry.place).filter(|place| !place.is_dedicated()),
        }
    }

    /// Seals the active segment and begins the next one if a record of `size` bytes does not fit.
    fn ensure_segment_fits(&mut self, size: u64) -> Result<(), VolumeError> {
        self.state.check()?;
        let end = u64::from(self.position.offset) + self.batch.bytes.len() as u64;
        let fits = end + size <= u64::from(self.state.options.segment_bytes_max);
        let is_empty = end <= HEADER_SIZE as u64;
        if self.file.is_some() && (fits || is_empty) {
            return Ok(());
        }
        self.commit();
        self.state.check()?;
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Result<(), VolumeError> {
        let number = self.position.segment + 1;
        let path = self.state.segment_path(number);
        let header = segment_header(self.state.id, number);
        let made = self.state.disk.create_new(&path).and_then(|file| {
            self.state.try_write_with_space(header.len() as u64, || file.write_all_at(&header, 0))?;
            Ok(file)
        });
        let file = match made {
            Ok(file) => file,
            Err(error) if is_out_of_space(&error) => {
                return match self.state.disk.remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(self.state.fail("remove", &path, &error))
                    }
                    Ok(()) | Err(_) => Err(self.state.full(HEADER_SIZE as u64)),
                };
            }
            Err(error) if is_shortage(&error) => return Err(VolumeError::io("create", &path, error)),
            Err(error) => return Err(self.state.fail("create", &path, &error)),
        };
        file.sync().map_err(|error| self.state.fail("fdatasync", &path, &error))?;
        self.state.sync_dir(&self.state.shared_directory()).inspect_err(|_| {
            // If only a file descriptor was missing, the next attempt uses the same number.
            let _ = self.state.disk.remove_file(&path);
        })?;
        self.file = Some(file);
        self.position = LogPosition { segment: number, offset: HEADER_SIZE as u32 };
        let mut index = self.state.index_mut();
        index.position = self.position;
        index.set_segment_size(number, HEADER_SIZE as u64);
        Ok(())
    }

    /// Makes the batch durable, publishes it in the index, and answers its requests, in this order.
    fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let result = if batch.bytes.is_empty() { self.state.check() } else { self.write(&batch.bytes) };
        if result.is_ok() && !batch.bytes.is_empty() {
            self.publish(batch.steps, batch.bytes.len());
        }
        // The next batch reuses this buffer. Allocating one of this size costs about as much as copying the bytes.
        batch.bytes.clear();
        self.batch.bytes = batch.bytes;
        for reply in batch.replies {
            let _ = reply.send(result.clone());
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), VolumeError> {
        self.state.check()?;
        let path = self.state.segment_path(self.position.segment);
        let Some(file) = &self.file else { return Err(VolumeError::Closed) };
        let end = u64::from(self.position.offset);
        let written = self.state.try_write_with_space(bytes.len() as u64, || file.write_all_at(bytes, end));
        if let Err(error) = written {
            let cut = file.set_length(end);
            return Err(match cut {
                Ok(()) if is_out_of_space(&error) => self.state.full(bytes.len() as u64),
                Ok(()) | Err(_) => self.state.fail("write", &path, &error),
            });
        }
        file.sync().map_err(|error| {
            // After a failed sync the page cache may show bytes as clean that never reached the disk. They are cut off, so that a
            // restart of this process does not take them for durable.
            let _ = file.set_length(end);
            self.state.fail("fdatasync", &path, &error)
        })
    }

    fn publish(&mut self, steps: Vec<Step>, length: usize) {
        self.position.offset += length as u32;
        // A block that is stored or deleted replaces the entry that the trash has of it.
        let mut replaced = Vec::new();
        let mut steps = steps.into_iter();
        while steps.len() > 0 {
            self.take_steps(steps.by_ref().take(UNDER_ONE_LOCK), &mut replaced);
        }
        let mut index = self.state.index_mut();
        index.position = self.position;
        index.set_segment_size(self.position.segment, u64::from(self.position.offset));
        index.since_checkpoint += length as u64;
        drop(index);
        for (id, old) in replaced {
            empty_trash::discard(&self.state, &id, &old);
        }
        empty_trash::limit(&self.state);
    }

    /// Applies some steps of a batch to the index, under one lock.
    fn take_steps(&self, steps: impl Iterator<Item = Step>, replaced: &mut Vec<(BlockId, Trashed)>) {
        let mut index = self.state.index_mut();
        for step in steps {
            match step {
                Step::Insert(id, entry) => {
                    index.insert(id, entry);
                    replaced.extend(index.take_trash(&id).map(|old| (id, old)));
                }
                Step::Remove(id, place) => {
                    index.remove_at(&id, place);
                }
                Step::Trash(id, place, deleted_at) => {
                    if let Some(entry) = index.remove_at(&id, place) {
                        let old = index.add_trash(id, Trashed { entry, deleted_at });
                        replaced.extend(old.map(|old| (id, old)));
                    }
                }
                Step::MoveTrash(from, id, trashed) => {
                    if index.trashed(&id).is_some_and(|found| found.entry.place == from) {
                        index.add_trash(id, trashed);
                    }
                }
                Step::Tombstone(target) => index.add_tombstone(self.position.segment, target),
            }
        }
    }
}
