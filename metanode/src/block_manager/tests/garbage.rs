//! Deleted objects stay readable for the grace period; then their blocks are deleted from the disks.

use std::time::Duration;

use cairn_protocol::admin::WorkerName;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::{Metadata, RenewReads};

use super::super::BlockManagerConfig;
use super::cluster::TestCluster;
use super::support::{FIRST, TestStore};
use crate::store::{Store, fsck, tests as store_tests};

#[tokio::test]
async fn a_deleted_object_stays_readable_for_its_grace_period_and_then_goes() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    cluster.give_up(owner).await;
    cluster.pass(cluster.config.garbage_grace - Duration::from_secs(30)).await;
    assert_eq!(cluster.holders(block).await.len(), 3);
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.new_events();
    cluster.pass(Duration::from_secs(60)).await;
    assert!(cluster.locate(block).await.is_none());
    assert!(cluster.really_at(block).is_empty());
    let events = cluster.new_events();
    assert!(events.contains(&EventKind::GarbageCollected { blocks: 1 }));
    assert!(events.contains(&EventKind::GarbageIdle));
    assert_eq!(cluster.status().await.deletions_queued, 0);
    cluster.verify().await;
}

#[tokio::test]
async fn a_copy_keeps_the_blocks_of_a_deleted_object() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    let copy = cluster.share(owner, 10).await;
    cluster.give_up(owner).await;
    cluster.pass(cluster.config.garbage_grace * 2).await;
    assert_eq!(cluster.really_at(block).len(), 3);
    cluster.verify().await;
    cluster.give_up(copy).await;
    cluster.pass(cluster.config.garbage_grace * 2).await;
    assert!(cluster.really_at(block).is_empty());
    cluster.verify().await;
}

#[tokio::test]
async fn an_object_of_many_blocks_goes_in_bounded_steps() {
    let mut cluster = TestCluster::new(1).await;
    let mut extents = Vec::new();
    for _ in 0..2 {
        let grants = cluster.grants(500).await;
        extents.extend(grants.into_iter().map(|grant| cluster.store_block(grant, 10)).collect::<Vec<_>>());
    }
    let owner = cluster.commit(extents).await.unwrap();
    assert_eq!(cluster.status().await.blocks, 1_000);
    cluster.give_up(owner).await;
    cluster.new_events();
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(30)).await;
    assert!(cluster.nodes[0].held.is_empty());
    let collected: Vec<u64> = cluster
        .new_events()
        .into_iter()
        .filter_map(|event| match event {
            EventKind::GarbageCollected { blocks } => Some(blocks),
            _ => None,
        })
        .collect();
    // The object itself counts too.
    assert_eq!(collected, [299, 300, 300, 101]);
    cluster.verify().await;
}

#[tokio::test]
async fn a_node_that_was_down_deletes_when_it_comes_back() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.kill(0).await;
    cluster.give_up(owner).await;
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(30)).await;
    assert_eq!(cluster.really_at(block), [0].into());
    assert_eq!(cluster.status().await.deletions_queued, 1);
    cluster.restart().await;
    cluster.nodes[0].up = true;
    cluster.pass(Duration::from_secs(9)).await;
    assert!(cluster.really_at(block).is_empty());
    assert_eq!(cluster.status().await.deletions_queued, 0);
}

#[tokio::test]
async fn a_deletion_whose_replica_is_gone_already_is_done() {
    let mut cluster = TestCluster::new(3).await;
    let (owner, block) = cluster.put(10).await;
    cluster.settle().await;
    cluster.kill(0).await;
    cluster.give_up(owner).await;
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(30)).await;
    // The node comes back with an empty disk.
    cluster.nodes[0].held.remove(&block);
    cluster.register(0).await;
    assert_eq!(cluster.status().await.deletions_queued, 0);
}

#[tokio::test]
async fn a_deletion_that_is_not_confirmed_is_asked_for_again() {
    let (mut cluster, block) = TestCluster::with_a_deletion_ordered().await;
    // What is stored later must not be deleted by it, however late it is.
    assert_eq!(cluster.nodes[0].commands[0].issued_at, cluster.env.now());
    // The command is lost.
    cluster.nodes[0].commands.clear();
    cluster.beat(0).await;
    assert!(cluster.nodes[0].commands.is_empty(), "the first one may still be done");
    cluster.pass(cluster.config.command_deadline + Duration::from_secs(3)).await;
    assert!(cluster.really_at(block).is_empty());
}

#[tokio::test]
async fn a_replica_that_cannot_be_deleted_does_not_hold_up_others() {
    let config = BlockManagerConfig { delete_batch: 2, ..BlockManagerConfig::default() };
    let mut cluster = TestCluster::with(config, 1).await;
    let mut blocks = Vec::new();
    for _ in 0..6 {
        let (owner, block) = cluster.put(10).await;
        cluster.give_up(owner).await;
        blocks.push(block);
    }
    blocks.sort();
    // The first replicas are on a volume that has failed.
    cluster.nodes[0].undeletable.extend(&blocks[..3]);
    cluster.pass(cluster.config.garbage_grace + Duration::from_secs(30)).await;
    assert_eq!(cluster.nodes[0].held.keys().copied().collect::<Vec<_>>(), blocks[..3]);
    let attempts = cluster.nodes[0].deletions_refused;
    assert!(attempts < 10, "{attempts} attempts");
    cluster.nodes[0].undeletable.clear();
    cluster.pass(cluster.config.command_deadline * 2).await;
    assert!(cluster.nodes[0].held.is_empty());
}

