//! Examining a block: its needs follow from its replicas and the states of their nodes, and no decision lowers it below
//! its replication.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::block::{BlockView, Holder};
use super::super::budget::InFlight;
use super::super::examine::{Need, Standing, Verdict, examine};
use super::*;

const UNLIMITED: u64 = u64::MAX;

fn good(number: u128) -> Holder {
    Holder { node: id(number), good: true }
}

fn bad(number: u128) -> Holder {
    Holder { node: id(number), good: false }
}

fn block(replication: u32, holders: Vec<Holder>) -> BlockView {
    BlockView { length: 1_000, replication, holders, ..BlockView::default() }
}

fn verdict(view: &ClusterView, block: &BlockView, seed: u64) -> Verdict {
    examine(view, block, &mut InFlight::new(UNLIMITED), &mut StdRng::seed_from_u64(seed))
}

fn dead(node: NodeView) -> NodeView {
    NodeView { state: NodeState::Dead, ..node }
}

fn any_block() -> impl Strategy<Value = BlockView> {
    let some_nodes = |max| prop::collection::hash_set(0..12u128, 0..max);
    (
        1..5u32,
        prop::collection::hash_map(0..12u128, prop::bool::weighted(0.8), 0..7),
        some_nodes(3),
        some_nodes(3),
    )
        .prop_map(|(replication, holders, inbound, doomed)| {
            let free = |nodes: HashSet<u128>| {
                nodes.into_iter().filter(|node| !holders.contains_key(node)).map(id).collect::<Vec<_>>()
            };
            BlockView {
                length: 1_000,
                replication,
                inbound: free(inbound),
                doomed: free(doomed),
                leaving: Vec::new(),
                holders: holders.iter().map(|(node, good)| Holder { node: id(*node), good: *good }).collect(),
            }
        })
}

