//! Small objects are moved together into packs, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cairn_protocol::admin::{
    Admin, AdminError, PackCursor, PackableGroup, PreviewPack, StartPack, WorkerName,
};
use cairn_protocol::cluster::{Action, Cluster};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::*;

use super::cluster::TestCluster;
use super::support::{FIRST, TestStore, check};
use crate::block_manager::BlockManagerConfig;

/// The length of an object. A hundred and more make a pack of 1 MiB.
const LENGTH: u64 = 10_000;

fn config() -> BlockManagerConfig {
    BlockManagerConfig {
        pack_size: 1 << 20,
        storage_classes: BTreeMap::from([("COLD".to_owned(), 1)]),
        ..BlockManagerConfig::default()
    }
}

async fn new() -> TestStore {
    TestStore::over(TestCluster::with(config(), 3).await)
}

fn key(number: u32) -> String {
    format!("key {number:04}")
}

async fn put_all(store: &mut TestStore, numbers: std::ops::Range<u32>) {
    for number in numbers {
        store.put(FIRST, &key(number), &[LENGTH]).await;
    }
}

async fn head(store: &TestStore, number: u32) -> ObjectVersion {
    let request = LookupObject {
        bucket: FIRST.to_owned(),
        key: key(number),
        version: None,
        range: LookupRange::Whole,
        extents_max: 1,
    };
    let found = store.namespace.lookup_object(request).await.unwrap();
    assert!(found.object.is_sound());
    assert!(found.extents.iter().all(|extent| extent.belongs_to(found.object.content)));
    found.object
}

async fn block(store: &TestStore, number: u32) -> BlockId {
    match head(store, number).await.content {
        Content::Block { block, .. } => block,
        other => panic!("{other:?}"),
    }
}

async fn blocks(store: &TestStore, numbers: std::ops::Range<u32>) -> BTreeSet<BlockId> {
    let mut blocks = BTreeSet::new();
    for number in numbers {
        blocks.insert(block(store, number).await);
    }
    blocks
}

/// Lets the objects become old enough, and the worker begin its walk and order what it finds.
async fn until_ordered(store: &mut TestStore) {
    let config = &store.cluster.config;
    let wait = config.pack_age.max(config.pack_interval) + config.worker_interval;
    store.cluster.clock.advance(wait);
    store.cluster.beat_all().await;
    store.cluster.work().await;
}

/// Lets all packs that are due be made.
async fn pack(store: &mut TestStore) {
    until_ordered(store).await;
    store.cluster.settle().await;
    store.cluster.work().await;
}

fn packed(store: &mut TestStore) -> Vec<u64> {
    let events = store.cluster.new_events().into_iter();
    let objects = |event| match event {
        EventKind::ObjectsPacked { objects, .. } => Some(objects),
        _ => None,
    };
    events.filter_map(objects).collect()
}

async fn assert_clean(store: &TestStore) {
    store.cluster.verify().await;
    let report = store.cluster.blocks.fsck(check(None)).await.unwrap();
    assert_eq!(report.problems, [], "{report:?}");
}

#[tokio::test]
async fn objects_of_small_blocks_are_moved_into_a_pack() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    let before = head(&store, 7).await;
    let old = blocks(&store, 0..130).await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [130]);
    let new = blocks(&store, 0..130).await;
    assert_eq!(new.len(), 1);
    let pack = *new.first().unwrap();
    assert_eq!(store.cluster.holders(pack).await.len(), 3);
    let after = head(&store, 7).await;
    let bytes = match after.content {
        Content::Block { offset, crc32c, .. } => (offset % LENGTH, crc32c),
        other => panic!("{other:?}"),
    };
    assert_eq!(bytes, (0, Some(77)), "the checksum of the block that it had");
    assert_eq!(ObjectVersion { content: before.content, checksum: before.checksum, ..after }, before);
    // Reads that began before go on, for the grace period.
    let first = *old.first().unwrap();
    assert_eq!(store.cluster.really_at(first).len(), 3);
    assert_clean(&store).await;
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    assert!(old.iter().all(|block| store.cluster.really_at(*block).is_empty()));
    assert_eq!(store.cluster.really_at(pack).len(), 3);
    assert_clean(&store).await;
}

