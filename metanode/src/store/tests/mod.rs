//! Tests of the store.
//!
//! | module | contents |
//! |---|---|
//! | this file | durability, group commit, panics and full disks, and what other tests need |
//! | `plans` | what statements read |
//! | `hot` | what is kept of look-ups |
//! | `generations` | generations of databases |
//! | `upgrades` | databases of earlier releases; `first_versions`, `own_extents` and `uncounted` of one release each |

mod first_versions;
mod generations;
pub(in crate::store) mod hot;
mod own_extents;
mod plans;
mod uncounted;
mod upgrades;

use std::path::Path;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{Content, EntryTarget, ObjectVersion, PartInfo, VersionRef};
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::{BoxFuture, Connection, Store, StoreError, sql};

async fn store_in(directory: &Path) -> Store {
    Store::open(&directory.join("metanode.db"), &Env::system()).await.unwrap()
}

pub(super) fn put<'t>(tx: &'t mut Connection, name: String) -> BoxFuture<'t, Result<(), StoreError>> {
    async move {
        sql::query("INSERT INTO settings (name, value) VALUES ($1, 'x')").bind(name).execute(tx).await?;
        Ok(())
    }
    .boxed()
}

fn run<'t>(tx: &'t mut Connection, sql: &'static str) -> BoxFuture<'t, Result<(), StoreError>> {
    async move {
        touch_all(tx);
        sql::query(sql).execute(tx).await?;
        Ok(())
    }
    .boxed()
}

/// Says that anything may have been changed.
fn touch_all(tx: &mut Connection) {
    tx.touched().buckets();
    tx.touched().all_blocks();
    tx.touched().lists();
}

/// The id of a bucket that need not exist.
pub(crate) fn any_bucket() -> super::buckets::BucketId {
    super::rows::BucketId(1)
}

/// Runs any statement, to bring the database into a state that Cairn itself never makes.
pub(crate) async fn execute(store: &Store, sql: &'static str) {
    store.write(move |tx| run(tx, sql)).await.unwrap();
}

/// Makes the database behave as on a full disk, with SQLite's own limit of pages: the error is the same.
pub(crate) async fn fill_disk(store: &Store) {
    execute(store, "PRAGMA max_page_count = 1").await;
}

/// Undoes [`fill_disk`].
pub(crate) async fn free_disk(store: &Store) {
    execute(store, "PRAGMA max_page_count = 4294967294").await;
}

/// Makes the counters right after a statement that changed rows behind their back.
pub(crate) async fn recount(store: &Store) {
    let recounted = store.write(|tx| {
        async move {
            for counter in super::counters::all(tx).await? {
                let compared = super::counters::compare(tx, counter).await?;
                super::counters::correct(tx, &compared);
            }
            Ok::<_, StoreError>(())
        }
        .boxed()
    });
    recounted.await.unwrap();
}

async fn delete_rows(store: &Store, sql: &'static str, block: cairn_protocol::id::BlockId) {
    store
        .write(move |tx| {
            async move {
                touch_all(tx);
                sql::query(sql).bind(&block.as_bytes()[..]).execute(tx).await?;
                Ok::<_, StoreError>(())
            }
            .boxed()
        })
        .await
        .unwrap();
}

/// Deletes the rows of a block's replicas.
pub(crate) async fn forget_replicas(store: &Store, block: cairn_protocol::id::BlockId) {
    delete_rows(store, "DELETE FROM replicas WHERE block_id = $1", block).await;
    recount(store).await;
}

/// Deletes the entries of lists that refer to a block.
pub(crate) async fn forget_extents(store: &Store, block: cairn_protocol::id::BlockId) {
    delete_rows(store, "DELETE FROM list_entries WHERE block_id = $1", block).await;
}

