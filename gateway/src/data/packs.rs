//! Packs: small bodies that are stored together. Those of one kind (a bucket and a storage class) that wait at the same time become
//! one block: one request to each datanode with one sync, whatever their number. Nobody waits for company. A body that comes alone
//! is sent alone, and those that come while it is on its way are sent when it has arrived, as with a group commit.
//!
//! Each body is committed by its own request, with its own condition and its own answer. The block is committed with the first of
//! them. If none is committed, its grant is given back with the last.
//!
//! Grants for the next packs are taken ahead of need, so that a PUT waits for one call of the metanode, its commit. They are kept
//! for [`SPARE_AGE`] only, because a grant names nodes and a replication, and both may change.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cairn_protocol::block::BYTES_MAX;
use cairn_protocol::checksum::{Crc32c, combine};
use cairn_protocol::env::Env;
use cairn_protocol::metadata::{AllocateBlocks, Grant};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use tokio::sync::oneshot;

use super::buffer::SealedBlock;
use super::grants::Need;
use super::lease::Lease;
use super::send::Sender;
use super::stored_block::{Packed, StoredBlock};
use super::{DataError, Parts, Placement};

/// The longest body that may share a block, in bytes: a chunk, so that one read returns and checks all of it.
pub(super) const SMALL_MAX: u64 = BYTES_MAX;

/// The longest pack in bytes. Datanodes give a block of 1 MiB or more a file of its own, with syncs of its own.
const PACK_MAX: u64 = 512 << 10;

/// When this many bytes wait, a further pack is sent while others are on their way. Syncs are then shared by enough bodies.
const ENOUGH: u64 = 128 << 10;

/// Upper limit of packs of one kind that are on their way, unless bodies wait for longer than [`PATIENCE`].
const SENT_AT_ONCE: usize = 4;

/// How long a body waits for the packs before it: longer than disks usually need. Nodes that hang do not hold up those that come
/// later.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a grant is kept before it is used. A change of a bucket's replication, or a node that is added, drained or lost, has its
/// effect on packs after this time at the latest.
const SPARE_AGE: Duration = Duration::from_secs(2);

/// Grants that are taken ahead in one request. They last for some syncs.
const SPARE_COUNT: u32 = 4;

/// What bodies have in common that may share a block: their grants have the same replication and nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    bucket: String,
    storage_class: Option<String>,
}

/// The small bodies of a gateway that wait or are on their way.
#[derive(Default)]
pub(super) struct Packs {
    queues: Mutex<HashMap<Kind, Arc<Queue>>>,
}

/// A body that is stored.
pub(super) struct Stored {
    /// Holds the lease of the block's grant.
    pub(super) sender: Arc<Sender>,
    pub(super) block: StoredBlock,
}

/// The bodies of one kind.
struct Queue {
    kind: Kind,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Bytes of `waiting`.
    bytes: u64,
    /// Packs on their way.
    sent: usize,
    /// Grants that were taken ahead, the oldest first.
    spare: VecDeque<Spare>,
    /// Whether grants are being taken ahead.
    is_taking: bool,
    /// When the latest pack was begun, by the monotonic clock.
    began_at: Option<Duration>,
}

struct Waiting {
    body: SealedBlock,
    answer: oneshot::Sender<Result<Stored, DataError>>,
}

