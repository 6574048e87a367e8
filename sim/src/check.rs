//! Checks of what must hold at every command, and when a cluster is left alone. They do not use the planner's code, so
//! that a mistake there is not repeated here.

use cairn_planner::NodeView;
use cairn_planner::balance::Move;
use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};

use crate::cluster::Cluster;
use crate::node::{id_of, number_of};
use crate::promise::{Promise, Violation, distances};

/// Upper limit of violations that are kept; more would show nothing new.
const VIOLATIONS_MAX: usize = 100;

impl Cluster {
    pub(crate) fn violate(&mut self, promise: Promise, text: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { promise, at: self.now, text });
        }
    }

    /// Checks the order of a copy.
    pub(crate) fn check_order(&mut self, block: usize, target: usize, sources: &[NodeId]) {
        let it = &self.blocks[block];
        let holds = it.holders.iter().any(|(holder, _)| *holder == target);
        let gets = self.soft_state.targets_of(block).any(|node| node == target);
        if holds || gets || it.doomed.contains(&target) {
            self.violate(Promise::Distinct, format!("block {block} is sent to node {target} a second time"));
        }
        let known = &self.nodes[target].known;
        if known.state != NodeState::Live || known.admin_state != AdminState::InService || known.failing {
            let text = format!("block {block} is sent to node {target}, which should get nothing");
            self.violate(Promise::Distinct, text);
        }
        if sources.is_empty() || sources.iter().any(|source| number_of(*source) == target) {
            self.violate(Promise::Distinct, format!("block {block} cannot be read from {sources:?}"));
        }
    }

    /// Checks drops of replicas. If a good one is dropped, as many good ones as the replication must remain on reliable
    /// nodes in service. If a bad one is dropped, a good one must be on a live node.
    pub(crate) fn check_drops(&mut self, block: usize, drops: &[usize]) {
        let it = &self.blocks[block];
        let remains = |node: &usize| !drops.contains(node);
        let sure = it.good().filter(remains).filter(|node| self.nodes[*node].is_sure(self.now)).count();
        let live = |node: &usize| {
            let known = &self.nodes[*node].known;
            known.state == NodeState::Live && known.present
        };
        let live = it.good().filter(remains).filter(live).count();
        if it.good().any(|node| drops.contains(&node)) && sure < it.replication as usize {
            let text = format!("block {block} of {} copies is left with {sure}", it.replication);
            self.violate(Promise::Factor, text);
        }
        if live == 0 {
            self.violate(Promise::LastReplica, format!("block {block} loses copies and has no good one"));
        }
    }

    /// Checks the deletion of a replica: another good one must be on some disk.
    pub(crate) fn check_deletion(&mut self, number: usize, node: usize) {
        let block = &self.blocks[number];
        if !block.is_kept() || block.lost || !self.nodes[node].has_good(number) {
            return;
        }
        let remains = block.good().any(|other| other != node && self.nodes[other].has_good(number));
        if !remains {
            self.violate(Promise::LastReplica, format!("the last good copy of block {number} is erased"));
        }
    }

    /// Checks a move: it must go from above the mean to below it. It must not make the two nodes change places, unless
    /// both are much nearer to the mean then.
    pub(crate) fn check_move(&mut self, block: usize, planned: &Move) {
        let length = self.blocks[block].length as f64;
        let distances = distances(&self.view);
        let find = |node: NodeId| distances.iter().find(|(view, _)| view.node == node);
        let (Some((from, above)), Some((to, below))) = (find(planned.source), find(planned.target)) else {
            self.violate(Promise::Work, format!("block {block} moves to or from a node that takes no part"));
            return;
        };
        if !allows(from, *above, to, *below, length, 1.0) {
            let text = format!("block {block} of {length} moves from {above:+} to {below:+}");
            self.violate(Promise::Work, text);
        }
    }

    /// Checks a cluster that has come to rest.
    pub fn check_rest(&mut self) {
        let mut wrong = Vec::new();
        for number in 0..self.blocks.len() {
            wrong.extend(self.unfinished(number).or_else(|| self.crowded(number)));
        }
        for node in self.nodes.iter().filter(|node| node.up && node.known.registered) {
            if node.known.admin_state == AdminState::Draining && !node.disk.is_empty() {
                wrong.push(format!("node {} drains and has {} blocks", node.number, node.disk.len()));
            }
            let mut strays = node.disk.keys().filter(|block| !node.known.held.contains(block));
            if let Some(block) = strays.next() {
                wrong.push(format!("node {} has block {block}, which nobody knows of", node.number));
            }
        }
        wrong.extend(self.unbalanced());
        for text in wrong {
            self.violate(Promise::Rest, text);
        }
    }

    fn unfinished(&self, number: usize) -> Option<String> {
        let block = &self.blocks[number];
        if !block.is_kept() || block.lost {
            return None;
        }
        let sure = block.good().filter(|node| self.nodes[*node].is_sure(self.now)).count();
        let right = block.good().filter(|node| self.nodes[*node].has_good(number)).count();
        let wanted = block.replication as usize;
        let clean = block.holders.len() == wanted && block.doomed.is_empty();
        let quiet = self.soft_state.targets_of(number).next().is_none()
            && !self.soft_state.leaving.contains_key(&number);
        let done = sure == wanted && right == wanted && clean && quiet;
        (!done).then(|| format!("block {number} is not done: {block:?}"))
    }

    /// Finds a zone that has two replicas more than another zone with a node for one.
    fn crowded(&self, number: usize) -> Option<String> {
        let block = &self.blocks[number];
        if !block.is_kept() || block.lost {
            return None;
        }
        let holds = |node: usize| block.holders.iter().any(|(holder, _)| *holder == node);
        let copies = |zone: &Option<std::sync::Arc<str>>| {
            block.holders.iter().filter(|(node, _)| self.nodes[*node].zone == *zone).count()
        };
        let most = block.holders.iter().map(|(node, _)| copies(&self.nodes[*node].zone)).max()?;
        let fits = |node: &&NodeView| node.takes(block.length) && !holds(number_of(node.node));
        let better = self.view().nodes().iter().filter(fits).find(|node| copies(&node.zone) + 2 <= most)?;
        Some(format!("block {number} could have a copy on node {} instead", number_of(better.node)))
    }

    /// Finds a move that could still be made although a node is beyond the threshold.
    fn unbalanced(&self) -> Option<String> {
        let distances = distances(&self.view);
        let total: f64 = distances.iter().map(|(node, _)| node.predicted_used as f64).sum();
        let capacity: f64 = distances.iter().map(|(node, _)| node.capacity as f64).sum();
        let band = |node: &NodeView| {
            total / capacity * node.capacity as f64 * f64::from(self.config.threshold_permille) / 1_000.0
        };
        // Two bytes of tolerance, because the planner counts in whole bytes.
        let outside = |node: &NodeView, distance: f64| distance.abs() > band(node) + 2.0;
        for (from, above) in distances.iter().filter(|(_, distance)| *distance > 0.0) {
            for (to, below) in distances.iter().filter(|(_, distance)| *distance < 0.0) {
                if !outside(from, *above) && !outside(to, *below) {
                    continue;
                }
                for number in self.nodes[number_of(from.node)].known.held.iter().copied() {
                    let length = self.blocks[number].length;
                    let free =
                        !self.blocks[number].holders.iter().any(|(holder, _)| id_of(*holder) == to.node);
                    let able = free && to.takes(length) && !self.blocks[number].lost;
                    if able
                        && self.keeps_zones(number, from, to)
                        && allows(from, *above, to, *below, length as f64, -1.0)
                    {
                        return Some(format!(
                            "block {number} of {length} could move from {above:+} to {below:+}, beyond {} or {}",
                            band(from),
                            band(to)
                        ));
                    }
                }
            }
        }
        None
    }

    fn keeps_zones(&self, number: usize, from: &NodeView, to: &NodeView) -> bool {
        let holders = &self.blocks[number].holders;
        let zone =
            |zone: &NodeView| holders.iter().filter(|(node, _)| self.nodes[*node].zone == zone.zone).count();
        from.zone == to.zone || zone(from) > zone(to)
    }
}

/// Whether a block may move between nodes that are this far above and below their shares. `slack` is a tolerance in
/// bytes, positive or negative, because the planner rounds.
fn allows(from: &NodeView, above: f64, to: &NodeView, below: f64, length: f64, slack: f64) -> bool {
    let (given, taken) = (from.predicted_used as f64 - length, to.predicted_used as f64 + length);
    let passes = taken / to.capacity as f64 > given / from.capacity as f64 + slack * 1e-12;
    let halves = length <= 1.5 * (above + slack) && length <= 1.5 * (slack - below);
    above > -slack && below < slack && (!passes || halves)
}
