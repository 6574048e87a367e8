//! Balancing: every move lowers unevenness, no zone gets more replicas than necessary, and it ends.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::super::balance::{Balance, Move, plan_move, survey};
use super::super::block::{BlockView, Holder};
use super::super::budget::InFlight;
use super::*;

const THRESHOLD: u32 = 100;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn block(length: u64, holders: impl IntoIterator<Item = u128>) -> BlockView {
    let holders: Vec<_> = holders.into_iter().map(|number| Holder { node: id(number), good: true }).collect();
    let replication = u32::try_from(holders.len()).unwrap();
    BlockView { length, replication, holders, ..BlockView::default() }
}

fn planned(view: &ClusterView, block: &BlockView, source: u128) -> Option<Move> {
    let balance = survey(view, THRESHOLD);
    plan_move(view, &balance, block, id(source), &mut InFlight::new(u64::MAX), &mut rng(1))
}

/// A cluster and its blocks. The utilisation of the nodes follows from the blocks.
#[derive(Debug)]
struct Store {
    nodes: HashMap<NodeId, NodeView>,
    blocks: Vec<BlockView>,
}

impl Store {
    fn view(&self) -> ClusterView {
        let nodes = self.nodes.values().map(|node| {
            let held = |block: &&BlockView| block.holders.iter().any(|holder| holder.node == node.node);
            let bytes: u64 = self.blocks.iter().filter(held).map(|block| block.length).sum();
            let free = node.capacity.saturating_sub(bytes);
            NodeView { predicted_used: bytes, free_space: free, largest_volume: free, ..node.clone() }
        });
        ClusterView::new(nodes.collect())
    }

    /// Plans and carries out a round, move by move. Returns the bytes that moved.
    fn round(&mut self, balance: &Balance, rng: &mut StdRng) -> u64 {
        let mut moved = 0;
        for source in &balance.sources {
            let mut order: Vec<usize> = (0..self.blocks.len()).collect();
            order.shuffle(rng);
            for at in order {
                let view = self.view();
                if !balance.gives(&view, *source) {
                    break;
                }
                let block = &self.blocks[at];
                let mut in_flight = InFlight::new(u64::MAX);
                let Some(planned) = plan_move(&view, balance, block, *source, &mut in_flight, rng) else {
                    continue;
                };
                moved += block.length;
                let holder = self.blocks[at].holders.iter_mut().find(|holder| holder.node == planned.source);
                holder.unwrap().node = planned.target;
            }
        }
        moved
    }
}

/// The sum of (distance from the share)² / capacity.
fn unevenness(view: &ClusterView) -> f64 {
    let used: u64 = view.nodes().iter().map(|node| node.predicted_used).sum();
    let capacity: u64 = view.nodes().iter().map(|node| node.capacity).sum();
    let mean = used as f64 / capacity as f64;
    view.nodes().iter().map(|node| (node.utilisation() - mean).powi(2) * node.capacity as f64).sum()
}

