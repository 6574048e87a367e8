//! Databases of the release in which rows of replicas and deletions had the ids of their nodes.

use std::path::Path;

use cairn_protocol::admin::AdminState;
use cairn_protocol::cluster::Register;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, NodeId};
use futures_util::FutureExt;
use uuid::Uuid;

use super::*;
use crate::store::replicas::{self, BlockRange};
use crate::store::tests::{database_of, with_old_rows};
use crate::store::totals::{self, NodeTotals};
use crate::store::{Store, deletions, nodes, sql, upgrade};

/// Blocks; the block of number `n` has `10 + n` bytes.
const BLOCKS: u64 = 2_500;

/// Two nodes in service, one that was removed, and two that never registered: of one there are replicas, of the other a deletion.
const FIRST: u128 = 0x0a;
const SECOND: u128 = 0x0b;
const REMOVED: u128 = 0x0c;
const UNKNOWN: u128 = 0x0d;
const DELETING: u128 = 0x0e;

fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn block(number: u64) -> BlockId {
    BlockId::from_slice(format!("{number:016}").as_bytes()).unwrap()
}

/// All blocks are on the first two nodes, on the second of them every other is corrupt. Every third is on the removed node too, and
/// every fifth on the one that never registered.
async fn old_database(directory: &Path) {
    let id = |number: u128| format!("x'{number:032x}'");
    let (first, second, removed) = (id(FIRST), id(SECOND), id(REMOVED));
    let (unknown, deleting) = (id(UNKNOWN), id(DELETING));
    let rows = format!(
        "INSERT INTO nodes (node_id, address, incarnation, volumes, version, registered_at, duty, removed_at) VALUES
             ({first}, 'http://first', 3, '[]', 'v', 9, 1, NULL), ({second}, 'http://second', 4, '[]', 'v', 5, 0, NULL),
             ({removed}, 'http://removed', 1, '[]', 'v', 7, 0, 70);
         INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1);
         CREATE TABLE numbers AS
             WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {BLOCKS})
             SELECT n, CAST(printf('%016d', n) AS BLOB) AS block FROM numbers;
         INSERT INTO blocks SELECT block, 10 + n, 7, 2, 1 FROM numbers;
         INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag,
                               modified_at, part_count, block_id, checksum)
             SELECT 1, block, 0, block, 1, 0, 10 + n, x'', 0, 0, block, 0 FROM numbers;
         INSERT INTO replicas SELECT block, {first}, 0 FROM numbers;
         INSERT INTO replicas SELECT block, {second}, n % 2 FROM numbers;
         INSERT INTO replicas SELECT block, {removed}, 0 FROM numbers WHERE n % 3 = 0;
         INSERT INTO replicas SELECT block, {unknown}, 0 FROM numbers WHERE n % 5 = 0;
         INSERT INTO repairs (block_id, live, replication, queued_at) SELECT block, 1, 2, 3 FROM numbers WHERE n % 2 = 1;
         INSERT INTO deletions (node_id, block_id, queued_at, bytes) VALUES
             ({first}, x'01', 5, 50), ({deleting}, x'02', 6, 60);
         UPDATE deletions SET block_id = CAST(printf('%016d', 9001) AS BLOB) WHERE block_id = x'01';
         UPDATE deletions SET block_id = CAST(printf('%016d', 9002) AS BLOB) WHERE block_id = x'02';
         DROP TABLE numbers;"
    );
    database_of(directory, 15, &rows).await;
}

async fn open(directory: &Path) -> Store {
    Store::open(&directory.join("metanode.db"), &Env::system()).await.unwrap()
}

async fn ordinals(store: &Store) -> Vec<(i64, u128)> {
    let mut reader = store.read().await.unwrap();
    let rows = sql::query("SELECT ordinal, node_id FROM nodes ORDER BY ordinal");
    let rows = rows.fetch_all(&mut reader).await.unwrap();
    let id =
        |row: &crate::store::Row| u128::from_be_bytes(row.get::<Vec<u8>, _>("node_id").try_into().unwrap());
    rows.iter().map(|row| (row.get("ordinal"), id(row))).collect()
}

/// The bytes of every `step`-th block.
fn every(step: u64) -> NodeTotals {
    let numbers = (1..=BLOCKS).filter(|number| number % step == 0);
    NodeTotals { replicas: numbers.clone().count() as u64, bytes: numbers.map(|number| 10 + number).sum() }
}

