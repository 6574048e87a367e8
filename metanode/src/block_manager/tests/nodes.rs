//! Registration, heartbeats and states of nodes: only the current incarnation counts, and reads prefer live nodes.

use std::time::Duration;

use cairn_protocol::admin::NodeState;
use cairn_protocol::cluster::{Cluster, ClusterError, Register, ReplicaChange, VolumeUsage};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::{ReplicaProblem, ReplicaReport};
use uuid::Uuid;

use super::cluster::{TestCluster, volume};

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    let cluster = TestCluster::new(1).await;
    let theirs = ClusterId(Uuid::from_u128(99));
    let request = Register { cluster: Some(theirs), ..cluster.registration(0) };
    let refused = cluster.blocks.register(request).await.unwrap_err();
    assert_eq!(refused, ClusterError::OtherCluster { theirs, ours: ClusterId(Uuid::from_u128(1)) });
}

#[tokio::test]
async fn each_registration_is_a_new_incarnation_also_over_a_restart() {
    let mut cluster = TestCluster::new(1).await;
    assert_eq!(cluster.nodes[0].incarnation, 1);
    cluster.register(0).await;
    assert_eq!(cluster.nodes[0].incarnation, 2);
    cluster.restart().await;
    cluster.register(0).await;
    assert_eq!(cluster.nodes[0].incarnation, 3);
}

#[tokio::test]
async fn an_old_incarnation_and_a_stranger_must_register() {
    let mut cluster = TestCluster::new(1).await;
    let old = cluster.heartbeat_of(0);
    cluster.register(0).await;
    assert_eq!(cluster.blocks.heartbeat(old.clone()).await.unwrap_err(), ClusterError::Reregister);
    let mut stranger = cluster.heartbeat_of(0);
    stranger.node.0 = Uuid::from_u128(5);
    assert_eq!(cluster.blocks.heartbeat(stranger).await.unwrap_err(), ClusterError::Reregister);
}

#[tokio::test]
async fn messages_of_an_old_incarnation_change_nothing() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    let mut old = cluster.heartbeat_of(0);
    old.changes = vec![ReplicaChange::Deleted(block)];
    cluster.register(0).await;
    cluster.blocks.heartbeat(old).await.unwrap_err();
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn a_node_without_contact_becomes_stale_and_a_heartbeat_revives_it() {
    let mut cluster = TestCluster::new(4).await;
    let node = cluster.nodes[0].id;
    cluster.down(0);
    cluster.pass(cluster.config.stale_after).await;
    assert!(cluster.new_events().contains(&EventKind::NodeStale { node }));
    for grant in cluster.grants(20).await {
        assert!(grant.targets.iter().all(|target| target.node != node));
    }
    cluster.nodes[0].up = true;
    cluster.beat(0).await;
    assert!(cluster.new_events().contains(&EventKind::NodeLive { node }));
    assert_eq!(cluster.nodes[0].incarnation, 1);
}

#[tokio::test]
async fn a_dead_node_must_register() {
    let mut cluster = TestCluster::new(3).await;
    cluster.kill(0).await;
    assert_eq!(cluster.status().await.nodes.iter().filter(|node| node.state == NodeState::Dead).count(), 1);
    let beat = cluster.heartbeat_of(0);
    assert_eq!(cluster.blocks.heartbeat(beat).await.unwrap_err(), ClusterError::Reregister);
}

#[tokio::test]
async fn after_a_restart_nodes_have_time_to_come_back() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.restart().await;
    cluster.work().await;
    // Until their first heartbeat they are used for reads, and for writes too.
    assert_eq!(
        cluster.locate(block).await.unwrap().replicas.iter().filter(|replica| replica.live).count(),
        3
    );
    assert_eq!(cluster.grant().await.targets.len(), 3);
    assert!(cluster.status().await.nodes.iter().all(|node| node.last_contact_ms.is_none()));
    cluster.pass(Duration::from_secs(60)).await;
    let dead = cluster.new_events().into_iter().any(|event| matches!(event, EventKind::NodeDead { .. }));
    assert!(!dead);
    // Each got the error `Reregister`, registered, and reported its replicas.
    assert!(cluster.nodes.iter().all(|node| node.incarnation == 2));
}

