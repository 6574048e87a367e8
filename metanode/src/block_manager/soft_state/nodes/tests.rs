//! The table of nodes: states, failures, and the view that decisions get.

use uuid::Uuid;

use super::*;

const PATIENCE: Patience = Patience {
    stale_after: Duration::from_secs(10),
    dead_after: Duration::from_secs(300),
    warning: Duration::from_secs(6),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn volume(capacity: u64, used: u64, failed: bool) -> VolumeUsage {
    VolumeUsage {
        volume: VolumeId(Uuid::from_u128(u128::from(capacity))),
        capacity,
        used,
        free: capacity - used,
        trash: 0,
        failed: failed.then(|| "gone".to_owned()),
    }
}

fn register(node: NodeId, volumes: Vec<VolumeUsage>) -> Register {
    Register {
        node,
        cluster: None,
        address: "http://127.0.0.1:1".to_owned(),
        zone: None,
        volumes,
        version: String::new(),
        incarnation: 0,
        seen: Vec::new(),
        packs: true,
    }
}

fn table() -> (NodeTable, NodeId) {
    let node = NodeId(Uuid::from_u128(1));
    let mut table = NodeTable::new(Vec::new(), PATIENCE, seconds(0));
    table.registered(register(node, vec![volume(1_000, 100, false)]), 1, seconds(0));
    (table, node)
}

/// A page of a report without replicas.
fn report(table: &mut NodeTable, node: NodeId, after: Option<u128>, through: Option<u128>) {
    let block = |number| BlockId(Uuid::from_u128(number));
    let page = BlockReport::new(node, 1, after.map(block), through.map(block), Vec::new());
    table.reported(&page, Unknown::default(), 0);
}

fn moment(at: u64) -> Moment {
    Moment { monotonic: seconds(at), wall: Timestamp(1_000_000 + at * 1_000) }
}

fn tick(table: &mut NodeTable, at: u64) -> Vec<(NodeId, NodeState)> {
    table.tick(moment(at))
}

fn view(table: &NodeTable, node: NodeId, at: u64, inbound: u64) -> NodeView {
    table.view(node, Traffic { inbound, outbound: 0 }, moment(at)).unwrap()
}

#[test]
fn no_node_dies_because_this_process_was_suspended() {
    let (mut table, node) = table();
    // The process wakes after a long time, and then the node's next heartbeat comes.
    assert_eq!(tick(&mut table, 400), [(node, NodeState::Stale)]);
    assert_eq!(tick(&mut table, 403), []);
    assert!(table.heartbeat(node, Vec::new(), seconds(403)).revived);
    // It wakes again, and this time no heartbeat comes.
    assert_eq!(tick(&mut table, 900), [(node, NodeState::Stale)]);
    assert_eq!(tick(&mut table, 905), []);
    assert_eq!(tick(&mut table, 906), [(node, NodeState::Dead)]);
    assert!(!table.accepts(node, 1), "a dead node must register");
}

#[test]
fn a_heartbeat_in_time_keeps_a_node_alive() {
    let (mut table, node) = table();
    assert!(!table.heartbeat(node, Vec::new(), seconds(9)).revived);
    assert_eq!(tick(&mut table, 18), []);
    assert_eq!(tick(&mut table, 19), [(node, NodeState::Stale)]);
    assert!(table.heartbeat(node, Vec::new(), seconds(20)).revived);
}

#[test]
fn messages_of_an_old_incarnation_are_not_accepted() {
    let (mut table, node) = table();
    assert!(table.accepts(node, 1));
    table.registered(register(node, Vec::new()), 2, seconds(1));
    assert!(!table.accepts(node, 1));
    assert!(table.accepts(node, 2));
}

#[test]
fn a_node_from_sql_counts_as_live_but_must_register() {
    let node = NodeId(Uuid::from_u128(1));
    let known = KnownNode {
        node,
        address: String::new(),
        zone: None,
        incarnation: 4,
        volumes: vec![volume(1_000, 0, false)],
        admin_state: AdminState::InService,
        version: String::new(),
        deletions: (0, 0),
    };
    let table = NodeTable::new(vec![known], PATIENCE, seconds(0));
    assert!(!table.accepts(node, 4));
    let seen = view(&table, node, 0, 0);
    assert!(seen.takes(1_000) && seen.suspect);
}

#[test]
fn a_node_is_not_reliable_before_the_last_page_of_its_report() {
    let (mut table, node) = table();
    let suspect = |table: &NodeTable| view(table, node, 0, 0).suspect && table.is_suspect(node, seconds(0));
    assert!(suspect(&table));
    report(&mut table, node, None, Some(7));
    assert!(suspect(&table));
    table.take_changed(seconds(0));
    report(&mut table, node, Some(7), None);
    assert!(!view(&table, node, 0, 0).suspect && !table.is_suspect(node, seconds(0)));
    assert_eq!(table.take_changed(seconds(0)), [node].into());
    table.registered(register(node, vec![volume(1_000, 100, false)]), 2, seconds(1));
    assert!(suspect(&table), "it begins anew");
}

#[test]
fn utilisation_includes_bytes_on_their_way_in_and_out() {
    let (mut table, node) = table();
    table.deletion_queued(node, 30);
    table.deletion_queued(node, 50);
    let traffic = Traffic { inbound: 200, outbound: 7 };
    let seen = table.view(node, traffic, moment(0)).unwrap();
    assert_eq!((seen.predicted_used, seen.free_space), (100 + 200 - 80 - 7, 900 - 200));
    table.deletions_done(node, 1, 30);
    assert_eq!(view(&table, node, 0, 0).predicted_used, 100 - 50);
    table.deletions_done(node, 1, 50);
    assert_eq!(view(&table, node, 0, 0).predicted_used, 100);
}

#[test]
fn a_changed_view_is_reported_once_also_when_only_time_changed_it() {
    let (mut table, node) = table();
    report(&mut table, node, None, None);
    assert_eq!(table.take_changed(seconds(0)), [node].into());
    table.heartbeat(node, vec![volume(1_000, 100, false)], seconds(1));
    assert!(table.take_changed(seconds(1)).is_empty(), "nothing is new");
    table.heartbeat(node, vec![volume(1_000, 101, false)], seconds(2));
    assert_eq!(table.take_changed(seconds(2)), [node].into());
    table.unreachable(node, seconds(3));
    assert_eq!(table.take_changed(seconds(3)), [node].into());
    assert!(view(&table, node, 12, 0).suspect);
    assert!(table.take_changed(seconds(12)).is_empty());
    assert_eq!(table.take_changed(seconds(13)), [node].into());
    assert!(!view(&table, node, 13, 0).suspect);
}

#[test]
fn no_node_dies_during_maintenance() {
    let (mut table, node) = table();
    let until = moment(600).wall;
    table.set_admin_state(node, AdminState::Maintenance { until });
    assert_eq!(tick(&mut table, 11), [(node, NodeState::Stale)]);
    assert_eq!(tick(&mut table, 599), []);
    assert_eq!(table.maintenance_over(moment(599).wall), []);
    assert_eq!(table.maintenance_over(until), [(node, until)]);
    assert_eq!(view(&table, node, 600, 0).admin_state, AdminState::InService);
    assert_eq!(tick(&mut table, 600), [(node, NodeState::Dead)]);
}

#[test]
fn a_failed_volume_has_no_free_space_and_is_reported_once() {
    let (mut table, node) = table();
    let volumes = vec![volume(1_000, 100, true), volume(500, 0, false)];
    assert_eq!(table.heartbeat(node, volumes.clone(), seconds(1)).failed.len(), 1);
    assert!(table.heartbeat(node, volumes, seconds(2)).failed.is_empty());
    assert_eq!(view(&table, node, 2, 0).free_space, 500);
    table.heartbeat(node, vec![volume(1_000, 100, true)], seconds(3));
    assert!(!view(&table, node, 3, 0).takes(1));
}

#[test]
fn recently_stored_blocks_are_remembered_for_a_while() {
    let (mut table, node) = table();
    let blocks: Vec<_> = (1..=2).map(|number| BlockId(Uuid::from_u128(number))).collect();
    table.stored(node, blocks[0], seconds(0), seconds(30));
    assert!(table.stored_lately(node, blocks[0], seconds(30), seconds(30)));
    assert!(!table.stored_lately(node, blocks[0], seconds(31), seconds(30)));
    table.stored(node, blocks[1], seconds(40), seconds(30));
    assert_eq!(table.get(node).unwrap().recent.len(), 1);
}
