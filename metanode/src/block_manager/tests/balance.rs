//! Balancing moves replicas from full nodes to empty ones and never leaves a block under-replicated.

use std::time::Duration;

use cairn_protocol::admin::{
    Admin, AdminError, BalanceRequest, BalanceStatus, SetBalance, WorkerActivity, WorkerName,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use futures_util::FutureExt;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;
use crate::store::{Connection, StoreError, deletions, replicas, tests as store_tests};

const MEBIBYTE: u64 = 1 << 20;

async fn status(cluster: &TestCluster) -> BalanceStatus {
    cluster.blocks.balance(BalanceRequest {}).await.unwrap()
}

/// Four full nodes, and an empty one that joined later. Balancing is stopped.
async fn uneven(config: BlockManagerConfig) -> (TestCluster, Vec<BlockId>) {
    let mut cluster = TestCluster::with(config, 4).await;
    let blocks = cluster.put_many(80, MEBIBYTE).await;
    cluster.balances = true;
    cluster.blocks.set_balance(SetBalance { running: Some(false), ..SetBalance::default() }).await.unwrap();
    for index in 0..4 {
        cluster.nodes[index].capacity = 200 * MEBIBYTE;
    }
    let last = cluster.add_node(None).await;
    cluster.nodes[last].capacity = 200 * MEBIBYTE;
    cluster.pass(Duration::from_secs(9)).await;
    cluster.new_events();
    (cluster, blocks)
}

async fn start(cluster: &TestCluster) -> BalanceStatus {
    cluster.blocks.set_balance(SetBalance { running: Some(true), ..SetBalance::default() }).await.unwrap()
}

#[tokio::test]
async fn blocks_move_to_the_empty_node_until_all_are_within_the_threshold_and_never_below_the_factor() {
    let (mut cluster, blocks) = uneven(BlockManagerConfig::default()).await;
    let before = status(&cluster).await;
    assert!(!before.running && before.activity == WorkerActivity::Paused);
    assert_eq!((before.lowest, before.threshold_permille), (0.0, 100));
    assert!(before.nodes_outside > 0 && before.bytes_to_move >= 40 * MEBIBYTE, "{before:?}");
    assert!(start(&cluster).await.running);
    for _ in 0..60 {
        cluster.work().await;
        cluster.clock.advance(cluster.config.heartbeat_interval);
        cluster.beat_all().await;
        for index in 0..5 {
            cluster.obey(index);
        }
        for block in &blocks {
            assert!(cluster.really_at(*block).len() >= 3);
        }
    }
    cluster.settle().await;
    let after = status(&cluster).await;
    assert_eq!((after.nodes_outside, after.bytes_to_move, after.moves_in_flight), (0, 0, 0), "{after:?}");
    assert_eq!(after.activity, WorkerActivity::Resting);
    assert!(after.lowest >= after.mean * 0.9 && after.highest <= after.mean * 1.1, "{after:?}");
    for block in &blocks {
        assert_eq!(cluster.really_at(*block).len(), 3);
        assert_eq!(cluster.holders(*block).await, cluster.really_at(*block));
    }
    let events = cluster.new_events();
    let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|event| wanted(event)).count() as u64;
    let moved = count(|event| matches!(event, EventKind::BlockMoved { .. }));
    assert_eq!(count(|event| matches!(event, EventKind::MoveStarted { .. })), moved);
    let bytes_moved = after.bytes_moved - before.bytes_moved;
    assert_eq!(bytes_moved, moved * MEBIBYTE);
    assert!(bytes_moved <= 2 * before.bytes_to_move, "{bytes_moved} of {}", before.bytes_to_move);
    assert_eq!(events.iter().filter(|event| **event == EventKind::BalanceIdle).count(), 1);
    // Then balancing rests.
    cluster.pass(Duration::from_secs(120)).await;
    assert!(cluster.new_events().is_empty());
}

