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
    }
}

fn table() -> (NodeTable, NodeId) {
    let node = NodeId(Uuid::from_u128(1));
    let mut table = NodeTable::new(Vec::new(), PATIENCE, seconds(0));
    table.registered(register(node, vec![volume(1_000, 100, false)]), 1, seconds(0));
    (table, node)
}

#[test]
fn nobody_dies_because_this_process_slept() {
    let (mut table, node) = table();
    // It wakes after a long time, and the node's next heartbeat comes.
    assert_eq!(table.tick(seconds(400)), [(node, NodeState::Stale)]);
    assert_eq!(table.tick(seconds(403)), []);
    assert!(table.heard(node, Vec::new(), seconds(403)).revived);
    // It wakes again, and this time nothing comes.
    assert_eq!(table.tick(seconds(900)), [(node, NodeState::Stale)]);
    assert_eq!(table.tick(seconds(905)), []);
    assert_eq!(table.tick(seconds(906)), [(node, NodeState::Dead)]);
    assert!(!table.accepts(node, 1), "a dead node must register");
}

#[test]
fn a_heartbeat_in_time_keeps_a_node_alive() {
    let (mut table, node) = table();
    assert!(!table.heard(node, Vec::new(), seconds(9)).revived);
    assert_eq!(table.tick(seconds(18)), []);
    assert_eq!(table.tick(seconds(19)), [(node, NodeState::Stale)]);
    assert!(table.heard(node, Vec::new(), seconds(20)).revived);
}

#[test]
fn an_old_incarnation_is_not_listened_to() {
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
        duty: Duty::Service,
        version: String::new(),
    };
    let table = NodeTable::new(vec![known], PATIENCE, seconds(0));
    assert!(!table.accepts(node, 4));
    let view = table.view(seconds(0), |_| 0);
    assert!(view.get(node).unwrap().takes(1_000) && view.get(node).unwrap().doubtful);
}

#[test]
fn utilisation_counts_what_is_coming_and_what_is_going() {
    let (mut table, node) = table();
    table.deletion_queued(node, 30);
    table.deletion_queued(node, 50);
    let view = table.view(seconds(0), |_| 200);
    let seen = view.get(node).unwrap();
    assert_eq!((seen.predicted_used, seen.room), (100 + 200 - 80, 900 - 200));
    table.deletions_done(node, 1);
    let view = table.view(seconds(0), |_| 0);
    assert_eq!(view.get(node).unwrap().predicted_used, 100 - 40);
    table.deletions_done(node, 1);
    assert_eq!(table.view(seconds(0), |_| 0).get(node).unwrap().predicted_used, 100);
}

#[test]
fn a_failed_volume_gives_no_room_and_is_told_once() {
    let (mut table, node) = table();
    let volumes = vec![volume(1_000, 100, true), volume(500, 0, false)];
    assert_eq!(table.heard(node, volumes.clone(), seconds(1)).failed.len(), 1);
    assert!(table.heard(node, volumes, seconds(2)).failed.is_empty());
    assert_eq!(table.view(seconds(2), |_| 0).get(node).unwrap().room, 500);
    table.heard(node, vec![volume(1_000, 100, true)], seconds(3));
    assert!(!table.view(seconds(3), |_| 0).get(node).unwrap().takes(1));
}

#[test]
fn what_a_node_stored_is_remembered_for_a_while() {
    let (mut table, node) = table();
    let blocks: Vec<_> = (1..=2).map(|number| BlockId(Uuid::from_u128(number))).collect();
    table.stored(node, blocks[0], seconds(0), seconds(30));
    assert!(table.stored_lately(node, blocks[0], seconds(30), seconds(30)));
    assert!(!table.stored_lately(node, blocks[0], seconds(31), seconds(30)));
    table.stored(node, blocks[1], seconds(40), seconds(30));
    assert_eq!(table.get(node).unwrap().recent.at.len(), 1);
}