fn any_store() -> impl Strategy<Value = Store> {
    let sizes = (1..20_000u64, prop::collection::hash_set(0..6u128, 1..3));
    (prop::collection::vec((CAPACITY / 2..CAPACITY * 2, 0..3u8), 6), prop::collection::vec(sizes, 1..40))
        .prop_map(|(nodes, blocks)| {
            let nodes = nodes.into_iter().enumerate().map(|(number, (capacity, zone))| {
                let node = NodeView { capacity, ..in_zone(&format!("zone-{zone}"), node(number as u128)) };
                (node.node, node)
            });
            let blocks = blocks.into_iter().map(|(length, holders)| block(length, holders));
            Store { nodes: nodes.collect(), blocks: blocks.collect() }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn balancing_comes_to_rest_and_every_round_makes_utilisation_more_even(mut store in any_store(), seed: u64) {
        let mut rng = rng(seed);
        for _ in 0..100 {
            let view = store.view();
            let before = unevenness(&view);
            let balance = survey(&view, THRESHOLD);
            if store.round(&balance, &mut rng) == 0 {
                prop_assert!(balance.is_even() || !balance.sources.is_empty() || !balance.targets.is_empty());
                return Ok(());
            }
            prop_assert!(!balance.is_even());
            prop_assert!(unevenness(&store.view()) < before);
        }
        prop_assert!(false, "no rest after 100 rounds");
    }

    #[test]
    fn a_move_goes_from_above_the_mean_to_below_it_and_not_to_a_holder(
        view in any_cluster(12), holders in prop::collection::hash_set(0..12u128, 1..4), seed: u64,
    ) {
        let balance = survey(&view, THRESHOLD);
        let block = block(1_000, holders.iter().copied());
        for source in holders {
            let mut in_flight = InFlight::new(u64::MAX);
            let planned = plan_move(&view, &balance, &block, id(source), &mut in_flight, &mut rng(seed));
            let Some(Move { source, target, sources }) = planned else { continue };
            let (from, to) = (view.get(source).unwrap(), view.get(target).unwrap());
            prop_assert!(from.utilisation() > balance.mean && to.utilisation() < balance.mean);
            prop_assert!(to.takes(1_000) && !to.suspect);
            let held: HashSet<_> = block.holders.iter().map(|holder| holder.node).collect();
            prop_assert!(!held.contains(&target) && held.contains(&source));
            prop_assert!(!sources.is_empty() && sources.iter().all(|node| held.contains(node)));
            let before = zones_of(&view, held.iter().copied());
            let after = held.iter().copied().filter(|node| *node != source).chain([target]);
            prop_assert!(zones_of(&view, after) >= before);
        }
    }
}

#[test]
fn nodes_within_the_threshold_are_left_alone() {
    let view = ClusterView::new(vec![used(550_000, node(1)), used(450_000, node(2)), used(500_000, node(3))]);
    let balance = survey(&view, THRESHOLD);
    assert!(balance.is_even() && balance.sources.is_empty() && balance.targets.is_empty());
    assert_eq!((balance.mean, balance.lowest, balance.highest), (0.5, 0.45, 0.55));
    assert_eq!(planned(&view, &block(1_000, [1]), 1), None);
}

#[test]
fn a_survey_counts_the_bytes_that_have_to_move() {
    // The mean is one half; a tenth of it is 50,000 bytes.
    let view = ClusterView::new(vec![used(800_000, node(1)), used(360_000, node(2)), used(340_000, node(3))]);
    let balance = survey(&view, THRESHOLD);
    assert_eq!((balance.outside, balance.bytes_to_move), (3, 250_000));
    assert_eq!(balance.sources, [id(1)]);
    assert_eq!(balance.targets, [id(3), id(2)]);
}

#[test]
fn a_source_gives_until_it_is_well_inside_and_then_rests() {
    let at = |bytes: u64| {
        ClusterView::new(vec![used(bytes, node(1)), used(500_000, node(2)), used(1_000_000 - bytes, node(3))])
    };
    let balance = survey(&at(600_000), THRESHOLD);
    assert!(balance.gives(&at(560_000), id(1)), "outside");
    assert!(balance.gives(&at(526_000), id(1)), "inside, but not well");
    assert!(!balance.gives(&at(525_000), id(1)));
    assert!(survey(&at(526_000), THRESHOLD).is_even(), "a new round would not begin for it");
}

#[test]
fn a_move_does_not_overshoot() {
    let view = ClusterView::new(vec![used(600_000, node(1)), used(400_000, node(2))]);
    assert!(planned(&view, &block(100_000, [1]), 1).is_some());
    // Both are nearer by half, though the target is then the fuller one.
    assert!(planned(&view, &block(150_000, [1]), 1).is_some());
    assert_eq!(planned(&view, &block(150_001, [1]), 1), None);
}

#[test]
fn an_empty_node_among_even_ones_is_filled() {
    let view = ClusterView::new(
        (0..10).map(|number| used(if number == 0 { 0 } else { 500_000 }, node(number))).collect(),
    );
    let balance = survey(&view, THRESHOLD);
    assert_eq!((balance.sources.len(), balance.targets.clone()), (9, vec![id(0)]));
    assert_eq!(planned(&view, &block(1_000, [3]), 3).unwrap().target, id(0));
}

#[test]
fn a_block_that_is_not_at_its_best_is_not_moved() {
    let view = ClusterView::new(vec![
        used(900_000, node(1)),
        used(500_000, node(2)),
        used(100_000, node(3)),
        used(500_000, node(4)),
    ]);
    let whole = block(1_000, [1, 2]);
    assert!(planned(&view, &whole, 1).is_some());
    assert_eq!(planned(&view, &BlockView { replication: 3, ..whole.clone() }, 1), None);
    assert_eq!(planned(&view, &BlockView { inbound: vec![id(4)], ..whole.clone() }, 1), None);
    assert_eq!(planned(&view, &BlockView { doomed: vec![id(4)], ..whole.clone() }, 1), None);
    assert_eq!(planned(&view, &BlockView { leaving: vec![id(1)], ..whole.clone() }, 1), None);
    let mut bad = whole.clone();
    bad.holders.push(Holder { node: id(4), good: false });
    assert_eq!(planned(&view, &bad, 1), None);
    assert_eq!(planned(&view, &whole, 4), None, "not a holder");
}

#[test]
fn failing_and_suspect_nodes_get_no_moves() {
    let with =
        |third: NodeView| ClusterView::new(vec![used(900_000, node(1)), used(500_000, node(2)), third]);
    assert!(planned(&with(used(100_000, node(3))), &block(1_000, [1, 2]), 1).is_some());
    let unfit = [
        NodeView { failing: true, ..used(100_000, node(3)) },
        NodeView { suspect: true, ..used(100_000, node(3)) },
        NodeView { admin_state: AdminState::Draining, ..used(100_000, node(3)) },
        NodeView { state: NodeState::Stale, ..used(100_000, node(3)) },
    ];
    for third in unfit {
        assert_eq!(planned(&with(third), &block(1_000, [1, 2]), 1), None);
    }
}

#[test]
fn a_move_does_not_crowd_a_zone() {
    let view = ClusterView::new(vec![
        in_zone("a", used(900_000, node(1))),
        in_zone("b", used(500_000, node(2))),
        in_zone("b", used(100_000, node(3))),
    ]);
    assert_eq!(planned(&view, &block(1_000, [1, 2]), 1), None);
    assert!(planned(&view, &block(1_000, [1]), 1).is_some());
}