#[tokio::test]
async fn what_is_about_to_move_counts_as_moved() {
    let (mut cluster, _) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    cluster.work().await;
    let moving = status(&cluster).await;
    assert!(moving.moves_in_flight > 0);
    let bytes = moving.moves_in_flight * MEBIBYTE;
    let nodes = cluster.status().await.nodes;
    let used = |index: usize| -> (u64, u64) {
        let node = nodes.iter().find(|node| node.node == cluster.nodes[index].id).unwrap();
        (node.predicted_used, node.volumes[0].used)
    };
    assert_eq!(used(4), (bytes, 0));
    let predicted: u64 = (0..5).map(|index| used(index).0).sum();
    assert_eq!(predicted, 240 * MEBIBYTE, "what comes at one goes at another");
    // The copies are made and the old replicas queued for deletion, and nothing is counted twice.
    cluster.beat_all().await;
    cluster.obey(4);
    cluster.beat_all().await;
    cluster.pause(WorkerName::Balance, true).await;
    cluster.work().await;
    let nodes = cluster.status().await.nodes;
    assert_eq!(nodes.iter().map(|node| node.predicted_used).sum::<u64>(), 240 * MEBIBYTE);
}

/// `cairn admin balance status` said "Balanced" and that nothing was moved, when all copies were made and no old replica was dropped yet.
#[tokio::test]
async fn a_move_is_in_flight_until_its_old_replica_goes_and_then_it_is_counted() {
    let (mut cluster, _) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    cluster.work().await;
    let moves = status(&cluster).await.moves_in_flight;
    assert!(moves > 0);
    cluster.beat_all().await;
    cluster.obey(4);
    cluster.beat_all().await;
    let copied = status(&cluster).await;
    assert_eq!((copied.moves_in_flight, copied.bytes_moved), (moves, 0));
    cluster.pause(WorkerName::Balance, true).await;
    cluster.work().await;
    let done = status(&cluster).await;
    assert_eq!((done.moves_in_flight, done.bytes_moved), (0, moves * MEBIBYTE));
}

/// The event that balancing is done came when all copies were made, and the status said that moves were in flight.
#[tokio::test]
async fn balancing_is_idle_when_the_old_replicas_are_gone() {
    let (mut cluster, blocks) = uneven(BlockManagerConfig::default()).await;
    // A copy whose old replica stays until SQL lists the new one.
    let (from, to) = (cluster.nodes[0].id, cluster.nodes[4].id);
    cluster.blocks.inner.soft_state().finished_moves.announce(blocks[0], from, to);
    start(&cluster).await;
    cluster.pass(Duration::from_secs(600)).await;
    let is_idle = |events: &[EventKind]| events.contains(&EventKind::BalanceIdle);
    assert_eq!((status(&cluster).await.moves_in_flight, is_idle(&cluster.new_events())), (1, false));
    cluster.blocks.inner.soft_state().finished_moves.counted(blocks[0], false);
    cluster.pass(Duration::from_secs(600)).await;
    assert_eq!((status(&cluster).await.moves_in_flight, is_idle(&cluster.new_events())), (0, true));
}

/// The repair worker may be first to drop the old replica of a move, as a surplus one. Then the move was never counted, and
/// `cairn admin balance status` said "Balanced" and that nothing was moved.
#[tokio::test]
async fn a_move_whose_old_replica_was_dropped_by_repair_is_counted() {
    let (mut cluster, _) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    cluster.work().await;
    cluster.beat_all().await;
    cluster.obey(4);
    cluster.beat_all().await;
    let moves: Vec<_> = {
        let soft_state = cluster.blocks.inner.soft_state();
        let ready = soft_state.finished_moves.ready(99).into_iter();
        ready.map(|block| (block, soft_state.finished_moves.leaving(block).unwrap())).collect()
    };
    assert!(!moves.is_empty());
    let (dropped, now) = (moves.clone(), cluster.env.now());
    let drop_all = async move |tx: &mut Connection| {
        for (block, from) in dropped {
            replicas::remove(tx, block, from).await?;
            deletions::queue(tx, from, block, MEBIBYTE, now).await?;
        }
        Ok::<_, StoreError>(())
    };
    cluster.store.write(move |tx| async move { drop_all(tx).await }.boxed()).await.unwrap();
    cluster.pause(WorkerName::Balance, true).await;
    cluster.work().await;
    let done = status(&cluster).await;
    assert_eq!((done.moves_in_flight, done.bytes_moved), (0, moves.len() as u64 * MEBIBYTE));
}

