//! The metanode's workers that look at single blocks: repair, drain, and the dropping of what is too much.

use cairn_planner::examine::{Need, Standing, examine};

use crate::cluster::Cluster;
use crate::config::Millis;
use crate::events::Event;
use crate::memory::Purpose;
use crate::node::number_of;

/// So many blocks that have to wait for busy nodes are passed over before the rest waits as well.
const DEFERRED_MAX: usize = 64;

impl Cluster {
    pub(crate) fn wake_work(&mut self, at: Millis) {
        if self.memory.work_at.is_none_or(|planned| at < planned) {
            self.memory.work_at = Some(at);
            let process = self.process;
            self.events.push(at, Event::Work { process });
        }
    }

    /// Looks at the blocks in the queues, as far as the rates allow.
    pub(crate) fn work(&mut self, process: u32) {
        if process != self.process || self.memory.work_at != Some(self.now) {
            return;
        }
        self.memory.work_at = None;
        let mut next: Option<Millis> = None;
        while self.memory.deferred.len() < DEFERRED_MAX
            && let Some((live, block)) = self.memory.repairs.first().copied()
        {
            let ready_at = self.memory.repair_throttle.ready_at();
            if ready_at > self.now {
                next = Some(ready_at);
                break;
            }
            self.memory.repairs.remove(&(live, block));
            self.look(block);
        }
        while self.memory.deferred.len() < DEFERRED_MAX
            && let Some(block) = self.memory.drains.first().copied()
        {
            let ready_at = self.memory.drain_throttle.ready_at();
            if ready_at > self.now {
                next = Some(next.map_or(ready_at, |next| next.min(ready_at)));
                break;
            }
            self.memory.drains.remove(&block);
            self.look(block);
        }
        while let Some(block) = self.memory.others.pop_first() {
            self.look(block);
        }
        if let Some(at) = next {
            self.wake_work(at);
        }
    }

    /// Examines a block and has done what it needs.
    fn look(&mut self, number: usize) {
        if !self.blocks[number].is_kept() {
            return;
        }
        let block = self.block_view(number);
        let verdict = examine(&self.view, &block, &mut self.memory.in_flight, &mut self.rng);
        let length = block.length;
        for copy in verdict.copies {
            let (purpose, throttle) = match verdict.need {
                Some(Need::Repair) => (Purpose::Repair, &mut self.memory.repair_throttle),
                Some(Need::Drain) => (Purpose::Drain, &mut self.memory.drain_throttle),
                Some(Need::Spread) | None => (Purpose::Spread, &mut self.memory.balance_throttle),
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
            Standing::Deferred => drop(self.memory.deferred.insert(number)),
            Standing::Stuck => drop(self.memory.stuck.insert(number)),
            Standing::Satisfied | Standing::UnderWay => {}
        }
        self.settle_moves(number);
    }

    /// Moves whose copy has arrived are over once nothing is too much any more: the copy at their source
    /// went, or another one did.
    fn settle_moves(&mut self, number: usize) {
        let block = &self.blocks[number];
        let moving = |intent: &crate::memory::Intent| matches!(intent.purpose, Purpose::Move { .. });
        let mut intents = self.memory.by_block.get(&number).into_iter().flatten();
        let under_way = intents.any(|id| self.memory.intents.get(id).is_some_and(moving));
        if under_way || block.good().count() > block.replication as usize {
            return;
        }
        for node in self.memory.leaving.get(&number).cloned().unwrap_or_default() {
            self.stays(number, node);
        }
    }
}
