//! The placement worker: examines every block once in a period, to find problems that no event put into the repair
//! queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_planner::budget::InFlight;
use cairn_planner::examine::examine;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use super::examining::is_done;
use super::{Progress, Worker};
use crate::block_manager::{Inner, repair_queue};
use crate::store::blocks::BlockReplicas;
use crate::store::settings::{self, Decision};
use crate::store::{Connection, StoreError, blocks, repairs, totals};

/// Blocks that are examined in one step: some milliseconds of reading.
const BLOCKS_PER_STEP: u32 = 250;

/// How often the walk's position is written to SQL if nothing else has to be written. A restart repeats at most this
/// much.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// The longest rest, so that the status is at most this old.
const REST_MAX: Duration = Duration::from_secs(60);

/// The placement worker. It walks over all blocks once in a period, and queues blocks for repair that have too few, too
/// many, corrupt or badly spread replicas. Most such blocks are queued when their replicas change. But when a zone gets
/// its first node, or a node returns in another zone, no replica changes, and only this walk finds the blocks that
/// could be spread better.
pub(super) struct Placement {
    inner: Arc<Inner>,
    /// The current walk; `None` until it was read from SQL.
    walk: Option<Walk>,
    kept_at: Duration,
    /// Blocks that were queued since the start.
    queued: u64,
    rest: Duration,
}

/// The position of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Walk {
    began_at: Timestamp,
    /// The last block that was examined.
    through: Option<BlockId>,
    /// The number of blocks that were examined.
    passed: u64,
    /// Whether all blocks were examined.
    ended: bool,
}

impl Walk {
    fn begin(now: Timestamp) -> Self {
        Self { began_at: now, through: None, passed: 0, ended: false }
    }

    /// How many of `blocks` should have been examined by now, so that the walk ends with the period.
    fn due(&self, now: Timestamp, period: Duration, blocks: u64) -> u64 {
        let share = u128::from(blocks) * now.since(self.began_at).as_millis() / period.as_millis().max(1);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

impl Placement {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let kept_at = inner.env.monotonic();
        Self { inner, walk: None, kept_at, queued: 0, rest: REST_MAX }
    }

    /// The walk to continue now, or the one that has ended if the next is not due.
    async fn current(&self, reader: &mut Connection) -> Result<Walk, StoreError> {
        let (now, period) = (self.inner.env.now(), self.inner.config.placement_walk);
        let walk = match self.walk {
            Some(walk) => Some(walk),
            None => settings::decided(reader, Decision::PlacementWalk).await?,
        };
        let is_over = |walk: &Walk| walk.ended && now >= walk.began_at.after(period);
        Ok(walk.filter(|walk| !is_over(walk)).unwrap_or_else(|| Walk::begin(now)))
    }

    /// The time between two pages, so that the walk takes a period.
    fn page_time(&self, blocks: u64) -> Duration {
        let pages = u32::try_from(blocks / u64::from(BLOCKS_PER_STEP)).unwrap_or(u32::MAX).max(1);
        (self.inner.config.placement_walk / pages)
            .clamp(self.inner.config.worker_interval.min(REST_MAX), REST_MAX)
    }

    /// Whether a block needs copies or drops that are possible.
    fn needs_work(&self, block: BlockId, copies: &BlockReplicas) -> bool {
        if self.inner.is_early(block) {
            return false;
        }
        let mut soft_state = self.inner.soft_state();
        let seen = soft_state.block_view(block, copies);
        let (view, _) = soft_state.deciding(&self.inner.env);
        // Repair orders the copies, so bandwidth is not limited here.
        let verdict = self.inner.env.with_rng(|rng| examine(view, &seen, &mut InFlight::new(u64::MAX), rng));
        !verdict.drops.is_empty() || !is_done(copies, &verdict)
    }

    /// Queues the blocks that were found, and writes the walk's position to SQL.
    async fn keep(&mut self, walk: Walk, found: Vec<BlockId>) -> Result<(), StoreError> {
        let shared = self.inner.clone();
        let queued = self
            .inner
            .store
            .write_in_background(move |tx| {
                async move {
                    settings::decide(tx, Decision::PlacementWalk, walk).await?;
                    queue(&shared, tx, found).await
                }
                .boxed()
            })
            .await?;
        self.kept_at = self.inner.env.monotonic();
        self.queued += queued;
        self.inner.count(WorkerName::Placement, queued, 0);
        Ok(())
    }
}

/// Queues the blocks that still exist and are not queued yet. Returns their number.
async fn queue(inner: &Inner, tx: &mut Connection, found: Vec<BlockId>) -> Result<u64, StoreError> {
    let mut queued = 0;
    for block in found {
        if repairs::find(tx, block).await?.is_some() {
            continue;
        }
        let Some(copies) = blocks::find(tx, block).await? else { continue };
        let live = repair_queue::live_replicas(inner, &copies);
        repair_queue::queue(inner, tx, block, live, copies.block.replication).await?;
        queued += 1;
    }
    Ok(queued)
}

#[async_trait]
impl Worker for Placement {
    fn name(&self) -> WorkerName {
        WorkerName::Placement
    }

    fn doing(&self) -> String {
        let queued = self.queued;
        match self.walk {
            _ if self.inner.config.placement_walk.is_zero() => "is not wanted".to_owned(),
            Some(Walk { passed, ended: true, .. }) => {
                format!("looked at all {passed} blocks in this period, queued {queued} since the start")
            }
            Some(Walk { passed, .. }) => {
                format!("looked at {passed} blocks in this period, queued {queued} since the start")
            }
            None => "begins".to_owned(),
        }
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let period = self.inner.config.placement_walk;
        // While deletions are held, the replicas that a better spread makes surplus would stay, and fill the disks.
        if period.is_zero() || self.inner.soft_state().is_held() {
            return Ok(Progress::Rest);
        }
        let mut reader = self.inner.store.read_in_background().await?;
        let mut walk = self.current(&mut reader).await?;
        self.walk = Some(walk);
        let blocks = totals::blocks(&mut reader).await?;
        self.rest = self.page_time(blocks);
        if walk.ended || walk.passed > walk.due(self.inner.env.now(), period, blocks) {
            return Ok(Progress::Rest);
        }
        let page = blocks::copies_page(&mut reader, walk.through, BLOCKS_PER_STEP).await?;
        drop(reader);
        let needs =
            |(block, copies): &(BlockId, BlockReplicas)| self.needs_work(*block, copies).then_some(*block);
        let found: Vec<BlockId> = page.iter().filter_map(needs).collect();
        walk.passed += page.len() as u64;
        walk.through = page.last().map(|(block, _)| *block).or(walk.through);
        walk.ended = page.len() < BLOCKS_PER_STEP as usize;
        let is_old = self.inner.env.monotonic() >= self.kept_at.saturating_add(KEPT_EVERY);
        if walk.ended || is_old || !found.is_empty() {
            self.keep(walk, found).await?;
        }
        self.walk = Some(walk);
        self.inner.pay(WorkerName::Placement, page.len() as u64);
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.rest).await;
    }
}
