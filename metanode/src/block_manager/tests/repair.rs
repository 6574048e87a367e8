//! Under-replicated blocks get their replicas back; surplus or corrupt replicas are deleted only when enough good ones
//! exist.

use std::time::Duration;

use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::{Cluster, ClusterError, CommandResult, ReplicaChange};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::{ReplicaProblem, ReplicaReport};
use futures_util::FutureExt;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;
use crate::store::{StoreError, repairs, replicas};

#[tokio::test]
async fn the_blocks_of_a_dead_node_are_copied_from_the_others() {
    let mut cluster = TestCluster::new(4).await;
    let mut blocks = Vec::new();
    for _ in 0..30 {
        blocks.push(cluster.put(10).await.1);
    }
    cluster.settle().await;
    let lost = blocks.iter().filter(|block| cluster.really_at(**block).contains(&0)).count();
    assert!(lost > 0);
    cluster.new_events();
    cluster.die(0).await;
    assert_eq!(cluster.status().await.under_replicated, lost as u64);
    assert_eq!(cluster.status().await.repairs_in_flight, lost as u64);
    cluster.settle().await;
    let events = cluster.new_events();
    let node = cluster.nodes[0].id;
    let dead = events.iter().position(|event| *event == EventKind::NodeDead { node }).unwrap();
    let idle = events.iter().position(|event| *event == EventKind::RepairIdle).unwrap();
    let repaired = events[dead..idle].iter().filter(|event| matches!(event, EventKind::BlockRepaired { .. }));
    assert_eq!(repaired.count(), lost);
    for block in blocks {
        let mut really = cluster.really_at(block);
        really.remove(&0);
        assert_eq!(really.len(), 3);
    }
    assert_eq!(cluster.status().await.under_replicated, 0);
    cluster.verify().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_of_repair_loses_no_repair() {
    let mut cluster = TestCluster::new(4).await;
    let mut blocks = Vec::new();
    for _ in 0..10 {
        blocks.push(cluster.put(10).await.1);
    }
    cluster.settle().await;
    cluster.die(0).await;
    cluster.beat_all().await;
    assert!(cluster.copies_ordered() > 0);
    let under = cluster.status().await.under_replicated;
    cluster.restart().await;
    assert_eq!(cluster.status().await.under_replicated, under, "the queue is in SQL");
    // After the restart the dead node counts as alive until it has been without contact for long enough; then repair
    // continues.
    cluster.pass(cluster.config.dead_after + Duration::from_secs(30)).await;
    for block in blocks {
        let mut really = cluster.really_at(block);
        really.remove(&0);
        assert_eq!(really.len(), 3);
    }
    assert_eq!(cluster.status().await.under_replicated, 0);
}

/// Four nodes, one block, and one of its nodes died: the copy that replaces the replica is ordered and not made.
async fn cluster_with_a_copy_ordered() -> TestCluster {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.die(victim).await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 1);
    cluster
}

#[tokio::test]
async fn a_copy_that_is_not_made_in_time_is_ordered_again() {
    let mut cluster = cluster_with_a_copy_ordered().await;
    for node in &mut cluster.nodes {
        node.commands.clear();
    }
    cluster.pass(cluster.config.command_deadline / 2).await;
    assert_eq!(cluster.copies_ordered(), 0);
    cluster.pass(cluster.config.command_deadline).await;
    cluster.pass(Duration::from_secs(9)).await;
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_copy_that_fails_is_tried_again_but_not_in_a_hot_loop() {
    let mut cluster = cluster_with_a_copy_ordered().await;
    let target = cluster.nodes.iter().position(|node| !node.commands.is_empty()).unwrap();
    let command = cluster.nodes[target].commands.pop().unwrap();
    let error = Some("the source hung up".to_owned());
    cluster.nodes[target].increments.finished.push(CommandResult { command: command.id, error });
    cluster.beat(target).await;
    cluster.work().await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 0);
    cluster.pass(Duration::from_secs(9)).await;
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn the_copies_that_are_too_many_after_a_node_returns_go_and_never_below_the_factor() {
    let mut cluster = TestCluster::new(4).await;
    let mut blocks = Vec::new();
    for _ in 0..20 {
        blocks.push(cluster.put(10).await.1);
    }
    cluster.settle().await;
    cluster.kill(0).await;
    cluster.nodes[0].up = true;
    cluster.beat(0).await;
    let too_many = blocks.iter().filter(|block| cluster.really_at(**block).len() == 4).count();
    assert!(too_many > 0);
    cluster.settle().await;
    cluster.settle().await;
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
        assert_eq!(cluster.holders(block).await, cluster.really_at(block));
    }
    assert_eq!(cluster.status().await.deletions_queued, 0);
}