struct Spare {
    grant: Grant,
    lease: Arc<Lease>,
    taken_at: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores a small body, with others that wait.
pub(super) async fn store(
    parts: &Arc<Parts>,
    placement: &Placement,
    body: SealedBlock,
) -> Result<Stored, DataError> {
    let queue = parts.packs.queue(parts, placement);
    let (answer, mut answered) = oneshot::channel();
    queue.add(Waiting { body, answer });
    queue.send(parts, |state| state.sent == 0 || state.bytes >= ENOUGH && state.sent < SENT_AT_ONCE);
    let answer = match parts.env.timeout(PATIENCE, &mut answered).await {
        Ok(answer) => answer,
        Err(_) => {
            queue.send(parts, |_| true);
            answered.await
        }
    };
    answer.unwrap_or_else(|_| Err(DataError::Broken("a pack was dropped".to_owned())))
}

impl Packs {
    fn queue(&self, parts: &Arc<Parts>, placement: &Placement) -> Arc<Queue> {
        let kind = Kind { bucket: placement.bucket.clone(), storage_class: placement.storage_class.clone() };
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get(&kind) {
            return queue.clone();
        }
        let queue = Arc::new(Queue { kind: kind.clone(), state: Mutex::default() });
        queues.insert(kind, queue.clone());
        tokio::spawn(tidy(Arc::downgrade(parts), parts.env.clone(), queue.clone()));
        queue
    }
}

/// Gives back grants that were not used for [`SPARE_AGE`], and ends when nothing is left of the queue.
async fn tidy(parts: Weak<Parts>, env: Env, queue: Arc<Queue>) {
    loop {
        env.sleep(SPARE_AGE).await;
        let Some(parts) = parts.upgrade() else { return };
        // Nobody finds the queue between the look and its removal.
        let mut queues = lock(&parts.packs.queues);
        let _old = queue.take_old(env.monotonic());
        if queue.is_idle() {
            queues.remove(&queue.kind);
            return;
        }
    }
}

impl Queue {
    fn add(&self, waiting: Waiting) {
        let mut state = lock(&self.state);
        state.bytes += waiting.body.length;
        state.waiting.push_back(waiting);
    }

    fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.waiting.is_empty() && state.sent == 0 && state.spare.is_empty() && !state.is_taking
    }

    /// The grants that are too old to use.
    fn take_old(&self, now: Duration) -> Vec<Spare> {
        let mut state = lock(&self.state);
        let old = state.spare.iter().take_while(|spare| spare.taken_at + SPARE_AGE <= now).count();
        state.spare.drain(..old).collect()
    }

    /// Begins to send packs if bodies wait and `is_due`. A task sends them, which goes on when a client goes away.
    fn send(self: &Arc<Self>, parts: &Arc<Parts>, is_due: impl FnOnce(&State) -> bool) {
        let mut state = lock(&self.state);
        if state.waiting.is_empty() || !is_due(&state) {
            return;
        }
        state.sent += 1;
        drop(state);
        let sending = Sending { queue: self.clone(), parts: parts.clone(), is_over: false };
        tokio::spawn(with_request_id(current_request_id(), sending.run()));
    }

    /// A grant that was taken ahead and can still be used.
    fn take_spare(&self, parts: &Parts) -> Option<Spare> {
        let now = parts.env.monotonic();
        let old = self.take_old(now);
        let spare = lock(&self.state).spare.pop_front();
        drop(old);
        spare
    }

    /// The bodies of the next pack, up to `max` bytes. Those whose clients have gone are left out.
    fn take(&self, max: u64) -> Vec<Waiting> {
        let mut state = lock(&self.state);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) =
            state.waiting.pop_front_if(|next| bytes + next.body.length <= max || bytes == 0)
        {
            state.bytes -= next.body.length;
            if !next.answer.is_closed() {
                bytes += next.body.length;
                taken.push(next);
            }
        }
        taken
    }

    /// Takes grants ahead if packs follow each other and none is left.
    fn take_ahead(self: &Arc<Self>, parts: &Arc<Parts>) {
        let now = parts.env.monotonic();
        let mut state = lock(&self.state);
        let before = state.began_at.replace(now);
        let follows = before.is_some_and(|before| now.saturating_sub(before) < SPARE_AGE);
        if !follows || state.is_taking || !state.spare.is_empty() {
            return;
        }
        state.is_taking = true;
        drop(state);
        let (queue, parts) = (self.clone(), parts.clone());
        tokio::spawn(with_request_id(current_request_id(), async move {
            let request = AllocateBlocks {
                bucket: queue.kind.bucket.clone(),
                storage_class: queue.kind.storage_class.clone(),
                object_offset: 0,
                object_length: None,
                block_size: None,
                expected_length: Some(SMALL_MAX),
                count: SPARE_COUNT,
                exclude: parts.write_suspects.list(),
            };
            // A failure shows when the next pack asks for its grant.
            let grants = parts.metadata.allocate_blocks(request).await.unwrap_or_default();
            let taken_at = parts.env.monotonic();
            let spare = grants.into_iter().map(|grant| {
                let lease = Arc::new(Lease::unused(&parts, &grant));
                Spare { grant, lease, taken_at }
            });
            let spare: Vec<_> = spare.collect();
            let mut state = lock(&queue.state);
            state.spare.extend(spare);
            state.is_taking = false;
        }));
    }
}

