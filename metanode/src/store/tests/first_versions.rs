//! Databases of the release that knew no versions.

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
        let found =
            crate::store::objects::find_named(&mut reader, bucket, &key, VersionName::Null).await.unwrap();
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
    let left = sql::query(
        "SELECT 1 FROM sqlite_master WHERE name = 'object_versions' OR name LIKE '%\\_10' ESCAPE '\\'",
    );
    assert!(left.fetch_optional(&mut reader).await.unwrap().is_none());
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
    let mut connection = with_old_rows(directory.path()).await;
    assert_eq!(super::super::upgrade::step(&mut connection).await.unwrap(), 2_000);
    connection.close().unwrap();
    check(&store_in(directory.path()).await).await;
}
