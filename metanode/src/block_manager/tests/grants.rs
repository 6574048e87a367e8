//! Grants: which nodes they name, how long their leases last, and what a commit under them is checked for.

use std::collections::HashSet;
use std::time::Duration;

use cairn_protocol::admin::AdminStateChange;
use cairn_protocol::cluster::{Cluster, ReplicaChange, VolumeUsage};
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;

use futures_util::FutureExt;

use super::super::BlockManagerConfig;
use super::cluster::{BUCKET, TestCluster, allocation, volume};
use super::commits::is_lost;
use crate::store::blocks::{BucketLayout, set_bucket_layout};

fn invalid<T>(result: Result<T, MetadataError>) -> bool {
    matches!(result, Err(MetadataError::InvalidGrant { .. }))
}

#[tokio::test]
async fn a_grant_names_as_many_nodes_as_there_should_be_copies_or_as_there_are() {
    for (nodes, targets, min_replicas) in [(1, 1, 1), (2, 2, 2), (3, 3, 2), (5, 3, 2)] {
        let cluster = TestCluster::new(nodes).await;
        let grant = cluster.grant().await;
        let distinct: HashSet<_> = grant.targets.iter().map(|target| target.node).collect();
        assert_eq!((distinct.len(), grant.min_replicas, grant.replication), (targets, min_replicas, 3));
    }
}

#[tokio::test]
async fn the_storage_class_decides_how_many_copies_there_are() {
    let cluster = TestCluster::new(3).await;
    let class = Some("REDUCED_REDUNDANCY".to_owned());
    let request = AllocateBlocks { storage_class: class, ..allocation(1) };
    let grant = cluster.blocks.allocate(request).await.unwrap().pop().unwrap();
    assert_eq!((grant.targets.len(), grant.replication, grant.min_replicas), (2, 2, 2));
}

#[tokio::test]
async fn without_nodes_or_bucket_there_is_no_grant() {
    let cluster = TestCluster::new(0).await;
    let refused = cluster.blocks.allocate(allocation(1)).await;
    assert!(matches!(refused, Err(MetadataError::NotEnoughNodes { .. })));
    let request = AllocateBlocks { bucket: "other".to_owned(), ..allocation(1) };
    let refused = cluster.blocks.allocate(request).await;
    assert!(matches!(refused, Err(MetadataError::NoSuchBucket { .. })));
}

#[tokio::test]
async fn nodes_that_failed_the_client_are_not_named_again() {
    let cluster = TestCluster::new(4).await;
    let exclude = vec![cluster.nodes[0].id];
    for _ in 0..20 {
        let request = AllocateBlocks { exclude: exclude.clone(), ..allocation(1) };
        let grant = cluster.blocks.allocate(request).await.unwrap().pop().unwrap();
        assert_eq!(grant.targets.len(), 3);
        assert!(grant.targets.iter().all(|target| target.node != exclude[0]));
    }
    let exclude = cluster.nodes.iter().take(3).map(|node| node.id).collect();
    let refused = cluster.blocks.allocate(AllocateBlocks { exclude, ..allocation(1) }).await;
    assert!(matches!(refused, Err(MetadataError::NotEnoughNodes { .. })));
}

#[tokio::test]
async fn an_expired_or_forged_grant_is_refused() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let mut forged = cluster.store_block(grant.clone(), 10);
    forged.grant.min_replicas = 0;
    assert!(invalid(cluster.commit(vec![forged]).await));
    let extent = cluster.store_block(grant, 10);
    cluster.clock.advance(cluster.config.lease + Duration::from_millis(1));
    assert_eq!(cluster.commit(vec![extent]).await, Err(MetadataError::GrantExpired));
}

