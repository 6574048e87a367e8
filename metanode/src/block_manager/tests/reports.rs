//! Block reports bring SQL in line with the disks, and an old report does no harm.

use std::time::Duration;

use cairn_protocol::cluster::{BlockReport, Cluster, ClusterError, ReportedReplica};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;

use super::cluster::{Increments, TestCluster};

/// Lets a block become too old to be missing from a report that is on its way.
async fn grow_old(cluster: &mut TestCluster) {
    cluster.pass(cluster.config.report_age * 2).await;
}

#[tokio::test]
async fn a_replica_that_a_node_lost_is_made_again() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    grow_old(&mut cluster).await;
    cluster.nodes[0].held.clear();
    cluster.report(0).await;
    assert_eq!(cluster.holders(block).await.len(), 2);
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn a_report_that_is_older_than_the_replica_does_no_harm() {
    let mut cluster = TestCluster::new(3).await;
    let report = BlockReport::new(cluster.nodes[0].id, cluster.nodes[0].incarnation, None, None, Vec::new());
    let (_, block) = cluster.put(10).await;
    cluster.blocks.report_blocks(report).await.unwrap();
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn a_young_replica_that_a_node_lost_is_made_again_when_no_word_of_it_comes() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.nodes[0].held.clear();
    cluster.register(0).await;
    assert_eq!(cluster.holders(block).await.len(), 3, "the node may be about to tell of it");
    cluster.pass(cluster.config.report_age + Duration::from_secs(2)).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn a_young_replica_that_a_heartbeat_reports_later_is_not_copied_again() {
    let mut cluster = TestCluster::new(4).await;
    let extent = {
        let grant = cluster.grant().await;
        cluster.store_block(grant, 10)
    };
    let block = extent.grant.block;
    let late = cluster.nodes.iter().position(|node| node.held.contains_key(&block)).unwrap();
    let report =
        BlockReport::new(cluster.nodes[late].id, cluster.nodes[late].incarnation, None, None, Vec::new());
    cluster.commit(vec![extent]).await.unwrap();
    cluster.blocks.report_blocks(report).await.unwrap();
    cluster.new_events();
    cluster.pass(cluster.config.report_age * 2).await;
    cluster.settle().await;
    assert!(cluster.new_events().iter().all(|event| !matches!(event, EventKind::BlockRepaired { .. })));
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
}

#[tokio::test]
async fn an_unknown_block_is_deleted_when_its_lease_is_over() {
    let mut cluster = TestCluster::new(3).await;
    let lost = cluster.grant().await.block;
    let replica = ReportedReplica { block: lost, length: 5, crc32c: 5 };
    cluster.nodes[1].held.insert(lost, replica);
    cluster.report(1).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(lost).len(), 1, "somebody may still commit it");
    // It is not dropped, though no further report names it.
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert!(cluster.really_at(lost).is_empty());
}

#[tokio::test]
async fn an_old_unknown_block_is_deleted_at_once() {
    let mut cluster = TestCluster::new(1).await;
    let lost = cluster.grant().await.block;
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
    cluster.nodes[0].held.insert(lost, ReportedReplica { block: lost, length: 5, crc32c: 5 });
    cluster.report(0).await;
    cluster.settle().await;
    assert!(cluster.really_at(lost).is_empty());
}

#[tokio::test]
async fn a_block_whose_id_no_metanode_made_is_left_alone() {
    let mut cluster = TestCluster::new(1).await;
    let strange = BlockId(cluster.env.uuid_v4());
    cluster.nodes[0].held.insert(strange, ReportedReplica { block: strange, length: 5, crc32c: 5 });
    cluster.report(0).await;
    cluster.pass(cluster.config.lease * 3).await;
    assert_eq!(cluster.really_at(strange).len(), 1);
}

#[tokio::test]
async fn a_replica_of_the_wrong_checksum_is_replaced_and_then_deleted() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    grow_old(&mut cluster).await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.nodes[victim].held.get_mut(&block).unwrap().crc32c ^= 1;
    cluster.report(victim).await;
    let node = cluster.nodes[victim].id;
    assert!(cluster.new_events().contains(&EventKind::ReplicaCorrupt { block, node }));
    cluster.settle().await;
    cluster.settle().await;
    assert!(!cluster.really_at(block).contains(&victim));
    assert_eq!(cluster.really_at(block).len(), 3);
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
}

