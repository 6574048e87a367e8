//! The cluster and its clock.

use std::sync::Arc;

use cairn_planner::ClusterView;
use cairn_planner::block::{BlockView, Holder};
use cairn_planner::examine::{Need, need_of};
use cairn_types::node::{AdminState, NodeState};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::block::{Block, Life};
use crate::config::{Config, Millis};
use crate::events::{Event, Events};
use crate::node::{Node, id_of};
use crate::promise::Violation;
use crate::soft_state::SoftState;
use crate::tally::Tally;

/// Upper limit of nodes for which the imbalance is measured after every event; beyond it that takes too long.
const MEASURED_NODES_MAX: usize = 64;

/// A simulated block store.
#[derive(Debug)]
pub struct Cluster {
    /// The configuration, which stays the same.
    pub config: Config,
    /// The time.
    pub now: Millis,
    /// All nodes that there ever were, by number.
    pub nodes: Vec<Node>,
    /// All blocks that there ever were, by number.
    pub blocks: Vec<Block>,
    /// The state that the metanode loses in a restart.
    pub soft_state: SoftState,
    /// Counts of what happened and what was done.
    pub tally: Tally,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
    pub(crate) view: ClusterView,
    pub(crate) rng: StdRng,
    pub(crate) events: Events,
    /// The number of the metanode's starts.
    pub(crate) process: u32,
    /// The sum over all nodes above the mean of their distance from it, in bytes.
    excess: u64,
    /// Whether that sum has to be measured again.
    pub(crate) unmeasured: bool,
}

