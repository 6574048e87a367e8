//! A node that fails repeatedly gets no work for a while, unless most nodes seem to fail.

use std::time::Duration;

use cairn_protocol::metadata::{ReplicaProblem, ReplicaReport};

use super::cluster::TestCluster;

async fn unreachable(cluster: &TestCluster, index: usize, times: usize) {
    let block = cluster.grant().await.block;
    let report = ReplicaReport { block, node: cluster.nodes[index].id, problem: ReplicaProblem::Unreachable };
    for _ in 0..times {
        cluster.blocks.report_replica(report.clone()).await.unwrap();
    }
}

async fn gets_something(cluster: &TestCluster, index: usize) -> bool {
    let node = cluster.nodes[index].id;
    let grants = cluster.grants(20).await;
    grants.iter().any(|grant| grant.targets.iter().any(|target| target.node == node))
}

#[tokio::test]
async fn a_node_that_beats_but_cannot_be_reached_gets_nothing_until_a_pause_is_over() {
    let mut cluster = TestCluster::new(3).await;
    unreachable(&cluster, 0, 2).await;
    assert!(gets_something(&cluster, 0).await, "with three replicas to make nobody is left out lightly");
    unreachable(&cluster, 0, 1).await;
    assert!(!gets_something(&cluster, 0).await);
    cluster.pass(cluster.config.stale_after * 5).await;
    assert!(!gets_something(&cluster, 0).await);
    cluster.pass(cluster.config.stale_after * 2).await;
    assert!(gets_something(&cluster, 0).await);
}

#[tokio::test]
async fn a_node_that_stores_something_is_not_failing_any_more() {
    let mut cluster = TestCluster::new(3).await;
    let grant = cluster.grant().await;
    unreachable(&cluster, 0, 3).await;
    assert!(!gets_something(&cluster, 0).await);
    cluster.store_block(grant, 10);
    cluster.beat(0).await;
    assert!(gets_something(&cluster, 0).await);
}

#[tokio::test]
async fn a_gateway_that_reaches_no_node_does_not_stop_the_cluster() {
    let mut cluster = TestCluster::new(3).await;
    for index in 0..3 {
        unreachable(&cluster, index, 3).await;
    }
    assert_eq!(cluster.grant().await.targets.len(), 3);
    // Two nodes can be reached again, so only the third one fails.
    let grant = cluster.grant().await;
    let heard: Vec<_> = cluster.nodes[1..].iter().map(|node| node.id).collect();
    cluster.store_block_on(grant, 10, &heard);
    cluster.beat_all().await;
    assert!(!gets_something(&cluster, 0).await);
    cluster.pass(Duration::from_secs(90)).await;
    assert!(gets_something(&cluster, 0).await);
}
