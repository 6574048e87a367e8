//! Tests of the store: durability, group commit, panics and full disks.

use std::path::Path;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{Content, EntryTarget, ObjectVersion, PartInfo, VersionRef};
use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{BoxFuture, Connection, Store, StoreError};

async fn store_in(directory: &Path) -> Store {
    Store::open(&directory.join("metanode.db"), &Env::system()).await.unwrap()
}

pub(super) fn put<'t>(tx: &'t mut Connection, name: String) -> BoxFuture<'t, Result<(), StoreError>> {
    async move {
        sqlx::query("INSERT INTO settings (name, value) VALUES ($1, 'x')").bind(name).execute(tx).await?;
        Ok(())
    }
    .boxed()
}

fn run<'t>(tx: &'t mut Connection, sql: &'static str) -> BoxFuture<'t, Result<(), StoreError>> {
    async move {
        sqlx::query(sql).execute(tx).await?;
        Ok(())
    }
    .boxed()
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
                sqlx::query(sql).bind(&block.as_bytes()[..]).execute(tx).await?;
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
            sqlx::query(
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
            [super::lists::NewEntry { target: EntryTarget::Block(block), .. }] => {
                Content::Block { block, offset: 0 }
            }
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
    let rows = sqlx::query("SELECT name FROM settings ORDER BY name").fetch_all(&mut *reader).await.unwrap();
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

/// Makes a database as a Cairn with only the migrations below `before` left it, and runs `sql` on it.
pub(super) async fn database_of(directory: &Path, before: i64, sql: &str) {
    let mut older = super::migrations::all();
    older.retain(|migration| migration.version < before);
    let file = directory.join("metanode.db");
    let mut connection = super::open::options(&file).connect().await.unwrap();
    sqlx::migrate::Migrator::with_migrations(older).run(&mut connection).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_from_before_outcomes_were_remembered_opens_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1);
                INSERT INTO object_versions (version_id, bucket_id, key, is_current, length, etag, modified_at,
                                             part_count, attributes, tags)
                    VALUES (x'00112233445566778899aabbccddeeff', 1, x'61', 1, 5, 'e', 1, 1, '{}', '{}');
                INSERT INTO object_parts (version_id, number, object_offset, length)
                    VALUES (x'00112233445566778899aabbccddeeff', 1, 0, 5);
                INSERT INTO blocks VALUES (x'aa112233445566778899aabbccddeeff', 5, 7, 1, 1);
                INSERT INTO extents VALUES (x'00112233445566778899aabbccddeeff', 0, x'aa112233445566778899aabbccddeeff', 0, 5);
                INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
                    VALUES (x'ff112233445566778899aabbccddeeff', 1, x'6b', 7, '{}', '{}');";
    database_of(directory.path(), 6, rows).await;
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    let (bucket, _) = super::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    let object = super::objects::find_current(&mut reader, bucket, "a").await.unwrap().unwrap();
    let list = object.content.list().expect("the parts belong to a list");
    let parts = super::list_parts::list(&mut reader, list, 0, None, 10).await.unwrap();
    assert_eq!(
        parts.iter().map(|part| (part.number, part.length, &part.etag)).collect::<Vec<_>>(),
        [(1, 5, &None)]
    );
    let begun = super::uploads::begun_before(&mut reader, Timestamp(8), None, 10).await.unwrap();
    assert_eq!(begun.len(), 1);
    let mutation = MutationId("00112233-4455-6677-8899-aabbccddeeff".parse().unwrap());
    assert_eq!(super::mutations::find::<()>(&mut reader, Some(mutation)).await.unwrap(), None);
}

/// Nothing in a bucket of an earlier release was public, and nothing becomes public.
#[tokio::test]
async fn buckets_from_before_access_was_configured_block_public_access() {
    use cairn_protocol::metadata::{ConfigurationKind, NewConfiguration};

    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO buckets (name, region, created_at) VALUES ('older', 'r', 7);";
    database_of(directory.path(), 11, rows).await;
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    let (id, _) = super::buckets::find(&mut reader, "older").await.unwrap().unwrap();
    let found = super::configurations::all(&mut reader, id).await.unwrap();
    let documents: Vec<_> = found.iter().map(|found| (found.kind, found.document.as_str())).collect();
    let of_new = NewConfiguration::of_new_bucket();
    let wanted: Vec<_> = of_new.iter().map(|new| (new.kind, new.document.as_str())).collect();
    assert_eq!(documents, wanted);
    drop(reader);
    // Their revisions are not used again.
    let newer =
        store.write(move |tx| Box::pin(super::configurations::put(tx, id, ConfigurationKind::Policy, "{}")));
    let newer = newer.await.unwrap();
    assert!(found.iter().all(|found| found.revision < newer), "{found:?}");
}

#[tokio::test]
async fn a_database_from_before_identities_opens_with_the_first_account_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO settings (name, value) VALUES
                    ('root_credentials', '{\"access_key\":\"CAIRN1\",\"secret_key\":\"the secret\"}');
                INSERT INTO buckets (name, region, created_at) VALUES ('b', 'r', 7);";
    database_of(directory.path(), 8, rows).await;
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    let accounts = super::iam::accounts::list(&mut reader, "", 10).await.unwrap();
    let first = cairn_protocol::metadata::Account::first();
    assert_eq!(accounts.iter().map(|entry| &entry.account).collect::<Vec<_>>(), [&first]);
    assert!(super::buckets::find(&mut reader, "b").await.unwrap().is_some());
    let root = super::settings::find(&mut reader, super::settings::Setting::RootCredentials).await.unwrap();
    assert!(root.unwrap().contains("CAIRN1"));
}

