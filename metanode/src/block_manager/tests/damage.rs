//! Extents that are damaged in the database. Copies and completions of them are refused, so that damage never spreads
//! to another object.

use cairn_protocol::id::{PartId, VersionId};
use cairn_protocol::metadata::*;

use super::support::{FIRST, TestStore};

/// The ways in which the extents of an object of three blocks of ten bytes can be damaged.
const DAMAGES: [&str; 7] = [
    // A hole in the middle, and one at the end.
    "DELETE FROM extents WHERE object_offset = 10",
    "DELETE FROM extents WHERE object_offset = 20",
    // Too few bytes.
    "UPDATE extents SET length = 5 WHERE object_offset = 10",
    // An overlap and a hole, with the right sum of bytes.
    "UPDATE extents SET object_offset = object_offset - 2 WHERE object_offset = 10",
    // Beyond the end of a block.
    "UPDATE extents SET block_offset = 1 WHERE object_offset = 10",
    "UPDATE extents SET block_offset = -1 WHERE object_offset = 10",
    // A block that does not exist.
    "DELETE FROM blocks WHERE block_id = (SELECT block_id FROM extents WHERE object_offset = 10)",
];

async fn damaged(damage: &'static str) -> (TestStore, VersionId) {
    let mut store = TestStore::new(3).await;
    let (version, _) = store.put(FIRST, "source", &[10, 10, 10]).await;
    store.sql(damage).await;
    (store, version)
}

fn copy(store: &TestStore, source: VersionId) -> CopyObject {
    CopyObject {
        source,
        bucket: FIRST.to_owned(),
        key: "copy".to_owned(),
        version: VersionId(store.cluster.env.uuid_v7()),
        etag: "e".to_owned(),
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    }
}

async fn head(store: &TestStore, key: &str) -> Result<LocatedObject, MetadataError> {
    look_up(store, key, LookupRange::Whole, 0).await
}

async fn look_up(
    store: &TestStore,
    key: &str,
    range: LookupRange,
    extents_max: u32,
) -> Result<LocatedObject, MetadataError> {
    let (bucket, key) = (FIRST.to_owned(), key.to_owned());
    store.namespace.lookup_object(LookupObject { bucket, key, version: None, range, extents_max }).await
}

/// CopyObject did not check how many bytes of the source's extents it had copied. The copy claimed to have 30 bytes,
/// and had 20.
#[tokio::test]
async fn a_damaged_object_is_not_copied() {
    for damage in DAMAGES {
        let (store, source) = damaged(damage).await;
        let refused = store.namespace.copy_object(copy(&store, source)).await;
        assert_eq!(refused, Err(MetadataError::Internal), "{damage}");
        assert_eq!(head(&store, "copy").await.err(), Some(MetadataError::NoSuchKey), "{damage}");
    }
}

#[tokio::test]
async fn a_damaged_range_becomes_no_part_and_a_sound_one_does() {
    for damage in DAMAGES {
        let (store, source) = damaged(damage).await;
        let target = store.begin(FIRST, "k", None).await;
        let part = |start, end| CopyPart {
            target: target.clone(),
            number: 1,
            part: PartId(store.cluster.env.uuid_v7()),
            source,
            start,
            end,
            etag: "etag".to_owned(),
            checksum: None,
        };
        for (start, end) in [(0, 30), (5, 25), (11, 30)] {
            let refused = store.namespace.copy_part(part(start, end)).await;
            assert_eq!(refused, Err(MetadataError::Internal), "{damage}, {start}..{end}");
        }
        let list = ListParts { target: target.clone(), after: 0, max: 10 };
        assert!(store.namespace.list_parts(list).await.unwrap().parts.is_empty(), "{damage}");
        store.namespace.copy_part(part(0, 8)).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_part_becomes_no_object() {
    for damage in DAMAGES {
        let mut store = TestStore::new(3).await;
        let target = store.begin(FIRST, "k", None).await;
        let (part, _) = store.put_part(&target, 1, &[10, 10, 10]).await;
        let (second, _) = store.put_part(&target, 2, &[7]).await;
        store.sql(damage).await;
        let complete = CompleteUpload {
            target: target.clone(),
            version: VersionId(store.cluster.env.uuid_v7()),
            parts: vec![(1, part), (2, second)],
            etag: "e".to_owned(),
            checksum: None,
            request_digest: String::new(),
            condition: WriteCondition::None,
        };
        let refused = store.namespace.complete_upload(complete).await;
        assert_eq!(refused, Err(MetadataError::Internal), "{damage}");
        assert_eq!(head(&store, "k").await.err(), Some(MetadataError::NoSuchKey), "{damage}");
        // Nothing was changed: an operator can still repair it.
        let list = ListParts { target, after: 0, max: 10 };
        assert_eq!(store.namespace.list_parts(list).await.unwrap().parts.len(), 2, "{damage}");
    }
}

/// A reader received the extents that there were, and its read broke off where one was missing.
#[tokio::test]
async fn a_damaged_range_is_not_located_and_a_sound_one_is() {
    for damage in DAMAGES {
        let (store, version) = damaged(damage).await;
        let bytes = |first, last| LookupRange::Bytes { first, last: Some(last) };
        for range in [LookupRange::Whole, bytes(11, 29)] {
            let refused = look_up(&store, "source", range, 10).await;
            assert_eq!(refused.err(), Some(MetadataError::Internal), "{damage}, {range:?}");
        }
        let page = ListExtents { version, start: 5, end: 30, max: 10 };
        assert_eq!(store.namespace.list_extents(page).await.err(), Some(MetadataError::Internal), "{damage}");
        assert_eq!(look_up(&store, "source", bytes(0, 7), 10).await.unwrap().extents.len(), 1, "{damage}");
        assert_eq!(head(&store, "source").await.unwrap().object.length, 30);
    }
}
