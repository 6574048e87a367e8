//! Draining nodes, and nodes in maintenance.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::block::{BlockView, Holder};
use super::super::budget::InFlight;
use super::super::examine::{Need, Standing, Verdict, examine, need_of};
use super::super::obstacle::{NoTarget, Obstacle, obstacle};
use super::super::stopping::{Risk, risk};
use super::*;

fn draining(node: NodeView) -> NodeView {
    NodeView { admin_state: AdminState::Draining, ..node }
}

fn in_maintenance(node: NodeView) -> NodeView {
    NodeView { admin_state: AdminState::Maintenance { until: Timestamp(1) }, ..node }
}

fn in_state(state: NodeState, node: NodeView) -> NodeView {
    NodeView { state, ..node }
}

fn cluster(nodes: impl IntoIterator<Item = NodeView>) -> ClusterView {
    ClusterView::new(nodes.into_iter().collect())
}

fn block(replication: u32, holders: impl IntoIterator<Item = u128>) -> BlockView {
    let holders = holders.into_iter().map(|number| Holder { node: id(number), good: true }).collect();
    BlockView { length: 1_000, replication, holders, ..BlockView::default() }
}

fn verdict(view: &ClusterView, block: &BlockView) -> Verdict {
    examine(view, block, &mut InFlight::new(u64::MAX), &mut StdRng::seed_from_u64(1))
}

fn targets(verdict: &Verdict) -> Vec<NodeId> {
    verdict.copies.iter().map(|copy| copy.target).collect()
}

