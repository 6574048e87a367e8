//! Examining a block: the copies and drops that it needs.

use std::cmp::Ordering;

use cairn_types::id::NodeId;
use cairn_types::node::NodeState;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::block::{BlockView, Census, Holder};
use super::budget::InFlight;
use super::placement::{Demand, place_where};
use super::{ClusterView, NodeView};

/// The result of examining a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Good replicas on nodes that are not dead, or that are in maintenance.
    pub live: u32,
    /// How many replicas there can be.
    pub attainable: u32,
    /// Why the block needs further copies, if it does. They may be under way, or impossible.
    pub need: Option<Need>,
    /// The progress of the block towards what it should have.
    pub standing: Standing,
    /// Copies to make now.
    pub copies: Vec<Copy>,
    /// Nodes whose replica is to be deleted: a surplus one, or a bad one that is not needed any more.
    pub drops: Vec<NodeId>,
}

/// The reason for a further copy, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The block has fewer live replicas than it should.
    Repair,
    /// It has enough live replicas, but some are on draining nodes.
    Drain,
    /// It has enough live replicas, but too many of them in one zone.
    Spread,
}

/// The progress of a block towards what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has as many good replicas as there can be, in the right places, and no bad one that is not about to be
    /// dropped.
    Satisfied,
    /// The copies that it lacks are being made, or a bad replica is being deleted to make space for a good one.
    UnderWay,
    /// A copy is possible, but the nodes for it have as many copies under way as they may.
    Deferred,
    /// Nothing is possible until nodes change: there is no source, or no target, or the other replicas are on nodes
    /// that are not reliable. See [`obstacle`](crate::obstacle).
    Stuck,
}

/// A copy to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The node that makes the new replica.
    pub target: NodeId,
    /// The nodes to read from, in the order in which to try them.
    pub sources: Vec<NodeId>,
}

/// Decides what a block needs. The copies that it decides on are counted in `in_flight`.
///
/// * Replicas on dead nodes do not count. Replicas on nodes in maintenance do, even if the node is away; but if there
///   are no others, one more is made.
/// * Replicas on draining nodes count, but do not stay: as many others are made as the block can have. Then those on
///   draining nodes are the first to be dropped.
/// * Never chooses a node twice, or one that has a replica, good or bad.
/// * Never drops a good replica unless `replication` others are on reliable nodes; of surplus ones, never one whose
///   loss would narrow the spread over zones more than another's.
/// * Never drops a bad replica unless a good one is on a reliable node.
/// * A block with its replication but too many replicas in one zone gets a further one in a zone with fewer. Then it
///   has a surplus, and a replica in the crowded zone is dropped.
pub fn examine(view: &ClusterView, block: &BlockView, in_flight: &mut InFlight, rng: &mut StdRng) -> Verdict {
    let census = Census::of(view, block);
    let attainable = view.attainable(block.replication);
    let (lacking, for_drain) = (census.lacking(attainable), census.lacking_to_drain(attainable));
    let mut verdict = Verdict {
        live: census.live,
        attainable,
        need: need(block, &census, attainable),
        standing: Standing::Satisfied,
        copies: Vec::new(),
        drops: Vec::new(),
    };
    if lacking > 0 {
        let asked = lacking.saturating_sub(census.inbound);
        fulfil(view, block, &census, asked, &mut verdict, in_flight, rng);
        return verdict;
    }
    verdict.drops = surplus(block, &census);
    if census.anchored {
        verdict.drops.extend(block.bad());
    } else if block.bad().next().is_some() {
        verdict.standing = Standing::Stuck;
    }
    if for_drain > 0 {
        let asked = for_drain.saturating_sub(census.inbound_staying);
        fulfil(view, block, &census, asked, &mut verdict, in_flight, rng);
    } else if verdict.need == Some(Need::Drain) {
        verdict.standing = Standing::Stuck;
    } else if verdict.drops.is_empty() && verdict.standing == Standing::Satisfied {
        spread(view, block, &census, &mut verdict, in_flight, rng);
    }
    verdict
}

/// Whether a block lacks replicas, or has to leave draining nodes. It tells which worker has to [`examine`] the block,
/// and reads only its replicas; a bad spread over zones is found only by `examine`.
pub fn need_of(view: &ClusterView, block: &BlockView) -> Option<Need> {
    need(block, &Census::of(view, block), view.attainable(block.replication))
}

