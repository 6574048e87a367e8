//! The balance worker: moves replicas from full nodes to empty ones, in rounds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_planner::balance::{Balance as Survey, Move, plan_move, survey};
use cairn_planner::budget;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};

use super::examining::settle;
use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::block_manager::soft_state::copies::Purpose;
use crate::store::blocks::BlockReplicas;
use crate::store::{StoreError, deletions, replicas};

/// Blocks of one node that one step examines.
const BLOCKS_PER_STEP: u32 = 100;

/// Moves whose old replicas are dropped in one transaction.
const MOVES_PER_WRITE: usize = 200;

/// The longest rest, in multiples of the worker's interval, when nodes are beyond the threshold and no move would help.
/// To find that out, the worker has to examine all blocks of full nodes.
const LONG_REST: u32 = 300;

/// The balance worker. In a round it orders copies; when a copy is done, the old replica is deleted. Nodes that take
/// part in repair are left out.
pub(super) struct Balance {
    inner: Arc<Inner>,
    round: Option<Round>,
    /// The last block of each node that was examined. The next round continues there.
    through: BTreeMap<NodeId, BlockId>,
    /// The earliest time of the next round.
    rests_until: Duration,
    /// The length of the last such rest.
    rest: Duration,
    /// [`SoftState::changes`](crate::block_manager::soft_state::SoftState::changes) at the last step.
    changes: u64,
    /// Whether the event that there is nothing to move was published.
    idle_announced: bool,
}

/// A round of balancing.
struct Round {
    survey: Survey,
    /// The nodes from which replicas may still move. They take turns.
    sources: VecDeque<Source>,
    /// Whether a block was moved.
    moved: bool,
}

/// A node from which replicas move.
struct Source {
    node: NodeId,
    /// The block at which the examination began after the last block that moved; `None` for the node's first block.
    began_at: Option<BlockId>,
    /// Whether the examination has passed the node's last block since then.
    wrapped: bool,
}

impl Balance {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            round: None,
            through: BTreeMap::new(),
            rests_until: Duration::ZERO,
            rest: Duration::ZERO,
            changes: 0,
            // `false`, so that the event is published once after each start.
            idle_announced: false,
        }
    }

    /// Begins a round, if one is due and there is something to move.
    fn begin(&mut self) -> bool {
        let now = self.inner.env.monotonic();
        let mut soft_state = self.inner.soft_state();
        if std::mem::replace(&mut self.changes, soft_state.changes) != soft_state.changes {
            (self.rests_until, self.rest) = (Duration::ZERO, Duration::ZERO);
        }
        let threshold = soft_state.balance_threshold.unwrap_or(self.inner.config.balance_threshold_permille);
        let survey = survey(soft_state.view(&self.inner.env), threshold);
        drop(soft_state);
        if survey.is_even() {
            self.rests_until = now;
            self.announce_idle();
            return false;
        }
        if now < self.rests_until {
            return false;
        }
        let sources = survey.sources.iter().map(|node| Source {
            node: *node,
            began_at: self.through.get(node).copied(),
            wrapped: false,
        });
        self.round = Some(Round { sources: sources.collect(), survey, moved: false });
        true
    }

    /// Says once that there is nothing to do, when all moves are done.
    fn announce_idle(&mut self) {
        let is_moving = self.inner.soft_state().moves_in_flight() > 0;
        if !is_moving && !std::mem::replace(&mut self.idle_announced, true) {
            self.inner.events.publish(EventKind::BalanceIdle);
        }
    }

    /// Ends the round. If nothing was moved, the next one begins after a rest.
    fn end(&mut self, moved: bool) -> Progress {
        self.round = None;
        if moved {
            self.rest = Duration::ZERO;
            return Progress::More;
        }
        let interval = self.inner.config.worker_interval;
        self.rest = (self.rest * 2).clamp(interval, interval * LONG_REST);
        self.rests_until = self.inner.env.monotonic() + self.rest;
        self.announce_idle();
        Progress::Rest
    }

    /// Examines a page of the first source's blocks.
    async fn go_on(&mut self, mut round: Round) -> Result<Progress, StoreError> {
        let Some(mut source) = round.sources.pop_front() else {
            return Ok(self.end(round.moved));
        };
        if !self.gives(&round.survey, source.node) {
            self.round = Some(round);
            return Ok(Progress::More);
        }
        let after = self.through.get(&source.node).copied();
        let mut reader = self.inner.store.read_in_background().await?;
        let page = replicas::replicas_of(&mut reader, source.node, after, BLOCKS_PER_STEP).await?;
        drop(reader);
        let (mut moved, mut throttled) = (false, false);
        for (block, copies) in &page {
            throttled = self.inner.is_throttled(WorkerName::Balance);
            if throttled || !self.gives(&round.survey, source.node) {
                break;
            }
            moved |= self.consider(&round.survey, source.node, *block, copies).await?;
            self.through.insert(source.node, *block);
        }
        round.moved |= moved;
        let ended = page.len() < BLOCKS_PER_STEP as usize;
        if ended && !throttled {
            self.through.remove(&source.node);
        }
        let exhausted = source.passed(page.last().map(|(block, _)| *block), ended, moved);
        // Blocks without a target may find one when the moves under way have ended.
        let busy = !moved && !throttled && self.inner.soft_state().copies.count(Purpose::is_balance) > 0;
        if throttled || busy {
            round.sources.push_front(source);
        } else if !exhausted {
            round.sources.push_back(source);
        }
        self.round = Some(round);
        Ok(match (throttled, busy) {
            (true, _) => Progress::Throttled,
            (false, true) => Progress::Rest,
            (false, false) => Progress::More,
        })
    }

    /// Whether replicas should move off a node that takes no part in repair.
    fn gives(&self, survey: &Survey, node: NodeId) -> bool {
        let mut soft_state = self.inner.soft_state();
        survey.gives(soft_state.view(&self.inner.env), node) && !soft_state.copies.is_repairing(node)
    }

    /// Orders the move of a block, if it is possible and brings utilisation nearer to the mean.
    async fn consider(
        &mut self,
        survey: &Survey,
        source: NodeId,
        block: BlockId,
        copies: &BlockReplicas,
    ) -> Result<bool, StoreError> {
        if self.inner.is_early(block) {
            return Ok(false);
        }
        let length = copies.block.length;
        let planned = {
            let mut soft_state = self.inner.soft_state();
            let seen = soft_state.block_view(block, copies);
            let (view, under_way) = soft_state.deciding(&self.inner.env);
            let in_flight = &mut under_way.in_flight;
            self.inner.env.with_rng(|rng| plan_move(view, survey, &seen, source, in_flight, rng))
        };
        let Some(Move { target, sources, .. }) = planned else { return Ok(false) };
        let is_repairing = self.inner.soft_state().copies.is_repairing(target);
        let is_hindered = if is_repairing { Ok(true) } else { self.still_deleting(target, block).await };
        if !matches!(is_hindered, Ok(false)) {
            // The plan counted the move as under way, so the count is undone, also when the read failed.
            let mut soft_state = self.inner.soft_state();
            for node in [Some(&target), sources.first()].into_iter().flatten() {
                soft_state.copies.in_flight.remove(*node, length);
            }
            return is_hindered.map(|_| false);
        }
        self.idle_announced = false;
        self.inner.pay(WorkerName::Balance, budget::cost(length));
        self.inner.order_copy(block, copies, target, sources, Purpose::Balance(source));
        Ok(true)
    }

    async fn still_deleting(&self, target: NodeId, block: BlockId) -> Result<bool, StoreError> {
        let mut reader = self.inner.store.read_in_background().await?;
        deletions::is_queued(&mut reader, target, block).await
    }
}

