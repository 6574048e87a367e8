//! A commit and the deletion of the same block: whichever comes first decides, whatever the clocks show.

use std::time::Duration;

use cairn_protocol::cluster::{BlockReport, Cluster, ReportedReplica};
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::*;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;

/// A second more than a lease and its slack.
const ELEVEN_MINUTES_MS: i64 = (11 * 60 + 1) * 1_000;

/// Whether a commit or a renewal was refused because of this block.
pub(super) fn is_lost<T: std::fmt::Debug>(result: &Result<T, MetadataError>, block: BlockId) -> bool {
    matches!(result, Err(MetadataError::BlockLost { block: lost, .. }) if *lost == block)
}

async fn seconds(cluster: &mut TestCluster, seconds: u64) {
    cluster.pass(Duration::from_secs(seconds)).await;
}

/// The wall clock was 11 minutes ahead for a moment. Blocks in flight were queued for deletion. After the clock was
/// corrected the commit succeeded, and then the replicas were deleted.
#[tokio::test]
async fn a_wall_clock_that_is_ahead_for_a_moment_takes_no_block_in_flight() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    cluster.beat_all().await;
    cluster.clock.set_wall(ELEVEN_MINUTES_MS);
    // Workers run, and a node reports all its replicas.
    cluster.work().await;
    cluster.report(0).await;
    cluster.settle().await;
    cluster.clock.set_wall(-ELEVEN_MINUTES_MS);
    cluster.commit(vec![extent]).await.unwrap();
    seconds(&mut cluster, 30).await;
    assert_eq!((cluster.really_at(block).len(), cluster.holders(block).await.len()), (3, 3));
    cluster.verify().await;
}

/// The same happened on a machine whose clock was wrong when the metanode started.
#[tokio::test]
async fn a_start_with_a_wall_clock_that_is_ahead_deletes_no_block_in_flight() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    cluster.beat_all().await;
    cluster.clock.set_wall(ELEVEN_MINUTES_MS);
    cluster.restart().await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.commit(vec![extent]).await.unwrap();
    seconds(&mut cluster, 30).await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

/// The wall clock was ahead when a block was granted, and was corrected then. The block of a gateway that died stayed
/// for as long as the clock had been ahead.
#[tokio::test]
async fn a_wall_clock_that_is_set_back_keeps_no_block_for_longer_than_its_lease() {
    let mut cluster = TestCluster::new(3).await;
    cluster.clock.set_wall(1_000 * ELEVEN_MINUTES_MS);
    let grant = cluster.grant().await;
    let block = grant.block;
    cluster.store_block(grant, 10);
    cluster.clock.set_wall(-1_000 * ELEVEN_MINUTES_MS);
    cluster.pass(cluster.config.lease).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.pass(cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
}

/// Ids of an older version may come from a wall clock that was ahead, and a restored database has an older time than
/// the ids of blocks that were written since.
#[tokio::test]
async fn a_block_with_an_id_in_the_future_is_deleted_a_lease_after_it_was_found() {
    let mut cluster = TestCluster::new(1).await;
    let ahead = cluster.env.steady(cluster.env.now().after(Duration::from_secs(1_000_000)));
    let block = BlockId(ahead.uuid_v7());
    cluster.nodes[0].held.insert(block, ReportedReplica { block, length: 5, crc32c: 5 });
    cluster.report(0).await;
    cluster.pass(cluster.config.lease).await;
    assert_eq!(cluster.really_at(block).len(), 1);
    cluster.restart().await;
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(6)).await;
    assert!(cluster.really_at(block).is_empty());
}

/// A client that was reading an object when it was overwritten lost the rest of it when the wall clock was set forward.
#[tokio::test]
async fn a_wall_clock_that_is_ahead_for_a_moment_ends_no_grace_period() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    seconds(&mut cluster, 700).await;
    cluster.give_up(owner).await;
    cluster.clock.set_wall(ELEVEN_MINUTES_MS);
    cluster.settle().await;
    cluster.clock.set_wall(-ELEVEN_MINUTES_MS);
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(60)).await;
    assert!(cluster.really_at(block).is_empty());
}

/// Objects that were deleted while the wall clock was ahead stayed for as long as it had been ahead.
#[tokio::test]
async fn objects_deleted_while_the_wall_clock_was_ahead_do_not_stay_for_ever() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    cluster.clock.set_wall(1_000_000 * ELEVEN_MINUTES_MS);
    cluster.give_up(owner).await;
    cluster.clock.set_wall(-1_000_000 * ELEVEN_MINUTES_MS);
    seconds(&mut cluster, 1).await;
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(60)).await;
    assert!(cluster.really_at(block).is_empty());
    cluster.verify().await;
}