#[tokio::test]
async fn a_database_from_before_object_lock_opens_and_nothing_in_it_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO buckets (name, region, created_at, versioning) VALUES ('b', 'r', 7, 1);
                INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length,
                                      etag, modified_at, part_count, attributes, tags)
                    VALUES (1, x'6b', 3, x'00112233445566778899aabbccddeeff', 0, 0, 0, 'e', 7, 0, '{}', '{}');";
    database_of(directory.path(), 12, rows).await;
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    let (bucket, info) = super::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    assert_eq!(info.object_lock, None);
    assert!(super::objects::find_current(&mut reader, bucket, "k").await.unwrap().is_some());
    assert_eq!(super::locks::find(&mut reader, bucket, "k", 3).await.unwrap(), None);
    assert!(!super::locks::any(&mut reader).await.unwrap());
    assert_eq!(store.verify_invariants().await.unwrap(), Vec::<String>::new());
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
                sqlx::query(
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
    let row = sqlx::query("SELECT COUNT(*) AS objects FROM versions").fetch_one(connection).await?;
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
    connection.sqlite().lock_handle().await.unwrap().set_progress_handler(1, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        true
    });
    let answer = read(connection).await;
    connection.sqlite().lock_handle().await.unwrap().remove_progress_handler();
    (answer, steps.load(Ordering::Relaxed))
}

/// Other tests count the rows that a listing receives. This one is about the rows that SQLite reads: each statement
/// must seek both ends of its range in the index, and must not sort.
#[tokio::test]
async fn listings_are_ranges_of_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    for (sql, index) in [
        (super::listings::LIST, "PRIMARY KEY (bucket_id=? AND key>? AND key<?)"),
        (super::listings::VERSIONS, "PRIMARY KEY (bucket_id=? AND key>? AND key<?)"),
        (super::listings::REST_OF_KEY, "PRIMARY KEY (bucket_id=? AND key=? AND sequence<?)"),
        (super::uploads::LIST, "uploads_in_progress (bucket_id=? AND (key,upload_id)>(?,?) AND key<?)"),
        (super::objects::FIND_CURRENT, "PRIMARY KEY (bucket_id=? AND key=?)"),
        (super::objects::FIND_NULL, "versions_null (bucket_id=? AND key=?)"),
    ] {
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(sql).fetch_all(&mut *reader).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        // The rest of a plan looks up the row's bucket.
        assert!(plan.iter().all(|step| !step.contains("SCAN") && !step.contains("B-TREE")), "{plan:?}");
        assert!(plan[0].starts_with("SEARCH") && plan[0].ends_with(index), "{plan:?}");
    }
}

