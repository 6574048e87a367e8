//! Copies and deletions on their way to the nodes, and their results.

use cairn_types::id::NodeId;
use cairn_types::node::NodeState;

use crate::block::Life;
use crate::cluster::Cluster;
use crate::events::{Copied, Event};
use crate::node::number_of;
use crate::soft_state::{Intent, Purpose};

impl Cluster {
    /// Orders a copy. The planner counted it as under way already.
    pub(crate) fn order(&mut self, block: usize, target: usize, sources: Vec<NodeId>, purpose: Purpose) {
        self.check_order(block, target, &sources);
        let length = self.blocks[block].length;
        self.tally.ordered += 1;
        let id = self.tally.ordered;
        let node = &mut self.nodes[target];
        node.known.inbound += length;
        if let Purpose::Move { source } = purpose {
            node.known.moving_in += length;
            self.soft_state.leaving.entry(block).or_default().push(source);
            self.nodes[source].known.moving_out += length;
            self.refresh(source);
        }
        self.refresh(target);
        self.soft_state.by_block.entry(block).or_default().push(id);
        let intent = Intent { block, target, sources: sources.clone(), purpose };
        self.soft_state.intents.insert(id, intent);
        self.later(self.config.command_deadline, Event::Deadline { intent: id });
        if !self.nodes[target].up {
            return;
        }
        let told = self.now + self.heartbeat();
        let source = sources.first().map_or(target, |source| number_of(*source));
        let begin = told.max(self.nodes[target].busy_until).max(self.nodes[source].busy_until);
        let end = begin + length * 1_000 / self.config.bandwidth.max(1);
        self.nodes[target].busy_until = end;
        self.nodes[source].busy_until = end;
        let epoch = self.nodes[target].epoch;
        self.events.push(end, Event::Copied(Copied { intent: id, block, target, epoch, sources, purpose }));
    }

    /// Ends a copy, so that it is not under way any more.
    fn finish(&mut self, id: u64) -> Option<Intent> {
        let intent = self.soft_state.intents.remove(&id)?;
        if let Some(others) = self.soft_state.by_block.get_mut(&intent.block) {
            others.retain(|other| *other != id);
            if others.is_empty() {
                self.soft_state.by_block.remove(&intent.block);
            }
        }
        let length = self.blocks[intent.block].length;
        self.soft_state.in_flight.remove(crate::node::id_of(intent.target), length);
        if let Some(source) = intent.sources.first() {
            self.soft_state.in_flight.remove(*source, length);
        }
        let known = &mut self.nodes[intent.target].known;
        known.inbound -= length;
        if matches!(intent.purpose, Purpose::Move { .. }) {
            known.moving_in -= length;
        }
        self.refresh(intent.target);
        for block in std::mem::take(&mut self.soft_state.deferred) {
            self.dirty(block);
        }
        Some(intent)
    }

    /// Ends a copy that was not made. If it was a move, the block stays on its source. Returns whether it was under
    /// way.
    fn give_up(&mut self, id: u64) -> bool {
        let Some(intent) = self.finish(id) else { return false };
        if let Purpose::Move { source } = intent.purpose {
            self.stays(intent.block, source);
        }
        self.later(self.config.setback, Event::Look { block: intent.block });
        true
    }

    /// Ends the move of a block off a node, because the block stays or its replica is gone.
    pub(crate) fn stays(&mut self, block: usize, node: usize) {
        let Some(leaving) = self.soft_state.leaving.get_mut(&block) else { return };
        let Some(at) = leaving.iter().position(|leaves| *leaves == node) else { return };
        leaving.remove(at);
        if leaving.is_empty() {
            self.soft_state.leaving.remove(&block);
        }
        let length = self.blocks[block].length;
        let known = &mut self.nodes[node].known;
        known.moving_out -= length;
        self.refresh(node);
    }

    /// Drops all copies that a node was ordered to make.
    pub(crate) fn forget_intents(&mut self, target: usize) {
        let of_target = self.soft_state.intents.iter().filter(|(_, intent)| intent.target == target);
        for id in of_target.map(|(id, _)| *id).collect::<Vec<_>>() {
            // The copy may still be made, if the node did not restart and is only new to the metanode.
            self.tally.cause.forgotten +=
                self.soft_state.intents.get(&id).map_or(0, |intent| self.blocks[intent.block].length);
            self.give_up(id);
        }
    }

