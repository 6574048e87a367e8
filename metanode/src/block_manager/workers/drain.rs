//! The drain worker: copies all blocks off the nodes that operators drain.

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

/// Blocks that one step examines. After a step the next draining node has its turn.
const BLOCKS_PER_STEP: u32 = 100;

/// The longest rest between two walks over a node's replicas, in multiples of the worker's interval, when the last walk
/// could do nothing. A change of the nodes ends the rest.
const LONG_REST: u32 = 300;

/// The longest rest when some blocks only have to wait: for copies under way, for a pipeline, or because
/// their last copy failed.
const SHORT_REST: u32 = 10;

/// Drains nodes: walks over the replicas of each draining node, and orders a copy of every block that would
/// be under-replicated without the node. When the copy is done, the node's replica is deleted.
pub(super) struct Drain {
    inner: Arc<Inner>,
    examiner: Examiner,
    walks: BTreeMap<NodeId, Walk>,
    /// The node that had the last turn.
    last: Option<NodeId>,
    /// [`SoftState::changes`](crate::block_manager::soft_state::SoftState::changes) at the last step.
    changes: u64,
}

/// The progress of a walk over a node's replicas.
#[derive(Debug, Default)]
struct Walk {
    /// The last block that was examined.
    through: Option<BlockId>,
    /// Whether a copy was ordered or a replica dropped in this walk.
    moved: bool,
    /// Whether some blocks have to wait for copies under way, or are too young.
    waits: bool,
    /// The earliest time of the next walk.
    rests_until: Duration,
    /// The length of the last rest.
    rest: Duration,
}

/// Why a page was not examined to its end.
enum Stop {
    /// The worker has used up its rate.
    Throttled,
    /// The nodes that could take part have as many copies under way as they may.
    Busy,
}

impl Drain {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let examiner = Examiner::new(inner.clone(), WorkerName::Drain);
        Self { inner, examiner, walks: BTreeMap::new(), last: None, changes: 0 }
    }

    /// Begins a walk for each node that has begun to drain, and drops the walks of nodes that do not drain any more.
    fn update_walks(&mut self) {
        let (draining, changes) = {
            let soft_state = self.inner.soft_state();
            (soft_state.nodes.draining(), soft_state.changes)
        };
        self.walks.retain(|node, _| draining.contains(node));
        for node in draining {
            let walk = self.walks.entry(node).or_default();
            if changes != self.changes {
                // The nodes have changed: a block that had no target may have one now.
                walk.rests_until = Duration::ZERO;
                walk.rest = Duration::ZERO;
            }
        }
        self.changes = changes;
    }

    /// Publishes an event, once, for each node that has no replica and that no grant names.
    async fn announce_drained(&self) -> Result<(), StoreError> {
        let mut reader = self.inner.store.read_in_background().await?;
        for node in self.walks.keys().copied() {
            // Grants are read before replicas. A grant is dropped only after its block was committed, so the second
            // read sees a block that is committed between the two.
            let named = self.inner.grants_naming(node).is_some();
            let empty = !named && totals::node(&mut reader, node).await?.replicas == 0;
            let announced = {
                let mut soft_state = self.inner.soft_state();
                soft_state
                    .nodes
                    .get_mut(node)
                    .map(|node| std::mem::replace(&mut node.drained_announced, empty))
            };
            if empty && announced == Some(false) {
                self.inner.events.publish(EventKind::NodeDrained { node });
            }
        }
        Ok(())
    }

    /// The nodes that do not rest, in the order of their turns.
    fn turns(&self) -> Vec<NodeId> {
        let now = self.inner.env.monotonic();
        let due = self.walks.iter().filter(|(_, walk)| walk.rests_until <= now).map(|(node, _)| *node);
        let (later, mut first): (Vec<_>, Vec<_>) = due.partition(|node| Some(*node) <= self.last);
        first.extend(later);
        first
    }

    async fn walk_on(&mut self, node: NodeId) -> Result<Progress, StoreError> {
        let after = self.walks.get(&node).and_then(|walk| walk.through);
        let mut reader = self.inner.store.read_in_background().await?;
        let page = replicas::replicas_of(&mut reader, node, after, BLOCKS_PER_STEP).await?;
        let mut walk = self.walks.remove(&node).unwrap_or_default();
        let mut settled = Vec::new();
        let mut stop = None;
        for (block, copies) in &page {
            match self.examiner.look(&mut reader, *block, copies, Purpose::Drain(node)).await? {
                Looked::Waits => walk.waits = true,
                Looked::Throttled => stop = Some(Stop::Throttled),
                Looked::Examined(verdict) => {
                    walk.moved |= !verdict.copies.is_empty();
                    walk.waits |= verdict.standing == Standing::UnderWay;
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
            walk.through = Some(*block);
        }
        drop(reader);
        walk.moved |= !settled.is_empty();
        if stop.is_none() && page.len() < BLOCKS_PER_STEP as usize {
            self.end_walk(&mut walk);
        }
        self.walks.insert(node, walk);
        settle(&self.inner, settled).await?;
        Ok(match stop {
            Some(Stop::Throttled) => Progress::Throttled,
            Some(Stop::Busy) => Progress::Rest,
            None => Progress::More,
        })
    }

    /// Ends a walk after the last replica. Rests grow longer as long as walks can do nothing.
    fn end_walk(&self, walk: &mut Walk) {
        let interval = self.inner.config.worker_interval;
        let longest = if walk.waits { SHORT_REST } else { LONG_REST };
        walk.rest = if walk.moved { interval } else { (walk.rest * 2).clamp(interval, interval * longest) };
        *walk =
            Walk { rests_until: self.inner.env.monotonic() + walk.rest, rest: walk.rest, ..Walk::default() };
    }
}

#[async_trait]
impl Worker for Drain {
    fn name(&self) -> WorkerName {
        WorkerName::Drain
    }

    fn doing(&self) -> String {
        if self.walks.is_empty() {
            return "no node is draining".to_owned();
        }
        let copies = self.inner.soft_state().copies.count(|purpose| matches!(purpose, Purpose::Drain(_)));
        format!("{} nodes are draining, {copies} copies under way", self.walks.len())
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        self.update_walks();
        if self.walks.is_empty() {
            return Ok(Progress::Rest);
        }
        self.announce_drained().await?;
        for node in self.turns() {
            self.last = Some(node);
            let progress = self.walk_on(node).await?;
            // Another node may have no copies under way while this one has as many as it may.
            if progress != Progress::Rest {
                return Ok(progress);
            }
        }
        Ok(Progress::Rest)
    }

    async fn wait(&mut self) {
        let config = &self.inner.config;
        let rest =
            if self.walks.is_empty() { config.worker_interval * LONG_REST } else { config.worker_interval };
        tokio::select! {
            () = self.inner.wakes.drain.notified() => {}
            () = self.inner.env.sleep(rest) => {}
        }
    }
}
