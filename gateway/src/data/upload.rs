//! Divides a body into blocks. One block is filled while the ones before it are sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::BLOCK_SIZE_MIN;
use cairn_protocol::metadata::{Grant, Metadata};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt};
use tokio::task::{JoinError, JoinSet};

use super::budget::{BLOCK_FLOOR, PAGE, PAGE_TIME, PAUSE, TRICKLE_FLOOR, Writer};
use super::buffer::{BlockBuffer, FreeSpace, SealedBlock};
use super::commit::StoredBlocks;
use super::grants::Need;
use super::send::Sender;
use super::stored_block::StoredBlock;
use super::{DataError, Parts, Placement, WriteError, packs};

/// Upper limit of blocks of one upload that are sent at once. With two, the network's time is hidden behind the
/// client's; further ones hide the syncs.
const WINDOW: usize = 4;

/// How long a quick client's block that is shorter than [`BLOCK_FLOOR`] waits for more memory, before it is sealed as it is.
const FLOOR_PATIENCE: Duration = Duration::from_secs(2);

/// After this silence of the client, memory that its block does not use goes to uploads that wait.
const GIVE_BACK_AFTER: Duration = Duration::from_millis(250);

/// Stores a body; see [`DataPath::write`](super::DataPath::write).
pub(super) async fn write<S, E>(
    parts: Arc<Parts>,
    commits: Arc<dyn Metadata>,
    placement: Placement,
    body: &mut S,
) -> Result<StoredBlocks, WriteError<E>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
{
    let length = placement.length;
    let sender = Arc::new(Sender::new(&parts, placement));
    let writer = parts.budget.writer();
    let tasks = Tasks { sender: sender.clone(), sends: JoinSet::new(), stored: Vec::new() };
    let mut upload =
        Upload { parts: &parts, writer, tasks, body: body.fuse(), input: Bytes::new(), offset: 0, length };
    if let Some(body) = upload.run().await? {
        let packs::Stored { sender, block } = packs::store(&parts, sender.grants.placement(), body).await?;
        return Ok(StoredBlocks::new(sender, vec![block], commits));
    }
    let stored = upload.tasks.finish().await?;
    Ok(StoredBlocks::new(sender, stored, commits))
}

/// A body that is being divided into blocks.
struct Upload<'a, S> {
    parts: &'a Arc<Parts>,
    writer: Writer,
    tasks: Tasks,
    /// The stream is fused, because it is polled again after its end.
    body: Fuse<&'a mut S>,
    /// The received bytes that are in no block yet.
    input: Bytes,
    /// The number of bytes in sealed blocks.
    offset: u64,
    length: Option<u64>,
}

/// A block that is being filled.
struct Filling {
    block: BlockBuffer,
    /// The grant. It is taken when the block has reached the length that is allowed without one, so that a client that
    /// sends little reserves no space on datanodes meanwhile.
    grant: Option<Grant>,
    /// Whether grants for this block and the next ones were requested ahead.
    prepared: bool,
    /// Whether the client filled the last page quickly.
    quick: bool,
}

/// What to do when a client pauses while others wait for memory.
enum Crowded {
    /// Seal the block.
    Seal,
    /// Give back the memory that the block does not use.
    GiveBack,
}

/// The event that came first.
enum Event<E> {
    Input(Option<Result<Bytes, E>>),
    Sent(Result<Outcome, JoinError>),
    Crowded(Crowded),
}

impl<S, E> Upload<'_, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
{
    /// Sends the body, or returns all of it if it is small: it may then share a block with others.
    async fn run(&mut self) -> Result<Option<SealedBlock>, WriteError<E>> {
        // The upload holds nothing while it waits for the first bytes of a block.
        while self.receive().await? {
            let mut filling = self.begin_block().await?;
            self.fill(&mut filling).await?;
            let Filling { block, grant, .. } = filling;
            let length = block.length();
            if grant.is_none() && self.is_small() && self.length == Some(length) && !self.receive().await? {
                return Ok(Some(block.seal()));
            }
            let grant = match grant {
                Some(grant) => grant,
                None => self.tasks.sender.grants.take(self.offset, length, Need::One(length)).await?,
            };
            while self.tasks.sends.len() >= WINDOW {
                self.tasks.finish_one().await?;
            }
            self.tasks.send(grant, self.offset, block);
            self.offset += length;
        }
        Ok(None)
    }

