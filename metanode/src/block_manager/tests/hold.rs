//! A database that is older than what the datanodes hold deletes nothing until an operator agrees.

use std::path::PathBuf;
use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminError, HoldCause, ReleaseHold};
use cairn_protocol::cluster::{BlockReport, Cluster, ReportedReplica};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;

use super::cluster::TestCluster;
use super::support::{FIRST, TestStore};

/// Long enough for every lease, and for whatever follows its end.
async fn outlive_leases(cluster: &mut TestCluster) {
    cluster.pass(cluster.config.lease + cluster.config.lease_slack + Duration::from_secs(3)).await;
}

/// Two objects of one block each: one that a saved database knows, and one that it does not. Nodes have heard of both.
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

// Whoever put a database back that was older than what the datanodes held, and let them register, had every block
// deleted that was written since, as abandoned, as soon as its lease was over. With the newer database put back then,
// the objects were there and their bytes were not.
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
    // A restart does not ask again.
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
async fn two_ways_that_a_database_went_are_told_apart_though_their_numbers_are_equal() {
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
    // And the other way round.
    let saved = store.cluster.save(true);
    store.put(FIRST, "latest", &[10]).await;
    store.cluster.beat_all().await;
    store.put_back(&saved).await;
    outlive_leases(&mut store.cluster).await;
    assert_eq!(store.cluster.really_at(other).len(), 3);
}

#[tokio::test]
async fn deletions_stay_held_when_the_metanode_starts_again_and_nobody_tells_it_why() {
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

// The database was saved while a copy was queued for deletion. The node deleted it, and got the block again later.
#[tokio::test]
async fn what_an_older_database_has_queued_is_not_deleted_either() {
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

// A machine was set back to a snapshot, memory and all: the metanode goes on under the same name, and the nodes'
// incarnations hold.
#[tokio::test]
async fn a_metanode_that_goes_on_from_a_snapshot_of_its_memory_is_found_out_by_a_heartbeat() {
    let mut store = TestStore::new(3).await;
    store.put(FIRST, "known", &[10]).await;
    store.cluster.beat_all().await;
    store.cluster.nodes[0].seen[0].sequence += 1;
    store.cluster.beat(0).await;
    assert!(store.cluster.hold().await.is_held());
}

#[tokio::test]
async fn nodes_that_have_seen_nothing_and_a_database_that_says_nothing_work_as_before() {
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

/// Stores this many blocks at a node that are in no table, older than the metanode's process.
fn make_strange(cluster: &mut TestCluster, index: usize, count: usize) -> Vec<BlockId> {
    let strange: Vec<_> = (0..count).map(|_| BlockId(cluster.env.uuid_v7())).collect();
    let replica = |block: &BlockId| (*block, ReportedReplica { block: *block, length: 10, crc32c: 5 });
    cluster.nodes[index].held.extend(strange.iter().map(replica));
    cluster.clock.advance(Duration::from_secs(1));
    strange
}

// Generations say nothing where datanodes come from an earlier version, or were wiped of what they remember.
#[tokio::test]
async fn a_database_that_does_not_know_much_of_what_a_node_holds_deletes_nothing() {
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
    // Cluster time stood still while the metanode was away: the lease of what is newer begins when it is found.
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
async fn a_node_is_asked_for_what_it_lacks_page_by_page_until_it_has_tried_all() {
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