/// A GET that lasted longer than the grace period broke off when its object was moved to a pack.
#[tokio::test]
async fn bytes_that_are_still_being_read_where_they_were_are_kept_and_go_a_grace_period_after_their_last_reader()
 {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    let (read, left) = (block(&store, 7).await, block(&store, 8).await);
    let version = head(&store, 7).await.version;
    pack(&mut store).await;
    let grace = store.cluster.config.garbage_grace;
    store.cluster.pass(grace / 2).await;
    store.namespace.renew_reads(RenewReads { versions: vec![version] }).await.unwrap();
    store.cluster.pass(grace / 2 + Duration::from_secs(90)).await;
    assert!(store.cluster.really_at(left).is_empty());
    assert_eq!(store.cluster.really_at(read).len(), 3);
    store.cluster.pass(grace * 2).await;
    assert!(store.cluster.really_at(read).is_empty());
    assert_clean(&store).await;
}

#[tokio::test]
async fn few_objects_and_young_ones_stay() {
    let mut store = new().await;
    put_all(&mut store, 0..50).await;
    let before = blocks(&store, 0..50).await;
    pack(&mut store).await;
    store.cluster.clock.advance(store.cluster.config.pack_interval);
    put_all(&mut store, 50..200).await;
    store.cluster.work().await;
    store.cluster.settle().await;
    assert_eq!(packed(&mut store), [0u64; 0]);
    assert_eq!(blocks(&store, 0..50).await, before);
}

/// A walk that found too little, or only young objects, was followed by none for a day unless 64 new blocks came: what it had found
/// was forgotten, and a few blocks that many objects share did not count as more.
#[tokio::test]
async fn what_a_walk_left_is_packed_when_it_is_enough_together_with_what_is_new() {
    let mut store = new().await;
    put_all(&mut store, 0..40).await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [0u64; 0]);
    put_all(&mut store, 40..60).await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [60]);

    // The walk that looks for more finds young ones.
    store.cluster.clock.advance(store.cluster.config.pack_interval);
    put_all(&mut store, 60..115).await;
    store.cluster.work().await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [55]);
    assert_clean(&store).await;
}

#[tokio::test]
async fn what_is_replaced_or_deleted_while_a_pack_is_made_is_not_brought_back() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    until_ordered(&mut store).await;
    store.delete(FIRST, &key(3)).await;
    store.put(FIRST, &key(4), &[20]).await;
    let replaced = block(&store, 4).await;
    store.cluster.settle().await;
    store.cluster.work().await;
    assert_eq!(packed(&mut store), [128]);
    assert_eq!(block(&store, 4).await, replaced);
    assert_eq!(head(&store, 4).await.length, 20);
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    assert_clean(&store).await;
}

#[tokio::test]
async fn after_a_restart_the_pack_is_made_anew_and_the_first_one_goes() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    until_ordered(&mut store).await;
    store.cluster.beat_all().await;
    (0..3).for_each(|index| store.cluster.obey(index));
    let known = blocks(&store, 0..130).await;
    let unknown = |store: &TestStore| -> BTreeSet<BlockId> {
        let held = store.cluster.nodes.iter().flat_map(|node| node.held.keys().copied());
        held.filter(|block| !known.contains(block)).collect()
    };
    let first = *unknown(&store).first().expect("the pack was made");
    store.restart().await;
    assert_eq!(blocks(&store, 0..130).await, known);
    store.cluster.pass(store.cluster.config.lease * 2).await;
    assert!(store.cluster.really_at(first).is_empty());
    assert_eq!(packed(&mut store), [130]);
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    assert_clean(&store).await;
}

#[tokio::test]
async fn a_pack_that_too_few_nodes_can_make_moves_nothing() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    let before = blocks(&store, 0..130).await;
    until_ordered(&mut store).await;
    store.cluster.beat_all().await;
    // Two of the nodes lose their commands, and the deadline passes.
    for index in [1, 2] {
        store.cluster.nodes[index].commands.clear();
    }
    store.cluster.obey(0);
    store.cluster.beat_all().await;
    store.cluster.work().await;
    assert_eq!(blocks(&store, 0..130).await, before);
    store.cluster.pass(store.cluster.config.command_deadline * 2).await;
    assert_eq!(blocks(&store, 0..130).await, before);
    // The next walk tries again, on other blocks.
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [130]);
    store.cluster.pass(store.cluster.config.lease * 3).await;
    assert_clean(&store).await;
}

#[tokio::test]
async fn a_pack_that_became_sparse_is_packed_again() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    pack(&mut store).await;
    let first = block(&store, 0).await;
    for number in 0..70 {
        store.delete(FIRST, &key(number)).await;
    }
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    put_all(&mut store, 200..270).await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [130, 130], "60 of the first pack, and the new ones");
    let now = blocks(&store, 70..130).await;
    assert_eq!(now, blocks(&store, 200..270).await);
    assert!(!now.contains(&first));
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    assert!(store.cluster.really_at(first).is_empty());
    assert_clean(&store).await;
}