#[tokio::test]
async fn a_commit_needs_enough_copies_of_a_block_that_is_new_and_as_granted() {
    let mut cluster = TestCluster::new(3).await;
    let ids: Vec<_> = cluster.nodes.iter().map(|node| node.id).collect();
    let grant = cluster.grant().await;
    let with = |stored_on, length| NewExtent {
        grant: grant.clone(),
        length,
        crc32c: 1,
        stored_on,
        incarnations: Vec::new(),
        slice: None,
    };
    assert!(invalid(cluster.commit(vec![with(vec![ids[0]], 10)]).await), "too few");
    assert!(invalid(cluster.commit(vec![with(vec![ids[0], ids[0]], 10)]).await), "one twice");
    let stranger = cairn_protocol::id::NodeId(cluster.env.uuid_v4());
    assert!(invalid(cluster.commit(vec![with(vec![ids[0], stranger], 10)]).await), "a stranger");
    assert!(invalid(cluster.commit(vec![with(ids.clone(), 0)]).await), "empty");
    assert!(invalid(cluster.commit(vec![with(ids.clone(), grant.block_size + 1)]).await), "too long");
    let extent = cluster.store_block(grant.clone(), 10);
    cluster.commit(vec![extent.clone()]).await.unwrap();
    assert!(invalid(cluster.commit(vec![extent]).await), "used already");
    cluster.verify().await;
}

#[tokio::test]
async fn a_grant_given_before_a_restart_can_be_committed_after_it() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    cluster.restart().await;
    cluster.commit(vec![extent]).await.unwrap();
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn blocks_under_a_grant_that_is_given_back_are_deleted_at_once() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant.clone(), 10);
    cluster.blocks.release(ReleaseGrants { grants: vec![grant], unused: false }).await.unwrap();
    cluster.settle().await;
    assert!(cluster.really_at(block).is_empty());
    assert!(cluster.new_events().contains(&EventKind::GrantAbandoned { block }));
    assert!(is_lost(&cluster.commit(vec![extent]).await, block), "its bytes are gone");
}

/// Gateways take grants ahead of need and give most of them back when they become idle. Each one wrote rows and sent an order to each
/// of its nodes.
#[tokio::test]
async fn a_grant_that_is_given_back_unused_leaves_nothing_to_do() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    cluster.new_events();
    cluster.blocks.release(ReleaseGrants { grants: vec![grant.clone()], unused: true }).await.unwrap();
    assert!(
        cluster
            .blocks
            .inner
            .soft_state()
            .reservations
            .naming(grant.targets[0].node, cluster.env.now())
            .is_none()
    );
    cluster.beat_all().await;
    assert!(cluster.nodes.iter().all(|node| node.commands.is_empty()));
    assert!(cluster.new_events().is_empty());
}

#[tokio::test]
async fn a_pipeline_that_ends_after_its_grant_was_given_back_leaves_nothing() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    cluster.blocks.release(ReleaseGrants { grants: vec![grant.clone()], unused: false }).await.unwrap();
    cluster.settle().await;
    cluster.store_block(grant, 10);
    cluster.settle().await;
    cluster.settle().await;
    assert!(cluster.really_at(block).is_empty());
}

#[tokio::test]
async fn a_block_that_was_committed_is_kept_when_its_grant_is_given_back() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant.clone(), 10);
    cluster.commit(vec![extent]).await.unwrap();
    cluster.blocks.release(ReleaseGrants { grants: vec![grant], unused: false }).await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn the_blocks_of_a_dead_gateway_are_deleted_after_its_lease_and_not_before() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    cluster.store_block(grant, 10);
    cluster.pass(cluster.config.lease).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.pass(cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
    assert!(cluster.new_events().contains(&EventKind::GrantAbandoned { block }));
}

#[tokio::test]
async fn the_blocks_of_a_dead_gateway_are_deleted_after_a_restart_too() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    cluster.store_block(grant, 10);
    cluster.beat_all().await;
    cluster.restart().await;
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
}

#[tokio::test]
async fn a_renewed_lease_holds_for_the_block_and_for_the_commit() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let mut extent = cluster.store_block(grant.clone(), 10);
    cluster.pass(cluster.config.lease - Duration::from_secs(30)).await;
    let renewed = cluster.blocks.renew(RenewGrants { grants: vec![grant] }).await.unwrap();
    cluster.pass(cluster.config.lease - Duration::from_secs(30)).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    extent.grant = renewed.into_iter().next().unwrap();
    cluster.commit(vec![extent]).await.unwrap();
    cluster.pass(cluster.config.lease * 3).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.verify().await;
}