/// A GET that lasted longer than the grace period broke off when its object was overwritten.
#[tokio::test]
async fn a_version_that_is_still_being_read_is_kept_over_a_restart_and_goes_a_grace_period_after_its_last_reader()
 {
    let mut store = TestStore::new(3).await;
    let grace = store.cluster.config.garbage_grace;
    let (version, read) = store.put(FIRST, "read", &[10]).await;
    let (_, left) = store.put(FIRST, "left", &[10]).await;
    store.cluster.pass(grace).await;
    store.delete(FIRST, "read").await;
    store.delete(FIRST, "left").await;
    store.cluster.pass(grace / 2).await;
    store.namespace.renew_reads(RenewReads { versions: vec![version] }).await.unwrap();
    store.cluster.restart().await;
    let mut store = TestStore::over(store.cluster);
    store.cluster.pass(grace / 2 + Duration::from_secs(90)).await;
    assert!(store.cluster.locate(left[0]).await.is_none());
    assert_eq!(store.cluster.really_at(read[0]).len(), 3);
    store.cluster.pass(grace).await;
    assert!(store.cluster.locate(read[0]).await.is_none());
    store.cluster.verify().await;
}

/// Adds `owners` owners to the garbage, retired at `at`, each with `extents` extents that have a block of their own.
async fn retire_many(store: &Store, owners: u32, extents: u32, at: Timestamp) {
    store
        .write(move |tx| Box::pin(async move { store_tests::retire_many(tx, owners, extents, at).await }))
        .await
        .unwrap();
}

async fn garbage_left(cluster: &TestCluster) -> u64 {
    fsck::count_garbage(&mut cluster.store.read().await.unwrap(), None, 1_000_000).await.unwrap().0
}

/// At 64 owners a transaction, steady overwrites of small objects made more garbage than was removed, and the disks
/// filled up.
#[tokio::test]
async fn overwrites_that_never_end_do_not_outrun_the_collection() {
    let mut cluster = TestCluster::new(1).await;
    cluster.clock.advance(cluster.config.garbage_grace * 2);
    cluster.notice_lost_contact().await;
    let grace = cluster.config.garbage_grace;
    // A transaction takes 256 mutations, and the worker has its turn between two transactions.
    for _ in 0..50 {
        let due = cluster.env.wall().before(grace * 2);
        retire_many(&cluster.store, 256, 1, due).await;
        cluster.step(WorkerName::Garbage).await;
        cluster.clock.advance(Duration::from_millis(20));
        assert_eq!(garbage_left(&cluster).await, 0);
    }
    cluster.verify().await;
}

/// Copying a large object costs the writer less than removing the copy does.
#[tokio::test]
async fn steps_grow_until_the_garbage_shrinks() {
    let mut cluster = TestCluster::new(1).await;
    cluster.clock.advance(cluster.config.garbage_grace * 2);
    cluster.notice_lost_contact().await;
    let mut left = Vec::new();
    for _ in 0..120 {
        let due = cluster.env.wall().before(cluster.config.garbage_grace * 2);
        retire_many(&cluster.store, 800, 0, due).await;
        cluster.step(WorkerName::Garbage).await;
        cluster.clock.advance(Duration::from_secs(5));
        left.push(garbage_left(&cluster).await);
    }
    let most = left.iter().copied().max().unwrap();
    assert!(left[..12].is_sorted() && most < 15_000, "{left:?}");
    assert!(left[36..].contains(&0), "{left:?}");
    assert!(left.last().unwrap() < &most, "{left:?}");
}

#[tokio::test]
async fn objects_without_bytes_go_by_hundreds_and_an_object_of_many_blocks_does_not_hold_them_up_for_long() {
    let mut cluster = TestCluster::new(1).await;
    cluster.clock.advance(cluster.config.garbage_grace * 2);
    cluster.notice_lost_contact().await;
    let due = cluster.env.wall().before(cluster.config.garbage_grace * 2);
    retire_many(&cluster.store, 1, 450, due).await;
    retire_many(&cluster.store, 250, 0, due.after(Duration::from_millis(1))).await;
    cluster.step(WorkerName::Garbage).await;
    // All 251, and 49 entries of the list.
    assert_eq!((garbage_left(&cluster).await, cluster.status().await.blocks), (0, 401));
    cluster.verify().await;
    cluster.step(WorkerName::Garbage).await;
    assert_eq!(cluster.status().await.blocks, 101);
    cluster.step(WorkerName::Garbage).await;
    assert_eq!(cluster.status().await.blocks, 0);
    cluster.verify().await;
}
