//! A drained node has no replica, and no block was under-replicated on the way.

use std::time::Duration;

use cairn_protocol::admin::{AdminState, AdminStateChange, WorkerName};
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::RenewGrants;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;

fn drained(cluster: &mut TestCluster, index: usize) -> usize {
    let node = cluster.nodes[index].id;
    let drained = |event: &EventKind| *event == EventKind::NodeDrained { node };
    cluster.new_events().into_iter().filter(drained).count()
}

#[tokio::test]
async fn the_blocks_of_a_draining_node_move_away_and_never_fall_below_their_replication() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(40, 10).await;
    let held = cluster.nodes[0].held.len() as u64;
    assert!(held > 0);
    let report = cluster.change_admin_state(0, AdminStateChange::Drain).await;
    assert_eq!((report.progress.blocks, report.progress.bytes), (held, held * 10));
    assert!(!report.progress.drained);
    cluster.work().await;
    assert_eq!(cluster.progress(0).await.in_flight, held);
    for _ in 0..10 {
        cluster.beat_all().await;
        for index in 0..4 {
            cluster.obey(index);
        }
        cluster.work().await;
        for block in &blocks {
            assert!(cluster.really_at(*block).len() >= 3);
        }
    }
    cluster.pass(Duration::from_secs(9)).await;
    let progress = cluster.progress(0).await;
    assert!(progress.drained && progress.obstacles.is_empty(), "{progress:?}");
    assert_eq!((progress.blocks, progress.bytes, progress.in_flight), (0, 0, 0));
    assert!(cluster.nodes[0].held.is_empty());
    for block in &blocks {
        assert_eq!(cluster.really_at(*block), [1, 2, 3].into());
    }
    let drain = cluster.worker(WorkerName::Drain).await;
    assert_eq!((drain.done, drain.bytes), (held, held * 10));
    assert_eq!(drained(&mut cluster, 0), 1);
    cluster.pass(Duration::from_secs(60)).await;
    assert_eq!(drained(&mut cluster, 0), 0, "it is told once");
    for grant in cluster.grants(20).await {
        assert!(grant.targets.iter().all(|target| target.node != cluster.nodes[0].id));
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_does_not_end_a_drain() {
    let mut cluster = TestCluster::new(5).await;
    cluster.put_many(30, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.work().await;
    cluster.beat_all().await;
    cluster.restart().await;
    assert_eq!(cluster.progress(0).await.admin_state, AdminState::Draining);
    // Copies that were ordered before the restart are planned again when their deadline has passed. Grants of the
    // earlier process are unknown, so the drain waits for the length of a lease.
    cluster.pass(cluster.config.command_deadline * 2).await;
    cluster.pass(cluster.config.lease).await;
    assert!(cluster.progress(0).await.drained);
    assert!(cluster.nodes[0].held.is_empty());
}

#[tokio::test]
async fn a_drain_that_cannot_go_on_says_why_and_goes_on_when_a_node_comes() {
    let mut cluster = TestCluster::new(3).await;
    let blocks = cluster.put_many(5, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.settle().await;
    let progress = cluster.progress(0).await;
    assert_eq!((progress.blocks, progress.drained), (5, false));
    let [obstacle] = &progress.obstacles[..] else { panic!("{:?}", progress.obstacles) };
    assert_eq!(obstacle.blocks, 5);
    assert!(blocks.contains(&obstacle.example));
    assert!(obstacle.reason.contains("of 3 nodes 3 have a replica already"), "{}", obstacle.reason);
    cluster.add_node(None).await;
    cluster.settle().await;
    cluster.settle().await;
    assert!(cluster.progress(0).await.drained);
    assert_eq!(cluster.nodes[3].held.len(), 5);
}

#[tokio::test]
async fn a_node_that_returns_keeps_what_it_still_has() {
    let mut cluster = TestCluster::new(3).await;
    let blocks = cluster.put_many(5, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.settle().await;
    let report = cluster.change_admin_state(0, AdminStateChange::Return).await;
    assert_eq!((report.before, report.after), (AdminState::Draining, AdminState::InService));
    cluster.pass(Duration::from_secs(60)).await;
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
    }
}

#[tokio::test]
async fn draining_has_a_rate_of_its_own() {
    let mebibyte = 1 << 20;
    let config = BlockManagerConfig { drain_rate: mebibyte, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 4).await;
    cluster.put_many(12, 4 * mebibyte).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.work().await;
    cluster.beat_all().await;
    let ordered = cluster.copies_ordered();
    assert!((1..=2).contains(&ordered), "{ordered}");
    for _ in 0..30 {
        cluster.pass(Duration::from_secs(9)).await;
    }
    assert!(cluster.progress(0).await.drained);
}

#[tokio::test]
async fn draining_nodes_take_turns() {
    let mebibyte = 1 << 20;
    let config = BlockManagerConfig { drain_rate: 1_000 * mebibyte, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 8).await;
    cluster.put_many(60, 4 * mebibyte).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.change_admin_state(1, AdminStateChange::Drain).await;
    cluster.work().await;
    // Each node has as many copies under way as it may, and neither waits for the other.
    for index in [0, 1] {
        assert!(cluster.progress(index).await.in_flight > 0, "{index}");
    }
}

/// A node counted as drained as soon as it had no committed block. An upload then committed blocks on a node that had
/// been switched off.
#[tokio::test]
async fn a_node_is_drained_when_no_upload_can_commit_to_it_any_more() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let index = cluster.nodes.iter().position(|node| node.id == grant.targets[0].node).unwrap();
    let extent = cluster.store_block(grant, 10);
    cluster.change_admin_state(index, AdminStateChange::Drain).await;
    cluster.pass(Duration::from_secs(60)).await;
    let progress = cluster.progress(index).await;
    assert_eq!((progress.blocks, progress.drained, progress.grants), (0, false, 1));
    assert!(progress.grants_last_ms > 500_000, "{progress:?}");
    assert_eq!(drained(&mut cluster, index), 0);
    cluster.commit(vec![extent]).await.unwrap();
    assert!(!cluster.progress(index).await.drained);
    cluster.pass(Duration::from_secs(30)).await;
    let progress = cluster.progress(index).await;
    assert!(progress.drained && progress.grants_last_ms == 0, "{progress:?}");
    assert_eq!(drained(&mut cluster, index), 1);
}

#[tokio::test]
async fn a_drain_waits_for_renewed_grants_and_for_those_of_dead_gateways() {
    let mut cluster = TestCluster::new(4).await;
    let grants = cluster.grants(2).await;
    let index = cluster.nodes.iter().position(|node| node.id == grants[0].targets[0].node).unwrap();
    cluster.change_admin_state(index, AdminStateChange::Drain).await;
    cluster.pass(cluster.config.lease - Duration::from_secs(60)).await;
    cluster.blocks.renew(RenewGrants { grants: grants[..1].to_vec() }).await.unwrap();
    cluster.pass(Duration::from_secs(120)).await;
    assert_eq!(cluster.progress(index).await.grants, 1);
    assert_eq!(drained(&mut cluster, index), 0);
    cluster.pass(cluster.config.lease).await;
    assert!(cluster.progress(index).await.drained);
}

#[tokio::test]
async fn after_a_restart_that_forgot_the_grants_a_drain_waits_for_a_lease() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let index = cluster.nodes.iter().position(|node| node.id == grant.targets[0].node).unwrap();
    cluster.change_admin_state(index, AdminStateChange::Drain).await;
    cluster.restart().await;
    cluster.pass(cluster.config.lease - Duration::from_secs(60)).await;
    let progress = cluster.progress(index).await;
    assert_eq!((progress.blocks, progress.drained, progress.grants), (0, false, 0));
    assert!(progress.grants_last_ms > 0);
    cluster.pass(Duration::from_secs(120)).await;
    assert!(cluster.progress(index).await.drained);
}

#[tokio::test]
async fn the_progress_of_a_paused_drain_names_the_pause() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(10, 10).await;
    cluster.pause(WorkerName::Drain, true).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.pass(Duration::from_secs(60)).await;
    let progress = cluster.progress(0).await;
    assert!(progress.blocks > 0 && progress.in_flight == 0);
    assert!(progress.obstacles[0].reason.contains("paused"), "{progress:?}");
}

#[tokio::test]
async fn a_draining_node_that_dies_is_repaired() {
    let mut cluster = TestCluster::new(5).await;
    let blocks = cluster.put_many(20, 10).await;
    cluster.pause(WorkerName::Drain, true).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.kill(0).await;
    for block in blocks {
        let mut really = cluster.really_at(block);
        really.remove(&0);
        assert_eq!(really.len(), 3);
    }
    assert!(cluster.progress(0).await.obstacles[0].reason.contains("dead"));
}