#[tokio::test]
async fn an_expired_or_released_grant_cannot_be_renewed() {
    let cluster = TestCluster::new(3).await;
    let grants = cluster.grants(2).await;
    cluster.blocks.release(ReleaseGrants { grants: grants[..1].to_vec(), unused: false }).await.unwrap();
    let refused = cluster.blocks.renew(RenewGrants { grants: grants.clone() }).await;
    assert!(is_lost(&refused, grants[0].block));
    cluster.clock.advance(cluster.config.lease + Duration::from_millis(1));
    let expired = cluster.blocks.renew(RenewGrants { grants: grants[1..].to_vec() }).await;
    assert_eq!(expired, Err(MetadataError::GrantExpired));
}

#[tokio::test]
async fn granted_space_counts_as_used_until_the_lease_ends() {
    let mut cluster = TestCluster::new(1).await;
    let node = cluster.nodes[0].id;
    let tight = VolumeUsage { free: 20 << 20, ..volume(node, 0) };
    let mut beat = cluster.heartbeat_of(0);
    beat.volumes = vec![tight];
    cluster.blocks.heartbeat(beat.clone()).await.unwrap();
    // There is space for two blocks of 8 MiB, and not for a third.
    cluster.grants(2).await;
    let refused = cluster.blocks.allocate(allocation(1)).await;
    assert!(matches!(refused, Err(MetadataError::NotEnoughNodes { .. })));
    let small = AllocateBlocks { object_length: Some(1 << 20), ..allocation(1) };
    cluster.blocks.allocate(small).await.unwrap();
    cluster.clock.advance(cluster.config.lease + Duration::from_secs(1));
    cluster.blocks.heartbeat(beat).await.unwrap();
    cluster.work().await;
    cluster.grants(2).await;
}

/// Three thousand slow uploads reserved 120 GB for blocks that they had not sent, and other clients got the error that
/// no datanode had space.
#[tokio::test]
async fn no_more_space_is_set_aside_than_the_client_expects_to_use() {
    let cluster = TestCluster::new(1).await;
    let node = cluster.nodes[0].id;
    let mut beat = cluster.heartbeat_of(0);
    beat.volumes = vec![VolumeUsage { free: 20 << 20, ..volume(node, 0) }];
    cluster.blocks.heartbeat(beat).await.unwrap();
    let expecting = |bytes| AllocateBlocks { expected_length: Some(bytes), ..allocation(1) };
    for _ in 0..10 {
        let grants = cluster.blocks.allocate(expecting(1 << 20)).await.unwrap();
        assert_eq!(grants[0].block_size, 8 << 20, "what is expected is no limit");
    }
    // Half of the space is left: enough for one whole block, but not for two.
    cluster.grants(1).await;
    let refused = cluster.blocks.allocate(allocation(1)).await;
    assert!(matches!(refused, Err(MetadataError::NotEnoughNodes { .. })));
    // A block is never expected to be longer than its largest length.
    let refused = cluster.blocks.allocate(expecting(u64::MAX)).await;
    assert!(matches!(refused, Err(MetadataError::NotEnoughNodes { .. })));
    cluster.blocks.allocate(expecting(0)).await.unwrap();
}

#[tokio::test]
async fn block_sizes_grow_with_the_object() {
    let config = BlockManagerConfig { block_size: 1 << 20, ..BlockManagerConfig::default() };
    let cluster = TestCluster::with(config, 1).await;
    assert_eq!(cluster.grant().await.block_size, 1 << 20);
    let large = AllocateBlocks { object_length: Some(5 << 40), ..allocation(1) };
    assert_eq!(cluster.blocks.allocate(large).await.unwrap()[0].block_size, 256 << 20);
}

