//! Balancing: which blocks move from full nodes to empty ones.
//!
//! The mean utilisation is the used bytes divided by the capacity, over all nodes that take part: live, in service, not
//! failing, with capacity. A node's *share* is what it would hold at the mean. A node is *outside* when it differs from
//! its share by more than the threshold.
//!
//! Balancing works in rounds. [`survey`] finds the nodes outside, and so whether there is anything to do. In a round
//! blocks move from nodes above their share to nodes below it, if one of the two was outside. A node that was outside
//! goes on until it is well inside (within half of the threshold), so that the next few writes do not start another
//! round.
//!
//! A move never overshoots: after it the target is not fuller than the source, or both are nearer to their shares by
//! half of their distance. The same two nodes therefore never exchange blocks to and fro, and the sum over all nodes of
//! (distance from the share)² / capacity falls with every move, so that balancing ends. If nodes are outside when no
//! move is possible, the blocks are too large to come nearer, or zones forbid it.

use std::collections::HashSet;

use cairn_types::id::NodeId;
use rand::RngExt;
use rand::rngs::StdRng;

use super::block::{BlockView, Census};
use super::budget::InFlight;
use super::examine::{need, sources};
use super::index::balances;
use super::{ClusterView, NodeView};

/// Random draws of a target before all targets are examined.
const DRAWS_MAX: usize = 16;

/// The utilisation of the nodes, and the nodes that can give and take.
#[derive(Clone, Debug, Default)]
pub struct Balance {
    /// Mean utilisation: all used bytes divided by the whole capacity.
    pub mean: f64,
    /// Utilisation of the emptiest node.
    pub lowest: f64,
    /// Utilisation of the fullest node.
    pub highest: f64,
    /// Number of nodes beyond the threshold.
    pub outside: u32,
    /// Bytes that must move at least, to bring all nodes within the threshold.
    pub bytes_to_move: u64,
    /// Nodes that can give, the fullest first; empty if no node is outside the threshold.
    pub sources: Vec<NodeId>,
    /// Nodes that can take, the emptiest first; empty if no node is outside the threshold.
    pub targets: Vec<NodeId>,
    threshold_permille: u32,
    over: HashSet<NodeId>,
    under: HashSet<NodeId>,
    /// How many of the targets, counted from the first, are below the threshold.
    pressing: usize,
    /// Running sums of the bytes that the targets are below their shares.
    lacking: Vec<u128>,
}

/// A move of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The node whose replica is deleted when the new one exists. The caller lists it in [`BlockView::leaving`] until
    /// then.
    pub source: NodeId,
    /// The node that makes the new replica.
    pub target: NodeId,
    /// The nodes to read from, in the order in which to try them.
    pub sources: Vec<NodeId>,
}

/// A node's relation to the mean, in bytes.
#[derive(Clone, Copy, Debug)]
struct Standing {
    used: u64,
    capacity: u64,
    /// The bytes that it would hold at the mean.
    share: u64,
    /// How far it may be from its share.
    band: u64,
}

impl Standing {
    fn above(&self) -> u64 {
        self.used.saturating_sub(self.share)
    }

    fn below(&self) -> u64 {
        self.share.saturating_sub(self.used)
    }

    /// Its distance beyond the threshold, above or below.
    fn beyond(&self) -> u64 {
        self.used.abs_diff(self.share).saturating_sub(self.band)
    }

    /// Whether a node that was outside is now so near to its share that it stops.
    fn rests(&self) -> bool {
        self.used.abs_diff(self.share) <= self.band / 2
    }
}

/// A node's relation to the mean; `None` for a node that takes no part.
fn standing(view: &ClusterView, node: &NodeView, threshold_permille: u32) -> Option<Standing> {
    let total = view.index().total();
    if !balances(node) || total.capacity == 0 {
        return None;
    }
    let small = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
    let share = small(total.used.saturating_mul(u128::from(node.capacity)) / total.capacity);
    let band = small(u128::from(share) * u128::from(threshold_permille) / 1_000);
    Some(Standing { used: node.predicted_used, capacity: node.capacity, share, band })
}