/// Each write to a key looked for its newest version by reading all of them: the look-up compared the sequence of every row with a
/// maximum. The benchmark of versions did not get to its end with 100,000 of one key.
#[tokio::test]
async fn the_newest_version_of_a_key_is_found_whatever_number_of_versions_it_has() {
    let mut costs = Vec::new();
    for versions in [10_i64, 5_000] {
        let directory = tempfile::tempdir().unwrap();
        let store = store_in(directory.path()).await;
        execute(&store, "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1)")
            .await;
        let insert = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
             INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag,
                                   modified_at, part_count, checksum)
             SELECT 1, x'6b', n, CAST(printf('%016d', n) AS BLOB), 0, 0, 0, x'', n, 0, 0 FROM numbers";
        let inserted = store.write(move |tx| {
            async move { Ok::<_, StoreError>(sqlx::query(insert).bind(versions).execute(tx).await?) }.boxed()
        });
        inserted.await.unwrap();
        let newest = VersionId::from_slice(format!("{versions:016}").as_bytes()).unwrap();
        let made =
            |version| VersionRef { bucket: "b".to_owned(), key: "k".to_owned(), sequence: None, version };
        let options = super::open::options(&directory.path().join("metanode.db"));
        let mut connection = Connection::from(options.connect().await.unwrap());
        connection.begin().await.unwrap();
        let (found, cost) = steps(&mut connection, async |tx| {
            let found = super::retired::find_version(tx, &made(newest)).await.unwrap().unwrap();
            let absent =
                super::retired::find_version(tx, &made(VersionId::from_slice(&[1; 16]).unwrap())).await;
            assert_eq!(absent.unwrap(), None);
            for (version, is_made) in [(newest, true), (VersionId::from_slice(&[1; 16]).unwrap(), false)] {
                assert_eq!(super::retired::may_be_made(tx, ("b", "k"), version).await.unwrap(), is_made);
            }
            let (bucket, _) = super::buckets::find(tx, "b").await.unwrap().unwrap();
            let next = ObjectVersion {
                sequence: found.sequence + 1,
                version: made(newest).version,
                ..found.clone()
            };
            super::objects::insert(tx, bucket, &next, None, false).await.unwrap();
            found
        })
        .await;
        assert_eq!((found.version, found.sequence), (newest, u64::try_from(versions).unwrap()));
        costs.push(cost);
    }
    assert!(costs[1] <= costs[0] + 20, "{costs:?}");
}

/// A step of background work over many rows must cost as much as those rows, however many others the tables have.
#[tokio::test]
async fn steps_over_many_rows_are_ranges_of_indexes_and_sort_nothing_that_is_unbounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    for sql in [
        super::retired::CUT,
        super::lifecycle::DUE,
        super::lifecycle::DUE_UPLOADS,
        super::lifecycle::NEXT_DUE,
        super::retired::RELEASE_BLOCKS,
        super::retired::REMOVE,
        super::lists::RELEASE_RETIRED,
        super::lists::UNREFERENCED_CUT,
        super::lists::RELEASE_BLOCKS,
        super::lists::RELEASE_CHILDREN,
        super::lists::REMOVE_ENTRIES,
        super::lists::ENTRIES,
        super::uploads::CUT,
        super::blocks::COUNT_UNREFERENCED,
        super::blocks::QUEUE_UNREFERENCED,
        super::fsck::RETIRED,
        super::fsck::REPLICAS,
        super::blocks::FIND,
        super::blocks::INSERT_REPLICAS,
        super::blocks::COPIES_PAGE,
        super::replicas::EXPECTED,
        super::replicas::REPLICAS_OF,
        super::deletions::ANY_QUEUED,
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(explain).fetch_all(&mut *reader).await.unwrap();
        for row in rows {
            let step: String = row.get("detail");
            let whole_table = step.starts_with("SCAN ")
                && ![
                    "SCAN gone",
                    "SCAN page",
                    "SCAN blocks USING INDEX blocks_unreferenced",
                    "SCAN extent_lists USING COVERING INDEX extent_lists_unreferenced",
                ]
                .contains(&&step[..]);
            assert!(!whole_table, "{step}: {sql}");
            // What a step counts is grouped, and a step is bounded.
            let sorts = step.contains("TEMP B-TREE") && !sql.contains("GROUP BY");
            assert!(!sorts, "{step}: {sql}");
        }
    }
}

