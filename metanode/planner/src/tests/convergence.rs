//! Random histories of failures, with the planner's decisions carried out between them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::block::{BlockView, Holder};
use super::super::budget::InFlight;
use super::super::examine::{Standing, examine};
use super::super::placement::{Demand, place};
use super::*;

const NODES: u128 = 8;
const LENGTH: u64 = 100;

fn cluster(states: &[NodeState]) -> ClusterView {
    let nodes = states.iter().enumerate().map(|(number, state)| {
        let zone = if number % 2 == 0 { "even" } else { "odd" };
        NodeView { state: *state, ..in_zone(zone, node(number as u128)) }
    });
    ClusterView::new(nodes.collect())
}

/// Carries out the planner's decisions until there are none; each copy fails with some probability.
fn settle(view: &ClusterView, block: &mut BlockView, rng: &mut StdRng) -> Standing {
    for _ in 0..100 {
        let verdict = examine(view, block, &mut InFlight::new(u64::MAX), rng);
        block.holders.retain(|holder| !verdict.drops.contains(&holder.node));
        for copy in &verdict.copies {
            if rng.random_bool(0.8) {
                block.holders.push(Holder { node: copy.target, good: true });
            }
        }
        if verdict.copies.is_empty() && verdict.drops.is_empty() {
            return verdict.standing;
        }
    }
    panic!("the planner does not come to rest: {block:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_history_with_enough_live_nodes_ends_in_every_block_at_its_factor(seed: u64, steps in 1..30usize) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut states = vec![NodeState::Live; NODES as usize];
        let demand = Demand { bytes: LENGTH, copies: 3, holders: &[], exclude: &[] };
        let first = place(&cluster(&states), &demand, &mut rng);
        let mut block = BlockView {
            length: LENGTH,
            replication: 3,
            holders: first.into_iter().map(|node| Holder { node, good: true }).collect(),
            ..BlockView::default()
        };
        for _ in 0..steps {
            let victim = rng.random_range(0..states.len());
            states[victim] = match rng.random_range(0..3) {
                0 => NodeState::Live,
                1 => NodeState::Stale,
                _ => NodeState::Dead,
            };
            // At most one replica at a time becomes bad, and only if the block has another good one.
            let view = cluster(&states);
            let live = |holder: &Holder| holder.good && view.state(holder.node) == NodeState::Live;
            if block.holders.iter().filter(|holder| live(holder)).count() > 1 && rng.random_bool(0.3) {
                let index = rng.random_range(0..block.holders.len());
                block.holders[index].good = false;
            }
            settle(&view, &mut block, &mut rng);
            prop_assert!(block.holders.iter().any(|holder| holder.good), "a good copy survives everything");
        }
        let view = cluster(&[NodeState::Live; NODES as usize]);
        prop_assert_eq!(settle(&view, &mut block, &mut rng), Standing::Satisfied);
        prop_assert_eq!(block.holders.len(), 3);
        prop_assert!(block.holders.iter().all(|holder| holder.good));
        let nodes: HashSet<_> = block.holders.iter().map(|holder| holder.node).collect();
        prop_assert_eq!(nodes.len(), 3);
    }
}