    /// Whether the body is short enough to share a block with others.
    fn is_small(&self) -> bool {
        self.offset == 0 && self.length.is_some_and(|length| length <= packs::SMALL_MAX)
    }

    /// The number of bytes of the body that are in no sealed block yet. `u64::MAX` if the length is not known, or if all
    /// declared bytes are sealed.
    fn left(&self) -> u64 {
        let left = self.length.map(|length| length.saturating_sub(self.offset)).filter(|left| *left > 0);
        left.unwrap_or(u64::MAX)
    }

    /// Waits for the next bytes. Returns false at the end of the body.
    async fn receive(&mut self) -> Result<bool, WriteError<E>> {
        while self.input.is_empty() {
            match self.event(std::future::pending()).await {
                Event::Input(None) => return Ok(false),
                Event::Input(Some(bytes)) => self.input = bytes.map_err(WriteError::Body)?,
                Event::Sent(outcome) => self.tasks.sent(outcome)?,
                Event::Crowded(_) => {}
            }
        }
        Ok(true)
    }

    /// Gets memory for the next block.
    async fn begin_block(&mut self) -> Result<Filling, WriteError<E>> {
        let left = self.left();
        // One page, or more if the client has already sent more.
        let quick = self.input.len() > PAGE;
        let at_hand = if quick { BLOCK_FLOOR } else { PAGE as u64 };
        let reservation = {
            let mut reserve = std::pin::pin!(self.writer.reserve(left.min(at_hand)));
            loop {
                tokio::select! {
                    reservation = reserve.as_mut() => break reservation,
                    Some(outcome) = self.tasks.sends.join_next() => self.tasks.sent(outcome)?,
                }
            }
        };
        // Every block may have this length, independent of its grant.
        let length_max = BLOCK_SIZE_MIN.min(self.parts.budget.block_length_max()).min(left);
        Ok(Filling { block: BlockBuffer::new(reservation, length_max), grant: None, prepared: false, quick })
    }

    /// Takes the grant of a block that has the length allowed without one. Returns false if the block has its grant, or
    /// ends here.
    async fn lengthen(&mut self, filling: &mut Filling) -> Result<bool, WriteError<E>> {
        let (length, left) = (filling.block.length(), self.left());
        if filling.grant.is_some() || length >= left {
            return Ok(false);
        }
        // The final length of a slow client's block is not known, so the length of a block that is sealed for lack of
        // memory is assumed.
        let need = if filling.quick { Need::Quick } else { Need::One(left.min(BLOCK_FLOOR)) };
        let grant = self.tasks.sender.grants.take(self.offset, length, need).await?;
        let length_max = grant.block_size.min(self.parts.budget.block_length_max()).min(left);
        filling.block.set_length_max(length_max);
        filling.grant = Some(grant);
        filling.prepared = false;
        Ok(filling.block.left() > 0)
    }

    /// Requests grants ahead for what a quick client sends next: for this block as soon as it is longer than a page,
    /// for the next one when half of this one has arrived.
    fn prepare(&mut self, filling: &mut Filling) {
        if !filling.quick || filling.prepared || self.is_small() {
            return;
        }
        let block = &filling.block;
        if filling.grant.is_none() {
            self.tasks.prepare(self.offset);
        } else if block.length() >= block.left() && self.left() > block.length() + block.left() {
            self.tasks.prepare(self.offset + block.length() + block.left());
        } else {
            return;
        }
        filling.prepared = true;
    }

    /// Fills the block until it is full, the body ends, or other uploads need the memory more.
    async fn fill(&mut self, filling: &mut Filling) -> Result<(), WriteError<E>> {
        let mut given_back = false;
        // When the client began to fill the current page.
        let mut page_began = self.parts.env.monotonic();
        loop {
            self.prepare(filling);
            match filling.block.push(&mut self.input) {
                FreeSpace::None => {
                    if !self.lengthen(filling).await? {
                        return Ok(());
                    }
                    continue;
                }
                FreeSpace::NoMemory => {
                    let now = self.parts.env.monotonic();
                    filling.quick = now.saturating_sub(page_began) <= PAGE_TIME;
                    page_began = now;
                    if !self.grow(filling).await? {
                        return Ok(());
                    }
                    continue;
                }
                FreeSpace::Left => {}
            }
            let crowded = crowded(self.parts, self.writer.share(), filling.block.length(), given_back);
            match self.event(crowded).await {
                Event::Input(None) => return Ok(()),
                Event::Input(Some(bytes)) => self.input = bytes.map_err(WriteError::Body)?,
                Event::Sent(outcome) => self.tasks.sent(outcome)?,
                Event::Crowded(Crowded::Seal) => return Ok(()),
                Event::Crowded(Crowded::GiveBack) => {
                    filling.block.give_back();
                    given_back = true;
                }
            }
        }
    }