#[tokio::test]
async fn a_fresh_block_is_left_alone_while_its_pipeline_may_be_running() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let two: Vec<_> = grant.targets[..2].iter().map(|target| target.node).collect();
    let third = cluster.nodes.iter().position(|node| node.id == grant.targets[2].node).unwrap();
    let extent = cluster.store_block_on(grant.clone(), 10, &two);
    cluster.commit(vec![extent]).await.unwrap();
    cluster.work().await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 0);
    // The third target has the block after all, so there is nothing to repair.
    cluster.store_block_on(grant.clone(), 10, &[cluster.nodes[third].id]);
    cluster.pass(cluster.config.repair_grace * 2).await;
    assert_eq!(cluster.really_at(grant.block).len(), 3);
    let repaired =
        cluster.new_events().into_iter().any(|event| matches!(event, EventKind::BlockRepaired { .. }));
    assert!(!repaired);
}

#[tokio::test]
async fn a_fresh_block_that_lacks_a_copy_gets_it_after_the_grace_period() {
    let mut cluster = TestCluster::new(4).await;
    let grant = cluster.grant().await;
    let two: Vec<_> = grant.targets[..2].iter().map(|target| target.node).collect();
    let extent = cluster.store_block_on(grant.clone(), 10, &two);
    cluster.commit(vec![extent]).await.unwrap();
    cluster.pass(cluster.config.repair_grace + Duration::from_secs(3)).await;
    assert_eq!(cluster.really_at(grant.block).len(), 3);
}

#[tokio::test]
async fn blocks_of_a_small_cluster_get_their_copies_when_nodes_come() {
    let mut cluster = TestCluster::new(1).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let status = cluster.status().await;
    assert_eq!((status.blocks, status.under_replicated), (1, 0), "it has as many as there can be");
    cluster.pass(cluster.config.repair_grace).await;
    cluster.add_node(None).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 2);
    cluster.add_node(None).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.add_node(None).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn a_restart_does_not_end_the_search_for_blocks_that_lack_copies() {
    let mut cluster = TestCluster::new(1).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.add_node(None).await;
    cluster.restart().await;
    cluster.pass(cluster.config.repair_grace).await;
    assert_eq!(cluster.really_at(block).len(), 2);
}

#[tokio::test]
async fn a_corrupt_replica_is_repaired_from_a_good_one_and_then_deleted() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.nodes[victim].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.pass(cluster.config.repair_grace * 2).await;
    let really = cluster.really_at(block);
    assert!(!really.contains(&victim) && really.len() == 3);
    assert_eq!(cluster.holders(block).await, really);
    let node = cluster.nodes[victim].id;
    assert!(cluster.new_events().contains(&EventKind::ReplicaCorrupt { block, node }));
}

#[tokio::test]
async fn a_corrupt_replica_makes_room_for_a_good_one_where_there_is_no_other_node() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.new_events();
    cluster.pass(cluster.config.repair_grace * 2).await;
    let events = cluster.new_events();
    let node = cluster.nodes[0].id;
    assert!(events.contains(&EventKind::BlockDeleted { block, node }));
    assert!(events.contains(&EventKind::BlockRepaired { block, node }));
    assert_eq!(cluster.holders(block).await.len(), 3);
}

#[tokio::test]
async fn the_last_copy_is_never_deleted_even_if_it_is_corrupt() {
    let mut cluster = TestCluster::new(1).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.pass(cluster.config.lease * 2).await;
    assert_eq!(cluster.really_at(block).len(), 1);
    assert_eq!(cluster.status().await.missing, 1);
    assert_eq!(cluster.locate(block).await.unwrap().replicas.len(), 1, "a reader may still try it");
}

#[tokio::test]
async fn a_gateway_that_calls_everything_corrupt_destroys_nothing() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    for index in 0..3 {
        for problem in [ReplicaProblem::Corrupt, ReplicaProblem::Missing] {
            let report = ReplicaReport { block, node: cluster.nodes[index].id, problem };
            cluster.blocks.report_replica(report).await.unwrap();
        }
        assert!(!cluster.really_at(block).is_empty());
    }
    let status = cluster.status().await;
    assert_eq!((status.under_replicated, status.missing), (1, 0), "the last good one is not doubted");
    cluster.pass(cluster.config.repair_grace * 3).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_replica_that_a_gateway_found_missing_is_made_again() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.nodes[victim].held.remove(&block);
    let node = cluster.nodes[victim].id;
    cluster
        .blocks
        .report_replica(ReplicaReport { block, node, problem: ReplicaProblem::Missing })
        .await
        .unwrap();
    cluster.pass(cluster.config.repair_grace * 2).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
}

