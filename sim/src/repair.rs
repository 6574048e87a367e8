//! The metanode's workers that examine single blocks: repair, drain, and the drops of surplus replicas.

use cairn_planner::examine::{Need, Standing, examine};

use crate::cluster::Cluster;
use crate::config::Millis;
use crate::events::Event;
use crate::node::number_of;
use crate::soft_state::Purpose;

/// Blocks that may be deferred because of busy nodes before the rest of the queue waits as well.
const DEFERRED_MAX: usize = 64;

impl Cluster {
    pub(crate) fn wake_work(&mut self, at: Millis) {
        if self.soft_state.work_at.is_none_or(|planned| at < planned) {
            self.soft_state.work_at = Some(at);
            let process = self.process;
            self.events.push(at, Event::Work { process });
        }
    }

    /// Examines the blocks in the queues, as far as the rates allow.
    pub(crate) fn work(&mut self, process: u32) {
        if process != self.process || self.soft_state.work_at != Some(self.now) {
            return;
        }
        self.soft_state.work_at = None;
        let mut next: Option<Millis> = None;
        while self.soft_state.deferred.len() < DEFERRED_MAX
            && let Some((live, block)) = self.soft_state.repairs.first().copied()
        {
            let ready_at = self.soft_state.repair_throttle.ready_at();
            if ready_at > self.now {
                next = Some(ready_at);
                break;
            }
            self.soft_state.repairs.remove(&(live, block));
            self.look(block);
        }
        while self.soft_state.deferred.len() < DEFERRED_MAX
            && let Some(block) = self.soft_state.drains.first().copied()
        {
            let ready_at = self.soft_state.drain_throttle.ready_at();
            if ready_at > self.now {
                next = Some(next.map_or(ready_at, |next| next.min(ready_at)));
                break;
            }
            self.soft_state.drains.remove(&block);
            self.look(block);
        }
        while let Some(block) = self.soft_state.others.pop_first() {
            self.look(block);
        }
        if let Some(at) = next {
            self.wake_work(at);
        }
    }

    /// Examines a block, and orders the copies and drops that it needs.
    fn look(&mut self, number: usize) {
        if !self.blocks[number].is_kept() {
            return;
        }
        let block = self.block_view(number);
        let verdict = examine(&self.view, &block, &mut self.soft_state.in_flight, &mut self.rng);
        let length = block.length;
        for copy in verdict.copies {
            let (purpose, throttle) = match verdict.need {
                Some(Need::Repair) => (Purpose::Repair, &mut self.soft_state.repair_throttle),
                Some(Need::Drain) => (Purpose::Drain, &mut self.soft_state.drain_throttle),
                Some(Need::Spread) | None => (Purpose::Spread, &mut self.soft_state.balance_throttle),
            };
            throttle.take(length, self.now);
            self.order(number, number_of(copy.target), copy.sources, purpose);
        }
        let drops: Vec<usize> = verdict.drops.into_iter().map(number_of).collect();
        if !drops.is_empty() {
            self.check_drops(number, &drops);
        }
        for node in drops {
            self.tally.dropped.add(length);
            self.doom(number, node);
        }
        match verdict.standing {
            Standing::Deferred => drop(self.soft_state.deferred.insert(number)),
            Standing::Stuck => drop(self.soft_state.stuck.insert(number)),
            Standing::Satisfied | Standing::UnderWay => {}
        }
        self.settle_moves(number);
    }

    /// Ends the moves of a block whose copies were made once no replica is surplus: the one at the source was dropped,
    /// or another one.
    fn settle_moves(&mut self, number: usize) {
        let block = &self.blocks[number];
        let moving = |intent: &crate::soft_state::Intent| matches!(intent.purpose, Purpose::Move { .. });
        let mut intents = self.soft_state.by_block.get(&number).into_iter().flatten();
        let under_way = intents.any(|id| self.soft_state.intents.get(id).is_some_and(moving));
        if under_way || block.good().count() > block.replication as usize {
            return;
        }
        for node in self.soft_state.leaving.get(&number).cloned().unwrap_or_default() {
            self.stays(number, node);
        }
    }
}
