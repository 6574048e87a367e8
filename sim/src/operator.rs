//! Actions of operators on nodes, what the metanode notices of nodes, and its own restarts.

use std::sync::Arc;

use cairn_types::node::{AdminState, NodeState};
use cairn_types::time::Timestamp;

use crate::block::Life;
use crate::cluster::Cluster;
use crate::config::Millis;
use crate::events::Event;
use crate::node::id_of;
use crate::soft_state::SoftState;

/// Upper limit of nodes at which one node more or less may concern every block.
const SMALL_MAX: usize = 16;

fn until_of(admin_state: AdminState) -> Option<Millis> {
    match admin_state {
        AdminState::Maintenance { until } => Some(until.0),
        AdminState::InService | AdminState::Draining => None,
    }
}

impl Cluster {
    /// Handles a node that was without contact for the stale or dead time.
    pub(crate) fn contact_lost(&mut self, node: usize, epoch: u32, process: u32, state: NodeState) {
        let current = !self.nodes[node].up && self.nodes[node].epoch == epoch && self.process == process;
        if !current || !self.nodes[node].known.registered {
            return;
        }
        self.nodes[node].known.state = state;
        if state == NodeState::Dead {
            if until_of(self.nodes[node].known.admin_state).is_none() {
                self.count_lost(node);
            }
            self.refresh(node);
            self.forget_intents(node);
        }
        self.changed(node);
    }

    /// Handles a node's registration and its report of all replicas.
    pub(crate) fn register(&mut self, node: usize, epoch: u32) {
        let current = self.nodes[node].up && self.nodes[node].epoch == epoch;
        if !current || !self.nodes[node].known.registered {
            return;
        }
        let known = &mut self.nodes[node].known;
        (known.present, known.state) = (true, NodeState::Live);
        self.forget_intents(node);
        self.merge_missing(node);
        let unknown: Vec<(usize, bool)> = {
            let node = &self.nodes[node];
            let unknown = node.disk.iter().filter(|(block, _)| !node.known.held.contains(block));
            unknown.map(|(block, stored)| (*block, !stored.quarantined)).collect()
        };
        for (block, good) in unknown {
            if self.blocks[block].life != Life::Granted {
                self.add_holder(block, node, good);
            }
        }
        for block in self.nodes[node].known.doomed.clone() {
            self.send_deletion(block, node);
        }
        self.scrub_again(node);
        self.changed(node);
    }

    /// Adds a new node.
    pub fn join(&mut self, zone: Option<Arc<str>>, volumes: &[u64]) -> usize {
        let before = self.view.nodes().len();
        let number = self.place_node(zone, volumes);
        // Blocks with a replication above the number of nodes lack one more replica now.
        let more = self.blocks.iter().filter(|block| block.is_kept() && block.replication as usize > before);
        self.tally.cause.lost += more.map(|block| block.length).sum::<u64>();
        self.fewer_or_more_nodes();
        number
    }

    /// Queues the blocks for which the number of nodes matters: in a small cluster all of them, in a large one those
    /// that wait for nodes.
    fn fewer_or_more_nodes(&mut self) {
        if self.view.nodes().len() <= SMALL_MAX {
            self.sweep();
        }
        self.wake_stuck();
    }

    /// Drains a node.
    pub fn drain(&mut self, node: usize) {
        let known = &mut self.nodes[node].known;
        if !known.registered || known.admin_state == AdminState::Draining {
            return;
        }
        self.end_duty(node);
        self.nodes[node].known.admin_state = AdminState::Draining;
        let held = self.nodes[node].known.held.iter();
        self.tally.cause.drained += held.map(|block| self.blocks[*block].length).sum::<u64>();
        self.changed(node);
    }

    /// Puts a node into maintenance for some time.
    pub fn maintain(&mut self, node: usize, time: Millis) {
        if !self.nodes[node].known.registered {
            return;
        }
        let until = self.now + time;
        self.nodes[node].known.admin_state = AdminState::Maintenance { until: Timestamp(until) };
        self.later(time, Event::MaintenanceEnds { node, until });
        for block in self.nodes[node].known.held.clone() {
            self.count_unseen(block);
        }
        self.changed(node);
    }

    pub(crate) fn maintenance_ends(&mut self, node: usize, until: Millis) {
        if until_of(self.nodes[node].known.admin_state) == Some(until) {
            self.serve(node);
        }
    }

    /// Returns a node to service.
    pub fn serve(&mut self, node: usize) {
        if self.nodes[node].known.registered {
            self.end_duty(node);
            self.nodes[node].known.admin_state = AdminState::InService;
            self.changed(node);
        }
    }

    /// Counts the replicas on a node that died in maintenance as lost, because its maintenance ends.
    fn end_duty(&mut self, node: usize) {
        let known = &self.nodes[node].known;
        if until_of(known.admin_state).is_some() && known.state == NodeState::Dead {
            self.count_lost(node);
        }
    }

    /// Removes a node that is lost or drained. Returns whether it was.
    pub fn remove(&mut self, node: usize) -> bool {
        let it = &self.nodes[node];
        let lost = it.lost && it.known.state == NodeState::Dead && until_of(it.known.admin_state).is_none();
        let drained = it.up && it.known.admin_state == AdminState::Draining && it.disk.is_empty();
        let drained = drained && it.known.held.is_empty() && it.known.present;
        if !it.known.registered || !(lost || drained) {
            return false;
        }
        self.forget_intents(node);
        let it = &mut self.nodes[node];
        (it.up, it.lost, it.known.registered) = (false, true, false);
        it.epoch += 1;
        it.disk.clear();
        let held = self.nodes[node].known.held.clone();
        for block in held.iter().copied() {
            self.remove_holder(block, node);
            self.stays(block, node);
        }
        for block in self.nodes[node].known.doomed.clone() {
            self.forget_deletion(block, node);
        }
        self.view.remove(id_of(node));
        self.unmeasured = true;
        self.wake_balance();
        self.fewer_or_more_nodes();
        for block in held {
            self.dirty(block);
        }
        true
    }

    /// Makes a node suspect for a while, because a client could not reach it.
    pub fn doubt(&mut self, node: usize) {
        self.nodes[node].known.suspect_until = self.now + self.config.stale_after;
        self.later(self.config.stale_after, Event::DoubtEnds { node });
        self.refresh(node);
    }

    /// Sets whether the node's commands fail repeatedly.
    pub fn set_failing(&mut self, node: usize, failing: bool) {
        self.nodes[node].known.failing = failing;
        self.changed(node);
    }

    /// Restarts the metanode, which loses its soft state.
    pub fn restart_metanode(&mut self) {
        self.tally.restarts += 1;
        let under_way = self.soft_state.intents.values().map(|intent| self.blocks[intent.block].length);
        self.tally.cause.forgotten += under_way.sum::<u64>();
        self.soft_state = SoftState::new(&self.config);
        self.process += 1;
        for node in 0..self.nodes.len() {
            if !self.nodes[node].known.registered {
                continue;
            }
            let known = &mut self.nodes[node].known;
            (known.present, known.state) = (false, NodeState::Live);
            (known.reserved, known.inbound, known.moving_in, known.moving_out) = (0, 0, 0, 0);
            (known.failing, known.suspect_until) = (false, 0);
            self.refresh(node);
            if self.nodes[node].up {
                let (delay, epoch) = (self.heartbeat(), self.nodes[node].epoch);
                self.later(delay, Event::Register { node, epoch });
            } else {
                self.lose_contact(node);
            }
        }
        self.sweep();
    }
}
