//! The spread over zones, and which surplus replica is dropped.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::block::{BlockView, Holder};
use super::super::budget::InFlight;
use super::super::examine::{Need, Standing, Verdict, examine};
use super::*;

fn block(replication: u32, holders: impl IntoIterator<Item = u128>) -> BlockView {
    let holders = holders.into_iter().map(|number| Holder { node: id(number), good: true }).collect();
    BlockView { length: 1_000, replication, holders, ..BlockView::default() }
}

fn verdict(view: &ClusterView, block: &BlockView) -> Verdict {
    examine(view, block, &mut InFlight::new(u64::MAX), &mut StdRng::seed_from_u64(1))
}

/// Nodes numbered from 1, each in the zone that its letter names.
fn zones(letters: &str) -> ClusterView {
    let nodes = letters.chars().zip(1..).map(|(zone, number)| in_zone(&zone.to_string(), node(number)));
    ClusterView::new(nodes.collect())
}

#[test]
fn a_crowd_in_one_zone_is_mended_by_copying_and_then_dropping() {
    let view = zones("aaab");
    let before = verdict(&view, &block(3, 1..4));
    assert_eq!((before.need, before.standing), (Some(Need::Spread), Standing::UnderWay));
    assert_eq!(before.copies.iter().map(|copy| copy.target).collect::<Vec<_>>(), [id(4)]);
    assert!(before.drops.is_empty(), "nothing goes before the other has come");
    let after = verdict(&view, &block(3, 1..5));
    assert_eq!((after.need, after.drops.len()), (None, 1));
    assert!(after.drops[0] != id(4));
    let mended = verdict(&view, &block(3, [1, 2, 4]));
    assert_eq!((mended.need, mended.standing, mended.copies.len()), (None, Standing::Satisfied, 0));
}

#[test]
fn a_spread_that_no_node_can_better_is_left_as_it_is() {
    let full = |view: ClusterView| {
        ClusterView::new(
            view.nodes()
                .iter()
                .cloned()
                .map(|n| if n.node == id(4) { used(CAPACITY, n) } else { n })
                .collect(),
        )
    };
    let suspect = |view: ClusterView| {
        ClusterView::new(
            view.nodes().iter().cloned().map(|n| NodeView { suspect: n.node == id(4), ..n }).collect(),
        )
    };
    for view in [zones("aaa"), zones("aaaa"), full(zones("aaab")), suspect(zones("aaab"))] {
        let verdict = verdict(&view, &block(3, 1..4));
        assert_eq!((verdict.need, verdict.standing, verdict.copies.len()), (None, Standing::Satisfied, 0));
    }
}

#[test]
fn four_copies_in_two_zones_are_two_and_two() {
    let view = zones("aaabb");
    assert_eq!(verdict(&view, &block(4, 1..5)).copies[0].target, id(5));
    assert_eq!(verdict(&view, &block(4, [1, 2, 4, 5])).need, None);
}

#[test]
fn a_spread_waits_while_its_nodes_are_busy() {
    let mut in_flight = InFlight::new(1_000);
    in_flight.add(id(4), 1_000);
    let verdict = examine(&zones("aaab"), &block(3, 1..4), &mut in_flight, &mut StdRng::seed_from_u64(1));
    assert_eq!((verdict.need, verdict.standing), (Some(Need::Spread), Standing::Deferred));
    assert!(verdict.copies.is_empty());
}

#[test]
fn after_a_move_the_copy_on_its_source_goes_though_others_are_on_fuller_nodes() {
    let view = ClusterView::new(
        (1..5).map(|number| used(u64::try_from(number).unwrap() * 1_000, node(number))).collect(),
    );
    let moved = BlockView { leaving: vec![id(2)], ..block(3, 1..5) };
    assert_eq!(verdict(&view, &moved).drops, [id(2)]);
    assert_eq!(verdict(&view, &block(3, 1..5)).drops, [id(4)]);
}

#[test]
fn the_source_of_a_move_keeps_its_copy_if_it_is_the_only_one_in_its_zone() {
    let moved = BlockView { leaving: vec![id(4)], ..block(3, 1..5) };
    let drops = verdict(&zones("aaab"), &moved).drops;
    assert!(drops.len() == 1 && drops[0] != id(4));
}

#[test]
fn a_replica_that_a_move_replaces_stays_until_the_copy_is_made() {
    let view = ClusterView::new((1..5).map(node).collect());
    let moving = BlockView { leaving: vec![id(2)], inbound: vec![id(4)], ..block(3, 1..4) };
    let verdict = verdict(&view, &moving);
    assert_eq!((verdict.standing, verdict.drops.len(), verdict.copies.len()), (Standing::Satisfied, 0, 0));
}
