//! Placement: replicas go to different live nodes with free space, over as many zones as there can be.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::placement::{Demand, place};
use super::*;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

proptest! {
    #[test]
    fn replicas_go_to_different_live_nodes_with_free_space_and_to_none_that_is_excluded(
        view in any_cluster(12), bytes in 1..CAPACITY, copies in 1..6u32, seed: u64,
        holders in prop::collection::vec(0..12u128, 0..3), excluded in prop::collection::vec(0..12u128, 0..3),
    ) {
        let holders: Vec<_> = holders.into_iter().map(id).collect();
        let exclude: Vec<_> = excluded.into_iter().map(id).collect();
        let demand = Demand { bytes, copies, holders: &holders, exclude: &exclude };
        let chosen = place(&view, &demand, &mut rng(seed));
        let distinct: HashSet<_> = chosen.iter().collect();
        prop_assert_eq!(distinct.len(), chosen.len());
        for node in &chosen {
            let node = view.get(*node).unwrap();
            prop_assert_eq!((node.state, node.admin_state, node.failing), (NodeState::Live, AdminState::InService, false));
            prop_assert!(node.free_space >= bytes);
            prop_assert!(!holders.contains(&node.node) && !exclude.contains(&node.node));
        }
        let possible = view.nodes().iter().filter(|node| {
            node.state == NodeState::Live && node.admin_state == AdminState::InService && !node.failing && node.free_space >= bytes
                && !holders.contains(&node.node) && !exclude.contains(&node.node)
        });
        prop_assert_eq!(chosen.len(), possible.count().min(copies as usize), "as many as there are");
    }

    #[test]
    fn replicas_are_in_as_many_zones_as_there_can_be(
        view in any_cluster(12), copies in 1..6u32, seed: u64,
    ) {
        // Suspicion outweighs zones, so no node is suspect here.
        let view = ClusterView::new(
            view.nodes().iter().cloned().map(|node| NodeView { suspect: false, ..node }).collect(),
        );
        let demand = Demand { bytes: 1_000, copies, holders: &[], exclude: &[] };
        let chosen = place(&view, &demand, &mut rng(seed));
        let able = view.nodes().iter().filter(|node| node.takes(1_000)).map(|node| node.node);
        let zones = zones_of(&view, able).min(copies as usize);
        prop_assert_eq!(zones_of(&view, chosen), zones);
    }

    #[test]
    fn the_same_seed_gives_the_same_placement(view in any_cluster(12), copies in 1..6u32, seed: u64) {
        let demand = Demand { bytes: 1_000, copies, holders: &[], exclude: &[] };
        prop_assert_eq!(place(&view, &demand, &mut rng(seed)), place(&view, &demand, &mut rng(seed)));
    }
}

#[test]
fn a_further_copy_goes_to_a_zone_that_has_none() {
    let view = ClusterView::new(vec![in_zone("a", node(1)), in_zone("a", node(2)), in_zone("b", node(3))]);
    for seed in 0..50 {
        let demand = Demand { bytes: 1, copies: 1, holders: &[id(1)], exclude: &[] };
        assert_eq!(place(&view, &demand, &mut rng(seed)), [id(3)]);
    }
}

#[test]
fn suspect_nodes_are_taken_only_when_there_are_not_enough_others() {
    let suspect = NodeView { suspect: true, ..node(3) };
    let view = ClusterView::new(vec![node(1), node(2), suspect]);
    for seed in 0..50 {
        let two = Demand { bytes: 1, copies: 2, holders: &[], exclude: &[] };
        assert!(!place(&view, &two, &mut rng(seed)).contains(&id(3)));
        let three = Demand { copies: 3, ..two };
        assert_eq!(place(&view, &three, &mut rng(seed)).len(), 3);
    }
}

#[test]
fn a_node_that_just_came_gets_its_share_of_free_bytes_and_not_everything() {
    // Nine nodes with a tenth free, and an empty one, which has 10 of 19 parts of the free bytes.
    let full = (1..10).map(|number| used(CAPACITY / 10 * 9, node(number)));
    let view = ClusterView::new(full.chain([used(0, node(10))]).collect());
    let mut rng = rng(7);
    let demand = Demand { bytes: 1, copies: 1, holders: &[], exclude: &[] };
    let hits = (0..10_000).filter(|_| place(&view, &demand, &mut rng) == [id(10)]).count();
    // 10,000 · 10/19 = 5,263; six standard deviations are 300.
    assert!((4_963..5_563).contains(&hits), "{hits}");
}

#[test]
fn a_block_fits_into_one_volume_or_not_at_all() {
    let split = NodeView { largest_volume: 400, ..node(1) };
    let view = ClusterView::new(vec![split]);
    let demand = |bytes| Demand { bytes, copies: 1, holders: &[], exclude: &[] };
    assert_eq!(place(&view, &demand(400), &mut rng(1)), [id(1)]);
    assert!(place(&view, &demand(401), &mut rng(1)).is_empty());
}

#[test]
fn a_batch_of_grants_sees_what_it_has_granted() {
    let mut view = ClusterView::new(vec![used(CAPACITY - 1_000, node(1))]);
    let demand = Demand { bytes: 600, copies: 1, holders: &[], exclude: &[] };
    assert_eq!(place(&view, &demand, &mut rng(1)), [id(1)]);
    view.reserve(id(1), 600);
    assert!(place(&view, &demand, &mut rng(1)).is_empty());
}