#[tokio::test]
async fn a_database_from_before_deleted_buckets_were_remembered_opens_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (5, 'b', 'r', 1);
                INSERT INTO garbage (owner_id, retired_at) VALUES (x'00112233445566778899aabbccddeeff', 7);
                INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
                    VALUES (x'ff112233445566778899aabbccddeeff', 5, x'6b', 7, '{}', '{}');
                INSERT INTO parts (upload_id, number, part_id, length, etag, modified_at)
                    VALUES (x'ff112233445566778899aabbccddeeff', 1, x'ee112233445566778899aabbccddeeff', 0, 'e', 8);";
    database_of(directory.path(), 7, rows).await;
    let store = store_in(directory.path()).await;
    assert!(super::retired::any_due(&mut store.read().await.unwrap(), Timestamp(8)).await.unwrap());
    let gone = store
        .write(|tx| {
            async move {
                let (bucket, _) = super::buckets::find(tx, "b").await?.unwrap();
                assert!(super::buckets::delete(tx, bucket, Timestamp(9)).await?);
                super::uploads::give_up_some(tx, bucket, 10, Timestamp(9)).await
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((gone.uploads.len(), gone.more), (1, false));
    let queued = super::fsck::count_garbage(&mut store.read().await.unwrap(), None, 10).await.unwrap();
    assert_eq!(queued.0, 2);
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

/// Generations of databases.
mod generations {
    use cairn_protocol::cluster::Generation;
    use cairn_protocol::id::OpeningId;
    use uuid::Uuid;

    use super::super::generations::{advance, latest, past};
    use super::*;

    async fn change(store: &Store) {
        store.write(|tx| advance(tx).boxed()).await.unwrap();
    }

    async fn open(directory: &Path, opening: u128) -> Store {
        let store = store_in(directory).await;
        store.begin_opening(OpeningId(Uuid::from_u128(opening)));
        store
    }

    fn generation(opening: u128, sequence: u64) -> Generation {
        Generation { opening: OpeningId(Uuid::from_u128(opening)), sequence }
    }

    #[tokio::test]
    async fn a_database_knows_its_own_generations_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), 1).await;
        change(&store).await;
        change(&store).await;
        assert_eq!(store.generation(), Some(generation(1, 2)));
        store.close().await;
        // A start that changes nothing leaves no trace.
        let store = open(directory.path(), 2).await;
        store.write(|tx| run(tx, "DELETE FROM settings")).await.unwrap();
        assert_eq!(store.generation(), Some(generation(1, 2)));
        store.close().await;
        let store = open(directory.path(), 3).await;
        change(&store).await;
        assert_eq!(store.generation(), Some(generation(3, 3)));
        let past = past(&mut store.read().await.unwrap()).await.unwrap();
        assert!(past.knows(generation(1, 2)) && past.knows(generation(3, 3)));
        assert!(!past.knows(generation(1, 3)), "that start ended with its second change");
        assert!(!past.knows(generation(2, 2)) && !past.knows(generation(4, 1)));
    }

    #[tokio::test]
    async fn a_change_that_is_rolled_back_makes_no_generation() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), 1).await;
        let failed = store.write(|tx| {
            async move {
                advance(tx).await?;
                Err::<(), _>(StoreError::Panicked)
            }
            .boxed()
        });
        failed.await.unwrap_err();
        assert_eq!(store.generation(), None);
        change(&store).await;
        assert_eq!(store.generation(), Some(generation(1, 1)));
    }

    // The database is made as the version before left it, with an object in it.
    #[tokio::test]
    async fn a_database_of_the_version_before_is_opened_and_counts_from_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let row =
            "INSERT INTO object_versions (version_id, bucket_id, key, is_current, length, etag, modified_at,
                                                part_count, attributes, tags)
                   VALUES (x'00112233445566778899aabbccddeeff', 1, x'61', 1, 0, '', 0, 0, '{}', '{}')";
        database_of(directory.path(), 4, row).await;
        let store = open(directory.path(), 1).await;
        assert_eq!(latest(&mut store.read().await.unwrap()).await.unwrap(), None);
        change(&store).await;
        assert_eq!(store.generation(), Some(generation(1, 1)));
    }
}

/// Databases of the release that knew no versions.
mod upgrade {
    use cairn_protocol::id::VersionId;
    use cairn_protocol::metadata::VersionName;

    use super::*;

    /// More objects than one step moves, and some that are retired.
    const OBJECTS: i64 = 4_500;

