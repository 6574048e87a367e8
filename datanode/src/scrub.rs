//! The scrubber: reads every block within a period at a bounded rate, and has damaged ones set aside and reported.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use rand::RngExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::service::Blocks;
use crate::volume::{Stored, Volume, VolumeError};

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
    /// Bytes that were read and not rested for yet.
    owed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    blocks: u64,
    corrupt: u64,
}

impl Scrubber {
    pub(crate) fn new(config: &Config, blocks: Blocks) -> Self {
        Self {
            blocks,
            period: config.scrub_period,
            bytes_per_second_max: config.scrub_bytes_per_second_max.max(1),
            owed: 0,
        }
    }

    /// Scrubs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let rounds = async {
            loop {
                let begun = self.blocks.env.monotonic();
                let round = self.round().await;
                let node = self.blocks.node;
                let Round { blocks, corrupt } = round;
                self.blocks.events.publish(EventKind::ScrubFinished { node, blocks, corrupt });
                let passed = self.blocks.env.monotonic().saturating_sub(begun);
                self.blocks.env.sleep(self.period.saturating_sub(passed).max(REST_MIN)).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = rounds => {}
        }
    }

    /// Reads every block once.
    async fn round(&mut self) -> Round {
        let mut round = Round::default();
        let volumes: Vec<Arc<Volume>> = self.blocks.volumes.volumes().cloned().collect();
        for volume in volumes {
            // From a place drawn at random, so that a node that is often restarted does not read the same
            // blocks over and over.
            let middle = self.draw(&volume);
            for (from, to) in [(middle, None), (None, middle)] {
                if from.is_none() && to.is_none() && middle.is_some() {
                    continue;
                }
                self.range(&volume, from, to, &mut round).await;
                if middle.is_none() {
                    break;
                }
            }
        }
        round
    }

    /// Reads the blocks behind `from` up to `to`, included.
    async fn range(
        &mut self,
        volume: &Arc<Volume>,
        from: Option<BlockId>,
        to: Option<BlockId>,
        round: &mut Round,
    ) {
        let mut after = from;
        loop {
            let page = volume.page(after, PAGE);
            let Some((last, _)) = page.last() else { return };
            after = Some(*last);
            for (id, stored) in page {
                if to.is_some_and(|to| id > to) || volume.failure().is_some() {
                    return;
                }
                round.blocks += 1;
                round.corrupt += u64::from(self.block(volume, id, stored).await);
            }
        }
    }

    /// Reads one block, piece by piece; returns whether it was damaged.
    async fn block(&mut self, volume: &Arc<Volume>, id: BlockId, stored: Stored) -> bool {
        let mut start = 0;
        while start < stored.length {
            let end = (start + PIECE).min(stored.length);
            let at = volume.clone();
            let read = tokio::task::spawn_blocking(move || at.reader(id)?.read(start, end));
            match read.await.unwrap_or(Err(VolumeError::Closed)) {
                Ok(_) => {}
                Err(VolumeError::Damaged { .. }) => {
                    // Whoever has the turn is writing or deleting it: nothing to judge.
                    let Some(_turn) = self.blocks.in_flight.try_turn(id) else { return false };
                    return self.blocks.examine(volume.clone(), id).await;
                }
                // Deleted meanwhile, or the volume cannot be read at all, which shows elsewhere.
                Err(_) => return false,
            }
            self.rest(volume, end - start).await;
            start = end;
        }
        false
    }

    async fn rest(&mut self, volume: &Volume, bytes: u64) {
        self.owed += bytes;
        loop {
            let rate = self.rate(volume) as f64;
            let rest = Duration::try_from_secs_f64(self.owed as f64 / rate).unwrap_or(REST_MAX).min(REST_MAX);
            if rest < REST_MIN {
                return;
            }
            self.blocks.env.sleep(rest).await;
            let paid = (rest.as_secs_f64() * rate).ceil() as u64;
            self.owed = self.owed.saturating_sub(paid);
        }
    }

    /// Bytes per second at which the volume is read once in the period, within the limit.
    fn rate(&self, volume: &Volume) -> u64 {
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
