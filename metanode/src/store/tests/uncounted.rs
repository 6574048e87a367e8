//! Databases of the release that did not count what buckets use.

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
        let mut connection = with_old_rows(directory.path()).await;
        for _ in 0..steps {
            assert!(super::super::upgrade::step(&mut connection).await.unwrap() > 0);
        }
        connection.close().unwrap();
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
        let rows = sql::query("SELECT bucket_id FROM bucket_usage").fetch_all(&mut reader).await.unwrap();
        rows.iter().map(|row| row.get::<i64, _>("bucket_id")).collect::<Vec<_>>()
    };
    assert_eq!(rows(&store).await, [1, 2, 3]);
    let aborted =
        store.write(|tx| crate::store::expiry::give_up_uploads_of_deleted(tx, 10, Timestamp(9)).boxed());
    assert_eq!(aborted.await.unwrap().len(), 1);
    store.close().await;
    assert_eq!(rows(&store_in(directory.path()).await).await, [1, 3]);
}
