//! Counters against the rows that they count.

use std::collections::BTreeMap;
use std::path::Path;

use cairn_protocol::cluster::Register;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{Content, Grant, NewExtent};
use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::recount::{all, compare};
use super::*;
use crate::store::nodes::NodeOrdinal;
use crate::store::{Lane, Store, blocks, deletions, nodes, repairs, replicas, sql, totals};

/// Registered nodes.
const NODES: u8 = 3;

async fn store_in(directory: &Path) -> Store {
    // The clock stands still, so that no transaction is closed because its time is up.
    let (env, _) = Env::manual(1, NOW);
    let store = Store::open(&directory.join("metanode.db"), &env).await.unwrap();
    let registered = store.write(|tx| {
        async move {
            for number in 0..NODES {
                let node = Register {
                    node: node(number),
                    cluster: None,
                    address: String::new(),
                    zone: None,
                    volumes: Vec::new(),
                    version: String::new(),
                    incarnation: 0,
                    seen: Vec::new(),
                    packs: true,
                };
                nodes::register(tx, &node, NOW).await?;
            }
            Ok::<_, StoreError>(())
        }
        .boxed()
    });
    registered.await.unwrap();
    store
}

fn node(number: u8) -> NodeId {
    NodeId(Uuid::from_u128(100 + u128::from(number)))
}

fn block(number: u8) -> BlockId {
    BlockId(Uuid::from_u128(1 + u128::from(number)))
}

/// A block of `number + 1` bytes.
fn extent(number: u8) -> NewExtent {
    let grant = Grant {
        block: block(number),
        targets: Vec::new(),
        block_size: 100,
        replication: 2,
        min_replicas: 1,
        expires_at: Timestamp(0),
        lifetime_ms: 0,
        signature: String::new(),
    };
    let (length, crc32c) = (u64::from(number) + 1, 0);
    NewExtent { grant, length, crc32c, stored_on: Vec::new(), incarnations: Vec::new(), slice: None }
}

/// A change of counted rows. Blocks and nodes are few, so that rows are met again.
#[derive(Clone, Copy, Debug)]
enum Change {
    Insert {
        block: u8,
        nodes: [u8; 2],
    },
    /// The block loses its last reference, and is removed.
    Drop(u8),
    Add(u8, u8),
    AddIfAbsent(u8, u8),
    Remove(u8, u8),
    RemoveWithoutNode(u8, u8),
    QueueDeletion(u8, u8, u64),
    DeletionDone(u8, u8),
    ForgetDeletions(u8, u32),
    QueueRepair {
        block: u8,
        live: u32,
        replication: u32,
    },
    RemoveRepair(u8),
    Raise {
        block: u8,
        wanted: u32,
    },
}

fn change() -> impl Strategy<Value = Change> {
    // The last of these nodes never registered.
    let (block, node) = (0u8..5, 0..=NODES);
    let pair = (block.clone(), node.clone());
    prop_oneof![
        3 => (block.clone(), [node.clone(), node.clone()])
            .prop_map(|(block, nodes)| Change::Insert { block, nodes }),
        2 => block.clone().prop_map(Change::Drop),
        1 => pair.clone().prop_map(|(block, node)| Change::Add(block, node)),
        1 => pair.clone().prop_map(|(block, node)| Change::AddIfAbsent(block, node)),
        1 => pair.clone().prop_map(|(block, node)| Change::Remove(block, node)),
        1 => pair.clone().prop_map(|(block, node)| Change::RemoveWithoutNode(block, node)),
        1 => (pair.clone(), 0u64..9).prop_map(|((block, node), bytes)| Change::QueueDeletion(block, node, bytes)),
        1 => pair.prop_map(|(block, node)| Change::DeletionDone(block, node)),
        1 => (node, 1u32..4).prop_map(|(node, max)| Change::ForgetDeletions(node, max)),
        2 => (block.clone(), 0u32..3, 1u32..4)
            .prop_map(|(block, live, replication)| Change::QueueRepair { block, live, replication }),
        1 => block.clone().prop_map(Change::RemoveRepair),
        1 => (block, 1u32..5).prop_map(|(block, wanted)| Change::Raise { block, wanted }),
    ]
}

const NOW: Timestamp = Timestamp(7);