    async fn old_database(directory: &Path) {
        let rows = format!(
            "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1);
             WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {OBJECTS})
             INSERT INTO object_versions (version_id, bucket_id, key, is_current, retired_at, length, etag,
                                          modified_at, part_count, attributes, tags)
             SELECT CAST(printf('%016d', n) AS BLOB), 1, CAST(printf('%08d', n / 2) AS BLOB), n % 2,
                    CASE WHEN n % 2 = 0 THEN 7 END, 0, 'e' || n, n, 0, '{{}}', '{{\"t\":\"' || n || '\"}}'
             FROM numbers;
             INSERT INTO garbage (owner_id, retired_at)
             SELECT version_id, retired_at FROM object_versions WHERE is_current = 0;"
        );
        database_of(directory, 10, &rows).await;
    }

    async fn check(store: &Store) {
        assert_eq!(store.verify_invariants().await.unwrap(), Vec::<String>::new());
        let mut reader = store.read().await.unwrap();
        let (bucket, info) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
        for number in [1, 4_499] {
            let key = format!("{:08}", number / 2);
            let found = crate::store::objects::find_named(&mut reader, bucket, &key, VersionName::Null)
                .await
                .unwrap();
            let found = found.unwrap().object;
            assert_eq!((found.etag, found.modified_at), (format!("e{number}"), Timestamp(number)));
            assert_eq!(found.tags["t"], number.to_string());
            assert!(found.is_null && !found.is_versioned);
            let retired = VersionId::from_slice(format!("{:016}", number - 1).as_bytes()).unwrap();
            let retired = crate::store::retired::find(&mut reader, retired).await.unwrap().unwrap();
            assert_eq!(retired.etag, format!("e{}", number - 1));
        }
        let listed =
            crate::store::listings::objects(&mut reader, (bucket, info.versioning), b"", &[0xff], 10_000);
        assert_eq!(listed.await.unwrap().len(), usize::try_from(OBJECTS / 2).unwrap());
        let left = sqlx::query(
            "SELECT 1 FROM sqlite_master WHERE name = 'object_versions' OR name LIKE '%\\_10' ESCAPE '\\'",
        );
        assert!(left.fetch_optional(&mut *reader).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn its_objects_are_moved_and_stay_what_they_were() {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let store = store_in(directory.path()).await;
        check(&store).await;
        store.close().await;
        check(&store_in(directory.path()).await).await;
    }

    #[tokio::test]
    async fn a_process_that_is_killed_in_the_middle_continues_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let options = super::super::open::options(&directory.path().join("metanode.db"));
        let mut connection = options.connect().await.unwrap();
        super::super::migrations::migrator().run(&mut connection).await.unwrap();
        let mut connection = Connection::from(connection);
        assert_eq!(super::super::upgrade::step(&mut connection).await.unwrap(), 2_000);
        connection.close().await.unwrap();
        check(&store_in(directory.path()).await).await;
    }
}

/// Databases of the release in which each version and part had extents of its own.
mod own_extents {
    use cairn_protocol::id::{BlockId, PartId, UploadId, VersionId};
    use cairn_protocol::metadata::{Content, VersionName};
    use uuid::Uuid;

    use super::super::lists::FoundExtent;
    use super::*;

    /// Objects of one extent, more than one step moves.
    const SMALL: i64 = 2_500;

    fn block(number: u128) -> BlockId {
        BlockId(Uuid::from_u128(number))
    }