/// Like [`need_of`], for replicas that are counted already.
pub(crate) fn need(block: &BlockView, census: &Census<'_>, attainable: u32) -> Option<Need> {
    // With enough replicas on other reliable nodes, those on draining nodes are only dropped.
    let goes = census.draining.is_empty() || census.sure.len() >= block.replication as usize;
    match (census.lacking(attainable) > 0, goes) {
        (true, _) => Some(Need::Repair),
        (false, false) => Some(Need::Drain),
        (false, true) => None,
    }
}

/// Plans `asked` copies, if that is possible. If no node can take one, a bad replica is dropped to make space.
fn fulfil(
    view: &ClusterView,
    block: &BlockView,
    census: &Census<'_>,
    asked: u32,
    verdict: &mut Verdict,
    in_flight: &mut InFlight,
    rng: &mut StdRng,
) {
    verdict.standing = Standing::UnderWay;
    if asked == 0 {
        return;
    }
    let targets = Targets::new(view, block, census, asked);
    let sources = sources(view, block, in_flight, rng);
    verdict.copies = targets.order(&sources, in_flight, rng);
    if !verdict.copies.is_empty() {
        return;
    }
    if !sources.is_empty() && targets.exist(rng) {
        verdict.standing = Standing::Deferred;
        return;
    }
    let replaceable =
        |node: &NodeId| view.get(*node).is_some_and(|node| node.is_in_service() && !node.failing);
    let bad: Vec<NodeId> = block.bad().filter(|node| census.anchored && replaceable(node)).collect();
    if bad.is_empty() && (sources.is_empty() || census.inbound == 0) {
        verdict.standing = Standing::Stuck;
    }
    verdict
        .drops
        .extend(bad.iter().filter(|node| !verdict.drops.contains(node)).copied().collect::<Vec<_>>());
}

/// The nodes to read from: those with the least under way first, stale ones after live ones, and bad replicas last. A
/// bad replica may be good after all, and the node that copies verifies what it reads.
pub(crate) fn sources(
    view: &ClusterView,
    block: &BlockView,
    in_flight: &InFlight,
    rng: &mut StdRng,
) -> Vec<NodeId> {
    let there = |holder: &&Holder| view.state(holder.node) != NodeState::Dead;
    let mut sources: Vec<Holder> = block.holders.iter().filter(there).copied().collect();
    sources.shuffle(rng);
    sources.sort_by_key(|holder| {
        (!holder.good, view.state(holder.node) != NodeState::Live, in_flight.load(holder.node))
    });
    sources.into_iter().map(|holder| holder.node).collect()
}

/// The demand for targets of a block's copies.
struct Targets<'a> {
    view: &'a ClusterView,
    bytes: u64,
    copies: u32,
    /// The nodes that will have a replica, which count for their zones.
    holders: Vec<NodeId>,
    barred: Vec<NodeId>,
}

impl<'a> Targets<'a> {
    fn new(view: &'a ClusterView, block: &BlockView, census: &Census<'_>, copies: u32) -> Self {
        let leaves = |node: &NodeView| census.draining.iter().any(|draining| draining.node == node.node);
        let stay = block.good(view).filter(|node| !leaves(node)).map(|node| node.node);
        let holders = stay.chain(block.inbound.iter().copied()).collect();
        Self { view, bytes: block.length, copies, holders, barred: block.barred().collect() }
    }

    fn place(&self, copies: u32, accept: impl Fn(&NodeView) -> bool, rng: &mut StdRng) -> Vec<NodeId> {
        let demand = Demand { bytes: self.bytes, copies, holders: &self.holders, exclude: &self.barred };
        place_where(self.view, &demand, accept, rng)
    }

    /// Whether there is any target, even one with too much under way.
    fn exist(&self, rng: &mut StdRng) -> bool {
        !self.place(1, |_| true, rng).is_empty()
    }