#[tokio::test]
async fn a_good_replica_that_was_not_listed_counts() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    // The third target stored it too, but the gateway did not learn of that.
    let heard: Vec<_> = cluster.nodes[..2].iter().map(|node| node.id).collect();
    let extent = cluster.store_block_on(grant, 10, &heard);
    cluster.nodes[2].held.insert(block, ReportedReplica { block, length: 10, crc32c: 77 });
    cluster.commit(vec![extent]).await.unwrap();
    assert_eq!(cluster.status().await.under_replicated, 1);
    cluster.report(2).await;
    assert_eq!(cluster.holders(block).await.len(), 3);
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_report_comes_in_pages() {
    let mut cluster = TestCluster::new(1).await;
    let mut blocks = Vec::new();
    for _ in 0..10 {
        blocks.push(cluster.put(10).await.1);
    }
    grow_old(&mut cluster).await;
    blocks.sort();
    let lost = [blocks[0], blocks[4], blocks[5], blocks[9]];
    for block in lost {
        cluster.nodes[0].held.remove(&block);
    }
    let bounds = [None, Some(blocks[3]), Some(blocks[4]), Some(blocks[7]), None];
    cluster.new_events();
    for page in 0..4 {
        let (after, through) = (bounds[page], bounds[page + 1]);
        let within = |block: &BlockId| Some(*block) > after && through.is_none_or(|last| *block <= last);
        let node = &cluster.nodes[0];
        let replicas = node.held.values().filter(|replica| within(&replica.block)).copied().collect();
        let report = BlockReport::new(node.id, node.incarnation, after, through, replicas);
        cluster.blocks.report_blocks(report).await.unwrap();
    }
    for block in blocks {
        let replicas = cluster.locate(block).await.unwrap().replicas.len();
        assert_eq!(replicas, usize::from(!lost.contains(&block)));
    }
    let node = cluster.nodes[0].id;
    assert!(cluster.new_events().contains(&EventKind::NodeReported { node, blocks: 6 }));
    assert_eq!(cluster.status().await.missing, 4);
}

#[tokio::test]
async fn a_page_out_of_order_or_of_an_old_incarnation_is_refused() {
    let mut cluster = TestCluster::new(1).await;
    for _ in 0..2 {
        cluster.put(10).await;
    }
    let node = &cluster.nodes[0];
    let report =
        BlockReport::new(node.id, node.incarnation, None, None, node.held.values().rev().copied().collect());
    let refused = cluster.blocks.report_blocks(report.clone()).await;
    assert!(matches!(refused, Err(ClusterError::Malformed { .. })));
    let first = *node.held.keys().next().unwrap();
    let beyond = BlockReport {
        through: Some(first),
        replicas: node.held.values().copied().collect(),
        ..report.clone()
    };
    let refused = cluster.blocks.report_blocks(beyond).await;
    assert!(matches!(refused, Err(ClusterError::Malformed { .. })));
    let old = BlockReport { incarnation: 0, replicas: Vec::new(), ..report };
    assert_eq!(cluster.blocks.report_blocks(old).await, Err(ClusterError::Reregister));
}

/// A node returns without its replicas and registers; its report comes later.
async fn return_empty(cluster: &mut TestCluster, index: usize) {
    cluster.nodes[index].held.clear();
    cluster.nodes[index].increments = Increments::default();
    cluster.nodes[index].up = true;
    let registered = cluster.blocks.register(cluster.registration(index)).await.unwrap();
    cluster.nodes[index].incarnation = registered.incarnation;
}

// A node counted as reliable as soon as it had registered. One that returned with an emptied disk looked emptiest, so a
// real replica elsewhere was dropped as surplus, and then the report showed that this node had none.
#[tokio::test]
async fn nothing_is_dropped_because_of_copies_on_a_node_that_has_not_reported() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    grow_old(&mut cluster).await;
    let emptied = *cluster.really_at(block).first().unwrap();
    cluster.kill(emptied).await;
    return_empty(&mut cluster, emptied).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3, "it may not have what it had");
    // A first page that is not the last one does not make it reliable either.
    let node = &cluster.nodes[emptied];
    let through = Some(BlockId(uuid::Uuid::from_u128(1)));
    let page = BlockReport::new(node.id, node.incarnation, None, through, Vec::new());
    cluster.blocks.report_blocks(page).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.report(emptied).await;
    cluster.settle().await;
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn a_node_that_returns_with_what_it_held_lets_a_surplus_copy_go_when_it_has_reported() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    grow_old(&mut cluster).await;
    let away = *cluster.really_at(block).first().unwrap();
    cluster.kill(away).await;
    assert_eq!(cluster.really_at(block).len(), 4);
    cluster.nodes[away].up = true;
    cluster.beat(away).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

// A node reported that it had stored a block, lost it with a disk, and reported again. When the lease ended, the first
// report was examined once more, and the node was listed for good.
#[tokio::test]
async fn a_report_of_an_old_incarnation_does_not_come_back_when_leases_end() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let mut extent = cluster.store_block(grant, 10);
    cluster.beat_all().await;
    return_empty(&mut cluster, 0).await;
    cluster.report(0).await;
    extent.stored_on.retain(|node| *node != cluster.nodes[0].id);
    cluster.commit(vec![extent]).await.unwrap();
    cluster.pause(cairn_protocol::admin::WorkerName::Repair, true).await;
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert_eq!(cluster.holders(block).await, [1, 2].into());
}

// Full reports came only at registration, so an unnoticed difference stayed until the next restart.
#[tokio::test]
async fn a_copy_that_is_listed_and_not_there_is_found_by_the_next_report_of_a_node_that_never_left() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    grow_old(&mut cluster).await;
    // The replica is lost, and the node does not notice.
    cluster.nodes[1].held.remove(&block);
    cluster.pass(cluster.config.lease).await;
    assert_eq!(cluster.holders(block).await.len(), 3);
    cluster.report(1).await;
    cluster.settle().await;
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
    assert_eq!(cluster.really_at(block).len(), 3);
}