/// Good replicas on reliable nodes.
fn sure(view: &ClusterView, block: &BlockView) -> Vec<NodeId> {
    let alive = |node| {
        view.get(node).is_some_and(|node| {
            node.state == NodeState::Live && node.admin_state == AdminState::InService && !node.suspect
        })
    };
    block
        .holders
        .iter()
        .filter(|holder| holder.good && alive(holder.node))
        .map(|holder| holder.node)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_new_copy_goes_to_a_live_node_with_room_that_has_none_and_expects_none(
        view in any_cluster(12), block in any_block(), seed: u64,
    ) {
        let verdict = verdict(&view, &block, seed);
        let mut targets = HashSet::new();
        for copy in &verdict.copies {
            prop_assert!(targets.insert(copy.target), "twice to {:?}", copy.target);
            let target = view.get(copy.target).unwrap();
            prop_assert!(target.takes(block.length));
            prop_assert!(block.holders.iter().all(|holder| holder.node != copy.target));
            prop_assert!(!block.inbound.contains(&copy.target) && !block.doomed.contains(&copy.target));
            prop_assert!(!copy.sources.is_empty());
            for source in &copy.sources {
                prop_assert!(block.holders.iter().any(|holder| holder.node == *source));
                prop_assert!(view.state(*source) != NodeState::Dead);
            }
        }
        let staying = block.holders.iter().filter(|holder| holder.good).filter_map(|holder| view.get(holder.node));
        let staying = staying.filter(|node| node.keeps_replicas() && node.admin_state != AdminState::Draining).count();
        let (copies, factor) = (verdict.copies.len(), block.replication as usize);
        match verdict.need {
            // There may be one more than the replication if all replicas are on nodes in maintenance.
            Some(Need::Repair) => prop_assert!(copies <= 1 || verdict.live as usize + copies <= factor),
            Some(Need::Drain) => prop_assert!(copies == 0 || staying + copies <= factor),
            Some(Need::Spread) => prop_assert!(copies <= 1),
            None => prop_assert_eq!(copies, 0),
        }
    }

    #[test]
    fn dropping_never_lowers_a_block_below_its_factor_and_never_takes_the_last_good_copy(
        view in any_cluster(12), block in any_block(), seed: u64,
    ) {
        let verdict = verdict(&view, &block, seed);
        let is_good = |node: &NodeId| block.holders.contains(&Holder { node: *node, good: true });
        let drops_good = verdict.drops.iter().filter(|node| is_good(node)).count();
        let sure = sure(&view, &block);
        let kept = sure.iter().filter(|node| !verdict.drops.contains(node)).count();
        if drops_good > 0 {
            prop_assert_eq!(kept, block.replication as usize);
            prop_assert!(verdict.copies.is_empty(), "nothing comes and goes at once");
        }
        if !verdict.drops.is_empty() {
            let anchor = |holder: &Holder| view.get(holder.node).is_some_and(|node| {
                node.state == NodeState::Live && !node.suspect && !node.is_in_maintenance()
            });
            let anchors = block.holders.iter().filter(|holder| holder.good && anchor(holder));
            prop_assert!(anchors.count() >= 1, "nothing goes before a good copy is on a node that lives");
        }
        for node in &verdict.drops {
            prop_assert!(block.holders.iter().any(|holder| holder.node == *node));
        }
    }

    #[test]
    fn the_replicas_that_are_kept_are_in_as_many_zones_as_possible(
        view in any_cluster(12), block in any_block(), seed: u64,
    ) {
        let sure = sure(&view, &block);
        if sure.len() <= block.replication as usize {
            return Ok(());
        }
        let drops = verdict(&view, &block, seed).drops;
        let kept = sure.iter().copied().filter(|node| !drops.contains(node));
        let possible = zones_of(&view, sure.iter().copied()).min(block.replication as usize);
        prop_assert_eq!(zones_of(&view, kept), possible);
    }

    #[test]
    fn the_same_seed_gives_the_same_verdict(view in any_cluster(12), block in any_block(), seed: u64) {
        prop_assert_eq!(verdict(&view, &block, seed), verdict(&view, &block, seed));
    }

    #[test]
    fn no_node_is_asked_for_more_than_the_limit(
        view in any_cluster(12), blocks in prop::collection::vec(any_block(), 1..20), seed: u64,
    ) {
        let limit = 2_500;
        let mut in_flight = InFlight::new(limit);
        let mut rng = StdRng::seed_from_u64(seed);
        for block in &blocks {
            examine(&view, block, &mut in_flight, &mut rng);
        }
        for node in view.nodes() {
            prop_assert!(in_flight.load(node.node) <= limit);
        }
    }
}

#[test]
fn a_block_that_lost_a_copy_with_its_node_gets_another() {
    let view = ClusterView::new(vec![node(1), node(2), dead(node(3)), node(4)]);
    let verdict = verdict(&view, &block(3, vec![good(1), good(2), good(3)]), 1);
    assert_eq!((verdict.live, verdict.attainable, verdict.standing), (2, 3, Standing::UnderWay));
    assert_eq!(verdict.copies.len(), 1);
    assert_eq!(verdict.copies[0].target, id(4));
    let sources: HashSet<_> = verdict.copies[0].sources.iter().copied().collect();
    assert_eq!(sources, HashSet::from([id(1), id(2)]));
}

#[test]
fn a_copy_that_is_thought_bad_is_read_from_when_all_others_fail() {
    let stale = NodeView { state: NodeState::Stale, ..node(2) };
    let view = ClusterView::new(vec![node(1), stale, node(3), node(4)]);
    let copies = verdict(&view, &block(3, vec![bad(1), good(2), good(3)]), 1).copies;
    assert_eq!(copies[0].sources, [id(3), id(2), id(1)]);
}

#[test]
fn a_copy_on_its_way_is_not_ordered_again() {
    let view = ClusterView::new((1..6).map(node).collect());
    let block = BlockView { inbound: vec![id(3)], ..block(3, vec![good(1), good(2)]) };
    let verdict = verdict(&view, &block, 1);
    assert_eq!(verdict.standing, Standing::UnderWay);
    assert!(verdict.copies.is_empty());
}

