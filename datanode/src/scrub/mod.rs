//! The scrubber: reads every block within a period at a bounded rate, and has damaged ones set aside and reported.
//!
//! Rounds of its own begin when the period is over. One that the metanode orders begins at once and from the beginning,
//! and is read as fast as it may be. Only blocks of the index are read, that is, such as were stored to their end; one that
//! is found damaged is not judged while somebody writes or deletes it.

mod control;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::cluster::ScrubOrder;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use rand::RngExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::service::Blocks;
use crate::volume::{Scrubbed, Stored, Volume, VolumeError, blocking};

pub(crate) use control::ScrubControl;

/// Blocks that are looked up at once.
const PAGE: usize = 256;

/// What is read at once, in bytes: the scrubber then rests, so that clients do not wait for it.
const PIECE: u64 = 1 << 20;

/// Rests are at least this long; shorter ones are saved up. Reading small blocks needs no timer for each.
const REST_MIN: Duration = Duration::from_millis(20);

/// After so long a rest the rate is looked at again: a volume that was nearly empty may have filled up.
const REST_MAX: Duration = Duration::from_secs(60);

/// A datanode's scrubber.
pub(crate) struct Scrubber {
    blocks: Blocks,
    period: Duration,
    bytes_per_second_max: u64,
    control: Arc<ScrubControl>,
    orders: watch::Receiver<ScrubOrder>,
    /// The latest order that was begun: its [`ScrubOrder::round`].
    begun: u64,
    shutdown: CancellationToken,
    /// Bytes that were read and not rested for yet.
    owed: u64,
}

/// Why a round ends before its end.
enum Interrupt {
    /// An operator wants one from the beginning.
    Superseded,
    /// The node stops.
    Shutdown,
}

type Step<T> = Result<T, Interrupt>;

