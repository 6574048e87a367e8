//! A node in maintenance may be down without being repaired, for a limited time.

use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminError, AdminState, AdminStateChange, NodeState, SetAdminState};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;

use super::cluster::TestCluster;

const HOUR: Duration = Duration::from_secs(3600);

fn maintain(time: Duration) -> AdminStateChange {
    AdminStateChange::Maintain { for_ms: u64::try_from(time.as_millis()).unwrap() }
}

#[tokio::test]
async fn a_node_in_maintenance_may_be_down_and_nothing_is_copied_until_its_time_is_over() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(10, 10).await;
    let report = cluster.change_admin_state(0, maintain(HOUR)).await;
    let until = cluster.env.now().after(HOUR);
    assert_eq!((report.before, report.after), (AdminState::InService, AdminState::Maintenance { until }));
    let node = cluster.nodes[0].id;
    let changed = EventKind::NodeAdminStateChanged { node, admin_state: AdminState::Maintenance { until } };
    assert!(cluster.new_events().contains(&changed));
    cluster.down(0);
    cluster.pass(HOUR - Duration::from_secs(60)).await;
    let status = cluster.status().await;
    let state = |status: &cairn_protocol::admin::ClusterStatus| {
        status.nodes.iter().find(|other| other.node == node).map(|node| node.state)
    };
    assert_eq!((state(&status), status.under_replicated), (Some(NodeState::Stale), 0));
    for grant in cluster.grants(20).await {
        assert!(grant.targets.iter().all(|target| target.node != node), "it gets nothing");
    }
    cluster.pass(Duration::from_secs(120)).await;
    let events = cluster.new_events();
    let place = |kind: &EventKind| events.iter().position(|event| event == kind);
    let expired = place(&EventKind::MaintenanceExpired { node }).unwrap();
    assert!(Some(expired) < place(&EventKind::NodeDead { node }));
    for block in blocks {
        let mut really = cluster.really_at(block);
        really.remove(&0);
        assert_eq!(really.len(), 3, "then it is dead, and its blocks are repaired");
    }
}

#[tokio::test]
async fn maintenance_survives_a_restart_and_ends_all_the_same() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put_many(3, 10).await;
    cluster.change_admin_state(0, maintain(HOUR)).await;
    cluster.down(0);
    cluster.restart().await;
    cluster.pass(HOUR / 2).await;
    assert!(matches!(cluster.progress(0).await.admin_state, AdminState::Maintenance { .. }));
    assert_eq!(cluster.progress(0).await.state, NodeState::Stale);
    cluster.pass(HOUR).await;
    assert_eq!(
        (cluster.progress(0).await.admin_state, cluster.progress(0).await.state),
        (AdminState::InService, NodeState::Dead)
    );
    cluster.restart().await;
    assert_eq!(cluster.progress(0).await.admin_state, AdminState::InService, "that it ended is known, too");
}

#[tokio::test]
async fn a_node_that_comes_back_from_maintenance_needs_nothing() {
    let mut cluster = TestCluster::new(4).await;
    let blocks = cluster.put_many(10, 10).await;
    cluster.change_admin_state(0, maintain(HOUR)).await;
    cluster.kill(0).await;
    cluster.new_events();
    cluster.nodes[0].up = true;
    cluster.register(0).await;
    assert!(
        matches!(cluster.progress(0).await.admin_state, AdminState::Maintenance { .. }),
        "it keeps its admin_state"
    );
    cluster.change_admin_state(0, AdminStateChange::Return).await;
    cluster.pass(HOUR).await;
    let copied = |event: &EventKind| matches!(event, EventKind::BlockRepaired { .. });
    assert!(!cluster.new_events().iter().any(copied));
    for block in blocks {
        assert_eq!(cluster.really_at(block).len(), 3);
    }
}

#[tokio::test]
async fn a_block_that_loses_another_copy_during_maintenance_is_repaired() {
    let mut cluster = TestCluster::new(5).await;
    let (_, block) = cluster.put(10).await;
    cluster.pass(cluster.config.repair_grace).await;
    let holders: Vec<usize> = cluster.really_at(block).into_iter().collect();
    cluster.change_admin_state(holders[0], maintain(HOUR)).await;
    cluster.kill(holders[0]).await;
    cluster.kill(holders[1]).await;
    let up = |index: &&usize| cluster.nodes[**index].up;
    assert!(cluster.really_at(block).iter().filter(up).count() >= 2);
}

#[tokio::test]
async fn maintenance_lasts_for_some_time_and_not_for_ever() {
    let cluster = TestCluster::new(1).await;
    let node = cluster.nodes[0].id;
    let day = 24 * HOUR;
    for time in [Duration::ZERO, 30 * day + Duration::from_millis(1)] {
        let request = SetAdminState { node, change: maintain(time), dry_run: true };
        let refused = cluster.blocks.set_admin_state(request).await;
        assert!(matches!(refused, Err(AdminError::Refused { .. })), "{refused:?}");
    }
    cluster.change_admin_state(0, maintain(30 * day)).await;
    let node = NodeId(cluster.env.uuid_v4());
    let request = SetAdminState { node, change: AdminStateChange::Return, dry_run: false };
    assert_eq!(cluster.blocks.set_admin_state(request).await.unwrap_err(), AdminError::UnknownNode { node });
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put_many(3, 10).await;
    cluster.new_events();
    let request = SetAdminState { node: cluster.nodes[0].id, change: AdminStateChange::Drain, dry_run: true };
    let report = cluster.blocks.set_admin_state(request).await.unwrap();
    assert_eq!((report.before, report.after), (AdminState::InService, AdminState::Draining));
    assert_eq!(report.progress.obstacles.len(), 1, "it tells that the others have a replica already");
    assert_eq!(cluster.progress(0).await.admin_state, AdminState::InService);
    assert!(cluster.new_events().is_empty());
}