#[tokio::test]
async fn repair_is_throttled() {
    let mebibyte = 1 << 20;
    let config = BlockManagerConfig { repair_rate: mebibyte, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 4).await;
    for _ in 0..12 {
        cluster.put(4 * mebibyte).await;
    }
    cluster.settle().await;
    cluster.die(0).await;
    cluster.beat_all().await;
    // The saved second lets the first copy through; the rate has to catch up before the next.
    assert!(cluster.copies_ordered() <= 2, "{}", cluster.copies_ordered());
    assert!(cluster.copies_ordered() > 0);
    for _ in 0..30 {
        cluster.pass(Duration::from_secs(9)).await;
    }
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn copies_spread_over_zones() {
    let mut cluster = TestCluster::new(0).await;
    for zone in ["a", "a", "b", "b", "c", "c"] {
        cluster.add_node(Some(zone)).await;
    }
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.kill(victim).await;
    let mut really = cluster.really_at(block);
    really.remove(&victim);
    let zones: std::collections::BTreeSet<_> =
        really.iter().map(|index| cluster.nodes[*index].zone.clone()).collect();
    assert_eq!(zones.len(), 3);
}

#[tokio::test]
async fn when_the_database_cannot_be_written_the_node_reports_the_change_again() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    let beat = cluster.heartbeat_of(0);
    cluster.store.close().await;
    assert!(matches!(cluster.blocks.heartbeat(beat).await, Err(ClusterError::Unavailable { .. })));
}

#[tokio::test]
async fn a_replica_that_was_quarantined_before_a_restart_is_known_again() {
    let mut cluster = TestCluster::new(1).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.report_age * 2).await;
    // The node starts again: it reports its good replicas, and then those in quarantine.
    let replica = cluster.nodes[0].held.remove(&block).unwrap();
    cluster.register(0).await;
    assert!(cluster.locate(block).await.unwrap().replicas.is_empty());
    cluster.nodes[0].held.insert(block, replica);
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.beat(0).await;
    assert_eq!(
        cluster.locate(block).await.unwrap().replicas.len(),
        1,
        "it is the last replica, such as it is"
    );
    cluster.pass(cluster.config.lease).await;
    assert_eq!(cluster.really_at(block).len(), 1);
}

#[tokio::test]
async fn a_quarantined_replica_that_is_not_needed_is_deleted() {
    let mut cluster = TestCluster::new(1).await;
    let grant = cluster.grant().await;
    let block = grant.block;
    cluster.store_block(grant, 10);
    cluster.nodes[0].increments.changes.clear();
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
}

/// A test of a whole cluster found this: the transaction that queued a block added its hint before it had ended. The
/// worker looked for the row, did not see it yet, and never looked again.
#[tokio::test]
async fn a_block_whose_hint_comes_before_its_row_can_be_seen_is_repaired() {
    let mut cluster = TestCluster::new(3).await;
    let block = cluster.put(10).await.1;
    cluster.settle().await;
    cluster.pass(cluster.config.repair_grace).await;
    cluster.blocks.inner.hint(block);
    cluster.work().await;
    let node = cluster.nodes[0].id;
    cluster.nodes[0].held.remove(&block);
    let queued = cluster.store.write(move |tx| {
        async move {
            replicas::remove(tx, block, node).await?;
            repairs::queue(tx, block, 2, 3, Timestamp(0)).await
        }
        .boxed()
    });
    assert!(queued.await.unwrap());
    cluster.pass(cluster.config.worker_interval * 2).await;
    cluster.settle().await;
    assert!(cluster.really_at(block).contains(&0));
    assert_eq!(cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_block_that_was_queued_without_a_hint_is_found_by_a_sweep() {
    let mut cluster = TestCluster::new(3).await;
    let block = cluster.put(10).await.1;
    cluster.pass(cluster.config.repair_grace).await;
    let node = cluster.nodes[0].id;
    cluster.nodes[0].held.remove(&block);
    let queued = cluster.store.write(move |tx| {
        async move {
            replicas::remove(tx, block, node).await?;
            repairs::queue(tx, block, 2, 3, Timestamp(0)).await
        }
        .boxed()
    });
    assert!(queued.await.unwrap());
    cluster.settle().await;
    assert!(!cluster.really_at(block).contains(&0), "nobody told of it");
    cluster.long_rest().await;
    cluster.settle().await;
    assert!(cluster.really_at(block).contains(&0));
}

#[tokio::test]
async fn of_too_many_copies_the_one_on_the_fullest_node_of_a_crowded_zone_goes() {
    let mut cluster = TestCluster::new(0).await;
    for zone in ["a", "b", "c", "c"] {
        cluster.add_node(Some(zone)).await;
    }
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.report_age * 2).await;
    // The fourth node adds a replica too. Zone c then has two; the fullest node of all is in zone a.
    cluster.nodes[0].capacity = 100;
    let without = (2..4).find(|index| !cluster.really_at(block).contains(index)).unwrap();
    let with = 5 - without;
    cluster.nodes[with].capacity = 1_000;
    let replica = *cluster.nodes[0].held.get(&block).unwrap();
    cluster.beat_all().await;
    cluster.nodes[without].held.insert(block, replica);
    cluster.register(without).await;
    cluster.settle().await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block), [0, 1, without].into());
    assert_eq!(cluster.holders(block).await, cluster.really_at(block));
}