impl Scrubber {
    pub(crate) fn new(
        config: &Config,
        blocks: Blocks,
        control: Arc<ScrubControl>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            blocks,
            period: config.scrub_period,
            bytes_per_second_max: config.scrub_bytes_per_second_max.max(1),
            orders: control.orders(),
            begun: control.progress().finished_round,
            control,
            shutdown,
            owed: 0,
        }
    }

    /// Scrubs until `shutdown`. It is never dropped while it reads: what it holds of the volumes goes first.
    pub(crate) async fn run(mut self) {
        loop {
            let started = self.blocks.env.monotonic();
            let round = self.order().round;
            // A round of its own is no answer to an order.
            let round = if round > self.begun { round } else { 0 };
            self.begun = self.begun.max(round);
            let ended = match self.round(round).await {
                Ok(()) => {
                    self.finish(round).await;
                    let passed = self.blocks.env.monotonic().saturating_sub(started);
                    self.wait_for_the_next(self.period.saturating_sub(passed)).await
                }
                Err(interrupt) => Err(interrupt),
            };
            if let Err(Interrupt::Shutdown) = ended {
                return;
            }
        }
    }

    fn order(&mut self) -> ScrubOrder {
        *self.orders.borrow_and_update()
    }

    /// Rests until the next round is due, or ordered.
    async fn wait_for_the_next(&mut self, rest: Duration) -> Step<()> {
        let begun = self.begun;
        let due = self.blocks.env.sleep(rest.max(REST_MIN));
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Interrupt::Shutdown),
            // The sender lives as long as this does.
            _ = self.orders.wait_for(|order| order.round > begun) => Ok(()),
            () = due => Ok(()),
        }
    }

    /// Reads every block once.
    async fn round(&mut self, round: u64) -> Step<()> {
        let volumes: Vec<Arc<Volume>> = self.blocks.volumes.volumes().cloned().collect();
        let count = |volume: &Arc<Volume>| volume.failure().map_or_else(|| volume.len(), |_| 0);
        let blocks_in_all = volumes.iter().map(count).sum();
        self.control.change(|progress| {
            progress.round = round;
            progress.running = true;
            progress.blocks_in_all = blocks_in_all;
            (progress.blocks, progress.bytes, progress.corrupt) = (0, 0, 0);
        });
        for volume in volumes {
            // From a place drawn at random, so that a node that is often restarted does not read the same
            // blocks over and over.
            let middle = if round == 0 { self.draw(&volume) } else { None };
            self.range(&volume, middle, None).await?;
            if middle.is_some() {
                self.range(&volume, None, middle).await?;
            }
        }
        Ok(())
    }

    /// Tells and remembers that a round has ended.
    async fn finish(&mut self, round: u64) {
        let at = self.blocks.env.now();
        self.control.change(|progress| {
            progress.running = false;
            progress.finished_at = Some(at);
            progress.finished_round = progress.finished_round.max(round);
        });
        let progress = self.control.progress();
        let scrubbed = Scrubbed { round: progress.finished_round, at: progress.finished_at };
        // When a round of its own ended is worth a write only where rounds are rare.
        if self.blocks.volumes.scrubbed().round != scrubbed.round || self.period >= REST_MAX {
            let volumes = self.blocks.volumes.clone();
            let remembered = blocking(move || {
                volumes.set_scrubbed(scrubbed);
                Ok(())
            });
            // It fails only when the runtime ends.
            let _ = remembered.await;
        }
        let (node, blocks, corrupt) = (self.blocks.node, progress.blocks, progress.corrupt);
        self.blocks.events.publish(EventKind::ScrubFinished { node, blocks, corrupt });
        if round > 0 {
            self.blocks.journal.hurry();
        }
    }

    /// Reads the blocks behind `from` up to `to`, included.
    async fn range(&mut self, volume: &Arc<Volume>, from: Option<BlockId>, to: Option<BlockId>) -> Step<()> {
        let mut after = from;
        loop {
            let page = volume.page(after, PAGE);
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (id, stored) in page {
                if to.is_some_and(|to| id > to) || volume.failure().is_some() {
                    return Ok(());
                }
                let is_corrupt = self.block(volume, id, stored).await?;
                self.control.change(|progress| {
                    progress.blocks += 1;
                    progress.corrupt += u64::from(is_corrupt);
                });
            }
        }
    }

    /// Reads one block, piece by piece; returns whether it was damaged.
    async fn block(&mut self, volume: &Arc<Volume>, id: BlockId, stored: Stored) -> Step<bool> {
        let mut start = 0;
        while start < stored.length {
            self.wait_while_paused().await?;
            let end = (start + PIECE).min(stored.length);
            let at = volume.clone();
            match blocking(move || at.reader(id)?.read(start, end)).await {
                Ok(_) => {}
                Err(VolumeError::Damaged { .. }) => {
                    // Whoever has the turn is writing or deleting it: nothing to judge.
                    let Some(_turn) = self.blocks.in_flight.try_turn(id) else { return Ok(false) };
                    return Ok(self.blocks.examine(volume.clone(), id).await);
                }
                // Deleted meanwhile, or the volume cannot be read at all, which shows elsewhere.
                Err(_) => return Ok(false),
            }
            self.control.change(|progress| progress.bytes += end - start);
            self.rest(volume, end - start).await?;
            start = end;
        }
        Ok(false)
    }

    /// Returns once the scrubber may read.
    async fn wait_while_paused(&mut self) -> Step<()> {
        loop {
            let order = self.order_of_round()?;
            self.control.change(|progress| progress.running = !order.paused);
            if !order.paused {
                return Ok(());
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Interrupt::Shutdown),
                _ = self.orders.changed() => {}
            }
        }
    }

    /// The latest order, if the round that is under way may go on.
    fn order_of_round(&mut self) -> Step<ScrubOrder> {
        let order = self.order();
        if self.shutdown.is_cancelled() {
            return Err(Interrupt::Shutdown);
        }
        if order.round > self.begun {
            self.owed = 0;
            return Err(Interrupt::Superseded);
        }
        Ok(order)
    }

    async fn rest(&mut self, volume: &Volume, bytes: u64) -> Step<()> {
        self.owed += bytes;
        loop {
            let order = self.order_of_round()?;
            let rate = self.rate(volume, order) as f64;
            let rest = Duration::try_from_secs_f64(self.owed as f64 / rate).unwrap_or(REST_MAX).min(REST_MAX);
            if rest < REST_MIN {
                return Ok(());
            }
            let started = self.blocks.env.monotonic();
            let rested = self.blocks.env.sleep(rest);
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Interrupt::Shutdown),
                () = rested => {}
                // With another rate, the rest is another one.
                _ = self.orders.changed() => {}
            }
            let passed = self.blocks.env.monotonic().saturating_sub(started);
            let paid = (passed.as_secs_f64() * rate).ceil() as u64;
            self.owed = self.owed.saturating_sub(paid);
        }
    }

    /// Bytes per second: what the metanode says; else as much as may be, if somebody waits for this round; else that
    /// at which the volume is read once in the period, within the limit.
    fn rate(&self, volume: &Volume, order: ScrubOrder) -> u64 {
        if let Some(rate) = order.rate {
            return rate.max(1);
        }
        if self.control.progress().round > 0 {
            return self.bytes_per_second_max;
        }
        let used = volume.usage().map_or(0, |usage| usage.used);
        let needed = used as f64 / self.period.as_secs_f64().max(1.0);
        // A third more than needed, for blocks come while the round goes on.
        ((needed * 4.0 / 3.0) as u64).clamp(1, self.bytes_per_second_max)
    }

    /// A block id drawn between the volume's first and the newest there could be; `None` for an empty volume.
    fn draw(&self, volume: &Volume) -> Option<BlockId> {
        let (first, _) = *volume.page(None, 1).first()?;
        let newest = self.blocks.env.uuid_v7();
        let (low, high) = (first.0.as_u128(), newest.as_u128());
        let drawn = self.blocks.env.with_rng(|rng| rng.random_range(low..=high.max(low)));
        Some(BlockId(Uuid::from_u128(drawn)))
    }
}
