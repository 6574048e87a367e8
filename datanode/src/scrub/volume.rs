//! The scrubber of one volume: it waits until a round is due, reads the blocks, and rests in between so that its rate stays within
//! the limit.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::cluster::ScrubOrder;
use cairn_protocol::id::BlockId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::control::{NodeRound, ScrubControl, VolumeProgress};
use super::node_finished;
use crate::config::Config;
use crate::service::BlockStore;
use crate::volume::{LastScrub, ReplicaInfo, ScrubCursor, Volume, VolumeError, aside, blocking};

/// Blocks that are looked up at once.
const PAGE: usize = 256;

/// How much is read at once, in bytes. The scrubber then rests, so that clients do not wait for it.
const PIECE: u64 = 1 << 20;

/// The shortest rest. Shorter ones are added up, so that small blocks do not need a timer each.
const REST_MIN: Duration = Duration::from_millis(20);

/// The longest rest. After it the rate is computed again, because a volume that was nearly empty may have filled up.
const REST_MAX: Duration = Duration::from_secs(60);

/// How often the cursor is written. After a crash, the blocks of this time are read again; each write is small.
const CURSOR_INTERVAL: Duration = Duration::from_secs(60);

/// Scrubs one volume.
pub(super) struct VolumeScrubber {
    pub(super) blocks: BlockStore,
    pub(super) volume: Arc<Volume>,
    period: Duration,
    bytes_per_second_max: u64,
    control: Arc<ScrubControl>,
    orders: watch::Receiver<ScrubOrder>,
    shutdown: CancellationToken,
    pub(super) cursor: ScrubCursor,
    /// When the cursor was written last, by the monotonic clock.
    cursor_written_at: Duration,
    /// Bytes that were read and for which the scrubber has not rested yet.
    bytes_owed: u64,
    /// Bytes that the volume holds, as of the last look.
    used: u64,
}

/// Why a round is interrupted.
pub(super) enum Interrupt {
    /// A newer order begins from the first block.
    Superseded,
    /// The node stops, or the volume has failed.
    Ended,
}

pub(super) type Step<T> = Result<T, Interrupt>;

impl VolumeScrubber {
    pub(super) async fn new(
        config: &Config,
        blocks: BlockStore,
        volume: Arc<Volume>,
        control: Arc<ScrubControl>,
        shutdown: CancellationToken,
    ) -> Self {
        let at = volume.clone();
        let kept = blocking(move || Ok(at.scrub_cursor())).await.ok().flatten();
        // Earlier versions kept no cursor, only the node's rounds.
        let LastScrub { round: finished_round, at: finished_at } = control.remembered();
        let of_node = ScrubCursor {
            finished_round,
            finished_at,
            started_at: finished_at.unwrap_or_default(),
            ..ScrubCursor::default()
        };
        let cursor = kept.unwrap_or(of_node);
        if volume.failure().is_none() {
            control.add(volume.id(), cursor);
        }
        Self {
            period: config.scrub_period,
            bytes_per_second_max: config.scrub_bytes_per_second_max.max(1),
            orders: control.orders(),
            cursor_written_at: blocks.env.monotonic(),
            blocks,
            volume,
            control,
            shutdown,
            cursor,
            bytes_owed: 0,
            used: 0,
        }
    }

    /// Scrubs until the node stops or the volume fails.
    pub(super) async fn run(mut self) {
        loop {
            let ended = match self.wait_until_due().await {
                Ok(()) => self.round().await,
                Err(interrupt) => Err(interrupt),
            };
            match ended {
                Ok(()) => self.finish().await,
                Err(Interrupt::Superseded) => self.bytes_owed = 0,
                Err(Interrupt::Ended) => break,
            }
        }
        if self.volume.failure().is_none() {
            self.write_cursor().await;
        } else {
            let round = self.control.remove(self.volume.id());
            self.publish_round(round).await;
        }
    }

    /// The number of the latest order whose round was begun.
    fn begun(&self) -> u64 {
        self.cursor.round.max(self.cursor.finished_round)
    }