impl Source {
    /// Records that a page up to `last` was examined. Returns whether none of the node's blocks can move, because all
    /// were examined since the last one that did.
    fn passed(&mut self, last: Option<BlockId>, ended: bool, moved: bool) -> bool {
        if moved {
            (self.wrapped, self.began_at) = (ended, last);
            return false;
        }
        let round_again = self.wrapped && (ended || last >= self.began_at);
        self.wrapped |= ended;
        round_again || (ended && self.began_at.is_none())
    }
}

#[async_trait]
impl Worker for Balance {
    fn name(&self) -> WorkerName {
        WorkerName::Balance
    }

    fn doing(&self) -> String {
        let moves = self.inner.soft_state().moves_in_flight();
        if self.inner.soft_state().is_held() {
            return "nothing is moved while deletions are held: `cairn admin hold status` tells why"
                .to_owned();
        }
        match &self.round {
            Some(round) => {
                format!("{} nodes beyond the threshold, {moves} moves under way", round.survey.outside)
            }
            None if self.rests_until > self.inner.env.monotonic() => {
                format!("no move would bring the nodes nearer, {moves} moves under way")
            }
            None => format!("all nodes are within the threshold, {moves} moves under way"),
        }
    }

    /// Drops the old replicas of moves whose new replicas exist.
    async fn survey(&mut self) -> Result<Progress, StoreError> {
        let arrived = self.inner.soft_state().finished_moves.ready(MOVES_PER_WRITE);
        if arrived.is_empty() {
            return Ok(Progress::Rest);
        }
        settle(&self.inner, arrived).await?;
        Ok(Progress::More)
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        // While deletions are held, the old replicas of moves would stay, and fill the disks.
        if self.inner.soft_state().is_held() || (self.round.is_none() && !self.begin()) {
            return Ok(Progress::Rest);
        }
        match self.round.take() {
            Some(round) => self.go_on(round).await,
            None => Ok(Progress::Rest),
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.inner.wakes.balance.notified() => {}
            () = self.inner.env.sleep(self.inner.config.worker_interval) => {}
        }
    }
}