#[tokio::test]
async fn a_bucket_may_want_other_copies_and_block_sizes_than_the_cluster() {
    let cluster = TestCluster::new(5).await;
    let layout = BucketLayout { replication: Some(4), block_size: Some(1 << 22) };
    cluster.store.write(move |tx| set_bucket_layout(tx, BUCKET, layout).boxed()).await.unwrap();
    let grant = cluster.grant().await;
    assert_eq!((grant.targets.len(), grant.replication, grant.block_size), (4, 4, 1 << 22));
    let class = Some("REDUCED_REDUNDANCY".to_owned());
    let request = AllocateBlocks { storage_class: class, ..allocation(1) };
    assert_eq!(cluster.blocks.allocate(request).await.unwrap()[0].targets.len(), 2, "the object decides");
}

#[tokio::test]
async fn when_too_few_nodes_can_take_a_block_the_error_says_how_many_and_why() {
    let mut cluster = TestCluster::new(5).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.change_admin_state(1, AdminStateChange::Maintain { for_ms: 3_600_000 }).await;
    cluster.nodes[2].capacity = 10;
    cluster.down(3);
    cluster.pass(cluster.config.stale_after * 2).await;
    let Err(MetadataError::NotEnoughNodes { reason }) = cluster.blocks.allocate(allocation(1)).await else {
        panic!("there is one node left");
    };
    assert!(reason.contains("needs 2 datanodes") && reason.contains("1 of 5 can"), "{reason}");
    for why in ["1 draining", "1 in maintenance", "1 full", "1 stale"] {
        assert!(reason.contains(why), "{reason}");
    }
    // A refused request reserves nothing.
    let used = cluster.status().await.nodes.iter().map(|node| node.predicted_used).sum::<u64>();
    assert_eq!(used, 0);
}

/// A node loses all its replicas, registers, and reports.
async fn lose_all(cluster: &mut TestCluster, index: usize) {
    cluster.nodes[index].held.clear();
    cluster.register(index).await;
}

// A block was stored on a node, which then restarted without that disk and reported. The commit came after the report
// and listed the node for good. Where one replica was enough, an acknowledged write had none.
#[tokio::test]
async fn a_node_that_lost_a_block_before_its_commit_is_not_listed() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    lose_all(&mut cluster, 0).await;
    cluster.commit(vec![extent]).await.unwrap();
    assert_eq!(cluster.holders(block).await, [1, 2].into());
}

#[tokio::test]
async fn a_commit_is_refused_when_too_few_of_the_nodes_that_stored_a_block_have_it_still() {
    let config = BlockManagerConfig { min_replicas: 1, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 1).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    lose_all(&mut cluster, 0).await;
    assert!(cluster.commit(vec![extent]).await.is_err());
    assert!(cluster.locate(block).await.is_none());
}

#[tokio::test]
async fn a_node_that_registered_anew_and_reported_the_block_is_listed() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    cluster.restart().await;
    cluster.beat_all().await;
    cluster.commit(vec![extent]).await.unwrap();
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn a_commit_waits_for_the_reports_of_nodes_that_registered_anew() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let extent = cluster.store_block(grant, 10);
    for index in 0..3 {
        let registered = cluster.blocks.register(cluster.registration(index)).await.unwrap();
        cluster.nodes[index].incarnation = registered.incarnation;
    }
    let early = cluster.commit(vec![extent.clone()]).await;
    assert!(matches!(early, Err(MetadataError::Unavailable { .. })), "{early:?}");
    for index in 0..3 {
        cluster.report(index).await;
    }
    cluster.commit(vec![extent]).await.unwrap();
}

// The disk failed after the node had acknowledged the block, and the node reported that before the commit.
#[tokio::test]
async fn a_node_that_reported_the_loss_of_the_block_is_not_listed() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    cluster.beat_all().await;
    cluster.nodes[2].held.clear();
    cluster.nodes[2].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.beat(2).await;
    cluster.commit(vec![extent]).await.unwrap();
    assert_eq!(cluster.holders(block).await, [0, 1].into());
}

#[tokio::test]
async fn a_commit_that_names_no_incarnations_is_accepted() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let extent = cluster.store_block(grant, 10);
    let block = extent.grant.block;
    cluster.register(0).await;
    cluster.commit(vec![NewExtent { incarnations: Vec::new(), ..extent }]).await.unwrap();
    assert_eq!(cluster.holders(block).await.len(), 3);
}