#[tokio::test]
async fn objects_of_different_replication_are_in_different_packs() {
    let mut store = new().await;
    for number in 0..130 {
        store.put_as(FIRST, &key(number), Some("COLD"), &[LENGTH]).await;
        store.put(FIRST, &key(1000 + number), &[LENGTH]).await;
    }
    pack(&mut store).await;
    let (cold, others) = (blocks(&store, 0..130).await, blocks(&store, 1000..1130).await);
    for block in &cold {
        assert_eq!(store.cluster.holders(*block).await.len(), 1);
    }
    for block in &others {
        assert_eq!(store.cluster.holders(*block).await.len(), 3);
    }
    assert!(cold.is_disjoint(&others));
    assert_clean(&store).await;
}

#[tokio::test]
async fn copies_of_an_object_go_on_sharing_its_block() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    let (version, blocks_of_it) = store.put(FIRST, &key(500), &[LENGTH]).await;
    for number in 501..510 {
        store.copy(version, FIRST, &key(number), None).await;
    }
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [130]);
    assert_eq!(blocks(&store, 500..510).await, blocks_of_it.into_iter().collect());
}

#[tokio::test]
async fn nodes_of_an_earlier_version_are_not_ordered_to_make_packs() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    for index in [0, 1] {
        let register =
            cairn_protocol::cluster::Register { packs: false, ..store.cluster.registration(index) };
        let registered = store.cluster.blocks.register(register).await.unwrap();
        store.cluster.nodes[index].incarnation = registered.incarnation;
        store.cluster.report(index).await;
    }
    until_ordered(&mut store).await;
    store.cluster.beat_all().await;
    let is_pack = |command: &cairn_protocol::cluster::Command| matches!(command.action, Action::Pack { .. });
    assert!(store.cluster.nodes.iter().all(|node| !node.commands.iter().any(is_pack)));
}

#[tokio::test]
async fn damaged_rows_keep_no_others_from_being_moved() {
    let mut store = new().await;
    put_all(&mut store, 0..133).await;
    store.sql("UPDATE versions SET etag = x'00' WHERE key = CAST('key 0003' AS BLOB)").await;
    store.sql("UPDATE versions SET length = -1 WHERE key = CAST('key 0004' AS BLOB)").await;
    store.sql("UPDATE versions SET attributes = x'ff' WHERE key = CAST('key 0005' AS BLOB)").await;
    until_ordered(&mut store).await;
    store.cluster.beat_all().await;
    (0..3).for_each(|index| store.cluster.obey(index));
    store.cluster.beat_all().await;
    store.cluster.work().await;
    assert_eq!(packed(&mut store), [130]);
    assert_eq!(blocks(&store, 6..133).await.len(), 1);
}

#[tokio::test]
async fn a_paused_worker_moves_nothing() {
    let mut store = new().await;
    put_all(&mut store, 0..130).await;
    store.cluster.pause(WorkerName::Pack, true).await;
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [0u64; 0]);
    store.cluster.pause(WorkerName::Pack, false).await;
    store.cluster.work().await;
    store.cluster.settle().await;
    store.cluster.work().await;
    assert_eq!(packed(&mut store), [130]);
}

/// A dry run says what a walk moves, page by page, and moves nothing. An operator can begin the walk before it is due.
#[tokio::test]
async fn an_operator_asks_what_would_be_packed_and_has_it_packed_now() {
    let config = BlockManagerConfig { pack_interval: std::time::Duration::ZERO, ..config() };
    let mut store = TestStore::over(TestCluster::with(config, 3).await);
    put_all(&mut store, 0..130).await;
    let admin = store.cluster.blocks.clone();
    let young = admin.preview_pack(PreviewPack { after: None }).await.unwrap();
    assert_eq!(
        (young.versions, young.young, young.groups),
        (130, 130, vec![]),
        "of the first bucket with objects"
    );

    until_ordered(&mut store).await;
    put_all(&mut store, 200..203).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = admin.preview_pack(PreviewPack { after }).await.unwrap();
        found.extend(page.groups);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let group = PackableGroup { replication: 3, objects: 130, bytes: 130 * LENGTH };
    assert_eq!(found, [group]);
    assert_eq!(packed(&mut store), [0; 0], "walks are off, and a dry run orders nothing");

    admin.start_pack(StartPack {}).await.unwrap();
    pack(&mut store).await;
    assert_eq!(packed(&mut store), [133], "all are old enough by now");
    let malformed = PreviewPack { after: Some(PackCursor("no cursor".to_owned())) };
    assert!(matches!(admin.preview_pack(malformed).await, Err(AdminError::Malformed { .. })));
}
