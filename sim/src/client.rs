//! Writes and deletes.

use cairn_planner::placement::{Demand, place};

use crate::block::{Block, Life};
use crate::cluster::Cluster;
use crate::events::Event;
use crate::node::number_of;

impl Cluster {
    /// Writes a block.
    pub fn write(&mut self, length: u64, replication: u32) {
        let demand = Demand { bytes: length, copies: replication, holders: &[], exclude: &[] };
        let targets = place(&self.view, &demand, &mut self.rng);
        let targets: Vec<usize> = targets.into_iter().map(number_of).collect();
        if targets.is_empty() || targets.len() < self.needed(replication) {
            self.tally.refused += 1;
            return;
        }
        let number = self.blocks.len();
        self.blocks.push(Block {
            length,
            replication,
            holders: Vec::new(),
            doomed: Vec::new(),
            life: Life::Granted,
            lost: false,
            moved_to: Vec::new(),
        });
        for node in &targets {
            self.nodes[*node].known.reserved += length;
            self.refresh(*node);
        }
        let delay = self.heartbeat() + length * 1_000 / self.config.bandwidth.max(1);
        self.later(delay, Event::Written { block: number, targets });
    }

    /// The number of replicas that a write needs.
    fn needed(&self, replication: u32) -> usize {
        self.view.attainable(self.config.min_replicas.min(replication)) as usize
    }

    pub(crate) fn written(&mut self, number: usize, targets: &[usize]) {
        let length = self.blocks[number].length;
        let mut stored = Vec::new();
        for node in targets.iter().copied() {
            let it = &mut self.nodes[node];
            it.known.reserved = it.known.reserved.saturating_sub(length);
            let answers =
                it.up && it.known.registered && it.known.state != cairn_types::node::NodeState::Dead;
            if answers && it.store(number, length) {
                stored.push(node);
            }
            self.refresh(node);
        }
        let replication = self.blocks[number].replication;
        if stored.is_empty() || stored.len() < self.needed(replication) {
            self.tally.refused += 1;
            self.blocks[number].life = Life::Purged;
            for node in stored {
                self.doom(number, node);
            }
            return;
        }
        self.tally.written.add(length);
        self.blocks[number].life = Life::Committed { at: self.now };
        let lacking = u64::from(replication).saturating_sub(stored.len() as u64);
        self.tally.cause.lost += lacking * length;
        for node in stored {
            self.add_holder(number, node, true);
        }
    }

    /// Deletes a block.
    pub fn delete(&mut self, number: usize) {
        if !matches!(self.blocks[number].life, Life::Committed { .. }) {
            return;
        }
        self.tally.deleted.add(self.blocks[number].length);
        self.blocks[number].life = Life::Retired;
        self.later(self.config.garbage_grace, Event::Purge { block: number });
    }

    pub(crate) fn purge(&mut self, number: usize) {
        self.blocks[number].life = Life::Purged;
        for (node, _) in self.blocks[number].holders.clone() {
            self.doom(number, node);
        }
    }
}