#[test]
fn a_bad_copy_goes_after_a_good_one_was_made_elsewhere() {
    let view = ClusterView::new((1..5).map(node).collect());
    let before = verdict(&view, &block(3, vec![good(1), good(2), bad(3)]), 1);
    assert_eq!(before.copies.iter().map(|copy| copy.target).collect::<Vec<_>>(), [id(4)]);
    assert!(before.drops.is_empty());
    let after = verdict(&view, &block(3, vec![good(1), good(2), bad(3), good(4)]), 1);
    assert_eq!((after.standing, after.drops), (Standing::Satisfied, vec![id(3)]));
}

#[test]
fn a_bad_copy_makes_room_for_a_good_one_when_there_is_no_other_node() {
    let view = ClusterView::new((1..4).map(node).collect());
    let verdict = verdict(&view, &block(3, vec![good(1), good(2), bad(3)]), 1);
    assert_eq!((verdict.standing, verdict.drops), (Standing::UnderWay, vec![id(3)]));
}

#[test]
fn the_last_copy_stays_even_if_it_is_bad() {
    let view = ClusterView::new(vec![node(1)]);
    let alone = verdict(&view, &block(1, vec![bad(1)]), 1);
    assert_eq!((alone.standing, alone.drops), (Standing::Stuck, Vec::new()));
    // The replica may be good after all, and the node that copies verifies it.
    let view = ClusterView::new(vec![node(1), node(2)]);
    let tried = verdict(&view, &block(1, vec![bad(1)]), 1);
    assert_eq!(
        tried.copies.iter().map(|copy| (copy.target, copy.sources.clone())).collect::<Vec<_>>(),
        [(id(2), vec![id(1)])]
    );
    assert!(tried.drops.is_empty());
}

#[test]
fn of_too_many_copies_the_one_on_the_fullest_node_goes() {
    let view =
        ClusterView::new(vec![used(10, node(1)), used(30, node(2)), used(20, node(3)), used(5, node(4))]);
    let verdict = verdict(&view, &block(3, vec![good(1), good(2), good(3), good(4)]), 1);
    assert_eq!((verdict.standing, verdict.drops), (Standing::Satisfied, vec![id(2)]));
}

#[test]
fn a_replica_on_a_stale_node_is_no_reason_to_drop_another() {
    let stale = NodeView { state: NodeState::Stale, ..node(4) };
    let unheard = NodeView { suspect: true, ..node(5) };
    let view = ClusterView::new(vec![node(1), node(2), node(3), stale, unheard]);
    let block = block(3, vec![good(1), good(2), good(3), good(4), good(5)]);
    assert!(verdict(&view, &block, 1).drops.is_empty());
}

#[test]
fn a_small_cluster_is_satisfied_with_a_copy_per_node() {
    let view = ClusterView::new(vec![node(1)]);
    assert_eq!(verdict(&view, &block(3, vec![good(1)]), 1).standing, Standing::Satisfied);
    let grown = ClusterView::new(vec![node(1), node(2)]);
    assert_eq!(verdict(&grown, &block(3, vec![good(1)]), 1).copies.len(), 1);
}

#[test]
fn a_node_with_too_much_under_way_gets_no_copy() {
    let view = ClusterView::new(vec![node(1), node(2), node(3)]);
    let mut in_flight = InFlight::new(1_500);
    in_flight.add(id(2), 1_000);
    let copies =
        examine(&view, &block(2, vec![good(1)]), &mut in_flight, &mut StdRng::seed_from_u64(1)).copies;
    assert_eq!(copies.iter().map(|copy| copy.target).collect::<Vec<_>>(), [id(3)]);
    // Now the only source is busy too.
    let next = examine(&view, &block(2, vec![good(1)]), &mut in_flight, &mut StdRng::seed_from_u64(1));
    assert_eq!((next.standing, next.copies), (Standing::Deferred, Vec::new()));
}