/// Adds `owners` retired parts, retired at `at`, each with `extents` extents that have a block of their own.
pub(crate) async fn retire_many(
    tx: &mut Connection,
    owners: u32,
    extents: u32,
    at: Timestamp,
) -> Result<(), StoreError> {
    let env = Env::system();
    for _ in 0..owners {
        let mut entries = Vec::new();
        for _ in 0..extents {
            let block = env.uuid_v4();
            sql::query(
                "INSERT INTO blocks (block_id, length, crc32c, replication, refs) VALUES ($1, 10, 0, 0, 1)",
            )
            .bind(&block.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
            tx.deltas().add(super::counters::Counter::Blocks, super::counters::Amount::of(1, 0));
            let target = EntryTarget::Block(cairn_protocol::id::BlockId(block));
            entries.push(super::lists::NewEntry { target, start: 0, length: 10 });
        }
        let content = match entries[..] {
            [] => Content::Empty,
            [super::lists::NewEntry { target: EntryTarget::Block(block), .. }] => Content::whole(block),
            _ => Content::List { list: super::lists::create(tx, &entries).await? },
        };
        let info = PartInfo {
            number: 1,
            part: cairn_protocol::id::PartId(env.uuid_v4()),
            length: u64::from(extents) * 10,
            etag: String::new(),
            checksum: None,
            modified_at: at,
        };
        let part = super::parts::StoredPart { info, content, user: None };
        super::retired::insert_part(tx, &part, at).await?;
    }
    Ok(())
}

pub(super) async fn names(store: &Store) -> Vec<String> {
    let mut reader = store.read().await.unwrap();
    let rows = sql::query("SELECT name FROM settings ORDER BY name").fetch_all(&mut reader).await.unwrap();
    rows.iter().map(|row| row.get("name")).collect()
}

#[tokio::test]
async fn a_mutation_that_fails_or_panics_is_undone_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let good = (0..20).map(|n| {
        let store = store.clone();
        async move { store.write(move |tx| put(tx, format!("good {n:02}"))).await }.boxed()
    });
    let bad = (0..10).map(|n| {
        let store = store.clone();
        async move {
            store
                .write(move |tx| {
                    async move {
                        put(&mut *tx, format!("bad {n}")).await?;
                        assert!(n % 2 != 0, "a panic that the writer must survive");
                        Err(StoreError::Busy)
                    }
                    .boxed()
                })
                .await
        }
        .boxed()
    });
    let results = join_all(good.chain(bad)).await;
    assert!(results[..20].iter().all(Result::is_ok));
    for (n, result) in results[20..].iter().enumerate() {
        match result {
            Err(StoreError::Panicked) => assert_eq!(n % 2, 0),
            Err(StoreError::Busy) => assert_eq!(n % 2, 1),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names(&store).await, (0..20).map(|n| format!("good {n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_committed_write_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    for n in 0..10 {
        store.write(move |tx| put(tx, format!("{n}"))).await.unwrap();
        // A killed process leaves the files as they are now.
        let copy = tempfile::tempdir().unwrap();
        for file in ["metanode.db", "metanode.db-wal"] {
            std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
        }
        let reopened = store_in(copy.path()).await;
        assert_eq!(names(&reopened).await.len(), n + 1);
    }
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_and_refuses_further_work() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    store.write(|tx| put(tx, "kept".to_owned())).await.unwrap();
    store.close().await;
    assert!(matches!(store.write(|tx| put(tx, "late".to_owned())).await, Err(StoreError::Closed)));
    assert!(matches!(store.read().await.map(|_| ()), Err(StoreError::Closed)));
    let files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["metanode.db"]);
    assert_eq!(names(&store_in(directory.path()).await).await, ["kept"]);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of the future', 1, x'00', 0)";
    execute(&store, newer).await;
    store.close().await;
    let refused = Store::open(&directory.path().join("metanode.db"), &Env::system()).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { version: 9999 }), "{refused}");
}