    /// Gets more memory for the block. Returns false if the block must be sealed as it is.
    async fn grow(&mut self, filling: &mut Filling) -> Result<bool, WriteError<E>> {
        let left_of_body = self.left();
        let block = &mut filling.block;
        let length = block.length();
        // Without a grant the final length is not known. Memory that turns out to be too much is given back with the
        // block.
        let left = if filling.grant.is_some() { block.left() } else { left_of_body.saturating_sub(length) };
        if !filling.quick {
            return Ok(length + PAGE as u64 <= self.writer.share() && block.reservation().grow(PAGE as u64));
        }
        if length >= BLOCK_FLOOR {
            return Ok(block.reservation().grow(left.min(BLOCK_FLOOR)));
        }
        let mut reserve = std::pin::pin!(self.writer.reserve(left.min(BLOCK_FLOOR - length)));
        let mut patience = self.parts.env.sleep(FLOOR_PATIENCE);
        loop {
            tokio::select! {
                biased;
                more = reserve.as_mut() => {
                    block.reservation().merge(more);
                    return Ok(true);
                }
                Some(outcome) = self.tasks.sends.join_next() => self.tasks.sent(outcome)?,
                () = patience.as_mut() => return Ok(false),
            }
        }
    }

    async fn event(&mut self, crowded: impl Future<Output = Crowded>) -> Event<E> {
        tokio::select! {
            input = self.body.next() => Event::Input(input),
            Some(outcome) = self.tasks.sends.join_next() => Event::Sent(outcome),
            crowded = crowded => Event::Crowded(crowded),
        }
    }
}

/// Waits until a block of `length` bytes, whose client sends nothing now, must give way to others.
async fn crowded(parts: &Parts, share: u64, length: u64, given_back: bool) -> Crowded {
    if length >= share.max(BLOCK_FLOOR) {
        parts.budget.pressure().await;
        return Crowded::Seal;
    }
    if !given_back {
        parts.env.sleep(GIVE_BACK_AFTER).await;
        parts.budget.pressure().await;
        return Crowded::GiveBack;
    }
    parts.env.sleep(PAUSE).await;
    parts.budget.pressure().await;
    if length < share.min(TRICKLE_FLOOR) {
        std::future::pending::<()>().await;
    }
    Crowded::Seal
}

/// The tasks of one upload. Dropping them stops them.
struct Tasks {
    sender: Arc<Sender>,
    sends: JoinSet<Outcome>,
    stored: Vec<StoredBlock>,
}

/// The result of a task: a block was stored, or another task ended.
type Outcome = Option<Result<StoredBlock, DataError>>;

impl Tasks {
    /// Requests grants for the block at `offset` ahead of need.
    fn prepare(&mut self, offset: u64) {
        let sender = self.sender.clone();
        self.sends.spawn(with_request_id(current_request_id(), async move {
            sender.grants.prepare(offset).await;
            None
        }));
    }

    fn send(&mut self, grant: Grant, offset: u64, block: BlockBuffer) {
        let sender = self.sender.clone();
        self.sends.spawn(with_request_id(current_request_id(), async move {
            Some(sender.store(grant, offset, block.seal()).await)
        }));
    }

    fn sent(&mut self, outcome: Result<Outcome, JoinError>) -> Result<(), DataError> {
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(Ok(stored))) => {
                self.stored.push(stored);
                Ok(())
            }
            Ok(Some(Err(error))) => Err(error),
            Err(error) => Err(DataError::Broken(error.to_string())),
        }
    }

    async fn finish_one(&mut self) -> Result<(), DataError> {
        match self.sends.join_next().await {
            Some(outcome) => self.sent(outcome),
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> Result<Vec<StoredBlock>, DataError> {
        while !self.sends.is_empty() {
            self.finish_one().await?;
        }
        Ok(std::mem::take(&mut self.stored))
    }
}