fn no_target(view: &ClusterView, block: &BlockView) -> NoTarget {
    match obstacle(view, block, &InFlight::new(u64::MAX)) {
        Some(Obstacle::NoTarget(reasons)) => reasons,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_block_leaves_a_draining_node_only_after_it_has_its_factor_elsewhere() {
    let view = cluster([draining(node(1)), node(2), node(3), node(4)]);
    let before = verdict(&view, &block(3, 1..4));
    assert_eq!((before.live, before.need, before.standing), (3, Some(Need::Drain), Standing::UnderWay));
    assert_eq!((targets(&before), before.drops), (vec![id(4)], vec![]));
    assert!(before.copies[0].sources.contains(&id(1)), "a draining node is a good source");
    let coming = verdict(&view, &BlockView { inbound: vec![id(4)], ..block(3, 1..4) });
    assert_eq!((coming.need, coming.standing), (Some(Need::Drain), Standing::UnderWay));
    assert_eq!((targets(&coming), coming.drops), (vec![], vec![]));
    let after = verdict(&view, &block(3, 1..5));
    assert_eq!((after.need, after.standing, after.drops), (None, Standing::Satisfied, vec![id(1)]));
}

#[test]
fn a_drain_without_another_node_is_stuck_and_lowers_nothing() {
    let view = cluster([draining(node(1)), node(2), node(3)]);
    let verdict = verdict(&view, &block(3, 1..4));
    assert_eq!((verdict.attainable, verdict.standing, verdict.drops), (3, Standing::Stuck, vec![]));
    assert_eq!(no_target(&view, &block(3, 1..4)), NoTarget { holding: 3, ..NoTarget::default() });
}

#[test]
fn lost_copies_are_more_urgent_than_draining_ones() {
    let view = cluster((1..6).map(|number| match number {
        1 => draining(node(1)),
        2 => in_state(NodeState::Dead, node(2)),
        _ => node(number),
    }));
    let block = block(3, 1..4);
    assert_eq!(need_of(&view, &block), Some(Need::Repair));
    let verdict = verdict(&view, &block);
    assert_eq!((verdict.live, verdict.copies.len()), (2, 1));
}

#[test]
fn a_draining_copy_stays_while_those_elsewhere_are_unsure() {
    let unsure =
        [in_state(NodeState::Stale, node(4)), NodeView { suspect: true, ..node(4) }, in_maintenance(node(4))];
    for unsure in unsure {
        let view = cluster([draining(node(1)), node(2), node(3), unsure]);
        let verdict = verdict(&view, &block(3, 1..5));
        assert_eq!((verdict.need, verdict.standing), (Some(Need::Drain), Standing::Stuck));
        assert!(verdict.drops.is_empty() && verdict.copies.is_empty());
        let why = obstacle(&view, &block(3, 1..5), &InFlight::new(u64::MAX));
        assert_eq!(why, Some(Obstacle::Unsure));
    }
}

#[test]
fn several_draining_nodes_are_emptied_at_once() {
    let view = cluster((1..8).map(|number| if number < 4 { draining(node(number)) } else { node(number) }));
    let before = verdict(&view, &block(3, 1..4));
    assert_eq!((before.copies.len(), before.drops.len()), (3, 0));
    let after = verdict(&view, &block(3, 1..7));
    assert_eq!(after.drops, [id(1), id(2), id(3)]);
}

#[test]
fn a_stale_node_in_maintenance_is_not_repaired_as_long_as_another_replica_lives() {
    for state in [NodeState::Live, NodeState::Stale, NodeState::Dead] {
        let absent = in_maintenance(in_state(state, node(1)));
        let view = cluster([absent, node(2), node(3), node(4)]);
        let verdict = verdict(&view, &block(3, 1..4));
        assert_eq!((verdict.live, verdict.need, verdict.standing), (3, None, Standing::Satisfied));
        assert!(verdict.copies.is_empty() && verdict.drops.is_empty());
    }
}

#[test]
fn one_more_copy_is_made_when_all_are_on_nodes_in_maintenance() {
    let view = cluster([in_maintenance(node(1)), in_maintenance(node(2)), node(3), node(4)]);
    let before = verdict(&view, &block(2, [1, 2]));
    assert_eq!((before.need, before.copies.len()), (Some(Need::Repair), 1));
    let coming = verdict(&view, &BlockView { inbound: vec![id(3)], ..block(2, [1, 2]) });
    assert_eq!((coming.standing, coming.copies.len()), (Standing::UnderWay, 0));
    let after = verdict(&view, &block(2, [1, 2, 3]));
    assert_eq!((after.need, after.copies.len(), after.drops.len()), (None, 0, 0));
    // Back from maintenance, they make it one too many.
    let back = cluster((1..5).map(node));
    assert_eq!(verdict(&back, &block(2, [1, 2, 3])).drops.len(), 1);
}

#[test]
fn a_block_on_dead_nodes_in_maintenance_has_no_source() {
    let away = |number| in_maintenance(in_state(NodeState::Dead, node(number)));
    let view = cluster([away(1), node(2)]);
    assert_eq!(verdict(&view, &block(1, [1])).standing, Standing::Stuck);
    let why = obstacle(&view, &block(1, [1]), &InFlight::new(u64::MAX));
    assert_eq!(why, Some(Obstacle::NoSource));
}

#[test]
fn an_obstacle_counts_the_nodes_by_reason() {
    let view = cluster([
        node(1),
        node(2),
        in_state(NodeState::Dead, node(3)),
        draining(node(4)),
        in_maintenance(node(5)),
        in_state(NodeState::Stale, node(6)),
        NodeView { failing: true, ..node(7) },
        used(CAPACITY, node(8)),
        node(9),
        node(10),
    ]);
    let mut lacking = BlockView { doomed: vec![id(9)], inbound: vec![id(10)], ..block(5, [1]) };
    lacking.holders.push(Holder { node: id(2), good: false });
    let expected = NoTarget {
        holding: 2,
        holding_bad: 1,
        deleting: 1,
        dead: 1,
        draining: 1,
        maintenance: 1,
        stale: 1,
        failing: 1,
        full: 1,
    };
    assert_eq!(no_target(&view, &lacking), expected);
    let mut in_flight = InFlight::new(1);
    in_flight.add(id(3), 1);
    assert_eq!(obstacle(&cluster((1..4).map(node)), &block(3, [1, 2]), &in_flight), Some(Obstacle::Busy));
    assert_eq!(obstacle(&cluster((1..4).map(node)), &block(2, [1, 2]), &in_flight), None);
}

#[test]
fn stopping_nodes_is_a_risk_when_fewer_than_two_replicas_remain() {
    let view = cluster([node(1), node(2), in_maintenance(node(3)), node(4)]);
    assert_eq!(risk(&view, &block(3, [1, 2, 4]), &[id(1)]), Risk::None);
    assert_eq!(risk(&view, &block(3, [1, 2, 3]), &[id(1)]), Risk::AtRisk);
    assert_eq!(risk(&view, &block(3, [1, 2, 3]), &[id(1), id(2)]), Risk::Unreadable);
    assert_eq!(risk(&view, &block(1, [1]), &[id(2)]), Risk::None);
    assert_eq!(risk(&view, &block(1, [1]), &[id(1)]), Risk::Unreadable);
}
