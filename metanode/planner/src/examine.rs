//! What one block needs.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_protocol::admin::NodeState;
use cairn_protocol::id::NodeId;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::budget::InFlight;
use super::placement::{Demand, place};
use super::{ClusterView, NodeView};

/// A block and all that is known of its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    /// Its length in bytes.
    pub length: u64,
    /// How many copies it should have.
    pub replication: u32,
    /// Who has one.
    pub holders: Vec<Holder>,
    /// Who was told to make one and may still do so.
    pub inbound: Vec<NodeId>,
    /// Who is about to delete one: must not get another before that is done.
    pub doomed: Vec<NodeId>,
}

/// A copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who has it.
    pub node: NodeId,
    /// Whether it is good as far as is known.
    pub good: bool,
}

/// What to do about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Good copies on nodes that are not dead.
    pub live: u32,
    /// How many there can be.
    pub attainable: u32,
    /// Where it stands.
    pub standing: Standing,
    /// Copies to make now.
    pub copies: Vec<Copy>,
    /// Nodes whose copy is to be deleted: one too many, or a bad one that is not needed any more.
    pub drops: Vec<NodeId>,
}

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As many good copies as there can be, and no bad one that is not about to go.
    Satisfied,
    /// The copies that it lacks are being made, or a bad one makes room for a good one.
    UnderWay,
    /// Something could be done, but enough is under way at the nodes that it takes.
    Deferred,
    /// Nothing can be done until a node comes: there is no source, or no target.
    Stuck,
}

/// A copy to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Who makes it.
    pub target: NodeId,
    /// Whom to read from, in the order in which to try.
    pub sources: Vec<NodeId>,
}

impl BlockView {
    fn good<'a>(&'a self, view: &'a ClusterView) -> impl Iterator<Item = (NodeId, NodeState)> + 'a {
        self.holders
            .iter()
            .filter(|holder| holder.good)
            .map(|holder| (holder.node, view.state(holder.node)))
            .filter(|(_, state)| *state != NodeState::Dead)
    }

    fn bad(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.holders.iter().filter(|holder| !holder.good).map(|holder| holder.node)
    }
}

/// Decides what a block needs. What it decides to copy is counted into `in_flight`.
///
/// Never chooses a node twice or one that holds a copy, good or bad; never drops a good copy unless
/// `replication` others are on nodes that are alive for sure; never drops a bad copy unless a good
/// one is on such a node.
pub fn examine(view: &ClusterView, block: &BlockView, in_flight: &mut InFlight, rng: &mut StdRng) -> Verdict {
    let live = u32::try_from(block.good(view).count()).unwrap_or(u32::MAX);
    let attainable = view.attainable(block.replication);
    let verdict = |standing, copies, drops| Verdict { live, attainable, standing, copies, drops };
    if live >= attainable {
        let mut drops = surplus(view, block);
        if anchored(view, block) {
            drops.extend(block.bad());
        }
        let waits = !anchored(view, block) && block.bad().next().is_some();
        return verdict(if waits { Standing::Stuck } else { Standing::Satisfied }, Vec::new(), drops);
    }
    let inbound = block.inbound.iter().filter(|node| view.state(**node) != NodeState::Dead).count();
    let lacking = (attainable - live).saturating_sub(u32::try_from(inbound).unwrap_or(u32::MAX));
    if lacking == 0 {
        return verdict(Standing::UnderWay, Vec::new(), Vec::new());
    }
    let sources = sources(view, block, in_flight, rng);
    if sources.is_empty() {
        return verdict(Standing::Stuck, Vec::new(), Vec::new());
    }
    let demand = Targets::new(view, block, lacking);
    if demand.place(view, &[], rng).is_empty() {
        return without_target(view, block, inbound, verdict);
    }
    // Whoever is busy is passed over: the block can go to another node, or wait.
    let busy: Vec<NodeId> = view
        .nodes()
        .iter()
        .map(|node| node.node)
        .filter(|node| !in_flight.fits(*node, block.length))
        .collect();
    let mut copies = Vec::new();
    for target in demand.place(view, &busy, rng) {
        if !in_flight.fits(sources[0], block.length) {
            break;
        }
        in_flight.add(target, block.length);
        in_flight.add(sources[0], block.length);
        copies.push(Copy { target, sources: sources.clone() });
    }
    let standing = if copies.is_empty() { Standing::Deferred } else { Standing::UnderWay };
    verdict(standing, copies, Vec::new())
}

