//! Scrubs that operators order, pause and throttle reach the nodes with their heartbeats.

use std::time::Duration;

use cairn_protocol::admin::{
    Admin, AdminError, ScrubRequest, SetWorker, StartScrub, WorkerActivity, WorkerName,
};
use cairn_protocol::cluster::{ScrubOrder, ScrubProgress};
use cairn_protocol::id::NodeId;

use super::cluster::TestCluster;

#[tokio::test]
async fn a_scrub_that_an_operator_orders_is_announced_to_the_nodes_until_the_next_one() {
    let mut cluster = TestCluster::new(2).await;
    cluster.beat_all().await;
    assert_eq!(cluster.nodes[0].scrub_order, ScrubOrder::default());
    let one = cluster.blocks.start_scrub(StartScrub { node: Some(cluster.nodes[0].id) }).await.unwrap();
    let first = cluster.env.now();
    assert_eq!(one.iter().map(|status| status.asked_at).collect::<Vec<_>>(), [Some(first)]);
    cluster.beat_all().await;
    assert_eq!((cluster.nodes[0].scrub_order.round, cluster.nodes[1].scrub_order.round), (first.0, 0));
    cluster.clock.advance(Duration::from_secs(1));
    let all = cluster.blocks.start_scrub(StartScrub { node: None }).await.unwrap();
    assert_eq!(all.len(), 2);
    let second = cluster.env.now();
    cluster.restart().await;
    cluster.pass(Duration::from_secs(9)).await;
    for node in &cluster.nodes {
        assert_eq!(node.scrub_order.round, second.0);
    }
    let asked = cluster.blocks.scrub(ScrubRequest {}).await.unwrap();
    assert!(asked.iter().all(|status| status.asked_at == Some(second)));
}

#[tokio::test]
async fn pausing_and_throttling_scrub_reaches_the_nodes_with_the_next_heartbeat() {
    let mut cluster = TestCluster::new(1).await;
    let request = SetWorker { worker: WorkerName::Scrub, paused: Some(true), rate: Some(Some(1_000)) };
    let status = cluster.blocks.set_worker(request).await.unwrap();
    assert_eq!((status.activity, status.rate), (WorkerActivity::Paused, Some(1_000)));
    cluster.beat_all().await;
    assert_eq!(cluster.nodes[0].scrub_order, ScrubOrder { round: 0, paused: true, rate: Some(1_000) });
}

#[tokio::test]
async fn the_scrubbers_of_all_nodes_are_shown_one_by_one_and_as_one_worker() {
    let mut cluster = TestCluster::new(3).await;
    for (index, running) in [(0, true), (1, false)] {
        let progress = ScrubProgress {
            running,
            blocks: 10,
            bytes: 100,
            blocks_in_all: 50,
            corrupt: 1,
            ..ScrubProgress::default()
        };
        cluster.nodes[index].scrub = Some(progress);
    }
    cluster.beat_all().await;
    let told: Vec<_> = cluster.blocks.scrub(ScrubRequest {}).await.unwrap();
    assert_eq!(told.iter().filter(|status| status.progress.is_some()).count(), 2);
    let worker = cluster.worker(WorkerName::Scrub).await;
    assert_eq!((worker.activity, worker.done, worker.bytes), (WorkerActivity::Working, 20, 200));
    assert!(worker.doing.contains("1 of 2 nodes") && worker.doing.contains("20 of 100"), "{}", worker.doing);
}

#[tokio::test]
async fn an_unknown_node_is_not_scrubbed() {
    let cluster = TestCluster::new(1).await;
    let node = NodeId(cluster.env.uuid_v4());
    let unknown = cluster.blocks.start_scrub(StartScrub { node: Some(node) }).await;
    assert_eq!(unknown.unwrap_err(), AdminError::UnknownNode { node });
}