    /// Beside the small objects: a key with four versions (a null version, a copy of two extents, a multipart object, a delete
    /// marker), an upload with two parts, and what was retired: a version, a part, and an owner of which the first extent is removed already.
    async fn old_database(directory: &Path) {
        let id = |number: u128| format!("x'{number:032x}'");
        let version = |sequence, version, state, marker, length, etag: &str, parts| {
            format!(
                "INSERT INTO versions VALUES (1, CAST('k' AS BLOB), {sequence}, {}, {state}, {marker}, {length},
                     '{etag}', {sequence}, {parts}, '{{\"headers\":{{\"expires\":\"soon\"}}}}', '{{\"t\":\"v\"}}');",
                id(version)
            )
        };
        let extent = |owner, at, of, start, length| {
            format!("INSERT INTO extents VALUES ({}, {at}, {}, {start}, {length});", id(owner), id(of))
        };
        let rows = [
            "INSERT INTO buckets (bucket_id, name, region, created_at, versioning) VALUES (1, 'b', 'r', 1, 1);
             UPDATE generation SET sequence = 100;"
                .to_owned(),
            format!(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SMALL})
                 INSERT INTO versions SELECT 1, CAST(printf('s%08d', n) AS BLOB), n, CAST(printf('v%015d', n) AS BLOB),
                     1, 0, 10, '{}', n, 0, '{{}}', '{{}}' FROM numbers;
                 INSERT INTO blocks SELECT version_id, 10, 7, 1, 1 FROM versions;
                 INSERT INTO extents SELECT version_id, 0, version_id, 0, 10 FROM versions;",
                "0".repeat(32)
            ),
            format!(
                "INSERT INTO blocks VALUES ({}, 10, 7, 1, 4), ({}, 20, 7, 1, 3), ({}, 5, 7, 1, 2), ({}, 9, 7, 1, 1);",
                id(1), id(2), id(3), id(4)
            ),
            version(1, 11, 2, 0, 10, "first", 0),
            extent(11, 0, 1, 0, 10),
            version(2, 12, 0, 0, 15, "two", 0),
            extent(12, 0, 1, 0, 10) + &extent(12, 10, 3, 0, 5),
            version(3, 13, 0, 0, 30, "joined-2", 2),
            extent(13, 0, 1, 0, 10) + &extent(13, 10, 2, 0, 20),
            format!(
                "INSERT INTO object_parts VALUES ({0}, 1, 0, 10, NULL, 'e1'), ({0}, 3, 10, 20, NULL, NULL);",
                id(13)
            ),
            version(4, 14, 0, 1, 0, "", 0),
            format!(
                "INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
                     VALUES ({}, 1, x'75', 7, '{{}}', '{{}}');
                 INSERT INTO parts (upload_id, number, part_id, length, etag, modified_at)
                     VALUES ({}, 1, {}, 3, 'p1', 8), ({}, 2, {}, 0, 'p2', 8);",
                id(20), id(20), id(21), id(20), id(22)
            ),
            extent(21, 0, 3, 2, 3),
            format!(
                "INSERT INTO retired_versions VALUES ({}, 1, x'72', 50, 1, 20, 'retired', 50, 0, '{{}}', '{{}}');
                 INSERT INTO garbage VALUES ({}, 60), ({}, 61), ({}, 62);",
                id(31), id(31), id(32), id(33)
            ),
            extent(31, 0, 2, 0, 20),
            extent(32, 0, 4, 0, 9),
            // Its extent at 0 is removed already.
            extent(33, 10, 1, 0, 10) + &extent(33, 20, 2, 0, 20),
        ];
        database_of(directory, 13, &rows.concat()).await;
    }

    async fn bytes(connection: &mut Connection, content: Content, length: u64) -> Vec<(BlockId, u64, u64)> {
        let found = super::super::lists::extents(connection, (content, length), 0, length, 10).await.unwrap();
        assert!(found.iter().all(FoundExtent::is_sound));
        found
            .iter()
            .map(|FoundExtent { extent, .. }| (extent.block, extent.block_offset, extent.length))
            .collect()
    }

    async fn check(store: &Store) {
        assert_eq!(store.verify_invariants().await.unwrap(), Vec::<String>::new());
        let mut reader = store.read().await.unwrap();
        let (bucket, _) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
        let named = |sequence, id| match sequence {
            1 => VersionName::Null,
            _ => VersionName::Id { sequence, version: VersionId(Uuid::from_u128(id)) },
        };
        let wanted = [
            (1, 11, "first", vec![(block(1), 0, 10)]),
            (2, 12, "two", vec![(block(1), 0, 10), (block(3), 0, 5)]),
            (3, 13, "joined-2", vec![(block(1), 0, 10), (block(2), 0, 20)]),
        ];
        for (sequence, id, etag, extents) in wanted {
            let name = named(sequence, id);
            let found = crate::store::objects::find_named(&mut reader, bucket, "k", name).await.unwrap();
            let found = found.unwrap().object;
            assert!(found.is_sound());
            assert_eq!((&found.etag[..], found.modified_at), (etag, Timestamp(sequence)));
            assert_eq!((&found.attributes.headers["expires"][..], &found.tags["t"][..]), ("soon", "v"));
            assert_eq!(bytes(&mut reader, found.content, found.length).await, extents);
            if let (Some(list), 2) = (found.content.list(), found.part_count) {
                let parts = crate::store::list_parts::list(&mut reader, list, 0, None, 9).await.unwrap();
                let parts: Vec<_> =
                    parts.iter().map(|part| (part.number, part.length, part.etag.as_deref())).collect();
                assert_eq!(parts, [(1, 10, Some("e1")), (3, 20, None)]);
            }
        }
        let newest = crate::store::objects::find_newest(&mut reader, bucket, "k").await.unwrap().unwrap();
        assert!(newest.is_delete_marker && newest.object.sequence == 4);
        let upload = UploadId(Uuid::from_u128(20));
        let parts = crate::store::parts::list(&mut reader, upload, 0, 9).await.unwrap();
        assert_eq!(parts.iter().map(|part| part.info.length).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(bytes(&mut reader, parts[0].content, 3).await, [(block(3), 2, 3)]);
        let retired = crate::store::retired::find(&mut reader, VersionId(Uuid::from_u128(31))).await.unwrap();
        assert_eq!(bytes(&mut reader, retired.unwrap().content, 20).await, [(block(2), 0, 20)]);
        let part = PartId(Uuid::from_u128(32));
        let retired_at = crate::store::retired::part_retired_at(&mut reader, part).await.unwrap();
        assert_eq!(retired_at, Some(Timestamp(61)));
        let left = sqlx::query("SELECT 1 FROM sqlite_master WHERE name LIKE '%\\_10' ESCAPE '\\'");
        assert!(left.fetch_optional(&mut *reader).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn its_versions_and_parts_are_moved_and_keep_their_bytes() {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let store = store_in(directory.path()).await;
        check(&store).await;
        store.close().await;
        check(&store_in(directory.path()).await).await;
    }

    #[tokio::test]
    async fn a_process_that_is_killed_in_the_middle_continues_at_the_next_start() {
        for steps in 1..5 {
            let directory = tempfile::tempdir().unwrap();
            old_database(directory.path()).await;
            let options = super::super::open::options(&directory.path().join("metanode.db"));
            let mut connection = options.connect().await.unwrap();
            super::super::migrations::migrator().run(&mut connection).await.unwrap();
            let mut connection = Connection::from(connection);
            for _ in 0..steps {
                super::super::upgrade::step(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
            check(&store_in(directory.path()).await).await;
        }
    }

    /// A row whose documents cannot be read must not get a checksum that says that it is sound, nor keep the metanode from starting.
    #[tokio::test]
    async fn a_damaged_version_stays_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let rows = "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1);
                    INSERT INTO versions VALUES (1, x'6b', 1, x'00112233445566778899aabbccddeeff', 1, 0, 0, 'e', 1, 0,
                                                 'no document', '{}')";
        database_of(directory.path(), 13, rows).await;
        let store = store_in(directory.path()).await;
        let mut reader = store.read().await.unwrap();
        let (bucket, _) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
        let found = crate::store::objects::find_current(&mut reader, bucket, "k").await.unwrap().unwrap();
        assert!(!found.is_sound());
    }
}

/// Databases of the release that did not count what buckets use.
mod uncounted {
    use cairn_protocol::metadata::Usage;

    use super::*;

    /// Two buckets with more versions than one step counts, of which one key has most; uploads in progress with parts, one that is
    /// completed, and one of a deleted bucket.
    async fn old_database(directory: &Path) {
        let rows = "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'a', 'r', 1), (3, 'b', 'r', 1);
             WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4500)
             INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag,
                                   modified_at, part_count, checksum)
             SELECT CASE WHEN n <= 600 THEN 1 ELSE 3 END,
                    CAST(CASE WHEN n <= 600 THEN printf('%08d', n) WHEN n <= 4000 THEN 'k' ELSE printf('l%08d', n) END AS BLOB),
                    n, CAST(printf('%016d', n) AS BLOB), 0, n % 2, (1 - n % 2) * 10, x'', n, 0, 0 FROM numbers;
             INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags, completed_at)
             SELECT CAST(printf('%016d', n) AS BLOB), 1 + n % 2 * 2, x'75', 7, '{}', '{}', CASE WHEN n = 30 THEN 8 END
             FROM (WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50)
                   SELECT n FROM numbers);
             INSERT INTO parts (upload_id, number, part_id, length, etag, modified_at)
             SELECT upload_id, 1, upload_id, 100, 'e', 8 FROM uploads WHERE completed_at IS NULL;
             INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
             VALUES (x'ff112233445566778899aabbccddeeff', 2, x'75', 7, '{}', '{}');
             INSERT INTO deleted_buckets (bucket_id, name, deleted_at) VALUES (2, 'gone', 9);
             DROP TABLE object_versions; DROP TABLE versions_10; DROP TABLE retired_versions_10; DROP TABLE parts_10;
             DROP TABLE object_parts_10; DROP TABLE extents_10; DROP TABLE garbage_10;";
        database_of(directory, 16, rows).await;
    }

    async fn check(store: &Store) {
        let mut reader = store.read().await.unwrap();
        let mut used = Vec::new();
        for bucket in crate::store::usage::list(&mut reader, "", 10).await.unwrap() {
            used.push((bucket.bucket, bucket.usage));
        }
        // 600 versions, of which 300 have 10 bytes, and 24 uploads with 100 bytes each; 3,900 of which 1,950 have 10, and 25.
        let wanted = [
            ("a".to_owned(), Usage { objects: 624, bytes: 3_000 + 2_400 }),
            ("b".to_owned(), Usage { objects: 3_925, bytes: 19_500 + 2_500 }),
        ];
        assert_eq!(used, wanted);
        for counter in crate::store::counters::all(&mut reader).await.unwrap() {
            let compared = crate::store::counters::compare(&mut reader, counter).await.unwrap();
            assert!(compared.is_right(), "{compared:?}");
        }
    }

    #[tokio::test]
    async fn its_objects_are_counted_once() {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let store = store_in(directory.path()).await;
        check(&store).await;
        store.close().await;
        check(&store_in(directory.path()).await).await;
    }

    #[tokio::test]
    async fn a_process_that_is_killed_in_the_middle_continues_at_the_next_start() {
        for steps in 1..6 {
            let directory = tempfile::tempdir().unwrap();
            old_database(directory.path()).await;
            let options = super::super::open::options(&directory.path().join("metanode.db"));
            let mut connection = options.connect().await.unwrap();
            super::super::migrations::migrator().run(&mut connection).await.unwrap();
            let mut connection = Connection::from(connection);
            for _ in 0..steps {
                assert!(super::super::upgrade::step(&mut connection).await.unwrap() > 0);
            }
            connection.close().await.unwrap();
            check(&store_in(directory.path()).await).await;
        }
    }

    /// The counters of what is deleted stay until all of it is gone, and then go at the next start.
    #[tokio::test]
    async fn counters_of_deleted_buckets_go_when_they_are_empty() {
        let directory = tempfile::tempdir().unwrap();
        old_database(directory.path()).await;
        let store = store_in(directory.path()).await;
        let rows = async |store: &Store| {
            let mut reader = store.read().await.unwrap();
            let rows =
                sqlx::query("SELECT bucket_id FROM bucket_usage").fetch_all(&mut *reader).await.unwrap();
            rows.iter().map(|row| row.get::<i64, _>("bucket_id")).collect::<Vec<_>>()
        };
        assert_eq!(rows(&store).await, [1, 2, 3]);
        let aborted =
            store.write(|tx| crate::store::expiry::give_up_uploads_of_deleted(tx, 10, Timestamp(9)).boxed());
        assert_eq!(aborted.await.unwrap().len(), 1);
        store.close().await;
        assert_eq!(rows(&store_in(directory.path()).await).await, [1, 3]);
    }
}