async fn apply(tx: &mut Connection, change: Change) -> Result<(), StoreError> {
    match change {
        Change::Insert { block, nodes } => {
            blocks::insert(tx, &extent(block), &nodes.map(node)).await?;
        }
        Change::Drop(number) => {
            sql::query("UPDATE blocks SET refs = -1 WHERE block_id = $1")
                .bind(&block(number).as_bytes()[..])
                .execute(&mut *tx)
                .await?;
            blocks::drop_unreferenced(tx, NOW).await?;
        }
        Change::Add(block_number, on) => {
            // A block that does not exist has no replicas: its length would become known only later.
            if blocks::exists(tx, block(block_number)).await? {
                replicas::add(tx, block(block_number), node(on)).await?;
            }
        }
        Change::AddIfAbsent(block_number, on) => {
            if blocks::exists(tx, block(block_number)).await? {
                replicas::add_if_absent(tx, block(block_number), node(on)).await?;
            }
        }
        Change::Remove(of, on) => {
            replicas::remove(tx, block(of), node(on)).await?;
        }
        Change::RemoveWithoutNode(of, on) => {
            // All ordinals have nodes here, so it removes nothing.
            assert!(!replicas::remove_without_node(tx, block(of), NodeOrdinal(i64::from(on))).await?);
        }
        Change::QueueDeletion(of, on, bytes) => {
            deletions::queue(tx, node(on), block(of), bytes, NOW).await?;
        }
        Change::DeletionDone(of, on) => {
            deletions::done(tx, node(on), block(of)).await?;
        }
        Change::ForgetDeletions(on, max) => {
            deletions::forget(tx, node(on), max).await?;
        }
        Change::QueueRepair { block: of, live, replication } => {
            repairs::queue(tx, block(of), live, replication, NOW).await?;
        }
        Change::RemoveRepair(of) => {
            repairs::remove(tx, block(of)).await?;
        }
        Change::Raise { block: of, wanted } => {
            let content = Content::whole(block(of));
            repairs::raise_replication(tx, content, wanted, NOW).await?;
        }
    }
    Ok(())
}

/// How a mutation ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Done,
    Failed,
    Panicked,
    /// Like an error of the disk, it rolls back the whole transaction.
    TakesAllDown,
}

fn mutation() -> impl Strategy<Value = (Vec<Change>, End)> {
    let end = prop_oneof![
        12 => Just(End::Done),
        3 => Just(End::Failed),
        3 => Just(End::Panicked),
        1 => Just(End::TakesAllDown),
    ];
    (proptest::collection::vec(change(), 1..8), end)
}

async fn mutate(tx: &mut Connection, changes: Vec<Change>, end: End) -> Result<(), StoreError> {
    for change in changes {
        apply(tx, change).await?;
    }
    // Within the transaction a counter says what its rows are, although nothing is written yet.
    for counter in all(tx).await? {
        let compared = compare(tx, counter).await?;
        assert!(compared.is_right(), "{compared:?}");
    }
    match end {
        End::Done => Ok(()),
        End::Failed => Err(StoreError::Busy),
        End::Panicked => panic!("a panic that the writer must survive"),
        End::TakesAllDown => {
            sql::query("ROLLBACK").execute(tx).await?;
            Err(StoreError::NoSpace)
        }
    }
}

/// Runs mutations in one transaction: the first waits until the others are in their queue.
async fn run_batch(store: &Store, batch: Vec<(Vec<Change>, End)>) {
    let (began, beginning) = oneshot::channel();
    let (let_go, held) = oneshot::channel::<()>();
    let first = store.clone();
    let mut first = async move {
        let held = first.write(move |_| {
            async move {
                let _ = began.send(());
                let _ = held.await;
                Ok::<_, StoreError>(())
            }
            .boxed()
        });
        // It fails if another one takes the transaction down.
        let _ = held.await;
    }
    .boxed();
    assert!((&mut first).now_or_never().is_none());
    beginning.await.unwrap();
    let mut sent: Vec<_> = batch
        .into_iter()
        .map(|(changes, end)| {
            let store = store.clone();
            async move {
                let outcome = store
                    .write_then(Lane::Client, move |tx| mutate(tx, changes, end).boxed(), |done| done)
                    .await;
                let is_expected = match end {
                    End::Done => matches!(outcome, Ok(()) | Err(StoreError::TransactionLost)),
                    End::Failed => matches!(outcome, Err(StoreError::Busy | StoreError::TransactionLost)),
                    End::Panicked => {
                        matches!(outcome, Err(StoreError::Panicked | StoreError::TransactionLost))
                    }
                    End::TakesAllDown => {
                        matches!(outcome, Err(StoreError::NoSpace | StoreError::TransactionLost))
                    }
                };
                assert!(is_expected, "{end:?}: {outcome:?}");
            }
            .boxed()
        })
        .collect();
    for mutation in &mut sent {
        assert!(mutation.now_or_never().is_none());
    }
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([first])).await;
}