#[tokio::test]
async fn readers_are_sent_to_live_nodes_first_and_to_dead_ones_last() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.down(0);
    cluster.pass(cluster.config.dead_after - Duration::from_secs(60)).await;
    cluster.down(1);
    cluster.pass(Duration::from_secs(90)).await;
    let location = cluster.locate(block).await.unwrap();
    let order: Vec<_> = location.replicas.iter().map(|replica| (replica.node, replica.live)).collect();
    let id = |index: usize| cluster.nodes[index].id;
    assert_eq!(order, [(id(2), true), (id(1), false), (id(0), false)]);
}

#[tokio::test]
async fn load_spreads_over_live_replicas() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    let mut first = std::collections::HashSet::new();
    for _ in 0..50 {
        first.insert(cluster.locate(block).await.unwrap().replicas[0].node);
    }
    assert_eq!(first.len(), 3);
}

#[tokio::test]
async fn a_node_that_a_gateway_could_not_reach_is_read_after_others() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    let node = cluster.nodes[0].id;
    let report = ReplicaReport { block, node, problem: ReplicaProblem::Unreachable };
    cluster.blocks.report_replica(report).await.unwrap();
    for _ in 0..20 {
        assert_eq!(cluster.locate(block).await.unwrap().replicas[2].node, node);
    }
    assert_eq!(cluster.holders(block).await.len(), 3, "nothing is lost by it");
}

#[tokio::test]
async fn a_failed_volume_is_reported_once() {
    let cluster_nodes = 1;
    let mut cluster = TestCluster::new(cluster_nodes).await;
    let node = cluster.nodes[0].id;
    let failed = VolumeUsage { failed: Some("read-only".to_owned()), ..volume(node, 0) };
    let mut beat = cluster.heartbeat_of(0);
    beat.volumes = vec![failed.clone()];
    cluster.blocks.heartbeat(beat.clone()).await.unwrap();
    cluster.blocks.heartbeat(beat).await.unwrap();
    let told =
        cluster.new_events().into_iter().filter(|event| matches!(event, EventKind::VolumeFailed { .. }));
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn a_registration_that_makes_no_sense_is_refused() {
    let cluster = TestCluster::new(1).await;
    let request = Register { address: "file:///etc".to_owned(), ..cluster.registration(0) };
    assert!(matches!(cluster.blocks.register(request).await, Err(ClusterError::Malformed { .. })));
}

#[tokio::test]
async fn a_heartbeat_with_nothing_new_neither_writes_nor_reads() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put(10).await;
    cluster.pass(Duration::from_secs(60)).await;
    cluster.store.close().await;
    for index in 0..3 {
        let reply = cluster.blocks.heartbeat(cluster.heartbeat_of(index)).await.unwrap();
        assert!(reply.commands.is_empty());
    }
}

#[tokio::test]
async fn what_waits_to_be_deleted_counts_as_gone_also_after_a_restart() {
    let mut cluster = TestCluster::new(1).await;
    let (owner, _) = cluster.put(1_000).await;
    cluster.put(10).await;
    cluster.pass(Duration::from_secs(60)).await;
    cluster.give_up(owner).await;
    cluster.clock.advance(cluster.config.garbage_grace + Duration::from_secs(1));
    cluster.beat(0).await;
    cluster.work().await;
    let seen = |status: &cairn_protocol::admin::ClusterStatus| {
        (status.nodes[0].volumes[0].used, status.nodes[0].predicted_used, status.deletions_queued)
    };
    assert_eq!(seen(&cluster.status().await), (1_010, 10, 1));
    cluster.restart().await;
    cluster.register(0).await;
    assert_eq!(seen(&cluster.status().await), (1_010, 10, 1));
    cluster.settle().await;
    cluster.settle().await;
    assert_eq!(seen(&cluster.status().await), (10, 10, 0));
}

/// Every registration read all buckets while all other mutations waited.
#[tokio::test]
async fn a_registration_looks_at_buckets_only_while_one_could_want_more_copies_than_there_are_nodes() {
    let mut cluster = TestCluster::new(16).await;
    crate::store::tests::execute(&cluster.store, "ALTER TABLE buckets RENAME TO hidden").await;
    // A node that is known, and one beyond the largest replication of a block.
    cluster.register(0).await;
    cluster.add_node(None).await;
    crate::store::tests::execute(&cluster.store, "ALTER TABLE hidden RENAME TO buckets").await;
    assert_eq!(cluster.status().await.nodes.len(), 17);
}
