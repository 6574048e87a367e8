//! A caller that hangs up in the middle of a call leaves nothing behind in the soft state.

use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminStateChange, RemoveNode};
use cairn_protocol::cluster::{Action, Cluster, ReplicaChange};
use futures_util::FutureExt;

use super::cluster::TestCluster;
use crate::store::totals;

/// A heartbeat's sender hung up between the end of a move and its row in SQL. The move then waited for that row until
/// the metanode stopped.
#[tokio::test]
async fn a_move_does_not_wait_for_a_heartbeat_that_broke_off() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(8, 10).await;
    cluster.change_admin_state(0, AdminStateChange::Drain).await;
    cluster.work().await;
    cluster.beat_all().await;
    for index in 1..4 {
        cluster.obey(index);
        if cluster.nodes[index].increments.finished.is_empty() {
            continue;
        }
        let heartbeat = cluster.heartbeat_of(index);
        assert!(cluster.blocks.heartbeat(heartbeat).now_or_never().is_none(), "it hangs up in the middle");
    }
    assert_eq!(cluster.blocks.inner.soft_state().finished_moves.len(), 0);
    // The nodes report again, and the drain ends.
    for _ in 0..4 {
        cluster.pass(Duration::from_secs(60)).await;
    }
    assert!(cluster.nodes[0].held.is_empty());
    assert_eq!(cluster.blocks.inner.soft_state().finished_moves.len(), 0);
}

/// A node that hung up while its deletions were read did not get them until another deletion was queued for it.
#[tokio::test]
async fn deletions_that_were_being_read_for_a_node_that_hung_up_are_sent_with_its_next_heartbeat() {
    let mut cluster = TestCluster::new(1).await;
    let (owner, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.give_up(owner).await;
    cluster.clock.advance(cluster.config.garbage_grace + Duration::from_secs(1));
    cluster.beat(0).await;
    cluster.work().await;
    cluster.register(0).await;
    // The heartbeat waits for a connection to read the deletions with.
    let readers =
        std::iter::from_fn(|| cluster.store.read_in_background().now_or_never()).collect::<Vec<_>>();
    let heartbeat = cluster.heartbeat_of(0);
    assert!(cluster.blocks.heartbeat(heartbeat).now_or_never().is_none());
    drop(readers);
    cluster.beat(0).await;
    let told = cluster.nodes[0].commands.iter().map(|command| command.action.clone()).collect::<Vec<_>>();
    assert_eq!(told, [Action::Delete { blocks: vec![block] }]);
}

/// A report that a node sent just before its removal added rows of a removed node, which stayed until a restart.
#[tokio::test]
async fn a_report_just_before_a_removal_leaves_no_rows() {
    let mut cluster = TestCluster::new(4).await;
    let block = cluster.put_many(1, 10).await[0];
    let outsider = (0..4).find(|index| !cluster.really_at(block).contains(index)).unwrap();
    cluster.change_admin_state(outsider, AdminStateChange::Drain).await;
    cluster.settle().await;
    let replica = cluster.nodes.iter().find_map(|node| node.held.get(&block).copied()).unwrap();
    cluster.nodes[outsider].increments.changes.push(ReplicaChange::Stored(replica));
    let blocks = cluster.blocks.clone();
    let mut late = Box::pin(blocks.heartbeat(cluster.heartbeat_of(outsider)));
    // All readers are taken when the report asks for one. It waits, and the removal comes before its rows. (Otherwise
    // one poll could get as far as the rows, and the removal would be refused.)
    let readers =
        std::iter::from_fn(|| cluster.store.read_in_background().now_or_never()).collect::<Vec<_>>();
    assert!(futures_util::poll!(&mut late).is_pending());
    drop(readers);
    let node = cluster.nodes[outsider].id;
    cluster.blocks.remove_node(RemoveNode { node, force: false, dry_run: false }).await.unwrap();
    cluster.work().await;
    let _ = late.await;
    cluster.down(outsider);
    cluster.settle().await;
    let left = totals::node(&mut cluster.store.read().await.unwrap(), node).await.unwrap();
    assert_eq!(left.replicas, 0);
}

/// When an operator hung up after the transaction that removed a node, its rows stayed until a restart.
#[tokio::test]
async fn a_removal_is_completed_though_the_operator_hung_up() {
    let mut cluster = TestCluster::new(4).await;
    cluster.put_many(20, 10).await;
    cluster.kill(0).await;
    let node = cluster.nodes[0].id;
    let blocks = cluster.blocks.clone();
    let mut removal = Box::pin(blocks.remove_node(RemoveNode { node, force: false, dry_run: false }));
    while cluster.blocks.inner.soft_state().nodes.get(node).is_some() {
        assert!(futures_util::poll!(&mut removal).is_pending());
        tokio::task::yield_now().await;
    }
    drop(removal);
    // The transaction ends without its caller.
    cluster.store.write(|tx| crate::store::deletions::is_empty(tx).boxed()).await.unwrap();
    cluster.settle().await;
    let left = totals::node(&mut cluster.store.read().await.unwrap(), node).await.unwrap();
    assert_eq!(left.replicas, 0);
    cluster.verify().await;
}

/// Repair never came to rest after a node died that was ordered to delete a bad replica to make room for a good one.
#[tokio::test]
async fn no_block_waits_for_room_on_a_node_that_died() {
    let mut cluster = TestCluster::new(3).await;
    let block = cluster.put_many(1, 10).await[0];
    cluster.nodes[0].undeletable.insert(block);
    cluster.nodes[0].increments.changes.push(ReplicaChange::Corrupt(block));
    for _ in 0..3 {
        cluster.beat_all().await;
        cluster.work().await;
    }
    let is_idle = |cluster: &TestCluster| cluster.blocks.inner.soft_state().hints.is_idle();
    assert!(!is_idle(&cluster), "a good replica waits for the bad one to go");
    cluster.kill(0).await;
    assert!(is_idle(&cluster));
}