/// A commit was repeated after its version was swept, because the grace period was shorter than the lease. It made an
/// object of replicas that were being deleted.
#[tokio::test]
async fn a_commit_that_is_repeated_after_its_object_was_collected_is_refused() {
    let config =
        BlockManagerConfig { garbage_grace: Duration::from_secs(30), ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    let owner = cluster.commit(vec![extent.clone()]).await.unwrap();
    cluster.give_up(owner).await;
    seconds(&mut cluster, 60).await;
    assert!(cluster.really_at(block).is_empty());
    assert!(is_lost(&cluster.commit(vec![extent]).await, block));
    cluster.verify().await;
}

const DAY_MS: i64 = 86_400_000;

/// The deadline of a command was compared with the wall clock. After the clock was set back, the node got no further
/// deletions until the clock had caught up.
#[tokio::test]
async fn a_wall_clock_that_is_set_back_holds_up_no_deletion() {
    let (mut cluster, block) = TestCluster::with_a_deletion_ordered().await;
    // Nodes compare the deadline with their own wall clocks.
    let deadline = cluster.env.wall().after(cluster.config.command_deadline);
    assert_eq!(cluster.nodes[0].commands[0].deadline, deadline);
    // The command is lost.
    cluster.nodes[0].commands.clear();
    cluster.clock.set_wall(-DAY_MS);
    cluster.pass(cluster.config.command_deadline + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
}

/// For the same reason no copy was planned again.
#[tokio::test]
async fn a_wall_clock_that_is_set_back_holds_up_no_copy() {
    let mut cluster = TestCluster::new(4).await;
    let block = cluster.put_many(1, 10).await[0];
    let dead = *cluster.really_at(block).first().unwrap();
    cluster.die(dead).await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 1);
    for node in &mut cluster.nodes {
        node.commands.clear();
    }
    cluster.clock.set_wall(-DAY_MS);
    cluster.pass(cluster.config.command_deadline + Duration::from_secs(10)).await;
    let mut really = cluster.really_at(block);
    really.remove(&dead);
    assert_eq!(really.len(), 3);
}

/// Grants that were given before a start with a shorter lease are valid for longer than those given after it.
#[tokio::test]
async fn a_shorter_lease_does_not_hold_for_grants_that_were_given_before() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    seconds(&mut cluster, 3).await;
    cluster.config.lease = Duration::from_secs(60);
    cluster.restart().await;
    seconds(&mut cluster, 300).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.commit(vec![extent]).await.unwrap();
}

/// An abandoned block cannot be committed, however long its grant is valid. Its mark is removed when no grant of it can
/// be valid.
#[tokio::test]
async fn an_abandoned_block_cannot_be_committed_and_its_mark_ends() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    seconds(&mut cluster, 3).await;
    // A database of a version without cluster time does not say which lease the earlier process gave.
    crate::store::tests::execute(&cluster.store, "DELETE FROM settings WHERE name = 'clock'").await;
    cluster.config.lease = Duration::from_secs(60);
    cluster.restart().await;
    seconds(&mut cluster, 180).await;
    assert!(cluster.really_at(block).is_empty());
    assert!(is_lost(&cluster.commit(vec![extent.clone()]).await, block));
    seconds(&mut cluster, 300).await;
    let mut reader = cluster.store.read().await.unwrap();
    assert_eq!(crate::store::leases::find(&mut reader, block).await.unwrap(), None);
}

#[tokio::test]
async fn a_block_with_a_deletion_in_the_queue_is_not_committed() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    let (block, node, now) = (grant.block, grant.targets[1].node, cluster.env.now());
    let extent = cluster.store_block(grant, 10);
    let queued = cluster.store.write(move |tx| {
        Box::pin(async move { crate::store::deletions::queue(tx, node, block, 10, now).await })
    });
    assert!(queued.await.unwrap());
    assert!(is_lost(&cluster.commit(vec![extent]).await, block));
}

/// Nodes were removed or died between the acknowledgement of a block and its commit. The commit listed their replicas,
/// which were gone.
#[tokio::test]
async fn a_commit_needs_min_replicas_nodes_that_are_alive() {
    let mut cluster = TestCluster::new(5).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant.clone(), 10);
    let held: Vec<_> = cluster.really_at(block).into_iter().collect();
    cluster.kill(held[0]).await;
    let renewed = cluster.blocks.renew(RenewGrants { grants: vec![grant] }).await.unwrap();
    cluster.kill(held[1]).await;
    let extent = NewExtent { grant: renewed.into_iter().next().unwrap(), ..extent };
    assert!(is_lost(&cluster.commit(vec![extent.clone()]).await, block), "one of three is alive");
    cluster.nodes[held[0]].up = true;
    cluster.register(held[0]).await;
    cluster.commit(vec![extent]).await.unwrap();
}

#[tokio::test]
async fn a_commit_does_not_list_a_node_that_was_removed() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    let gone = *cluster.really_at(block).first().unwrap();
    cluster.kill(gone).await;
    super::remove::remove(&cluster, gone).await.unwrap();
    cluster.settle().await;
    cluster.commit(vec![extent]).await.unwrap();
    let mut really = cluster.really_at(block);
    really.remove(&gone);
    assert_eq!(cluster.holders(block).await, really);
    seconds(&mut cluster, 30).await;
    assert_eq!(cluster.holders(block).await.len(), 3, "it is repaired");
}

/// The blocks of a long upload are old when they are committed. A page of a report that was read before the commit, and
/// arrived after it, removed their replicas from SQL. With one replica, the new object could not be read.
#[tokio::test]
async fn an_old_report_removes_no_replica_that_was_just_committed() {
    let mut cluster = TestCluster::new(1).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    let extent = cluster.store_block(grant, 10);
    let empty = |node: NodeId, incarnation| BlockReport::new(node, incarnation, None, None, Vec::new());
    // The node reported the block with a heartbeat long ago.
    cluster.pass(cluster.config.report_age * 2).await;
    cluster.commit(vec![extent]).await.unwrap();
    let page = empty(cluster.nodes[0].id, cluster.nodes[0].incarnation);
    cluster.blocks.report_blocks(page.clone()).await.unwrap();
    assert_eq!(cluster.holders(block).await, [0].into());
    cluster.report(0).await;
    // A real loss is noticed.
    cluster.pass(cluster.config.report_age * 2).await;
    cluster.blocks.report_blocks(page).await.unwrap();
    assert!(cluster.holders(block).await.is_empty());
}