/// Versions and uploads of before lifecycle rules have no due time, and a walk finds them.
#[tokio::test]
async fn versions_from_before_lifecycle_rules_are_not_due_and_a_walk_finds_them() {
    use super::lifecycle::{Walk, find_walk, next_due, page, put_walk};
    let directory = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO buckets (bucket_id, name, region, created_at) VALUES (1, 'b', 'r', 1);
                INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker, length, etag,
                                      modified_at, part_count, checksum)
                    VALUES (1, x'61', 3, x'00112233445566778899aabbccddeeff', 1, 0, 0, x'', 1, 0, 7);
                INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
                    VALUES (x'ff112233445566778899aabbccddeeff', 1, x'6b', 7, '{}', '{}');";
    database_of(directory.path(), 14, rows).await;
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    assert_eq!(next_due(&mut reader).await.unwrap(), None);
    assert_eq!(find_walk(&mut reader, None).await.unwrap(), None);
    let (bucket, _) = super::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    let walk = Walk::begin(bucket);
    let found = page(&mut reader, &walk.at, 10).await.unwrap();
    assert_eq!(found.iter().map(|found| (found.at.sequence, found.due_at)).collect::<Vec<_>>(), [(3, None)]);
    let kept = walk.clone();
    store.write(move |tx| async move { put_walk(tx, &kept).await }.boxed()).await.unwrap();
    assert_eq!(find_walk(&mut reader, Some(bucket)).await.unwrap(), Some(walk));
}