    pub(crate) fn deadline(&mut self, id: u64) {
        if let Some(intent) = self.soft_state.intents.get(&id) {
            // The copy may still be made, after another one was ordered.
            self.tally.cause.forgotten += self.blocks[intent.block].length;
            self.tally.failed += 1;
            self.give_up(id);
        }
    }

    pub(crate) fn copied(&mut self, copied: Copied) {
        let Copied { intent, block, target, epoch, sources, purpose } = copied;
        if !self.nodes[target].up || self.nodes[target].epoch != epoch {
            return;
        }
        let bad = self.read(block, &sources);
        let length = self.blocks[block].length;
        let had = self.nodes[target].disk.contains_key(&block);
        let done = bad.is_ok() && self.nodes[target].store(block, length);
        if done {
            // A node that has the block already reports success at once.
            let bytes = if had { 0 } else { length };
            self.tally.count(purpose, bytes);
            if let Purpose::Move { source } = purpose {
                let moved_to = &mut self.blocks[block].moved_to;
                self.tally.moved_again += u64::from(moved_to.contains(&source));
                moved_to.push(target);
            }
        } else {
            self.tally.failed += 1;
        }
        let (Ok(bad) | Err(bad)) = bad;
        for node in bad {
            self.found_bad(node, block);
        }
        let known = &self.nodes[target].known;
        // A metanode that does not know the node learns of the replica when the node has registered.
        if known.registered && known.present && known.state != NodeState::Dead {
            if done {
                self.finish(intent);
                self.add_holder(block, target, true);
                self.dirty(block);
            } else {
                self.give_up(intent);
            }
        }
        self.refresh(target);
    }

    /// Reads a block from the first of the sources that has a good replica. Returns the nodes whose replicas were found
    /// bad, as an error if none was good.
    fn read(&self, block: usize, sources: &[NodeId]) -> Result<Vec<usize>, Vec<usize>> {
        let mut bad = Vec::new();
        for source in sources.iter().map(|source| number_of(*source)) {
            let node = &self.nodes[source];
            match node.disk.get(&block).filter(|_| node.up) {
                Some(stored) if stored.good => return Ok(bad),
                Some(_) => bad.push(source),
                None => {}
            }
        }
        Err(bad)
    }

    /// Queues a replica for deletion.
    pub(crate) fn doom(&mut self, block: usize, node: usize) {
        self.remove_holder(block, node);
        self.stays(block, node);
        if self.blocks[block].doomed.contains(&node) {
            return;
        }
        self.blocks[block].doomed.push(node);
        let known = &mut self.nodes[node].known;
        known.doomed.insert(block);
        known.outgoing += self.blocks[block].length;
        self.refresh(node);
        self.send_deletion(block, node);
    }

    pub(crate) fn send_deletion(&mut self, block: usize, node: usize) {
        if self.nodes[node].up {
            let (delay, epoch) = (self.heartbeat() * 2, self.nodes[node].epoch);
            self.later(delay, Event::Deleted { node, epoch, block });
        }
    }

    pub(crate) fn deleted(&mut self, node: usize, epoch: u32, block: usize) {
        let current = self.nodes[node].up && self.nodes[node].epoch == epoch;
        if !current || !self.blocks[block].doomed.contains(&node) {
            return;
        }
        self.check_deletion(block, node);
        let length = self.blocks[block].length;
        self.nodes[node].erase(block, length);
        self.forget_deletion(block, node);
        if self.blocks[block].life != Life::Purged {
            self.dirty(block);
        }
    }

    /// Drops a deletion that is done, or not needed any more.
    pub(crate) fn forget_deletion(&mut self, block: usize, node: usize) {
        self.blocks[block].doomed.retain(|doomed| *doomed != node);
        let length = self.blocks[block].length;
        let known = &mut self.nodes[node].known;
        if known.doomed.remove(&block) {
            known.outgoing -= length;
        }
        self.refresh(node);
        // A block may have waited for the space that is free now.
        self.wake_stuck();
    }
}