/// Surveys the utilisation of all nodes. `threshold_permille` is how far a node may be from the mean, in thousandths of
/// the mean.
pub fn survey(view: &ClusterView, threshold_permille: u32) -> Balance {
    let mut balance = Balance { threshold_permille, lowest: f64::INFINITY, ..Balance::default() };
    let mut nodes: Vec<(&NodeView, Standing)> = view
        .nodes()
        .iter()
        .filter_map(|node| Some((node, standing(view, node, threshold_permille)?)))
        .collect();
    if nodes.is_empty() {
        return Balance { threshold_permille, ..Balance::default() };
    }
    let total = view.index().total();
    balance.mean = total.used as f64 / total.capacity as f64;
    let (mut too_much, mut too_little) = (0u64, 0u64);
    for (node, standing) in &nodes {
        balance.lowest = balance.lowest.min(node.utilisation());
        balance.highest = balance.highest.max(node.utilisation());
        if standing.beyond() == 0 {
            continue;
        }
        balance.outside += 1;
        if standing.above() > 0 {
            too_much = too_much.saturating_add(standing.beyond());
            balance.over.insert(node.node);
        } else {
            too_little = too_little.saturating_add(standing.beyond());
            balance.under.insert(node.node);
        }
    }
    balance.bytes_to_move = too_much.max(too_little);
    nodes.sort_by(|(a, _), (b, _)| a.cmp_fullness(b));
    let takes = |node: &NodeView| node.takes(1) && !node.suspect;
    for (node, standing) in &nodes {
        let pays = balance.under.contains(&node.node) || !balance.over.is_empty();
        if standing.below() > 0 && pays && takes(node) {
            balance.targets.push(node.node);
            balance.pressing += usize::from(balance.under.contains(&node.node));
            let before = balance.lacking.last().copied().unwrap_or(0);
            balance.lacking.push(before + u128::from(standing.below()));
        }
    }
    for (node, standing) in nodes.iter().rev() {
        let pays = balance.over.contains(&node.node) || !balance.under.is_empty();
        if standing.above() > 0 && pays && !node.suspect {
            balance.sources.push(node.node);
        }
    }
    balance
}

impl Balance {
    /// Whether all nodes are within the threshold.
    pub fn is_even(&self) -> bool {
        self.outside == 0
    }

    /// Whether blocks should still move off `source` in this round.
    pub fn gives(&self, view: &ClusterView, source: NodeId) -> bool {
        let Some(from) = self.standing(view, source).filter(|from| from.above() > 0) else { return false };
        (self.over.contains(&source) && !from.rests())
            || self.under.iter().any(|node| self.lacks(view, *node))
    }

    /// Whether blocks should still move to a node that was below the threshold.
    fn lacks(&self, view: &ClusterView, node: NodeId) -> bool {
        self.standing(view, node).is_some_and(|to| to.below() > 0 && !to.rests())
    }

    fn standing(&self, view: &ClusterView, node: NodeId) -> Option<Standing> {
        standing(view, view.get(node)?, self.threshold_permille)
    }

    /// Chooses a random target that `suits`, weighted by the bytes that it is below its share. Without `any`, only
    /// targets that were below the threshold are considered.
    fn choose(&self, any: bool, suits: impl Fn(NodeId) -> Option<u64>, rng: &mut StdRng) -> Option<NodeId> {
        let among = if any { self.targets.len() } else { self.pressing };
        let targets = self.targets.get(..among)?;
        let lacking = *self.lacking.get(..among)?.last()?;
        if targets.len() > DRAWS_MAX {
            for _ in 0..DRAWS_MAX {
                let point = rng.random_range(0..lacking);
                let drawn = targets.get(self.lacking.partition_point(|sum| *sum <= point));
                if let Some(node) = drawn.filter(|node| suits(**node).is_some()) {
                    return Some(*node);
                }
            }
        }
        let (mut chosen, mut total) = (None, 0);
        for node in targets {
            if let Some(lacks) = suits(*node) {
                total += u128::from(lacks);
                if rng.random_range(0..total) < u128::from(lacks) {
                    chosen = Some(*node);
                }
            }
        }
        chosen
    }
}

