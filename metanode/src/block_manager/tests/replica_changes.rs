//! All changes of replicas pass through one module and have the same effects, however they were noticed.

use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::{Cluster, ReplicaChange};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use futures_util::FutureExt;

use super::cluster::{Increments, TestCluster};
use crate::store::deletions;

/// A cluster of one node that deleted a block and has not reported it yet.
async fn having_deleted() -> (TestCluster, BlockId) {
    let mut cluster = TestCluster::new(1).await;
    let (owner, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.give_up(owner).await;
    cluster.clock.advance(cluster.config.garbage_grace * 2);
    cluster.beat(0).await;
    cluster.work().await;
    cluster.beat(0).await;
    cluster.obey(0);
    assert!(cluster.nodes[0].increments.changes.contains(&ReplicaChange::Deleted(block)));
    cluster.new_events();
    (cluster, block)
}

/// A node hung up while the deletions that it had reported were written. SQL recorded them as done, but their bytes
/// were still counted as space to be freed, and no event was published.
#[tokio::test]
async fn deletions_have_their_effects_though_the_node_hangs_up() {
    let (mut cluster, block) = having_deleted().await;
    let node = cluster.nodes[0].id;
    let heartbeat = cluster.heartbeat_of(0);
    assert!(cluster.blocks.heartbeat(heartbeat).now_or_never().is_none(), "it hangs up in the middle");
    // The writer runs mutations one after another, so that of the deletions has run.
    let is_empty = cluster.store.write_in_background(|tx| deletions::is_empty(tx).boxed()).await.unwrap();
    assert!(is_empty);
    let events = cluster.new_events();
    assert!(
        events.contains(&EventKind::BlockDeleted { block, node }) && events.contains(&EventKind::GarbageIdle)
    );
    let status = cluster.status().await;
    assert_eq!(status.nodes[0].predicted_used, cluster.nodes[0].usage().used, "nothing is on its way out");
}

/// A block report that showed a deletion as done published no event.
#[tokio::test]
async fn a_report_announces_the_deletions_that_it_shows_as_done() {
    let (mut cluster, block) = having_deleted().await;
    let node = cluster.nodes[0].id;
    // The node restarts, so that only its report shows the deletion.
    cluster.nodes[0].increments = Increments::default();
    cluster.report(0).await;
    let events = cluster.new_events();
    assert!(
        events.contains(&EventKind::BlockDeleted { block, node }) && events.contains(&EventKind::GarbageIdle)
    );
}

/// Heartbeats carried stored, deleted and corrupt replicas in separate lists, so that their order was lost.
#[tokio::test]
async fn the_changes_of_a_block_are_applied_in_their_order() {
    let mut cluster = TestCluster::new(3).await;
    let (_, block) = cluster.put(10).await;
    cluster.settle().await;
    let replica = cluster.nodes[0].held[&block];
    let (stored, corrupt) = (ReplicaChange::Stored(replica), ReplicaChange::Corrupt(block));
    for (changes, good) in [([corrupt, stored], 3), ([stored, corrupt], 2)] {
        cluster.nodes[0].increments.changes = changes.to_vec();
        cluster.beat(0).await;
        let replicas = cluster.locate(block).await.unwrap().replicas;
        assert_eq!(replicas.iter().filter(|replica| !replica.bad).count(), good, "after {changes:?}");
    }
}

#[tokio::test]
async fn a_heartbeat_with_nothing_new_does_no_sql() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put_many(3, 10).await;
    cluster.settle().await;
    for index in 0..3 {
        let heartbeat = cluster.heartbeat_of(index);
        let reply = cluster.blocks.heartbeat(heartbeat).now_or_never();
        reply.expect("it waits for nothing").unwrap();
    }
}

/// A node that became reliable again caused two sweeps over the repair queue: one when it sent its heartbeat, and one
/// when the liveness worker saw it.
#[tokio::test]
async fn a_node_that_can_be_relied_upon_again_causes_one_sweep() {
    let mut cluster = TestCluster::new(3).await;
    cluster.down(0);
    cluster.pass(cluster.config.stale_after).await;
    cluster.settle().await;
    let changes = |cluster: &TestCluster| cluster.blocks.inner.soft_state().changes;
    let before = changes(&cluster);
    cluster.nodes[0].up = true;
    cluster.beat(0).await;
    cluster.step(WorkerName::Liveness).await;
    cluster.step(WorkerName::Liveness).await;
    assert_eq!(changes(&cluster), before + 1);
}