/// What the invariants about counts say, which have statements of their own.
async fn broken_counts(store: &Store) -> Vec<String> {
    let mut broken = store.verify_invariants().await.unwrap();
    broken.retain(|invariant| invariant.contains("counted"));
    broken
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn counters_say_what_the_tables_have_whatever_fails_in_between(
        batches in proptest::collection::vec(proptest::collection::vec(mutation(), 1..12), 1..8)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let store = store_in(directory.path()).await;
            for batch in batches {
                run_batch(&store, batch).await;
                assert_eq!(broken_counts(&store).await, Vec::<String>::new());
            }
        });
    }
}

/// The rows that hold counters, by a statement of the test.
async fn stored(store: &Store, of: NodeId) -> Option<(i64, i64)> {
    let mut reader = store.read().await.unwrap();
    let row = sql::query("SELECT replicas, bytes FROM node_totals WHERE node_id = $1")
        .bind(&of.as_bytes()[..])
        .fetch_optional(&mut reader)
        .await
        .unwrap();
    row.map(|row| (row.get("replicas"), row.get("bytes")))
}

/// Triggers wrote the counter of a node again for each of its rows.
#[tokio::test]
async fn a_counter_is_written_once_in_a_transaction_however_many_rows_changed() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    crate::store::tests::execute(&store, "CREATE TABLE written (node_id BLOB, replicas BIGINT)").await;
    for statement in [
        "CREATE TRIGGER made AFTER INSERT ON node_totals BEGIN
             INSERT INTO written VALUES (NEW.node_id, NEW.replicas); END",
        "CREATE TRIGGER changed AFTER UPDATE ON node_totals BEGIN
             INSERT INTO written VALUES (NEW.node_id, NEW.replicas); END",
    ] {
        crate::store::tests::execute(&store, statement).await;
    }
    let batch = (0..5).map(|number| (vec![Change::Insert { block: number, nodes: [1, 2] }], End::Done));
    run_batch(&store, batch.collect()).await;
    // What goes as it came is not written at all.
    run_batch(&store, vec![(vec![Change::Remove(0, 1)], End::Done), (vec![Change::Add(0, 1)], End::Done)])
        .await;
    let mut reader = store.read().await.unwrap();
    let rows =
        sql::query("SELECT replicas FROM written ORDER BY node_id").fetch_all(&mut reader).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get("replicas")).collect::<Vec<i64>>(), [5, 5]);
}

/// A counter that an earlier fault left too low must neither wrap around nor keep a mutation from being done.
#[tokio::test]
async fn a_counter_that_would_fall_below_zero_becomes_zero_and_is_made_right_by_a_recount() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let insert = |number| vec![(vec![Change::Insert { block: number, nodes: [1, 1] }], End::Done)];
    run_batch(&store, insert(3)).await;
    run_batch(&store, insert(4)).await;
    assert_eq!(stored(&store, node(1)).await, Some((2, 9)));
    crate::store::tests::execute(&store, "UPDATE node_totals SET replicas = 0, bytes = 3").await;
    let said = store
        .write(|tx| {
            async move {
                replicas::remove(tx, block(3), node(1)).await?;
                totals::node(tx, node(1)).await
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((said.replicas, said.bytes), (0, 0));
    assert_eq!(stored(&store, node(1)).await, Some((0, 0)));
    let mut snapshot = store.snapshot().await.unwrap();
    let mut errors = BTreeMap::new();
    for counter in all(&mut snapshot).await.unwrap() {
        errors.insert(counter, compare(&mut snapshot, counter).await.unwrap().error());
    }
    drop(snapshot);
    errors.retain(|_, error| *error != Amount::default());
    assert_eq!(errors, BTreeMap::from([(Counter::Replicas(node(1)), Amount::of(1, 5))]));
    // The error that was found holds for any later state.
    store.write(|tx| apply(tx, Change::Insert { block: 2, nodes: [1, 1] }).boxed()).await.unwrap();
    let mend = store.write(move |tx| {
        async move {
            errors.into_iter().for_each(|(counter, error)| tx.deltas().add(counter, error));
            Ok::<_, StoreError>(())
        }
        .boxed()
    });
    mend.await.unwrap();
    assert_eq!(stored(&store, node(1)).await, Some((2, 8)));
}
