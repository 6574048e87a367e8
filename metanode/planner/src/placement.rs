//! Placement: which nodes get the replicas of a block.

use cairn_types::id::NodeId;
use rand::RngExt;
use rand::rngs::StdRng;

use super::index::{Index, weight};
use super::{ClusterView, NodeView};

/// Random draws that may hit an unsuitable node (it has a replica, or lacks the space for this block) before all nodes
/// are examined.
const DRAWS_MAX: u32 = 16;

/// The demand for nodes.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The block's length, or its upper limit.
    pub bytes: u64,
    /// The number of further replicas.
    pub copies: u32,
    /// The nodes that have a replica, or are about to. They get no other, and count for their zones.
    pub holders: &'a [NodeId],
    /// Nodes that must not get a replica for other reasons.
    pub exclude: &'a [NodeId],
}

/// Chooses different nodes for the replicas: as many as wanted, or as there are.
///
/// Each replica goes to a zone with the fewest replicas so far. Within those zones the choice is random, weighted by
/// predicted free bytes: the emptiest node is the most likely, but a new node does not get everything that is written.
/// Suspect nodes are chosen only if there are not enough others.
///
/// The cost is the number of zones and the logarithm of the number of nodes. Every node of a zone is examined only
/// where most of its nodes cannot take the block.
pub fn place(view: &ClusterView, demand: &Demand<'_>, rng: &mut StdRng) -> Vec<NodeId> {
    place_where(view, demand, |_| true, rng)
}

/// Like [`place`], but only on nodes for which `accept` is true.
pub(crate) fn place_where(
    view: &ClusterView,
    demand: &Demand<'_>,
    accept: impl Fn(&NodeView) -> bool,
    rng: &mut StdRng,
) -> Vec<NodeId> {
    let mut draw = Draw::new(view, demand, accept);
    let mut chosen = Vec::new();
    for _ in 0..demand.copies {
        let Some(place) = draw.trusted(rng).or_else(|| draw.suspect(rng)) else { break };
        if let Some(node) = draw.take(place) {
            chosen.push(node);
        }
    }
    chosen
}

/// The state of a placement.
struct Draw<'a, F> {
    view: &'a ClusterView,
    index: &'a Index,
    bytes: u64,
    accept: F,
    /// The nodes that get no replica, sorted.
    barred: Vec<NodeId>,
    /// Replicas by zone.
    copies: Vec<u32>,
}

impl<'a, F: Fn(&NodeView) -> bool> Draw<'a, F> {
    fn new(view: &'a ClusterView, demand: &Demand<'_>, accept: F) -> Self {
        let index = view.index();
        let mut barred: Vec<NodeId> = demand.holders.iter().chain(demand.exclude).copied().collect();
        barred.sort_unstable();
        let bytes = demand.bytes.max(1);
        let mut draw = Self { view, index, bytes, accept, barred, copies: vec![0; index.zones()] };
        for holder in demand.holders {
            if let Some(place) = view.place_of(*holder) {
                draw.count(place);
            }
        }
        draw
    }

    fn count(&mut self, place: usize) {
        let zone = self.index.zone_of(place).and_then(|zone| self.copies.get_mut(zone as usize));
        if let Some(copies) = zone {
            *copies += 1;
        }
    }

    /// Chooses the node at a place.
    fn take(&mut self, place: usize) -> Option<NodeId> {
        let node = self.view.nodes().get(place)?.node;
        self.count(place);
        let at = self.barred.partition_point(|barred| *barred < node);
        self.barred.insert(at, node);
        Some(node)
    }

    /// The node at a place, if it can get a replica and is `suspect` or not.
    fn eligible(&self, place: usize, suspect: bool) -> Option<&'a NodeView> {
        let node = self.view.nodes().get(place)?;
        let able = node.suspect == suspect && node.takes(self.bytes);
        (able && self.barred.binary_search(&node.node).is_err() && (self.accept)(node)).then_some(node)
    }

    /// The zones that have this number of replicas.
    fn zones(&self, copies: u32) -> impl Iterator<Item = usize> + '_ {
        let zones = self.copies.iter().enumerate();
        zones.filter(move |(_, in_zone)| **in_zone == copies).map(|(zone, _)| zone)
    }

    /// The smallest number of replicas in a zone that is above `above`.
    fn next_level(&self, above: Option<u32>) -> Option<u32> {
        self.copies.iter().copied().filter(|copies| above.is_none_or(|above| *copies > above)).min()
    }

    /// Draws a node that is not suspect, from a zone with as few replicas as possible.
    fn trusted(&self, rng: &mut StdRng) -> Option<usize> {
        let mut level = self.next_level(None);
        while let Some(copies) = level {
            if let Some(place) = self.drawn(copies, rng).or_else(|| self.scanned(copies, false, rng)) {
                return Some(place);
            }
            level = self.next_level(level);
        }
        None
    }

    /// The place of a suspect node, from a zone with as few replicas as possible.
    fn suspect(&self, rng: &mut StdRng) -> Option<usize> {
        let mut level = self.next_level(None);
        while let Some(copies) = level {
            if let Some(place) = self.scanned(copies, true, rng) {
                return Some(place);
            }
            level = self.next_level(level);
        }
        None
    }

    /// Draws nodes by their weights until one is eligible, at most [`DRAWS_MAX`] times.
    fn drawn(&self, copies: u32, rng: &mut StdRng) -> Option<usize> {
        let total: u128 = self.zones(copies).map(|zone| self.index.zone_weight(zone)).sum();
        if total == 0 {
            return None;
        }
        (0..DRAWS_MAX).find_map(|_| {
            let mut point = rng.random_range(0..total);
            let zone = self.zones(copies).find(|zone| {
                let weight = self.index.zone_weight(*zone);
                let here = point < weight;
                if !here {
                    point -= weight;
                }
                here
            })?;
            let place = self.index.at_weight(zone, point)?;
            self.eligible(place, false).map(|_| place)
        })
    }

    /// Examines every node of these zones.
    fn scanned(&self, copies: u32, suspect: bool, rng: &mut StdRng) -> Option<usize> {
        let candidates = || {
            let places = self.zones(copies).flat_map(|zone| self.index.members(zone));
            places.filter_map(|place| Some((place, weight_of(self.eligible(place, suspect)?))))
        };
        let total: u128 = candidates().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut point = rng.random_range(0..total);
        for (place, weight) in candidates() {
            match point.checked_sub(weight) {
                Some(rest) => point = rest,
                None => return Some(place),
            }
        }
        None
    }
}

/// The weight of an eligible node. It is that of the index, which has none for suspect nodes.
fn weight_of(node: &NodeView) -> u128 {
    let weight = if node.suspect { node.predicted_free() } else { weight(node) };
    u128::from(weight.max(1))
}
