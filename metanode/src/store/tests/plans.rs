//! What statements read: ranges of indexes, and no more however much else there is.

use super::*;

/// Other tests count the rows that a listing receives. This one is about the rows that SQLite reads: each statement
/// must seek both ends of its range in the index, and must not sort.
#[tokio::test]
async fn listings_are_ranges_of_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path()).await;
    let mut reader = store.read().await.unwrap();
    for (sql, index) in [
        (crate::store::listings::LIST, "PRIMARY KEY (bucket_id=? AND key>? AND key<?)"),
        (crate::store::listings::VERSIONS, "PRIMARY KEY (bucket_id=? AND key>? AND key<?)"),
        (crate::store::listings::REST_OF_KEY, "PRIMARY KEY (bucket_id=? AND key=? AND sequence<?)"),
        (
            crate::store::uploads::LIST,
            "uploads_in_progress (bucket_id=? AND (key,upload_id)>(?,?) AND key<?)",
        ),
        (crate::store::objects::FIND_CURRENT, "PRIMARY KEY (bucket_id=? AND key=?)"),
        (crate::store::packs::OF_KEY, "PRIMARY KEY (bucket_id=? AND key=? AND sequence<?)"),
        (crate::store::packs::AFTER_KEY, "PRIMARY KEY (bucket_id=? AND key>?)"),
        (crate::store::objects::FIND_NULL, "versions_null (bucket_id=? AND key=?)"),
    ] {
        let rows =
            sql::query_built(format!("EXPLAIN QUERY PLAN {sql}")).fetch_all(&mut reader).await.unwrap();
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
        let inserted =
            store.write(move |tx| async move { sql::query(insert).bind(versions).execute(tx).await }.boxed());
        inserted.await.unwrap();
        let newest = VersionId::from_slice(format!("{versions:016}").as_bytes()).unwrap();
        let made =
            |version| VersionRef { bucket: "b".to_owned(), key: "k".to_owned(), sequence: None, version };
        let options = crate::store::open::options(&directory.path().join("metanode.db"));
        let mut connection = Connection::from(options.open().unwrap());
        connection.begin().unwrap();
        let (found, cost) = steps(&mut connection, async |tx| {
            let found = crate::store::retired::find_version(tx, &made(newest)).await.unwrap().unwrap();
            let absent =
                crate::store::retired::find_version(tx, &made(VersionId::from_slice(&[1; 16]).unwrap()))
                    .await;
            assert_eq!(absent.unwrap(), None);
            for (version, is_made) in [(newest, true), (VersionId::from_slice(&[1; 16]).unwrap(), false)] {
                assert_eq!(
                    crate::store::retired::may_be_made(tx, ("b", "k"), version).await.unwrap(),
                    is_made
                );
            }
            let (bucket, _) = crate::store::buckets::find(tx, "b").await.unwrap().unwrap();
            let next = ObjectVersion {
                sequence: found.sequence + 1,
                version: made(newest).version,
                ..found.clone()
            };
            crate::store::objects::insert(tx, bucket, &next, None, false).await.unwrap();
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
        crate::store::retired::CUT,
        crate::store::lifecycle::DUE,
        crate::store::lifecycle::DUE_UPLOADS,
        crate::store::lifecycle::NEXT_DUE,
        crate::store::retired::RELEASE_BLOCKS,
        crate::store::retired::REMOVE,
        crate::store::retired::IS_KEPT,
        crate::store::retired::POSTPONE,
        crate::store::retired::POSTPONE_MOVED,
        crate::store::lists::RELEASE_RETIRED,
        crate::store::lists::UNREFERENCED_CUT,
        crate::store::lists::RELEASE_BLOCKS,
        crate::store::lists::RELEASE_CHILDREN,
        crate::store::lists::REMOVE_ENTRIES,
        crate::store::lists::ENTRIES,
        crate::store::uploads::CUT,
        crate::store::blocks::COUNT_UNREFERENCED,
        crate::store::blocks::QUEUE_UNREFERENCED,
        crate::store::fsck::RETIRED,
        crate::store::fsck::REPLICAS,
        crate::store::blocks::FIND,
        crate::store::blocks::INSERT_REPLICAS,
        crate::store::blocks::COPIES_PAGE,
        crate::store::replicas::EXPECTED,
        crate::store::replicas::REPLICAS_OF,
        crate::store::deletions::ANY_QUEUED,
    ] {
        let rows =
            sql::query_built(format!("EXPLAIN QUERY PLAN {sql}")).fetch_all(&mut reader).await.unwrap();
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
