//! Pauses and rates that an operator sets take effect at once and survive a restart.

use std::time::Duration;

use cairn_protocol::admin::{
    Admin, AdminError, SetWorker, WorkerActivity, WorkerName, WorkerSettings, WorkersRequest,
};
use cairn_protocol::event::EventKind;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;

fn rate(worker: WorkerName, rate: Option<u64>) -> SetWorker {
    SetWorker { worker, paused: None, rate: Some(rate) }
}

#[tokio::test]
async fn every_worker_shows_its_settings_and_its_status() {
    let mut cluster = TestCluster::new(3).await;
    cluster.balances = true;
    cluster.work().await;
    let workers = cluster.blocks.workers(WorkersRequest {}).await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.worker).collect::<Vec<_>>(), WorkerName::ALL);
    for worker in &workers {
        assert_eq!(worker.settings, WorkerSettings::default());
        assert_eq!((worker.activity, &worker.error), (WorkerActivity::Resting, &None), "{worker:?}");
        assert!(!worker.doing.is_empty(), "{worker:?}");
    }
    assert_eq!(cluster.worker(WorkerName::Liveness).await.doing, "3 nodes live, 0 stale, 0 dead");
    assert_eq!(cluster.worker(WorkerName::Repair).await.rate, Some(cluster.config.repair_rate));
    assert_eq!(cluster.worker(WorkerName::Garbage).await.rate, None);
    assert_eq!(cluster.status().await.workers, workers);
}

#[tokio::test]
async fn a_paused_worker_does_nothing_until_it_is_resumed_also_over_a_restart() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(10, 10).await;
    cluster.pause(WorkerName::Repair, true).await;
    let settings = WorkerSettings { paused: true, rate: None };
    let worker = WorkerName::Repair;
    assert!(cluster.new_events().contains(&EventKind::WorkerChanged { worker, settings }));
    cluster.kill(0).await;
    assert_eq!(cluster.copies_ordered(), 0);
    assert!(cluster.status().await.under_replicated > 0);
    assert_eq!(cluster.worker(WorkerName::Repair).await.activity, WorkerActivity::Paused);
    cluster.restart().await;
    assert_eq!(cluster.worker(WorkerName::Repair).await.settings, settings);
    cluster.pass(cluster.config.dead_after + Duration::from_secs(30)).await;
    assert!(cluster.status().await.under_replicated > 0);
    cluster.pause(WorkerName::Repair, false).await;
    cluster.settle().await;
    assert_eq!(cluster.status().await.under_replicated, 0);
    let lost = blocks.iter().filter(|block| cluster.really_at(**block).contains(&0)).count() as u64;
    let repair = cluster.worker(WorkerName::Repair).await;
    assert_eq!((repair.done, repair.bytes), (lost, lost * 10));
}

#[tokio::test]
async fn new_settings_of_a_waiting_worker_take_effect_at_once() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(10, 10).await;
    cluster.pause(WorkerName::Repair, true).await;
    cluster.kill(0).await;
    // The real loop, which waits: no time passes, and nothing else wakes it.
    let stop = CancellationToken::new();
    let mut running = Box::pin({
        let (blocks, stop) = (cluster.blocks.clone(), stop.clone());
        async move { blocks.run(stop).await }
    });
    assert!((&mut running).now_or_never().is_none());
    let running = tokio::spawn(running);
    cluster.pause(WorkerName::Repair, false).await;
    let goes_on = async {
        while cluster.status().await.repairs_in_flight == 0 {
            tokio::task::yield_now().await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "only ends a test that hangs")]
    tokio::time::timeout(Duration::from_secs(60), goes_on).await.unwrap();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_operators_rate_holds_instead_of_the_configured_one_until_it_is_taken_back() {
    let mebibyte = 1 << 20;
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(12, 4 * mebibyte).await;
    cluster.blocks.set_worker(rate(WorkerName::Repair, Some(mebibyte))).await.unwrap();
    cluster.die(0).await;
    cluster.beat_all().await;
    let first = cluster.copies_ordered();
    assert!((1..=2).contains(&first), "{first}");
    assert_eq!(cluster.worker(WorkerName::Repair).await.activity, WorkerActivity::Throttled);
    cluster.work().await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), first, "what was let through has to be paid off");
    let status = cluster.blocks.set_worker(rate(WorkerName::Repair, None)).await.unwrap();
    assert_eq!((status.settings.rate, status.rate), (None, Some(cluster.config.repair_rate)));
    // At the old rate it would take seconds.
    cluster.clock.advance(Duration::from_millis(100));
    cluster.work().await;
    cluster.beat_all().await;
    assert!(cluster.copies_ordered() > first);
}

