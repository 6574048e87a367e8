//! A database that is older than the datanodes' replicas deletes nothing until an operator agrees.

use std::path::PathBuf;
use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminError, HoldCause, ReleaseHold};
use cairn_protocol::cluster::{BlockReport, Cluster, ReportedReplica};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;

use super::cluster::TestCluster;
use super::support::{FIRST, TestStore};

/// Lets enough time pass for every lease to end, and for what follows.
async fn outlive_leases(cluster: &mut TestCluster) {
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
}

/// Two objects of one block each: one that a saved database has, and one that it lacks. Nodes have seen both states.
async fn with_saved(store: &mut TestStore, with_log: bool) -> (Saved, BlockId, BlockId) {
    let known = store.put(FIRST, "known", &[10]).await.1[0];
    store.cluster.beat_all().await;
    if !with_log {
        // The log's pages are in the file as of now, and those that come are not.
        store.restart().await;
        store.cluster.beat_all().await;
    }
    let saved = store.cluster.save(with_log);
    let newer = store.put(FIRST, "newer", &[10]).await.1[0];
    store.cluster.beat_all().await;
    (saved, known, newer)
}

type Saved = Vec<(PathBuf, Vec<u8>)>;

// An operator restored a database that was older than the datanodes' replicas, and let the nodes register. As soon as
// the leases were over, every block that was written since was abandoned and deleted. When the operator then restored
// the newer database, the objects were there and their bytes were not.
#[tokio::test]
async fn an_older_database_deletes_nothing_and_the_newer_one_finds_all() {
    for with_log in [true, false] {
        let mut store = TestStore::new(3).await;
        let (saved, known, newer) = with_saved(&mut store, with_log).await;
        let latest = store.cluster.save(true);
        store.cluster.new_events();
        store.put_back(&saved).await;
        outlive_leases(&mut store.cluster).await;
        for block in [known, newer] {
            assert_eq!(store.cluster.really_at(block).len(), 3);
        }
        assert!(store.cluster.locate(newer).await.is_none());
        let hold = store.cluster.hold().await;
        assert!(matches!(hold.reasons[0].cause, HoldCause::UnknownGeneration { .. }), "{hold:?}");
        let held: Vec<_> = hold.nodes.iter().map(|node| (node.blocks, node.bytes, node.reported)).collect();
        assert_eq!(held, [(1, 10, 2); 3]);
        assert!(store.cluster.status().await.hold.is_held());
        let told = |event: &EventKind| matches!(event, EventKind::DeletionsHeld { .. });
        assert_eq!(store.cluster.new_events().iter().filter(|event| told(event)).count(), 1);

        store.put_back(&latest).await;
        outlive_leases(&mut store.cluster).await;
        for block in [known, newer] {
            assert_eq!(store.cluster.holders(block).await, store.cluster.really_at(block));
        }
        assert!(!store.cluster.hold().await.is_held(), "the older one changed nothing");
        store.cluster.verify().await;
    }
}

#[tokio::test]
async fn an_operator_can_agree_and_what_was_given_up_comes_back_from_the_trash() {
    let mut store = TestStore::new(3).await;
    let (saved, _, newer) = with_saved(&mut store, true).await;
    let latest = store.cluster.save(true);
    store.put_back(&saved).await;
    outlive_leases(&mut store.cluster).await;
    let revision = store.cluster.hold().await.revision;
    let outdated = ReleaseHold { revision: revision - 1, dry_run: false };
    let refused = store.cluster.blocks.release_hold(outdated).await;
    assert!(matches!(refused, Err(AdminError::Refused { .. })), "more is known than the operator has seen");
    let dry = ReleaseHold { revision, dry_run: true };
    assert_eq!(store.cluster.blocks.release_hold(dry).await.unwrap(), store.cluster.hold().await);
    assert!(store.cluster.hold().await.is_held());
    store.cluster.release().await;
    outlive_leases(&mut store.cluster).await;
    assert!(store.cluster.really_at(newer).is_empty());
    // A restart does not hold deletions again.
    store.restart().await;
    outlive_leases(&mut store.cluster).await;
    assert!(!store.cluster.hold().await.is_held());

    store.put_back(&latest).await;
    store.cluster.beat_all().await;
    assert_eq!(store.cluster.really_at(newer).len(), 3, "it was in the trash");
    assert_eq!(store.cluster.holders(newer).await.len(), 3);
    assert!(store.cluster.hold().await.is_held(), "it does not know what the older one had deleted since");
    store.cluster.release().await;
    outlive_leases(&mut store.cluster).await;
    assert_eq!(store.cluster.holders(newer).await, store.cluster.really_at(newer));
    assert_eq!(store.cluster.status().await.missing, 0);
    store.cluster.verify().await;
}

