//! Which nodes get the copies of a block.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_protocol::id::NodeId;
use rand::RngExt;
use rand::rngs::StdRng;

use super::{ClusterView, NodeView};

/// What is to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The block's length, or the most that it can become.
    pub bytes: u64,
    /// How many further copies.
    pub copies: u32,
    /// Who has, or is about to have, a copy: gets no other, and counts for its zone.
    pub holders: &'a [NodeId],
    /// Who must not get one for other reasons.
    pub exclude: &'a [NodeId],
}

/// Chooses nodes for the copies: as many different ones as wanted, or as there are.
///
/// Each goes to a zone with the fewest copies so far. Within those, chance decides, weighted by
/// predicted free bytes: the emptiest node is the likeliest, but a node that just came does not get
/// everything that is written. Doubtful nodes are taken only if there are not enough others.
pub fn place(view: &ClusterView, demand: &Demand<'_>, rng: &mut StdRng) -> Vec<NodeId> {
    let barred: HashSet<NodeId> = demand.holders.iter().chain(demand.exclude).copied().collect();
    let eligible = |node: &&NodeView| node.takes(demand.bytes) && !barred.contains(&node.node);
    let copies = demand.copies as usize;
    let trusted = view.nodes().iter().filter(eligible).filter(|node| !node.doubtful);
    let mut candidates: Vec<&NodeView> = trusted.collect();
    if candidates.len() < copies {
        candidates.extend(view.nodes().iter().filter(eligible).filter(|node| node.doubtful));
    }
    let mut zones: HashMap<Option<&Arc<str>>, u32> = HashMap::new();
    for holder in demand.holders {
        *zones.entry(view.zone(*holder)).or_default() += 1;
    }
    let mut chosen = Vec::with_capacity(copies.min(candidates.len()));
    while chosen.len() < copies {
        let Some(index) = next(&candidates, &zones, rng) else { break };
        let node = candidates.swap_remove(index);
        *zones.entry(node.zone.as_ref()).or_default() += 1;
        chosen.push(node.node);
    }
    chosen
}

/// The index of one of the candidates whose zone has the fewest copies.
fn next(
    candidates: &[&NodeView],
    zones: &HashMap<Option<&Arc<str>>, u32>,
    rng: &mut StdRng,
) -> Option<usize> {
    let copies_in_zone = |node: &NodeView| zones.get(&node.zone.as_ref()).copied().unwrap_or(0);
    let fewest = candidates.iter().map(|node| copies_in_zone(node)).min()?;
    let best = || candidates.iter().enumerate().filter(|(_, node)| copies_in_zone(node) == fewest);
    // A node without free bytes takes part with the least weight: that it can take the block is sure.
    let weight = |node: &NodeView| u128::from(node.predicted_free().max(1));
    let total: u128 = best().map(|(_, node)| weight(node)).sum();
    let mut point = rng.random_range(0..total);
    for (index, node) in best() {
        match point.checked_sub(weight(node)) {
            Some(rest) => point = rest,
            None => return Some(index),
        }
    }
    None
}