    /// The copies that can be made now. Nodes with too much under way are left out: the block can go to another node,
    /// or wait.
    fn order(&self, sources: &[NodeId], in_flight: &mut InFlight, rng: &mut StdRng) -> Vec<Copy> {
        let Some(source) = sources.first() else { return Vec::new() };
        if !in_flight.fits(*source, self.bytes) {
            return Vec::new();
        }
        let mut copies = Vec::new();
        for target in self.place(self.copies, |node| in_flight.fits(node.node, self.bytes), rng) {
            if !in_flight.fits(*source, self.bytes) {
                break;
            }
            in_flight.add(target, self.bytes);
            in_flight.add(*source, self.bytes);
            copies.push(Copy { target, sources: sources.to_vec() });
        }
        copies
    }
}

/// The nodes whose good replicas are surplus. Once enough replicas are on reliable nodes, these are the ones on
/// draining nodes. Then, of the reliable ones, repeatedly one in a zone with most of them: there the one that a move
/// has replaced, or else the one on the fullest node.
fn surplus(block: &BlockView, census: &Census<'_>) -> Vec<NodeId> {
    let mut kept = census.sure.clone();
    let factor = block.replication as usize;
    if kept.len() < factor {
        return Vec::new();
    }
    let answers = |node: &&&NodeView| node.state == NodeState::Live;
    let mut drops: Vec<NodeId> = census.draining.iter().filter(answers).map(|node| node.node).collect();
    while kept.len() > factor {
        let crowd = |node: &NodeView| kept.iter().filter(|other| other.zone == node.zone).count();
        let leaves = |node: &NodeView| block.leaving.contains(&node.node);
        let more_so = |a: &NodeView, b: &NodeView| {
            let order = crowd(a).cmp(&crowd(b)).then(leaves(a).cmp(&leaves(b)));
            order.then_with(|| a.cmp_fullness(b)) == Ordering::Greater
        };
        let worst = kept.iter().enumerate().reduce(|a, b| if more_so(b.1, a.1) { b } else { a });
        let Some(worst) = worst.map(|(at, _)| at) else { break };
        drops.push(kept.swap_remove(worst).node);
    }
    drops
}

/// Whether a replica on `node` would spread the block better: its zone would still have fewer replicas than the most
/// crowded zone, from which one is then dropped.
fn spreads(block: &BlockView, view: &ClusterView, census: &Census<'_>, node: &NodeView) -> bool {
    let in_zone = |other: &&NodeView| other.zone == node.zone;
    let there = block.good(view).filter(in_zone).count();
    census.sure.iter().any(|a| census.sure.iter().filter(|b| a.zone == b.zone).count() >= there + 2)
}

/// Whether no zone can have two replicas less than another. It separates most blocks from those for which the nodes
/// have to be examined.
fn is_even(view: &ClusterView, block: &BlockView, census: &Census<'_>) -> bool {
    let in_zone = |zone: &NodeView| block.good(view).filter(|other| other.zone == zone.zone).count();
    let most = census.sure.iter().map(|node| in_zone(node)).max().unwrap_or(0);
    let mut zones: Vec<_> = block.good(view).map(|node| &node.zone).collect();
    zones.sort_unstable();
    zones.dedup();
    let fewest =
        if zones.len() < view.index().zones() { 0 } else { block.good(view).map(in_zone).min().unwrap_or(0) };
    fewest + 2 > most
}

/// Plans one copy in another zone, if the block has exactly its replication but is badly spread.
fn spread(
    view: &ClusterView,
    block: &BlockView,
    census: &Census<'_>,
    verdict: &mut Verdict,
    in_flight: &mut InFlight,
    rng: &mut StdRng,
) {
    let exact = census.sure.len() == block.replication as usize;
    if !exact || !block.inbound.is_empty() || view.index().zones() < 2 {
        return;
    }
    if is_even(view, block, census) {
        return;
    }
    let targets = Targets::new(view, block, census, 1);
    let better = |node: &NodeView| !node.suspect && spreads(block, view, census, node);
    let chosen = targets.place(1, |node| better(node) && in_flight.fits(node.node, block.length), rng);
    let sources = sources(view, block, in_flight, rng);
    match (chosen.first(), sources.first()) {
        (Some(target), Some(source)) if in_flight.fits(*source, block.length) => {
            in_flight.add(*target, block.length);
            in_flight.add(*source, block.length);
            verdict.copies = vec![Copy { target: *target, sources }];
            verdict.standing = Standing::UnderWay;
        }
        _ if targets.place(1, better, rng).is_empty() => return,
        _ => verdict.standing = Standing::Deferred,
    }
    verdict.need = Some(Need::Spread);
}
