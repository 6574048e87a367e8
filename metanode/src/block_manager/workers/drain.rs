use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_planner::examine::{Need, Standing};
use cairn_protocol::admin::WorkerName;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};

use super::examining::{Examiner, Looked, settle};
use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::block_manager::soft_state::copies::Purpose;
use crate::store::{StoreError, replicas, totals};

/// Blocks that are examined in one step: draining nodes take turns after so many.
const BLOCKS_PER_STEP: u32 = 100;

/// The longest rest between two tours of a node's blocks when nothing could be done in the last one, in
/// multiples of the worker's interval. It is woken when nodes change.
const LONG_REST: u32 = 300;

/// The longest rest when some blocks only have to wait: for their copies, their pipelines, or after a failed
/// attempt.
const SHORT_REST: u32 = 10;

/// Goes through the blocks of draining nodes, in tours, and has a copy made elsewhere of each that would
/// lack one without the node. The old copy goes when the new one has come.
pub(super) struct Drain {
    inner: Arc<Inner>,
    examiner: Examiner,
    tours: BTreeMap<NodeId, Tour>,
    /// Who had the last turn.
    last: Option<NodeId>,
    /// [`SoftState::changes`](crate::block_manager::soft_state::SoftState::changes) at the last step.
    changes: u64,
}

/// Where a tour of a node's blocks is.
#[derive(Debug, Default)]
struct Tour {
    /// The last block that was looked at.
    through: Option<BlockId>,
    /// Something was ordered or dropped in this tour.
    moved: bool,
    /// Some copies are under way, or it is too early for some.
    waits: bool,
    /// The next tour begins at the earliest then.
    rests_until: Duration,
    /// How long the last rest was.
    rest: Duration,
}

/// Why a page was not gone through to its end.
enum Stop {
    /// The worker's rate.
    Throttled,
    /// Enough is under way.
    Busy,
}

impl Drain {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let examiner = Examiner::new(inner.clone(), WorkerName::Drain);
        Self { inner, examiner, tours: BTreeMap::new(), last: None, changes: 0 }
    }

    /// Takes up tours of nodes that drain now, and ends those of others.
    fn update_tours(&mut self) {
        let (draining, changes) = {
            let soft_state = self.inner.soft_state();
            (soft_state.nodes.draining(), soft_state.changes)
        };
        self.tours.retain(|node, _| draining.contains(node));
        for node in draining {
            let tour = self.tours.entry(node).or_default();
            if changes != self.changes {
                // What was stuck may go on.
                tour.rests_until = Duration::ZERO;
                tour.rest = Duration::ZERO;
            }
        }
        self.changes = changes;
    }

    /// Tells, once, who has nothing left and gets nothing more.
    async fn tell_drained(&self) -> Result<(), StoreError> {
        let mut reader = self.inner.store.read_in_background().await?;
        for node in self.tours.keys().copied() {
            // In this order: what is committed under a grant is counted before the grant is forgotten.
            let named = self.inner.grants_naming(node).is_some();
            let empty = !named && totals::node(&mut reader, node).await?.replicas == 0;
            let told = {
                let mut soft_state = self.inner.soft_state();
                soft_state.nodes.get_mut(node).map(|node| std::mem::replace(&mut node.told_drained, empty))
            };
            if empty && told == Some(false) {
                self.inner.events.publish(EventKind::NodeDrained { node });
            }
        }
        Ok(())
    }

    /// Whose turn it is, in order: those that do not rest go round.
    fn turns(&self) -> Vec<NodeId> {
        let now = self.inner.env.monotonic();
        let due = self.tours.iter().filter(|(_, tour)| tour.rests_until <= now).map(|(node, _)| *node);
        let (later, mut first): (Vec<_>, Vec<_>) = due.partition(|node| Some(*node) <= self.last);
        first.extend(later);
        first
    }

    async fn go_on(&mut self, node: NodeId) -> Result<Progress, StoreError> {
        let after = self.tours.get(&node).and_then(|tour| tour.through);
        let mut reader = self.inner.store.read_in_background().await?;
        let page = replicas::replicas_of(&mut reader, node, after, BLOCKS_PER_STEP).await?;
        let mut tour = self.tours.remove(&node).unwrap_or_default();
        let mut settled = Vec::new();
        let mut stop = None;
        for (block, copies) in &page {
            match self.examiner.look(&mut reader, *block, copies, Purpose::Drain(node)).await? {
                Looked::Waits => tour.waits = true,
                Looked::Throttled => stop = Some(Stop::Throttled),
                Looked::Examined(verdict) => {
                    tour.moved |= !verdict.copies.is_empty();
                    tour.waits |= verdict.standing == Standing::UnderWay;
                    if !verdict.drops.is_empty() {
                        settled.push(*block);
                    } else if verdict.standing == Standing::Deferred && verdict.need == Some(Need::Drain) {
                        stop = Some(Stop::Busy);
                    }
                }
            }
            if stop.is_some() {
                break;
            }
            tour.through = Some(*block);
        }
        drop(reader);
        tour.moved |= !settled.is_empty();
        if stop.is_none() && page.len() < BLOCKS_PER_STEP as usize {
            self.end_tour(&mut tour);
        }
        self.tours.insert(node, tour);
        settle(&self.inner, settled).await?;
        Ok(match stop {
            Some(Stop::Throttled) => Progress::Throttled,
            Some(Stop::Busy) => Progress::Rest,
            None => Progress::More,
        })
    }

    /// Nothing that can be done at once is left; after a tour without any move the rests get longer.
    fn end_tour(&self, tour: &mut Tour) {
        let interval = self.inner.config.worker_interval;
        let longest = if tour.waits { SHORT_REST } else { LONG_REST };
        tour.rest = if tour.moved { interval } else { (tour.rest * 2).clamp(interval, interval * longest) };
        *tour =
            Tour { rests_until: self.inner.env.monotonic() + tour.rest, rest: tour.rest, ..Tour::default() };
    }
}

#[async_trait]
impl Worker for Drain {
    fn name(&self) -> WorkerName {
        WorkerName::Drain
    }

    fn doing(&self) -> String {
        if self.tours.is_empty() {
            return "no node is draining".to_owned();
        }
        let copies = self.inner.soft_state().copies.count(|purpose| matches!(purpose, Purpose::Drain(_)));
        format!("{} nodes are draining, {copies} copies under way", self.tours.len())
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        self.update_tours();
        if self.tours.is_empty() {
            return Ok(Progress::Rest);
        }
        self.tell_drained().await?;
        for node in self.turns() {
            self.last = Some(node);
            let progress = self.go_on(node).await?;
            // When enough is under way at one, another may go on.
            if progress != Progress::Rest {
                return Ok(progress);
            }
        }
        Ok(Progress::Rest)
    }

    async fn wait(&mut self) {
        let config = &self.inner.config;
        let rest =
            if self.tours.is_empty() { config.worker_interval * LONG_REST } else { config.worker_interval };
        tokio::select! {
            () = self.inner.wakes.drain.notified() => {}
            () = self.inner.env.sleep(rest) => {}
        }
    }
}
