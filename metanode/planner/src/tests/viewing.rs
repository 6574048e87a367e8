//! The view of the cluster: one that is updated node by node gives the same decisions as a new one, and a decision
//! reads few nodes.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::balance::survey;
use super::super::placement::{Demand, place};
use super::*;

proptest! {
    #[test]
    fn a_view_that_was_kept_up_to_date_decides_like_a_new_one(
        view in any_cluster(12), changes in prop::collection::vec((0..14u128, any_node(0), 0..4u8), 1..20), seed: u64,
    ) {
        let demand = Demand { bytes: 1_000, copies: 3, holders: &[id(3)], exclude: &[id(5)] };
        let mut kept = view;
        for (number, changed, what) in changes {
            // A decision before the change builds the index, so that the change has to update it.
            place(&kept, &demand, &mut StdRng::seed_from_u64(seed));
            match what {
                0 => kept.remove(id(number)),
                1 => kept.reserve(id(number), 10_000),
                _ => kept.set(NodeView { node: id(number), ..changed }),
            }
            let new = ClusterView::new(kept.nodes().to_vec());
            let chosen = |view: &ClusterView| place(view, &demand, &mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(chosen(&kept), chosen(&new));
            let balance = |view: &ClusterView| {
                let balance = survey(view, 100);
                (balance.outside, balance.bytes_to_move, balance.sources, balance.targets)
            };
            prop_assert_eq!(balance(&kept), balance(&new));
        }
    }
}

#[test]
fn placing_among_thousands_of_nodes_looks_at_few_of_them() {
    // Each tenth node is full. Such nodes are drawn rarely, and never chosen.
    let nodes = (0..10_000).map(|number| used(if number % 10 == 0 { CAPACITY } else { 1_000 }, node(number)));
    let view = ClusterView::new(nodes.collect());
    let mut rng = StdRng::seed_from_u64(1);
    let demand = Demand { bytes: 1_000, copies: 3, holders: &[], exclude: &[] };
    for _ in 0..10_000 {
        let chosen = place(&view, &demand, &mut rng);
        assert_eq!(chosen.len(), 3);
        assert!(chosen.iter().all(|node| view.get(*node).is_some_and(|node| node.free_space > 0)));
    }
}