/// No node can take a copy. A node whose own copy is bad can, once that one is deleted.
fn without_target(
    view: &ClusterView,
    block: &BlockView,
    inbound: usize,
    verdict: impl Fn(Standing, Vec<Copy>, Vec<NodeId>) -> Verdict,
) -> Verdict {
    let replaceable: Vec<NodeId> =
        block.bad().filter(|node| anchored(view, block) && view.state(*node) == NodeState::Live).collect();
    let moves = !replaceable.is_empty() || inbound > 0;
    verdict(if moves { Standing::UnderWay } else { Standing::Stuck }, Vec::new(), replaceable)
}

/// Whether a good copy is on a node that is alive for sure.
fn anchored(view: &ClusterView, block: &BlockView) -> bool {
    block.good(view).any(|(node, _)| is_sure(view, node))
}

fn is_sure(view: &ClusterView, node: NodeId) -> bool {
    view.get(node).is_some_and(|node| node.state == NodeState::Live && !node.doubtful)
}

/// The nodes that can be read from: those with the least to do first, stale ones behind live ones, and
/// copies that are thought bad at the very end. Somebody may have been wrong about those, or about the
/// good ones, and who copies verifies.
fn sources(view: &ClusterView, block: &BlockView, in_flight: &InFlight, rng: &mut StdRng) -> Vec<NodeId> {
    let there = |holder: &&Holder| view.state(holder.node) != NodeState::Dead;
    let mut sources: Vec<Holder> = block.holders.iter().filter(there).copied().collect();
    sources.shuffle(rng);
    sources.sort_by_key(|holder| {
        (!holder.good, view.state(holder.node) != NodeState::Live, in_flight.load(holder.node))
    });
    sources.into_iter().map(|holder| holder.node).collect()
}

/// What is asked of placement for a block.
struct Targets {
    bytes: u64,
    copies: u32,
    holders: Vec<NodeId>,
    barred: Vec<NodeId>,
}

impl Targets {
    fn new(view: &ClusterView, block: &BlockView, copies: u32) -> Self {
        let good = block.good(view).map(|(node, _)| node);
        let holders = good.chain(block.inbound.iter().copied()).collect();
        let everybody = block.holders.iter().map(|holder| holder.node);
        let barred = everybody.chain(block.doomed.iter().copied()).collect();
        Self { bytes: block.length, copies, holders, barred }
    }

    fn place(&self, view: &ClusterView, busy: &[NodeId], rng: &mut StdRng) -> Vec<NodeId> {
        let exclude: Vec<NodeId> = self.barred.iter().chain(busy).copied().collect();
        let demand =
            Demand { bytes: self.bytes, copies: self.copies, holders: &self.holders, exclude: &exclude };
        place(view, &demand, rng)
    }
}

/// Whose good copies are too many: each time one in a zone that has most of them, and there the one
/// on the fullest node. Only copies on nodes that are alive for sure count, for keeping as for going.
fn surplus(view: &ClusterView, block: &BlockView) -> Vec<NodeId> {
    let sure = block.good(view).filter(|(node, _)| is_sure(view, *node));
    let mut kept: Vec<&NodeView> = sure.filter_map(|(node, _)| view.get(node)).collect();
    let mut drops = Vec::new();
    while kept.len() > block.replication as usize {
        let mut zones: HashMap<Option<&Arc<str>>, u32> = HashMap::new();
        for node in &kept {
            *zones.entry(node.zone.as_ref()).or_default() += 1;
        }
        let crowd = |node: &NodeView| zones.get(&node.zone.as_ref()).copied().unwrap_or(0);
        let fuller = |a: &NodeView, b: &NodeView| (crowd(a), a.is_fuller_than(b)) > (crowd(b), false);
        let Some(worst) = (0..kept.len()).reduce(|a, b| if fuller(kept[b], kept[a]) { b } else { a }) else {
            break;
        };
        drops.push(kept.swap_remove(worst).node);
    }
    drops
}
