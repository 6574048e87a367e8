//! The metanode's balance worker.

use std::ops::Bound;

use cairn_planner::balance::{plan_move, survey};

use crate::cluster::Cluster;
use crate::events::Event;
use crate::node::{id_of, number_of};
use crate::soft_state::{Purpose, Round};

impl Cluster {
    /// Schedules a look at the balance, because something changed.
    pub(crate) fn wake_balance(&mut self) {
        if self.config.balancing && self.soft_state.balance_at.is_none() {
            self.balance_in(self.config.balance_interval);
        }
    }

    fn balance_in(&mut self, delay: u64) {
        self.soft_state.balance_at = Some(self.now + delay);
        let process = self.process;
        self.later(delay, Event::Balance { process });
    }

    pub(crate) fn balance(&mut self, process: u32) {
        if process != self.process || self.soft_state.balance_at != Some(self.now) {
            return;
        }
        self.soft_state.balance_at = None;
        let mut round = match self.soft_state.round.take() {
            Some(round) => round,
            None => {
                let balance = survey(&self.view, self.config.threshold_permille);
                if balance.is_even() {
                    return;
                }
                Round { balance, at: 0, through: None, moves: 0 }
            }
        };
        let ended = self.go_on(&mut round);
        if !ended {
            self.soft_state.round = Some(round);
            let ready_in = self.soft_state.balance_throttle.ready_at().saturating_sub(self.now);
            self.balance_in(ready_in.max(1));
        } else if round.moves > 0 && self.soft_state.balance_at.is_none() {
            // The next round sees what this one did. After a round without moves, balancing rests until something
            // changes.
            self.balance_in(self.config.balance_interval);
        }
    }

    /// Orders moves as far as the rate allows. Returns whether the round has ended.
    fn go_on(&mut self, round: &mut Round) -> bool {
        while let Some(source) = round.balance.sources.get(round.at).copied() {
            let after = round.through.map_or(Bound::Unbounded, Bound::Excluded);
            let mut held = self.nodes[number_of(source)].known.held.range((after, Bound::Unbounded));
            let next = held.next().copied().filter(|_| round.balance.gives(&self.view, source));
            let Some(number) = next else {
                round.at += 1;
                round.through = None;
                continue;
            };
            if self.soft_state.balance_throttle.ready_at() > self.now {
                return false;
            }
            round.through = Some(number);
            if self.blocks[number].is_kept() {
                self.try_move(round, number, number_of(source));
            }
        }
        true
    }

    fn try_move(&mut self, round: &mut Round, number: usize, source: usize) {
        let block = self.block_view(number);
        let in_flight = &mut self.soft_state.in_flight;
        let planned = plan_move(&self.view, &round.balance, &block, id_of(source), in_flight, &mut self.rng);
        let Some(planned) = planned else { return };
        self.check_move(number, &planned);
        round.moves += 1;
        self.soft_state.balance_throttle.take(block.length, self.now);
        let source = number_of(planned.source);
        self.order(number, number_of(planned.target), planned.sources, Purpose::Move { source });
    }
}