#[tokio::test]
async fn garbage_is_throttled_in_items() {
    let mut cluster = TestCluster::new(1).await;
    for _ in 0..1_000 {
        let (owner, _) = cluster.put(10).await;
        cluster.give_up(owner).await;
    }
    cluster.blocks.set_worker(rate(WorkerName::Garbage, Some(10))).await.unwrap();
    cluster.clock.advance(cluster.config.garbage_grace + Duration::from_secs(1));
    cluster.work().await;
    let left = cluster.status().await.blocks;
    assert!((1..1_000).contains(&left), "a step, and no more: {left}");
    assert_eq!(cluster.worker(WorkerName::Garbage).await.activity, WorkerActivity::Throttled);
    cluster.blocks.set_worker(rate(WorkerName::Garbage, None)).await.unwrap();
    cluster.work().await;
    assert_eq!(cluster.status().await.blocks, 0);
    let garbage = cluster.worker(WorkerName::Garbage).await;
    assert_eq!((garbage.done, garbage.bytes), (1_000, 10_000));
}

#[tokio::test]
async fn liveness_cannot_be_paused_and_no_worker_can_be_stopped_by_a_rate_of_0() {
    let cluster = TestCluster::new(1).await;
    let pause = SetWorker { worker: WorkerName::Liveness, paused: Some(true), rate: None };
    for refused in [pause, rate(WorkerName::Liveness, Some(1)), rate(WorkerName::Repair, Some(0))] {
        let refused = cluster.blocks.set_worker(refused).await;
        assert!(matches!(refused, Err(AdminError::Refused { .. })), "{refused:?}");
    }
    assert!(!cluster.worker(WorkerName::Liveness).await.settings.paused);
}

#[tokio::test]
async fn the_status_of_a_worker_names_the_error_of_its_last_step() {
    let mut cluster = TestCluster::with(BlockManagerConfig::default(), 1).await;
    cluster.store.close().await;
    cluster.step_and_fail(WorkerName::Garbage).await;
    let garbage = cluster.worker(WorkerName::Garbage).await;
    assert_eq!((garbage.activity, garbage.error.is_some()), (WorkerActivity::Failing, true));
}

/// At 128 MiB a second, blocks of 4 KiB were copied 32,000 times a second, each with its syncs and rows.
#[tokio::test]
async fn the_rate_of_copies_counts_a_small_block_as_what_its_copy_costs() {
    let config = BlockManagerConfig { repair_rate: 1 << 20, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 3).await;
    cluster.put_many(60, 4096).await;
    // Each block lacks a replica, because the node that joined has none. Three more blocks follow at a time.
    cluster.add_node(None).await;
    cluster.pause(WorkerName::Repair, true).await;
    cluster.die(0).await;
    cluster.pause(WorkerName::Repair, false).await;
    let mut made = 0;
    for _ in 0..5 {
        cluster.clock.advance(Duration::from_secs(1));
        cluster.work().await;
        cluster.beat_all().await;
        made = cluster.copies_ordered();
    }
    // 1 MiB a second is four copies, and one second is saved in addition.
    assert!((15..=26).contains(&made), "{made}");
}

/// However high the rate, a node is not ordered to make more copies than it can make before their deadline.
#[tokio::test]
async fn one_heartbeat_hands_out_no_more_copies_than_a_node_can_make() {
    let config =
        BlockManagerConfig { replication: 2, repair_rate: u64::MAX, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 1).await;
    cluster.put_many(300, 10).await;
    let node = cluster.add_node(None).await;
    cluster.work().await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 256);
    cluster.work().await;
    cluster.beat_all().await;
    assert_eq!(cluster.copies_ordered(), 256, "the others wait until some are made");
    for _ in 0..3 {
        cluster.pass(cluster.config.repair_grace).await;
    }
    assert_eq!(cluster.nodes[node].held.len(), 300);
}