/// Decides where a block of `source` can move to, in the round that `balance` began. The move is counted in
/// `in_flight`.
///
/// A block moves only if it has its replication in good replicas on reliable nodes, nothing else is under way with it,
/// and its spread over zones does not get worse.
pub fn plan_move(
    view: &ClusterView,
    balance: &Balance,
    block: &BlockView,
    source: NodeId,
    in_flight: &mut InFlight,
    rng: &mut StdRng,
) -> Option<Move> {
    let from = view.get(source)?;
    let giving = balance.standing(view, source).filter(|standing| standing.above() > 0)?;
    let pressing = balance.over.contains(&source) && !giving.rests();
    let mut pressed = balance.targets.iter().take(balance.pressing);
    // The most frequent obstacle is checked first: the nodes that lack something have as many copies under way as they
    // may.
    let in_vain = !pressing && !pressed.any(|node| in_flight.fits(*node, block.length));
    if in_vain || !is_settled(view, block, source) {
        return None;
    }
    // How many bytes a target is below its share; `None` if it does not suit.
    let suits = |node: NodeId| {
        let to = view.get(node)?;
        let taking = balance.standing(view, node).filter(|standing| standing.below() > 0)?;
        let nearer = brings_nearer(&giving, &taking, block.length);
        let pays = pressing || (balance.under.contains(&node) && !taking.rests());
        let able = to.takes(block.length) && !to.suspect && in_flight.fits(node, block.length);
        let free = block.barred().all(|barred| barred != node);
        (nearer && pays && able && free && keeps_spread(view, block, from, to)).then(|| taking.below())
    };
    let target = balance.choose(pressing, suits, rng)?;
    let sources = sources(view, block, in_flight, rng);
    let first = *sources.first()?;
    if !in_flight.fits(first, block.length) {
        return None;
    }
    in_flight.add(target, block.length);
    in_flight.add(first, block.length);
    Some(Move { source, target, sources })
}

/// Whether a block has exactly its replication, one replica of which is on `source`, and nothing is under way with it.
fn is_settled(view: &ClusterView, block: &BlockView, source: NodeId) -> bool {
    let census = Census::of(view, block);
    // Replicas on dead nodes do not count. If those nodes come back, repair drops what is surplus.
    let counts = |node| view.get(node).is_some_and(NodeView::keeps_replicas);
    let counted = block.holders.iter().filter(|holder| counts(holder.node)).count();
    let exact = census.sure.len() == block.replication as usize && counted == census.sure.len();
    let quiet = block.inbound.is_empty() && block.doomed.is_empty() && block.leaving.is_empty();
    exact
        && quiet
        && census.sure.iter().any(|node| node.node == source)
        && need(block, &census, view.attainable(block.replication)).is_none()
}

/// Whether moving `bytes` does not overshoot, or overshoots by so little that both nodes are nearer to their shares by
/// half.
fn brings_nearer(from: &Standing, to: &Standing, bytes: u64) -> bool {
    let product = |used: u64, capacity: u64| u128::from(used) * u128::from(capacity);
    let (given, taken) = (from.used.saturating_sub(bytes), to.used.saturating_add(bytes));
    let passes = product(taken, from.capacity) > product(given, to.capacity);
    let halves = |off: u64| u128::from(bytes) * 2 <= u128::from(off) * 3;
    !passes || (halves(from.above()) && halves(to.below()))
}

/// Whether the replicas are spread over zones as evenly as before when one moves from `from` to `to`.
fn keeps_spread(view: &ClusterView, block: &BlockView, from: &NodeView, to: &NodeView) -> bool {
    let in_zone = |zone: &NodeView| block.good(view).filter(|node| node.zone == zone.zone).count();
    from.zone == to.zone || in_zone(to) < in_zone(from)
}