#[tokio::test]
async fn a_restart_in_the_middle_of_moves_loses_no_block_and_leaves_none_too_many() {
    let (mut cluster, blocks) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    cluster.work().await;
    cluster.beat_all().await;
    cluster.obey(4);
    // The copies are made, but the metanode that ordered them is gone.
    cluster.restart().await;
    assert!(status(&cluster).await.running, "that it runs is in SQL");
    cluster.pass(cluster.config.command_deadline * 2).await;
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
        assert_eq!(cluster.holders(block).await, cluster.really_at(block));
    }
}

#[tokio::test]
async fn balancing_is_throttled_and_its_terms_survive_a_restart() {
    let config = BlockManagerConfig { balance_rate: MEBIBYTE, ..BlockManagerConfig::default() };
    let (mut cluster, _) = uneven(config).await;
    start(&cluster).await;
    cluster.work().await;
    let slow = status(&cluster).await;
    assert!((1..=2).contains(&slow.moves_in_flight), "{slow:?}");
    assert_eq!((slow.activity, slow.rate), (WorkerActivity::Throttled, MEBIBYTE));
    let terms = SetBalance { rate: Some(7), threshold_permille: Some(333), ..SetBalance::default() };
    let dry = cluster.blocks.set_balance(SetBalance { dry_run: true, ..terms.clone() }).await.unwrap();
    assert_eq!((dry.rate, dry.threshold_permille), (7, 333));
    assert_eq!(status(&cluster).await.rate, MEBIBYTE, "a dry run changes nothing");
    cluster.blocks.set_balance(terms).await.unwrap();
    cluster.restart().await;
    let kept = status(&cluster).await;
    assert_eq!((kept.running, kept.rate, kept.threshold_permille), (true, 7, 333));
}

#[tokio::test]
async fn invalid_settings_are_refused() {
    let cluster = TestCluster::new(1).await;
    let none = SetBalance::default;
    for refused in [
        SetBalance { rate: Some(0), ..none() },
        SetBalance { threshold_permille: Some(0), ..none() },
        SetBalance { threshold_permille: Some(1_001), ..none() },
    ] {
        let refused = cluster.blocks.set_balance(refused).await;
        assert!(matches!(refused, Err(AdminError::Refused { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_move_whose_copy_fails_keeps_the_old_replica() {
    let (mut cluster, blocks) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    cluster.work().await;
    cluster.beat_all().await;
    // The target dies before it carries out its commands.
    assert!(!cluster.nodes[4].commands.is_empty());
    cluster.nodes[4].commands.clear();
    cluster.kill(4).await;
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
    }
    assert_eq!(status(&cluster).await.moves_in_flight, 0);
}

/// A read that failed after a move was planned left the move counted as under way at both nodes. After some such moves no
/// copy to or from these nodes was ordered any more, until the metanode restarted.
#[tokio::test]
async fn a_move_whose_read_failed_is_not_counted_as_under_way() {
    let (mut cluster, _) = uneven(BlockManagerConfig::default()).await;
    start(&cluster).await;
    store_tests::execute(&cluster.store, "ALTER TABLE deletions RENAME TO deletions_away").await;
    cluster.step_and_fail(WorkerName::Balance).await;
    let soft_state = cluster.blocks.inner.soft_state();
    assert_eq!(soft_state.copies.len(), 0);
    for node in &cluster.nodes {
        assert_eq!(soft_state.copies.in_flight.load(node.id), 0);
    }
}
