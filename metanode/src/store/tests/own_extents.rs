//! Databases of the release in which each version and part had extents of its own.

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
    let left = sql::query("SELECT 1 FROM sqlite_master WHERE name LIKE '%\\_10' ESCAPE '\\'");
    assert!(left.fetch_optional(&mut reader).await.unwrap().is_none());
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
        let mut connection = with_old_rows(directory.path()).await;
        for _ in 0..steps {
            super::super::upgrade::step(&mut connection).await.unwrap();
        }
        connection.close().unwrap();
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