#[tokio::test]
async fn two_histories_of_a_database_are_told_apart_even_with_equal_sequence_numbers() {
    let mut store = TestStore::new(3).await;
    let (saved, _, newer) = with_saved(&mut store, true).await;
    let latest = store.cluster.save(true);
    store.put_back(&saved).await;
    store.cluster.beat_all().await;
    let other = store.put(FIRST, "other", &[10]).await.1[0];
    outlive_leases(&mut store.cluster).await;
    store.put_back(&latest).await;
    outlive_leases(&mut store.cluster).await;
    assert!(store.cluster.hold().await.is_held());
    for block in [newer, other] {
        assert_eq!(store.cluster.really_at(block).len(), 3);
    }
    // The same in the other direction.
    let saved = store.cluster.save(true);
    store.put(FIRST, "latest", &[10]).await;
    store.cluster.beat_all().await;
    store.put_back(&saved).await;
    outlive_leases(&mut store.cluster).await;
    assert_eq!(store.cluster.really_at(other).len(), 3);
}

#[tokio::test]
async fn deletions_stay_held_over_a_restart_without_a_new_reason() {
    let mut store = TestStore::new(3).await;
    let (saved, _, newer) = with_saved(&mut store, true).await;
    store.put_back(&saved).await;
    store.cluster.beat_all().await;
    let before = store.cluster.hold().await;
    store.restart().await;
    for node in &mut store.cluster.nodes {
        node.seen.clear();
    }
    outlive_leases(&mut store.cluster).await;
    let hold = store.cluster.hold().await;
    assert_eq!((hold.since, hold.reasons), (before.since, before.reasons));
    assert_eq!(store.cluster.really_at(newer).len(), 3);
}

// The database was saved while a replica was queued for deletion. The node deleted it, and got the block again later.
#[tokio::test]
async fn the_queued_deletions_of_an_older_database_are_held_too() {
    let mut store = TestStore::new(3).await;
    let (_, blocks) = store.put(FIRST, "gone", &[10]).await;
    store.cluster.beat_all().await;
    store.delete(FIRST, "gone").await;
    store.cluster.clock.advance(store.cluster.config.garbage_grace + Duration::from_secs(1));
    store.cluster.work().await;
    assert_eq!(store.cluster.status().await.deletions_queued, 3);
    let saved = store.cluster.save(true);
    store.cluster.settle().await;
    assert!(store.cluster.really_at(blocks[0]).is_empty());
    store.cluster.beat_all().await;
    let again = ReportedReplica { block: blocks[0], length: 10, crc32c: 77 };
    for node in &mut store.cluster.nodes {
        node.held.insert(again.block, again);
    }
    store.put_back(&saved).await;
    outlive_leases(&mut store.cluster).await;
    assert_eq!(store.cluster.really_at(blocks[0]).len(), 3);
    assert_eq!(store.cluster.hold().await.nodes[0].queued, 1);
    assert!(store.cluster.nodes.iter().all(|node| node.commands.is_empty()));
}

// A machine was reset to a snapshot with its memory: the metanode continues with the same opening, and the nodes'
// incarnations are still valid.
#[tokio::test]
async fn a_heartbeat_notices_a_metanode_that_continues_from_a_snapshot_of_its_memory() {
    let mut store = TestStore::new(3).await;
    store.put(FIRST, "known", &[10]).await;
    store.cluster.beat_all().await;
    store.cluster.nodes[0].seen[0].sequence += 1;
    store.cluster.beat(0).await;
    assert!(store.cluster.hold().await.is_held());
}

#[tokio::test]
async fn nodes_and_databases_without_generations_work_as_before() {
    let mut store = TestStore::new(3).await;
    store.put(FIRST, "object", &[10]).await;
    for node in &mut store.cluster.nodes {
        node.seen.clear();
    }
    store.restart().await;
    store.cluster.beat_all().await;
    store.delete(FIRST, "object").await;
    store.cluster.pass(store.cluster.config.garbage_grace + Duration::from_secs(3)).await;
    assert!(store.cluster.nodes.iter().all(|node| node.held.is_empty()));
}

/// Gives a node `count` blocks that the database does not know, older than the metanode's process.
fn make_strange(cluster: &mut TestCluster, index: usize, count: usize) -> Vec<BlockId> {
    let strange: Vec<_> = (0..count).map(|_| BlockId(cluster.env.uuid_v7())).collect();
    let replica = |block: &BlockId| (*block, ReportedReplica { block: *block, length: 10, crc32c: 5 });
    cluster.nodes[index].held.extend(strange.iter().map(replica));
    cluster.clock.advance(Duration::from_secs(1));
    strange
}

