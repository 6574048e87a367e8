//! The placement walk finds blocks that no event put into the repair queue.

use std::time::Duration;

use cairn_protocol::admin::WorkerName;

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;

const HOUR: Duration = Duration::from_secs(3_600);

fn config() -> BlockManagerConfig {
    BlockManagerConfig { replication: 2, placement_walk: 2 * HOUR, ..BlockManagerConfig::default() }
}

/// Blocks whose two replicas are both in zone a, and a node in zone b that joined later.
async fn crowded(blocks: usize) -> (TestCluster, Vec<cairn_protocol::id::BlockId>) {
    let mut cluster = TestCluster::with(config(), 0).await;
    for _ in 0..2 {
        cluster.add_node(Some("a")).await;
    }
    let blocks = cluster.put_many(blocks, 10).await;
    cluster.add_node(Some("b")).await;
    cluster.settle().await;
    (cluster, blocks)
}

async fn spread(cluster: &TestCluster, blocks: &[cairn_protocol::id::BlockId]) -> usize {
    let mut spread = 0;
    for block in blocks {
        let holders = cluster.holders(*block).await;
        assert!(holders.len() >= 2);
        spread += usize::from(holders.contains(&2));
    }
    spread
}

/// A block whose replicas were in one zone stayed so when another zone was added, unless something else happened to it.
#[tokio::test]
async fn blocks_that_are_badly_spread_are_found_within_a_period_and_spread() {
    let (mut cluster, blocks) = crowded(20).await;
    assert_eq!(spread(&cluster, &blocks).await, 0);
    for _ in 0..6 {
        cluster.pass(HOUR).await;
    }
    assert_eq!(spread(&cluster, &blocks).await, 20);
    for block in &blocks {
        assert_eq!(cluster.really_at(*block).len(), 2, "none has a replica too many");
    }
    let walk = cluster.worker(WorkerName::Placement).await;
    assert_eq!(walk.done, 20);
    assert!(walk.doing.starts_with("looked at all 20 blocks"), "{}", walk.doing);
}

#[tokio::test]
async fn the_walk_goes_at_the_pace_of_its_period_and_a_restart_goes_on_where_it_was() {
    let (mut cluster, blocks) = crowded(600).await;
    // The walk that began when there were no blocks is over, and the next one begins with a page.
    cluster.clock.advance(2 * HOUR);
    cluster.beat_all().await;
    cluster.step(WorkerName::Placement).await;
    cluster.step(WorkerName::Placement).await;
    let walk = cluster.worker(WorkerName::Placement).await;
    assert_eq!(walk.done, 250, "{}", walk.doing);
    // Cluster time is written to SQL.
    cluster.notice_lost_contact().await;
    cluster.restart().await;
    cluster.beat_all().await;
    for _ in 0..3 {
        cluster.step(WorkerName::Placement).await;
    }
    let walk = cluster.worker(WorkerName::Placement).await;
    assert_eq!((walk.done, walk.doing.starts_with("looked at 250 blocks")), (0, true), "{}", walk.doing);
    cluster.clock.advance(HOUR);
    cluster.beat_all().await;
    for _ in 0..3 {
        cluster.step(WorkerName::Placement).await;
    }
    assert_eq!(cluster.worker(WorkerName::Placement).await.done, 250);
    assert_eq!(blocks.len(), 600);
}

#[tokio::test]
async fn a_walk_that_is_switched_off_does_nothing() {
    let config = BlockManagerConfig { placement_walk: Duration::ZERO, ..config() };
    let mut cluster = TestCluster::with(config, 2).await;
    cluster.put_many(3, 10).await;
    cluster.pass(HOUR).await;
    let walk = cluster.worker(WorkerName::Placement).await;
    assert_eq!((walk.done, &walk.doing[..]), (0, "is not wanted"));
}