    /// Waits until a round is due, and begins it, unless one is under way.
    async fn wait_until_due(&mut self) -> Step<()> {
        loop {
            if self.shutdown.is_cancelled() || self.volume.failure().is_some() {
                return Err(Interrupt::Ended);
            }
            let begun = self.begun();
            let order = *self.orders.borrow_and_update();
            let rest = self.until_regular_round();
            if order.round > begun {
                self.begin(order.round);
            } else if !self.cursor.under_way && rest.is_zero() {
                self.begin(0);
            }
            if self.cursor.under_way {
                return Ok(());
            }
            let due = self.blocks.env.sleep(rest.clamp(REST_MIN, REST_MAX));
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {}
                // The sender is in `self.control`, so it is not dropped while this waits.
                _ = self.orders.wait_for(|order| order.round > begun) => {}
                () = due => {}
            }
        }
    }

    /// How long it takes until a regular round is due.
    fn until_regular_round(&self) -> Duration {
        match self.cursor.finished_at {
            None => Duration::ZERO,
            // If the wall clock was set back, this waits for a whole period at most.
            Some(_) => self.period.saturating_sub(self.blocks.env.now().since(self.cursor.started_at)),
        }
    }

    pub(super) fn begin(&mut self, round: u64) {
        let ScrubCursor { finished_round, finished_at, .. } = self.cursor;
        let started_at = self.blocks.env.now();
        self.cursor = ScrubCursor {
            under_way: true,
            round,
            started_at,
            finished_round,
            finished_at,
            ..ScrubCursor::default()
        };
    }

    /// Reads every block once, or the rest of the blocks if the round was interrupted.
    pub(super) async fn round(&mut self) -> Step<()> {
        let volume = self.volume.clone();
        let blocks_in_all = aside(move || volume.len()).await;
        self.refresh_used().await;
        self.publish_progress(|progress| {
            (progress.began, progress.running, progress.blocks_in_all) = (true, true, blocks_in_all);
        });
        loop {
            let (volume, after) = (self.volume.clone(), self.cursor.after);
            let page = aside(move || volume.page(after, PAGE)).await;
            if page.is_empty() {
                return Ok(());
            }
            for (id, stored) in page {
                if self.volume.failure().is_some() {
                    return Err(Interrupt::Ended);
                }
                let is_corrupt = self.block(id, stored).await?;
                self.cursor.after = Some(id);
                self.cursor.blocks += 1;
                self.cursor.corrupt += u64::from(is_corrupt);
                self.publish_progress(|_| {});
                if self.blocks.env.monotonic().saturating_sub(self.cursor_written_at) >= CURSOR_INTERVAL {
                    self.write_cursor().await;
                }
            }
        }
    }

    /// Reads one block, piece by piece; returns whether it was damaged.
    async fn block(&mut self, id: BlockId, stored: ReplicaInfo) -> Step<bool> {
        let mut start = 0;
        while start < stored.length {
            self.wait_while_paused().await?;
            let end = (start + PIECE).min(stored.length);
            let at = self.volume.clone();
            match blocking(move || at.reader(id)?.read(start, end)).await {
                Ok(_) => {}
                Err(VolumeError::Damaged { .. }) => {
                    // A request that has locked the block is writing or deleting it, so it may only look damaged.
                    let Some(_lock) = self.blocks.block_locks.try_lock(id) else { return Ok(false) };
                    return Ok(self.blocks.examine(self.volume.clone(), id).await);
                }
                // The block was deleted in the meantime, or the whole volume has failed, which the probe reports.
                Err(_) => return Ok(false),
            }
            self.cursor.bytes += end - start;
            self.publish_progress(|_| {});
            self.rest(end - start).await?;
            start = end;
        }
        Ok(false)
    }

    async fn finish(&mut self) {
        self.cursor.under_way = false;
        self.cursor.after = None;
        self.cursor.finished_at = Some(self.blocks.env.now());
        self.cursor.finished_round = self.cursor.finished_round.max(self.cursor.round);
        // With a short period the end of a regular round is not worth a write.
        if self.cursor.round > 0 || self.period >= REST_MAX {
            self.write_cursor().await;
        }
        let round = self.control.finish(self.volume.id(), self.cursor);
        self.publish_round(round).await;
    }

    async fn publish_round(&self, round: NodeRound) {
        match round {
            NodeRound::Unfinished => {}
            NodeRound::Ordered => node_finished(&self.blocks, &self.control, true).await,
            NodeRound::Regular => node_finished(&self.blocks, &self.control, false).await,
        }
    }

    /// Writes the cursor. If that fails, blocks are read again after a restart, and a broken disk is found by the probe.
    async fn write_cursor(&mut self) {
        self.cursor_written_at = self.blocks.env.monotonic();
        let (volume, cursor) = (self.volume.clone(), self.cursor);
        let kept = blocking(move || {
            if let Err(error) = volume.keep_scrub_cursor(&cursor) {
                tracing::info!(volume = %volume.id(), %error, "how far the volume was scrubbed was not written");
            }
            Ok(())
        });
        // This fails only when the runtime ends.
        let _ = kept.await;
    }

    /// Publishes the cursor, and a change of the progress.
    fn publish_progress(&self, change: impl FnOnce(&mut VolumeProgress)) {
        self.control.change(self.volume.id(), |progress| {
            progress.cursor = self.cursor;
            change(progress);
        });
    }

    /// Returns once the scrubber is not paused.
    async fn wait_while_paused(&mut self) -> Step<()> {
        loop {
            let order = self.order_of_round()?;
            self.publish_progress(|progress| progress.running = !order.paused);
            if !order.paused {
                return Ok(());
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Interrupt::Ended),
                _ = self.orders.changed() => {}
            }
        }
    }

    /// The latest order, if the current round may go on.
    fn order_of_round(&mut self) -> Step<ScrubOrder> {
        let order = *self.orders.borrow_and_update();
        if self.shutdown.is_cancelled() {
            Err(Interrupt::Ended)
        } else if order.round > self.begun() {
            Err(Interrupt::Superseded)
        } else {
            Ok(order)
        }
    }

    async fn rest(&mut self, bytes: u64) -> Step<()> {
        self.bytes_owed += bytes;
        loop {
            let order = self.order_of_round()?;
            let rate = self.rate(order) as f64;
            let rest =
                Duration::try_from_secs_f64(self.bytes_owed as f64 / rate).unwrap_or(REST_MAX).min(REST_MAX);
            if rest < REST_MIN {
                return Ok(());
            }
            let started = self.blocks.env.monotonic();
            let rested = self.blocks.env.sleep(rest);
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Interrupt::Ended),
                () = rested => {}
                // The new order may have another rate, so the rest is computed again.
                _ = self.orders.changed() => {}
            }
            let passed = self.blocks.env.monotonic().saturating_sub(started);
            let paid = (passed.as_secs_f64() * rate).ceil() as u64;
            self.bytes_owed = self.bytes_owed.saturating_sub(paid);
            self.refresh_used().await;
        }
    }

    /// Refreshes how much the volume holds. It changes little while a block is read.
    async fn refresh_used(&mut self) {
        let volume = self.volume.clone();
        self.used = aside(move || volume.used()).await;
    }

    /// The rate of this scrubber in bytes per second: the rate that the metanode orders; otherwise the limit in an ordered round, for
    /// which an operator waits; otherwise the rate at which the volume is read once per period, within the limit.
    fn rate(&self, order: ScrubOrder) -> u64 {
        if let Some(rate) = order.rate {
            return rate.max(1);
        }
        if self.cursor.round > 0 {
            return self.bytes_per_second_max;
        }
        let needed = self.used as f64 / self.period.as_secs_f64().max(1.0);
        // A third more than needed, because blocks are stored while the round goes on.
        ((needed * 4.0 / 3.0) as u64).clamp(1, self.bytes_per_second_max)
    }
}