// Generations show nothing if datanodes have an earlier version, or lost what they remembered.
#[tokio::test]
async fn a_database_that_lacks_many_blocks_of_a_node_deletes_nothing() {
    let mut cluster = TestCluster::new(3).await;
    cluster.put(10).await;
    let strange = make_strange(&mut cluster, 1, 101);
    cluster.restart().await;
    outlive_leases(&mut cluster).await;
    let hold = cluster.hold().await;
    assert!(matches!(hold.reasons[0].cause, HoldCause::UnknownBlocks { unknown: 101, .. }), "{hold:?}");
    assert!(strange.iter().all(|block| cluster.really_at(*block).len() == 1));
    cluster.release().await;
    outlive_leases(&mut cluster).await;
    assert!(strange.iter().all(|block| cluster.really_at(*block).is_empty()));
    assert!(!cluster.hold().await.is_held());
}

#[tokio::test]
async fn leftovers_of_uploads_and_new_and_wiped_nodes_do_not_hold_deletions() {
    let mut cluster = TestCluster::new(3).await;
    for _ in 0..3 {
        cluster.put(10).await;
    }
    let leftovers = make_strange(&mut cluster, 1, 100);
    cluster.nodes[2].held.clear();
    cluster.restart().await;
    cluster.add_node(None).await;
    outlive_leases(&mut cluster).await;
    assert!(!cluster.hold().await.is_held());
    assert!(leftovers.iter().all(|block| cluster.really_at(*block).is_empty()));
}

#[tokio::test]
async fn blocks_that_are_granted_after_the_start_never_hold_deletions() {
    let mut cluster = TestCluster::new(3).await;
    let abandoned = make_strange(&mut cluster, 0, 500);
    cluster.report(0).await;
    outlive_leases(&mut cluster).await;
    assert!(!cluster.hold().await.is_held());
    assert!(abandoned.iter().all(|block| cluster.really_at(*block).is_empty()));
}

#[tokio::test]
async fn nothing_is_deleted_until_all_nodes_have_reported_or_are_dead() {
    let mut store = TestStore::new(3).await;
    let (_, blocks) = store.put(FIRST, "object", &[10]).await;
    store.cluster.beat_all().await;
    store.delete(FIRST, "object").await;
    store.cluster.clock.advance(store.cluster.config.garbage_grace + Duration::from_secs(1));
    store.cluster.work().await;
    let stray = make_strange(&mut store.cluster, 0, 1)[0];
    store.cluster.clock.advance((store.cluster.config.lease + store.cluster.config.lease_slack) * 2);
    store.restart().await;
    store.cluster.down(2);
    store.cluster.pass(store.cluster.config.dead_after - Duration::from_secs(30)).await;
    assert_eq!(store.cluster.hold().await.awaited, [store.cluster.nodes[2].id]);
    assert_eq!(store.cluster.really_at(blocks[0]).len(), 3);
    assert_eq!(store.cluster.really_at(stray).len(), 1);
    // Cluster time stood still while the metanode was down, so the lease of a newer block begins when it is found.
    outlive_leases(&mut store.cluster).await;
    assert!(store.cluster.hold().await.awaited.is_empty());
    assert_eq!(store.cluster.really_at(blocks[0]).into_iter().collect::<Vec<_>>(), [2]);
    assert!(store.cluster.really_at(stray).is_empty());
}

#[tokio::test]
async fn an_incarnation_is_not_given_twice_though_an_older_database_does_not_know_it() {
    let mut cluster = TestCluster::new(1).await;
    let saved = cluster.save(true);
    for _ in 0..3 {
        cluster.register(0).await;
    }
    let before = cluster.nodes[0].incarnation;
    cluster.put_back(&saved).await;
    cluster.register(0).await;
    assert!(cluster.nodes[0].incarnation > before);
}

#[tokio::test]
async fn a_node_is_ordered_to_restore_missing_blocks_page_by_page() {
    let mut cluster = TestCluster::new(1).await;
    let mut blocks = Vec::new();
    for _ in 0..1_100 {
        blocks.push(cluster.put(10).await.1);
    }
    blocks.sort();
    let (id, incarnation) = (cluster.nodes[0].id, cluster.nodes[0].incarnation);
    cluster.clock.advance(cluster.config.report_age * 2);
    let page = BlockReport { can_restore: true, ..BlockReport::new(id, incarnation, None, None, Vec::new()) };
    let mut asked = Vec::new();
    let mut restored_through = None;
    while let Some(order) =
        cluster.blocks.report_blocks(BlockReport { restored_through, ..page.clone() }).await.unwrap()
    {
        let cairn_protocol::cluster::Action::Restore { blocks } = order else { panic!("{order:?}") };
        assert_eq!(cluster.status().await.missing, 0, "nothing is lost before it was looked for");
        restored_through = blocks.last().copied();
        asked.extend(blocks);
    }
    assert_eq!(asked, blocks);
    assert_eq!(cluster.status().await.missing, 1_100);
}