/// A task that sends packs, one after the other, while bodies wait.
struct Sending {
    queue: Arc<Queue>,
    parts: Arc<Parts>,
    is_over: bool,
}

impl Drop for Sending {
    /// If the task breaks, later bodies must not wait for it.
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.queue.state).sent -= 1;
        }
    }
}

impl Sending {
    async fn run(mut self) {
        while !self.is_over {
            self.send_one().await;
            let mut state = lock(&self.queue.state);
            if state.waiting.is_empty() {
                state.sent -= 1;
                self.is_over = true;
            }
        }
    }

    async fn send_one(&self) {
        let (sender, grant) = match self.grant().await {
            Ok(granted) => granted,
            Err(error) => {
                for waiting in self.queue.take(PACK_MAX) {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
                return;
            }
        };
        let bodies = self.queue.take(PACK_MAX.min(grant.block_size));
        if bodies.is_empty() {
            return;
        }
        self.queue.take_ahead(&self.parts);
        sender.lease.begin_use();
        let stored = sender.store(grant, 0, pack(&bodies)).await;
        answer(&sender, bodies, stored);
    }

    /// A grant for the next pack, and who sends it.
    async fn grant(&self) -> Result<(Arc<Sender>, Grant), DataError> {
        let Kind { bucket, storage_class } = self.queue.kind.clone();
        let placement = Placement { bucket, storage_class, begins_at: 0, length: None, block_size: None };
        while let Some(Spare { grant, lease, .. }) = self.queue.take_spare(&self.parts) {
            let sender = Sender::with_lease(&self.parts, placement.clone(), lease);
            if sender.grants.is_usable(&grant) {
                let grant = sender.lease.current(grant.block).unwrap_or(grant);
                return Ok((Arc::new(sender), grant));
            }
        }
        let sender = Sender::new(&self.parts, placement);
        let expected = lock(&self.queue.state).bytes.clamp(1, PACK_MAX);
        let grant = sender.grants.take(0, 1, Need::One(expected)).await?;
        Ok((Arc::new(sender), grant))
    }
}

/// The bodies, one after the other.
fn pack(bodies: &[Waiting]) -> SealedBlock {
    let (mut length, mut crc32c): (u64, Crc32c) = (0, 0);
    let mut pieces = Vec::with_capacity(bodies.len());
    for Waiting { body, .. } in bodies {
        crc32c = combine(crc32c, body.crc32c, body.length);
        length += body.length;
        pieces.extend(body.pieces.iter().cloned());
    }
    SealedBlock { pieces, length, crc32c }
}

/// Tells each body's request where the body is, or why it was not stored.
fn answer(sender: &Arc<Sender>, bodies: Vec<Waiting>, stored: Result<StoredBlock, DataError>) {
    let is_alone = bodies.len() == 1;
    let mut offset = 0;
    for Waiting { body, answer } in bodies {
        let next = offset + body.length;
        let outcome = stored.as_ref().map_err(Clone::clone).map(|block| {
            let packed = (!is_alone).then_some(Packed { offset, body });
            Stored { sender: sender.clone(), block: block.in_pack(packed) }
        });
        // A client that has gone drops its share of the block.
        let _ = answer.send(outcome);
        offset = next;
    }
}