#[tokio::test]
async fn surplus_replicas_are_remembered_while_some_of_their_nodes_have_no_contact() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.report_age * 2).await;
    let holders: Vec<usize> = cluster.really_at(block).into_iter().collect();
    let other = (0..4).find(|index| !holders.contains(index)).unwrap();
    cluster.down(holders[0]);
    cluster.pass(cluster.config.stale_after * 2).await;
    let replica = *cluster.nodes[holders[0]].held.get(&block).unwrap();
    cluster.nodes[other].held.insert(block, replica);
    cluster.register(other).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 4, "three are needed that are alive for sure");
    cluster.nodes[holders[0]].up = true;
    cluster.beat_all().await;
    cluster.settle().await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn repair_continues_when_a_suspect_node_is_reliable_again() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.report_age * 2).await;
    let holders: Vec<usize> = cluster.really_at(block).into_iter().collect();
    let other = (0..4).find(|index| !holders.contains(index)).unwrap();
    let node = cluster.nodes[holders[0]].id;
    let report = ReplicaReport { block, node, problem: ReplicaProblem::Unreachable };
    cluster.blocks.report_replica(report).await.unwrap();
    let replica = *cluster.nodes[holders[0]].held.get(&block).unwrap();
    cluster.nodes[other].held.insert(block, replica);
    cluster.register(other).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 4, "three are needed that are alive for sure");
    // There is no hint; only time passes.
    cluster.pass(cluster.config.stale_after).await;
    cluster.settle().await;
    assert_eq!(cluster.really_at(block).len(), 3);
}

#[tokio::test]
async fn a_replica_that_was_made_is_not_made_again_while_sql_does_not_list_it() {
    let mut cluster = TestCluster::new(5).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.repair_grace * 2).await;
    let victim = *cluster.really_at(block).first().unwrap();
    cluster.die(victim).await;
    let comes =
        |index: &usize| cluster.blocks.inner.soft_state().copies.inbound(cluster.nodes[*index].id) > 0;
    let target = (0..5).find(comes).unwrap();
    cluster.beat(target).await;
    cluster.obey(target);
    // The writer is blocked when the report of the copy arrives.
    let (open, opened) = tokio::sync::oneshot::channel::<()>();
    let store = cluster.store.clone();
    let held_up =
        tokio::spawn(async move { store.write(|_| opened.map(|_| Ok::<_, StoreError>(())).boxed()).await });
    tokio::task::yield_now().await;
    let (blocks, heartbeat) = (cluster.blocks.clone(), cluster.heartbeat_of(target));
    let mut word = Box::pin(async move { blocks.heartbeat(heartbeat).await });
    assert!(futures_util::poll!(&mut word).is_pending());
    cluster.step(WorkerName::Repair).await;
    assert_eq!(cluster.blocks.inner.soft_state().copies.len(), 0, "nobody else is asked to make it");
    open.send(()).unwrap();
    held_up.await.unwrap().unwrap();
    word.await.unwrap();
    cluster.settle().await;
    assert_eq!(cluster.holders(block).await.len(), 4, "the dead node's among them");
}