impl Cluster {
    /// An empty cluster.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            now: 0,
            nodes: Vec::new(),
            blocks: Vec::new(),
            soft_state: SoftState::new(&config),
            tally: Tally::default(),
            violations: Vec::new(),
            view: ClusterView::default(),
            rng: StdRng::seed_from_u64(seed),
            events: Events::default(),
            process: 0,
            excess: 0,
            unmeasured: false,
        }
    }

    /// The nodes as decisions see them.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// Lets time pass until `end`.
    pub fn run_until(&mut self, end: Millis) {
        while self.events.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass until no event is left. Returns whether that came before `end`, and within `events_max` events.
    pub fn run_until_quiet(&mut self, end: Millis, events_max: u64) -> bool {
        let last = self.tally.events + events_max;
        while let Some(at) = self.events.next_at() {
            if at > end || self.tally.events > last {
                return false;
            }
            self.step();
        }
        true
    }

    fn step(&mut self) {
        let Some((at, event)) = self.events.pop() else { return };
        self.now = at;
        self.tally.events += 1;
        let balancing = matches!(event, Event::Balance { .. });
        self.happen(event);
        let rise = self.measure();
        if !balancing {
            self.tally.cause.unbalanced += rise;
        }
    }

    /// Measures the sum of the nodes' distances above the mean. Returns by how much it rose.
    pub(crate) fn measure(&mut self) -> u64 {
        if !std::mem::take(&mut self.unmeasured) || self.nodes.len() > MEASURED_NODES_MAX {
            return 0;
        }
        let before = self.excess;
        self.excess = crate::promise::excess(&self.view);
        self.excess.saturating_sub(before)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ContactLost { node, epoch, process, state } => {
                self.contact_lost(node, epoch, process, state)
            }
            Event::Register { node, epoch } => self.register(node, epoch),
            Event::Copied(copied) => self.copied(copied),
            Event::Deadline { intent } => self.deadline(intent),
            Event::Deleted { node, epoch, block } => self.deleted(node, epoch, block),
            Event::Written { block, targets } => self.written(block, &targets),
            Event::Purge { block } => self.purge(block),
            Event::Scrubbed { node, block } => self.scrubbed(node, block),
            Event::VolumeTold { node, epoch } => self.volume_told(node, epoch),
            Event::MaintenanceEnds { node, until } => self.maintenance_ends(node, until),
            Event::DoubtEnds { node } => self.changed(node),
            Event::Look { block } => self.dirty(block),
            Event::Work { process } => self.work(process),
            Event::Balance { process } => self.balance(process),
        }
    }

    pub(crate) fn later(&mut self, delay: Millis, event: Event) {
        self.events.push(self.now + delay, event);
    }

    /// The time until a node's next heartbeat.
    pub(crate) fn heartbeat(&mut self) -> Millis {
        self.rng.random_range(0..=self.config.heartbeat)
    }

    /// Adds a node without an event, before the history begins.
    pub(crate) fn place_node(&mut self, zone: Option<Arc<str>>, volumes: &[u64]) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node::new(number, zone, volumes));
        self.refresh(number);
        number
    }

    /// Updates the view of decisions after a node changed.
    pub(crate) fn refresh(&mut self, node: usize) {
        let Some(node) = self.nodes.get(node).filter(|node| node.known.registered) else { return };
        self.view.set(node.view(self.now, self.config.move_intents));
        self.unmeasured = true;
        self.wake_balance();
    }

    /// Queues a node's blocks after its state changed, and the blocks that wait for nodes.
    pub(crate) fn changed(&mut self, node: usize) {
        self.refresh(node);
        for block in self.nodes[node].known.held.clone() {
            self.dirty(block);
        }
        self.wake_stuck();
    }

    /// Queues every block.
    pub fn sweep(&mut self) {
        for block in 0..self.blocks.len() {
            self.dirty(block);
        }
    }

    pub(crate) fn block_view(&self, number: usize) -> BlockView {
        let block = &self.blocks[number];
        let holder = |(node, good): &(usize, bool)| Holder { node: id_of(*node), good: *good };
        let leaving = self.soft_state.leaving.get(&number).into_iter().flatten();
        BlockView {
            length: block.length,
            replication: block.replication,
            holders: block.holders.iter().map(holder).collect(),
            inbound: self.soft_state.targets_of(number).map(id_of).collect(),
            doomed: block.doomed.iter().copied().map(id_of).collect(),
            leaving: leaving.copied().map(id_of).collect(),
        }
    }

    /// Queues a block for the workers that it concerns.
    pub(crate) fn dirty(&mut self, number: usize) {
        if !self.blocks[number].is_kept() {
            return;
        }
        self.soft_state.stuck.remove(&number);
        self.soft_state.deferred.remove(&number);
        match need_of(&self.view, &self.block_view(number)) {
            Some(Need::Repair) => {
                let live =
                    self.blocks[number].good().filter(|node| self.nodes[*node].is_sure(self.now)).count();
                self.soft_state.repairs.insert((u32::try_from(live).unwrap_or(u32::MAX), number));
            }
            Some(Need::Drain) => drop(self.soft_state.drains.insert(number)),
            Some(Need::Spread) | None => drop(self.soft_state.others.insert(number)),
        }
        self.wake_work(self.now);
    }

    /// Queues the blocks that wait for nodes.
    pub(crate) fn wake_stuck(&mut self) {
        for block in std::mem::take(&mut self.soft_state.stuck) {
            self.dirty(block);
        }
    }

    /// Adds a replica that a node reported.
    pub(crate) fn add_holder(&mut self, number: usize, node: usize, good: bool) {
        let block = &mut self.blocks[number];
        let known = &mut self.nodes[node].known;
        if block.doomed.contains(&node) || known.held.contains(&number) {
            return;
        }
        if block.life == Life::Purged {
            self.doom(number, node);
            return;
        }
        block.holders.push((node, good));
        known.held.insert(number);
        match known.admin_state {
            AdminState::InService => {}
            AdminState::Draining => self.tally.cause.drained += block.length,
            AdminState::Maintenance { .. } => self.count_unseen(number),
        }
        self.dirty(number);
    }

    /// Removes a replica that a node does not have.
    pub(crate) fn remove_holder(&mut self, number: usize, node: usize) {
        self.blocks[number].holders.retain(|(holder, _)| *holder != node);
        self.nodes[node].known.held.remove(&number);
    }

    /// Counts a block whose good replicas are all on nodes in maintenance, or dead, as one that lacks a replica.
    pub(crate) fn count_unseen(&mut self, number: usize) {
        let block = &self.blocks[number];
        let away = |node: usize| {
            let known = &self.nodes[node].known;
            matches!(known.admin_state, AdminState::Maintenance { .. }) || known.state == NodeState::Dead
        };
        if block.good().all(away) {
            self.tally.cause.lost += block.length;
        }
    }

    /// Counts the good replicas at a node as lost.
    pub(crate) fn count_lost(&mut self, node: usize) {
        let held = self.nodes[node].known.held.iter();
        let good = held.filter(|block| self.blocks[**block].good().any(|holder| holder == node));
        self.tally.cause.lost += good.map(|block| self.blocks[*block].length).sum::<u64>();
    }
}
