//! An index that makes decisions cheap among thousands of nodes: zones as numbers, nodes in the order of their zones,
//! and sums of weights, so that a node is drawn in logarithmic time.

use std::collections::HashMap;
use std::ops::Range;

use super::NodeView;

/// The index of a view. It names a node by its position in the view, its *place*.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The zone of each place.
    zone: Vec<u32>,
    /// The range of each zone in `order`.
    zones: Vec<Range<usize>>,
    /// All places, zone by zone.
    order: Vec<u32>,
    /// The position of each place in `order`.
    rank: Vec<u32>,
    /// The weights by position in `order`.
    weights: Sums,
    /// The sums of weights by zone.
    zone_weight: Vec<u128>,
    /// The contribution of each place to `total`.
    shares: Vec<Share>,
    total: Total,
}

/// A node's part in the mean utilisation.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    used: u64,
    capacity: u64,
}

/// Used bytes and capacity of all nodes that take part in balancing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) used: u128,
    pub(crate) capacity: u128,
}

/// The weight with which a node is drawn for a block: its predicted free bytes. A node that has none but takes blocks
/// has the least weight. One that takes none, or is suspect, has no weight.
pub(crate) fn weight(node: &NodeView) -> u64 {
    if node.takes(1) && !node.suspect { node.predicted_free().max(1) } else { 0 }
}

/// Whether the node takes part in balancing: it can give blocks, and take some unless it is full.
pub(crate) fn balances(node: &NodeView) -> bool {
    node.is_in_service() && !node.failing && node.capacity > 0
}

impl Share {
    fn of(node: &NodeView) -> Self {
        if balances(node) {
            Self { used: node.predicted_used, capacity: node.capacity }
        } else {
            Self::default()
        }
    }
}

impl Index {
    pub(crate) fn new(nodes: &[NodeView]) -> Self {
        let mut numbers = HashMap::new();
        let mut zone = Vec::with_capacity(nodes.len());
        for node in nodes {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            zone.push(*numbers.entry(node.zone.as_deref()).or_insert(next));
        }
        let mut order: Vec<u32> = (0..nodes.len()).filter_map(|place| u32::try_from(place).ok()).collect();
        order.sort_by_key(|place| zone.get(*place as usize).copied());
        let mut zones = vec![0..0; numbers.len()];
        let mut rank = vec![0; nodes.len()];
        for (at, place) in order.iter().enumerate() {
            let place = *place as usize;
            if let Some(slot) = rank.get_mut(place) {
                *slot = u32::try_from(at).unwrap_or(u32::MAX);
            }
            if let Some(range) = zone.get(place).and_then(|zone| zones.get_mut(*zone as usize)) {
                *range = if range.end == 0 { at..at + 1 } else { range.start..at + 1 };
            }
        }
        let mut index = Self {
            weights: Sums::new(nodes.len()),
            zone_weight: vec![0; zones.len()],
            shares: vec![Share::default(); nodes.len()],
            total: Total::default(),
            zone,
            zones,
            order,
            rank,
        };
        for (place, node) in nodes.iter().enumerate() {
            index.set(place, node);
        }
        index
    }

    /// Updates a node that has changed, but not its zone.
    pub(crate) fn set(&mut self, place: usize, node: &NodeView) {
        let Some(rank) = self.rank.get(place).map(|rank| *rank as usize) else { return };
        let (before, after) = (self.weights.get(rank), weight(node));
        self.weights.set(rank, after);
        let zone = self.zone_of(place).and_then(|zone| self.zone_weight.get_mut(zone as usize));
        if let Some(sum) = zone {
            *sum = *sum - u128::from(before) + u128::from(after);
        }
        if let Some(share) = self.shares.get_mut(place) {
            let (before, after) = (*share, Share::of(node));
            *share = after;
            self.total.used = self.total.used - u128::from(before.used) + u128::from(after.used);
            self.total.capacity =
                self.total.capacity - u128::from(before.capacity) + u128::from(after.capacity);
        }
    }

    pub(crate) fn total(&self) -> Total {
        self.total
    }

    /// The zone of the node at a place.
    pub(crate) fn zone_of(&self, place: usize) -> Option<u32> {
        self.zone.get(place).copied()
    }

    /// The number of zones.
    pub(crate) fn zones(&self) -> usize {
        self.zones.len()
    }

    /// The places of a zone's nodes.
    pub(crate) fn members(&self, zone: usize) -> impl Iterator<Item = usize> + '_ {
        let range = self.zones.get(zone).cloned().unwrap_or_default();
        self.order.get(range).into_iter().flatten().map(|place| *place as usize)
    }

    /// The sum of the weights in a zone.
    pub(crate) fn zone_weight(&self, zone: usize) -> u128 {
        self.zone_weight.get(zone).copied().unwrap_or(0)
    }

    /// The place of the node at which the running sum of a zone's weights exceeds `point`, which must be below the
    /// zone's weight.
    pub(crate) fn at_weight(&self, zone: usize, point: u128) -> Option<usize> {
        let before = self.weights.before(self.zones.get(zone)?.start);
        let rank = self.weights.find(before + point);
        self.order.get(rank).map(|place| *place as usize)
    }
}

/// Numbers with running sums: a Fenwick tree (<https://en.wikipedia.org/wiki/Fenwick_tree>).
#[derive(Clone, Debug)]
struct Sums {
    values: Vec<u64>,
    /// `tree[i]` is the sum of the last values before `i`, as many as the lowest set bit of `i`.
    tree: Vec<u128>,
}

impl Sums {
    fn new(len: usize) -> Self {
        Self { values: vec![0; len], tree: vec![0; len + 1] }
    }

    fn get(&self, at: usize) -> u64 {
        self.values.get(at).copied().unwrap_or(0)
    }

    fn set(&mut self, at: usize, value: u64) {
        let before = self.get(at);
        if let Some(slot) = self.values.get_mut(at) {
            *slot = value;
        }
        let mut i = at + 1;
        while let Some(sum) = self.tree.get_mut(i) {
            *sum = *sum - u128::from(before) + u128::from(value);
            i += i & i.wrapping_neg();
        }
    }

    /// The sum of the values before `at`.
    fn before(&self, at: usize) -> u128 {
        let (mut i, mut sum) = (at, 0);
        while i > 0 {
            sum += self.tree.get(i).copied().unwrap_or(0);
            i &= i - 1;
        }
        sum
    }

    /// The first position at which the running sum exceeds `point`.
    fn find(&self, mut point: u128) -> usize {
        let mut at = 0;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            if let Some(sum) = self.tree.get(at + step).filter(|sum| **sum <= point) {
                point -= sum;
                at += step;
            }
            step /= 2;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_sums_follow_their_values() {
        let mut sums = Sums::new(11);
        let mut values = [0u64; 11];
        for round in 0..50 {
            let at = (round * 7) % 11;
            values[at] = (round as u64 * 13) % 5;
            sums.set(at, values[at]);
            let mut running = 0;
            for (at, value) in values.iter().enumerate() {
                assert_eq!(sums.before(at), running);
                for point in running..running + u128::from(*value) {
                    assert_eq!(sums.find(point), at);
                }
                running += u128::from(*value);
            }
        }
    }
}
