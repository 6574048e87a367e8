//! Failures of nodes and disks.
//!
//! Failures are limited so that they do not make the promises impossible to keep. A replica is taken only if another
//! good one remains, and if the replicas that are gone without the metanode's knowledge are fewer than the block's
//! replication. Otherwise even a perfect planner would drop the last good replica in favour of three that it cannot
//! know to be gone. Blocks of a single replica are exempt; they are then lost, and no promise applies to them any more.

use cairn_types::node::NodeState;
use rand::RngExt;

use crate::cluster::Cluster;
use crate::events::Event;

impl Cluster {
    /// Stops a node; its disks stay as they are.
    pub fn crash(&mut self, node: usize) {
        if !self.nodes[node].up {
            return;
        }
        self.tally.crashes += 1;
        self.nodes[node].up = false;
        self.nodes[node].epoch += 1;
        self.lose_contact(node);
    }

    /// Schedules the loss of contact with a node that sends nothing from now on.
    pub(crate) fn lose_contact(&mut self, node: usize) {
        let (epoch, process) = (self.nodes[node].epoch, self.process);
        let silences =
            [(self.config.stale_after, NodeState::Stale), (self.config.dead_after, NodeState::Dead)];
        for (after, state) in silences {
            self.later(after, Event::ContactLost { node, epoch, process, state });
        }
    }

    /// Starts a node that stopped.
    pub fn come_back(&mut self, node: usize) {
        if self.nodes[node].up || self.nodes[node].lost {
            return;
        }
        self.nodes[node].up = true;
        self.nodes[node].epoch += 1;
        self.nodes[node].busy_until = self.now;
        let (delay, epoch) = (self.heartbeat(), self.nodes[node].epoch);
        self.later(delay, Event::Register { node, epoch });
    }

    /// Loses a node with all of its disks, if the limits of failures allow it. Returns whether they did.
    pub fn lose(&mut self, node: usize) -> bool {
        let held: Vec<usize> = self.nodes[node].known.held.iter().copied().collect();
        if self.nodes[node].lost || !held.iter().all(|block| self.may_take(*block, node)) {
            return false;
        }
        self.tally.losses += 1;
        for block in held {
            self.take(block, node);
        }
        if self.nodes[node].up {
            self.nodes[node].up = false;
            self.nodes[node].epoch += 1;
            self.lose_contact(node);
        }
        self.nodes[node].lost = true;
        self.nodes[node].disk.clear();
        true
    }

    /// Damages a replica, if the limits of failures allow it.
    pub fn corrupt(&mut self, node: usize, block: usize) {
        if self.nodes[node].lost || !self.may_take(block, node) {
            return;
        }
        self.take(block, node);
        let Some(stored) = self.nodes[node].disk.get_mut(&block).filter(|stored| stored.good) else { return };
        stored.good = false;
        self.tally.corruptions += 1;
        self.scrub_later(node, block);
    }

    /// Breaks a volume, if the limits of failures allow it. The last volume of a node never breaks: that would be the
    /// loss of the node.
    pub fn break_volume(&mut self, node: usize, volume: usize) {
        let running = self.nodes[node].volumes.iter().filter(|volume| !volume.broken).count();
        let there = self.nodes[node].volumes.get(volume).is_some_and(|volume| !volume.broken);
        let inside = self.nodes[node].disk.iter().filter(|(_, stored)| stored.volume == volume);
        let inside: Vec<usize> = inside.map(|(block, _)| *block).collect();
        let node_is_there = self.nodes[node].up && self.nodes[node].known.registered;
        if running < 2 || !there || !node_is_there || !inside.iter().all(|block| self.may_take(*block, node))
        {
            return;
        }
        self.tally.volumes_broken += 1;
        for block in inside {
            self.take(block, node);
            self.nodes[node].disk.remove(&block);
        }
        self.nodes[node].volumes[volume].broken = true;
        let (delay, epoch) = (self.heartbeat(), self.nodes[node].epoch);
        self.later(delay, Event::VolumeTold { node, epoch });
    }

    /// Whether the limits of failures allow this replica to be taken.
    fn may_take(&self, number: usize, node: usize) -> bool {
        let block = &self.blocks[number];
        if block.lost || !block.is_kept() || block.replication == 1 || !self.nodes[node].has_good(number) {
            return true;
        }
        let others = || block.good().filter(|other| *other != node);
        let remain = others().any(|other| self.nodes[other].has_good(number));
        let unknown = others().filter(|other| !self.nodes[*other].has_good(number)).count();
        remain && unknown + 1 < block.replication as usize
    }

    /// Records that this replica is taken.
    fn take(&mut self, number: usize, node: usize) {
        let has_good = self.nodes[node].has_good(number);
        let block = &mut self.blocks[number];
        if block.is_kept() && block.replication == 1 && !block.lost && has_good {
            block.lost = true;
            self.tally.blocks_lost += 1;
        }
    }

    fn scrub_later(&mut self, node: usize, block: usize) {
        let delay = self.rng.random_range(0..=self.config.scrub_period);
        self.later(delay, Event::Scrubbed { node, block });
    }

    /// Handles a scrub that has read a bad replica.
    pub(crate) fn scrubbed(&mut self, node: usize, block: usize) {
        let known = &self.nodes[node].known;
        let heard = known.present && known.registered && known.state != NodeState::Dead;
        // A node that is down reads it again when it is back.
        if self.nodes[node].up && heard {
            self.found_bad(node, block);
        }
    }

    /// Marks a replica as bad that its node or a reader found to be so.
    pub(crate) fn found_bad(&mut self, node: usize, block: usize) {
        let Some(stored) = self.nodes[node].disk.get_mut(&block) else { return };
        if stored.good || stored.quarantined {
            return;
        }
        stored.quarantined = true;
        let holders = &mut self.blocks[block].holders;
        if let Some((_, good)) = holders.iter_mut().find(|(holder, good)| *holder == node && *good) {
            *good = false;
            self.tally.cause.lost += self.blocks[block].length;
            self.dirty(block);
        }
    }

    /// Handles the report of a broken volume.
    pub(crate) fn volume_told(&mut self, node: usize, epoch: u32) {
        if self.nodes[node].up && self.nodes[node].epoch == epoch {
            self.merge_missing(node);
            self.changed(node);
        }
    }

    /// Removes the replicas that a node does not have any more.
    pub(crate) fn merge_missing(&mut self, node: usize) {
        let gone: Vec<usize> = {
            let node = &self.nodes[node];
            node.known.held.iter().filter(|block| !node.disk.contains_key(block)).copied().collect()
        };
        for block in gone {
            if self.blocks[block].good().any(|holder| holder == node) {
                self.tally.cause.lost += self.blocks[block].length;
            }
            self.remove_holder(block, node);
            self.stays(block, node);
            self.dirty(block);
        }
        let deleted: Vec<usize> = {
            let node = &self.nodes[node];
            node.known.doomed.iter().filter(|block| !node.disk.contains_key(block)).copied().collect()
        };
        for block in deleted {
            self.forget_deletion(block, node);
        }
    }

    /// Schedules scrubs that find the node's bad replicas.
    pub(crate) fn scrub_again(&mut self, node: usize) {
        let unknown = self.nodes[node].disk.iter().filter(|(_, stored)| !stored.good && !stored.quarantined);
        for block in unknown.map(|(block, _)| *block).collect::<Vec<_>>() {
            self.scrub_later(node, block);
        }
    }
}
