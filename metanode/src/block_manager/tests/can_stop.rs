//! `can-stop` allows exactly those stops that leave every block readable.

use cairn_protocol::admin::{Admin, AdminError, AdminStateChange, CanStop, CanStopReport};
use cairn_protocol::id::NodeId;

use super::cluster::TestCluster;

async fn can_stop(cluster: &TestCluster, indices: &[usize]) -> CanStopReport {
    let nodes = indices.iter().map(|index| cluster.nodes[*index].id).collect();
    cluster.blocks.can_stop(CanStop { nodes }).await.unwrap()
}

#[tokio::test]
async fn one_node_of_three_can_be_stopped_and_two_cannot() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put_many(20, 10).await;
    let one = can_stop(&cluster, &[0]).await;
    assert!(one.safe && one.reasons.is_empty(), "{one:?}");
    assert_eq!((one.unreadable, one.at_risk, one.writable_nodes, one.needed_nodes), (0, 0, 2, 2));
    let two = can_stop(&cluster, &[0, 1, 0]).await;
    assert_eq!((two.unreadable, two.at_risk, two.writable_nodes), (0, 20, 1));
    assert!(!two.safe && two.reasons.len() == 1, "reads go on, writes do not: {two:?}");
    let all = can_stop(&cluster, &[0, 1, 2]).await;
    assert_eq!((all.unreadable, all.at_risk, all.writable_nodes), (20, 0, 0));
    assert_eq!(all.reasons.len(), 2);
}

#[tokio::test]
async fn replicas_on_nodes_without_contact_do_not_count() {
    let mut cluster = TestCluster::new(4).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.repair_grace).await;
    let holders: Vec<usize> = cluster.really_at(block).into_iter().collect();
    cluster.down(holders[0]);
    cluster.pass(cluster.config.stale_after * 2).await;
    assert_eq!(can_stop(&cluster, &[holders[1]]).await.at_risk, 1);
    let both = can_stop(&cluster, &[holders[1], holders[2]]).await;
    assert_eq!((both.unreadable, both.safe), (1, false));
}

#[tokio::test]
async fn a_drained_node_can_always_be_stopped_for_the_sake_of_blocks() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(20, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.settle().await;
    cluster.settle().await;
    let report = can_stop(&cluster, &[0]).await;
    assert!(report.safe, "{report:?}");
    assert_eq!((report.unreadable, report.at_risk, report.writable_nodes), (0, 0, 3));
}

#[tokio::test]
async fn no_nodes_and_unknown_nodes_are_refused() {
    let cluster = TestCluster::new(1).await;
    let nobody = cluster.blocks.can_stop(CanStop { nodes: Vec::new() }).await;
    assert!(matches!(nobody, Err(AdminError::Refused { .. })));
    let node = NodeId(cluster.env.uuid_v4());
    let stranger = cluster.blocks.can_stop(CanStop { nodes: vec![node] }).await;
    assert_eq!(stranger.unwrap_err(), AdminError::UnknownNode { node });
}