/// A thousand datanodes that reported at the same time took all connections, and clients' reads waited for them.
#[tokio::test]
async fn reports_and_workers_cannot_take_the_connections_of_clients_reads() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let mut taken = Vec::new();
    for _ in 0..super::open::background_readers() {
        taken.push(store.read_in_background().await.unwrap());
    }
    let mut waiting = Box::pin(store.read_in_background());
    assert!(futures_util::poll!(&mut waiting).is_pending(), "all are taken");
    for _ in 0..8 {
        store.check().await.unwrap();
        drop(store.snapshot().await.unwrap());
    }
    taken.pop();
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    assert!(put(&mut reader, "x".to_owned()).await.is_err());
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_its_own_and_writes_go_on_when_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    fill_disk(&store).await;
    let full = store.write(|tx| put(tx, "x".repeat(10_000_000))).await;
    assert!(matches!(full, Err(StoreError::NoSpace)), "{full:?}");
    free_disk(&store).await;
    store.write(|tx| put(tx, "small".to_owned())).await.unwrap();
    assert_eq!(names(&store).await, ["small"]);
}

/// Fills the first bucket with `count` empty objects, as fast as SQL does it, under `prefixes` prefixes.
pub(crate) async fn fill(store: &Store, count: i64, prefixes: i64) {
    store
        .write(move |tx: &mut Connection| {
            Box::pin(async move {
                sql::query(
                    "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $1)
                     INSERT INTO versions (version_id, bucket_id, key, sequence, null_state, is_delete_marker,
                                           length, etag, modified_at, part_count, checksum)
                     SELECT CAST(printf('%016d', n) AS BLOB), 1,
                            CAST(printf('p%02d/%08d', n % $2, n) AS BLOB), 0, 1, 0, 0, x'', 0, 0, 0
                     FROM numbers",
                )
                .bind(count)
                .bind(prefixes)
                .execute(tx)
                .await?;
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
}

/// The number of versions.
pub(crate) async fn count_objects(connection: &mut Connection) -> Result<i64, StoreError> {
    let row = sql::query("SELECT COUNT(*) AS objects FROM versions").fetch_one(connection).await?;
    Ok(row.get("objects"))
}

/// The result of `read`, and the number of steps of SQLite's virtual machine for it.
pub(crate) async fn steps<T>(
    connection: &mut Connection,
    read: impl AsyncFnOnce(&mut Connection) -> T,
) -> (T, u64) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let steps = Arc::new(AtomicU64::new(0));
    let counter = steps.clone();
    connection.database().unwrap().count_steps(Some(counter));
    let answer = read(connection).await;
    connection.database().unwrap().count_steps(None);
    (answer, steps.load(Ordering::Relaxed))
}

#[test]
fn a_full_disk_and_the_transactions_that_it_ends_are_no_fault_of_the_process() {
    use super::Fault;
    assert_eq!(StoreError::NoSpace.fault(), Fault::Shortage);
    assert_eq!(StoreError::TransactionLost.fault(), Fault::Shortage);
    for own in [StoreError::Busy, StoreError::Panicked, StoreError::Corrupt { column: "x" }] {
        assert_eq!(own.fault(), Fault::Own);
    }
}

/// Makes a database as a Cairn with only the migrations below `before` left it, and runs `sql` on it.
pub(super) async fn database_of(directory: &Path, before: i64, sql: &str) {
    let mut older = super::migrations::all();
    older.retain(|migration| migration.version < before);
    let file = directory.join("metanode.db");
    let database = super::open::options(&file).create().open().unwrap();
    super::open::migrate(&file, &sqlx::migrate::Migrator::with_migrations(older)).await.unwrap();
    database.run_script(sql);
    database.close().unwrap();
}

/// The writer's connection to a database of an earlier release that has the tables of this one, but whose rows are not moved.
pub(super) async fn with_old_rows(directory: &Path) -> Connection {
    let file = directory.join("metanode.db");
    let connection = super::open::options(&file).open().unwrap().into();
    super::open::migrate(&file, &super::migrations::migrator()).await.unwrap();
    connection
}