async fn check(store: &Store) {
    assert_eq!(store.verify_invariants().await.unwrap(), Vec::<String>::new());
    let mut reader = store.read().await.unwrap();
    let held = totals::nodes(&mut reader).await.unwrap();
    for (of, wanted) in [(FIRST, every(1)), (SECOND, every(1)), (REMOVED, every(3)), (UNKNOWN, every(5))] {
        assert_eq!(held[&node(of)], wanted, "{of:x}");
    }
    let all = BlockRange { after: None, through: None };
    let expected = replicas::expected(&mut reader, node(SECOND), all, 3).await.unwrap();
    let expected: Vec<_> = expected.iter().map(|found| (found.block, found.length, found.good)).collect();
    assert_eq!(expected, [(block(1), 11, false), (block(2), 12, true), (block(3), 13, false)]);
    assert_eq!(deletions::page(&mut reader, node(FIRST), all, 9).await.unwrap(), [block(9_001)]);
    assert!(deletions::is_queued(&mut reader, node(DELETING), block(9_002)).await.unwrap());
    let mut known = nodes::all(&mut reader).await.unwrap();
    known.sort_by_key(|known| known.node);
    let known: Vec<_> =
        known.iter().map(|known| (known.node, known.incarnation, known.admin_state)).collect();
    let wanted = [(node(FIRST), 3, AdminState::Draining), (node(SECOND), 4, AdminState::InService)];
    assert_eq!(known, wanted);
    // What is left of nodes that nobody knows is forgotten like that of removed ones.
    let mut removed = nodes::half_removed(&mut reader).await.unwrap();
    removed.sort_unstable();
    assert_eq!(removed, [node(REMOVED), node(UNKNOWN), node(DELETING)]);
    let left =
        sql::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name LIKE '%\\_1' ESCAPE '\\'");
    assert!(left.fetch_optional(&mut reader).await.unwrap().is_none());
    drop(reader);
    let wanted = [(1, SECOND), (2, REMOVED), (3, FIRST), (4, UNKNOWN), (5, DELETING)];
    assert_eq!(ordinals(store).await, wanted);
}

#[tokio::test]
async fn its_replicas_and_deletions_are_moved_and_counted_as_before() {
    let directory = tempfile::tempdir().unwrap();
    old_database(directory.path()).await;
    let store = open(directory.path()).await;
    check(&store).await;
    store.close().await;
    check(&open(directory.path()).await).await;
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_continues_at_the_next_start() {
    for steps in 1..=5 {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let mut connection = with_old_rows(directory.path()).await;
        for step in 1..=steps {
            let moved = upgrade::take_step(&mut connection, &MOVE).await.unwrap();
            assert!(moved > 0 && (step > 3 || moved == u64::from(STEP)), "{moved}");
        }
        connection.close().unwrap();
        check(&open(directory.path()).await).await;
    }
}

async fn register(store: &Store, number: u128) -> nodes::Registration {
    let request = Register {
        node: node(number),
        cluster: None,
        address: "http://again".to_owned(),
        zone: None,
        volumes: Vec::new(),
        version: String::new(),
        incarnation: 0,
        seen: Vec::new(),
        packs: true,
    };
    store
        .write(move |tx| async move { nodes::register(tx, &request, Timestamp(9)).await }.boxed())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_node_that_comes_keeps_its_ordinal_and_what_was_said_to_be_on_it_and_new_ones_get_new_ordinals() {
    let directory = tempfile::tempdir().unwrap();
    old_database(directory.path()).await;
    let store = open(directory.path()).await;
    let came = register(&store, UNKNOWN).await;
    assert!(came.is_new && came.incarnation == 1, "{came:?}");
    register(&store, FIRST).await;
    register(&store, 0x0f).await;
    let wanted = [(1, SECOND), (2, REMOVED), (3, FIRST), (4, UNKNOWN), (5, DELETING), (6, 0x0f)];
    assert_eq!(ordinals(&store).await, wanted);
    let mut reader = store.read().await.unwrap();
    assert_eq!(totals::node(&mut reader, node(UNKNOWN)).await.unwrap(), every(5));
    assert_eq!(nodes::half_removed(&mut reader).await.unwrap().len(), 2);
    drop(reader);
    // The triggers that counted rows in that release are gone: a replica is counted once.
    let removed = store.write(|tx| replicas::remove(tx, block(1), node(FIRST)).boxed()).await.unwrap();
    let left = totals::node(&mut store.read().await.unwrap(), node(FIRST)).await.unwrap();
    let whole = every(1);
    assert!(removed && (left.replicas, left.bytes) == (whole.replicas - 1, whole.bytes - 11), "{left:?}");
    // No row of a node is ever deleted. If one were, its ordinal would not be used again either.
    crate::store::tests::execute(&store, "DELETE FROM nodes WHERE ordinal = 6").await;
    register(&store, 0x10).await;
    assert_eq!(ordinals(&store).await.last(), Some(&(7, 0x10)));
}
