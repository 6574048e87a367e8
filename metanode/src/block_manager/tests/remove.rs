//! A node can be removed only when no block is lost by it, unless an operator forces it.

use cairn_protocol::admin::{Admin, AdminError, AdminState, AdminStateChange, RemoveNode, RemoveNodeReport};
use cairn_protocol::cluster::{Cluster, ClusterError};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;

use super::cluster::TestCluster;

fn removal(cluster: &TestCluster, index: usize) -> RemoveNode {
    RemoveNode { node: cluster.nodes[index].id, force: false, dry_run: false }
}

pub(super) async fn remove(cluster: &TestCluster, index: usize) -> Result<RemoveNodeReport, AdminError> {
    cluster.blocks.remove_node(removal(cluster, index)).await
}

fn is_refused<T>(result: &Result<T, AdminError>) -> bool {
    matches!(result, Err(AdminError::Refused { .. }))
}

#[tokio::test]
async fn a_node_in_use_is_not_removed_and_a_drained_one_is() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(10, 10).await;
    assert!(is_refused(&remove(&cluster, 0).await));
    cluster.pause(cairn_protocol::admin::WorkerName::Drain, true).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    assert!(is_refused(&remove(&cluster, 0).await), "it still holds blocks");
    cluster.pause(cairn_protocol::admin::WorkerName::Drain, false).await;
    cluster.settle().await;
    cluster.settle().await;
    let report = remove(&cluster, 0).await.unwrap();
    assert_eq!((report.replicas, report.last_replicas), (0, 0));
    let node = cluster.nodes[0].id;
    cluster.down(0);
    cluster.settle().await;
    assert!(cluster.new_events().contains(&EventKind::NodeRemoved { node }));
    assert!(cluster.status().await.nodes.iter().all(|other| other.node != node));
    assert!(matches!(remove(&cluster, 0).await, Err(AdminError::UnknownNode { .. })));
    cluster.verify().await;
}

#[tokio::test]
async fn the_replicas_of_a_dead_node_are_forgotten_with_it() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(300, 10).await;
    cluster.kill(0).await;
    let held = blocks.iter().filter(|block| cluster.really_at(**block).contains(&0)).count() as u64;
    let dry = RemoveNode { dry_run: true, ..removal(&cluster, 0) };
    let report = cluster.blocks.remove_node(dry).await.unwrap();
    assert_eq!((report.replicas, report.last_replicas), (held, 0));
    assert_eq!(cluster.progress(0).await.blocks, held, "a dry run changes nothing");
    remove(&cluster, 0).await.unwrap();
    cluster.settle().await;
    for block in blocks {
        let mut really = cluster.really_at(block);
        really.remove(&0);
        assert_eq!(cluster.holders(block).await, really);
    }
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_node_with_last_copies_is_removed_only_by_force_and_they_are_missing_then() {
    let mut cluster = TestCluster::new(1).await;
    let blocks = cluster.put_many(3, 10).await;
    cluster.add_node(None).await;
    cluster.pause(cairn_protocol::admin::WorkerName::Repair, true).await;
    cluster.kill(0).await;
    let refused = remove(&cluster, 0).await;
    assert!(is_refused(&refused), "{refused:?}");
    // Copies that were made before the pause do not matter to this test.
    let lost = blocks.iter().filter(|block| !cluster.really_at(**block).contains(&1)).count() as u64;
    let report =
        cluster.blocks.remove_node(RemoveNode { force: true, ..removal(&cluster, 0) }).await.unwrap();
    assert_eq!((report.replicas, report.last_replicas), (3, lost));
    cluster.settle().await;
    assert_eq!(cluster.status().await.missing, lost);
}

#[tokio::test]
async fn a_removal_goes_on_after_a_restart_in_the_middle() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(20, 10).await;
    cluster.kill(0).await;
    remove(&cluster, 0).await.unwrap();
    cluster.restart().await;
    let node = cluster.nodes[0].id;
    assert!(cluster.status().await.nodes.iter().all(|other| other.node != node));
    cluster.settle().await;
    assert!(cluster.new_events().contains(&EventKind::NodeRemoved { node }));
    for block in cluster.nodes[0].held.keys() {
        assert!(!cluster.holders(*block).await.contains(&0));
    }
}

#[tokio::test]
async fn a_removed_node_that_comes_back_is_new_and_its_old_messages_are_refused() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(20, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.kill(0).await;
    let old = cluster.heartbeat_of(0);
    remove(&cluster, 0).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.blocks.heartbeat(old.clone()).await.unwrap_err(), ClusterError::Reregister);
    let before = cluster.nodes[0].incarnation;
    cluster.nodes[0].up = true;
    cluster.register(0).await;
    assert!(cluster.nodes[0].incarnation > before, "no incarnation is used twice");
    assert_eq!(cluster.blocks.heartbeat(old).await.unwrap_err(), ClusterError::Reregister);
    assert_eq!(cluster.progress(0).await.admin_state, AdminState::InService);
    // The replicas that it reports count, and surplus ones are dropped.
    cluster.settle().await;
    cluster.settle().await;
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
        assert_eq!(cluster.holders(block).await, cluster.really_at(block));
    }
}

#[tokio::test]
async fn a_node_that_comes_back_in_the_middle_of_its_removal_keeps_what_is_left() {
    let mut cluster = TestCluster::new(3).await;
    let blocks = cluster.put_many(5, 10).await;
    cluster.kill(0).await;
    remove(&cluster, 0).await.unwrap();
    cluster.nodes[0].up = true;
    cluster.register(0).await;
    cluster.settle().await;
    for block in blocks {
        assert_eq!(cluster.holders(block).await.len(), 3);
    }
    let node = cluster.nodes[0].id;
    assert!(!cluster.new_events().contains(&EventKind::NodeRemoved { node }));
}

#[tokio::test]
async fn the_queued_deletions_of_a_removed_node_are_dropped() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, _) = cluster.put(10).await;
    cluster.settle().await;
    cluster.kill(0).await;
    cluster.give_up(owner).await;
    cluster.pass(cluster.config.garbage_grace * 2).await;
    assert_eq!(cluster.status().await.deletions_queued, 1);
    remove(&cluster, 0).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.status().await.deletions_queued, 0);
}

/// Between the checks of a node and its removal, a commit could give it a block. The removal therefore checks again in
/// its transaction.
#[tokio::test]
async fn a_drained_node_that_an_upload_may_still_commit_to_is_not_removed() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let (block, target) = (grant.block, grant.targets[0].node);
    let index = cluster.nodes.iter().position(|node| node.id == target).unwrap();
    let extent = cluster.store_block(grant, 10);
    cluster.change_admin_state(index, AdminStateChange::Drain).await;
    cluster.settle().await;
    let refused = remove(&cluster, index).await;
    assert!(is_refused(&refused), "{refused:?}");
    cluster.commit(vec![extent]).await.unwrap();
    assert!(is_refused(&remove(&cluster, index).await), "it holds the block");
    cluster.pass(cluster.config.repair_grace + std::time::Duration::from_secs(30)).await;
    remove(&cluster, index).await.unwrap();
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn an_unknown_node_cannot_be_removed() {
    let cluster = TestCluster::new(1).await;
    let node = NodeId(cluster.env.uuid_v4());
    let unknown = cluster.blocks.remove_node(RemoveNode { node, force: true, dry_run: true }).await;
    assert_eq!(unknown.unwrap_err(), AdminError::UnknownNode { node });
}
