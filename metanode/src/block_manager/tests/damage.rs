//! Rows that are damaged in the database. No read gets bytes of them. A damaged version is not copied. Copies and completions refer to
//! extent lists as a whole and do not look into them, so a damaged list is refused when it is read, under whatever name.

use cairn_protocol::id::{PartId, VersionId};
use cairn_protocol::metadata::*;

use super::support::{FIRST, TestStore};

/// The ways in which the extents of an object of three blocks of ten bytes can be damaged.
const DAMAGES: [&str; 8] = [
    // A hole in the middle, and one at the end.
    "DELETE FROM list_entries WHERE place = 10",
    "DELETE FROM list_entries WHERE place = 20",
    // Too few bytes.
    "UPDATE list_entries SET length = 5 WHERE place = 10",
    // An overlap and a hole, with the right sum of bytes.
    "UPDATE list_entries SET place = place - 2 WHERE place = 10",
    // Beyond the end of a block.
    "UPDATE list_entries SET start = 1 WHERE place = 10",
    "UPDATE list_entries SET start = -1 WHERE place = 10",
    // Another block of the same length.
    "UPDATE list_entries SET block_id = (SELECT block_id FROM list_entries WHERE place = 20) WHERE place = 10",
    // A block that does not exist.
    "DELETE FROM blocks WHERE block_id = (SELECT block_id FROM list_entries WHERE place = 10)",
];

async fn damaged(damage: &'static str) -> (TestStore, VersionId) {
    let mut store = TestStore::new(3).await;
    let (version, _) = store.put(FIRST, "source", &[10, 10, 10]).await;
    store.sql(damage).await;
    (store, version)
}

fn copy(store: &TestStore, source: VersionId) -> CopyObject {
    CopyObject {
        source: store.reference(source),
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

/// The ways in which the row of a version can be damaged.
const DAMAGED_ROWS: [&str; 8] = [
    "UPDATE versions SET length = length + 1",
    "UPDATE versions SET etag = x'0000112233445566778899aabbccddeeff'",
    "UPDATE versions SET modified_at = modified_at + 1",
    "UPDATE versions SET attributes = x'0a0161'",
    "UPDATE versions SET tags = '{\"a\":\"b\"}'",
    "UPDATE versions SET part_count = part_count + 1",
    "UPDATE versions SET list_id = NULL",
    "UPDATE versions SET checksum = checksum + 1",
];

/// Each field of a version's row is covered by its checksum, and a version whose row is damaged is not copied and gets no tags,
/// which would give it a new checksum. (Gateways check the same before they serve a byte.)
#[tokio::test]
async fn a_version_with_a_damaged_row_is_not_sound_and_is_not_copied() {
    for damage in DAMAGED_ROWS {
        let (store, source) = damaged(damage).await;
        let found = head(&store, "source").await.unwrap().object;
        assert!(!found.is_sound(), "{damage}");
        let refused = store.namespace.copy_object(copy(&store, source)).await;
        assert_eq!(refused, Err(MetadataError::Internal), "{damage}");
        assert_eq!(head(&store, "copy").await.err(), Some(MetadataError::NoSuchKey), "{damage}");
        let tags = UpdateTags {
            bucket: FIRST.to_owned(),
            key: "source".to_owned(),
            version: None,
            tags: Tags::new(),
            mutation: None,
        };
        assert_eq!(store.namespace.update_tags(tags).await, Err(MetadataError::Internal), "{damage}");
    }
}

/// A copy refers to the list of its source. The damage is found when the copy is read, as it is for the source.
#[tokio::test]
async fn no_copy_of_a_damaged_list_can_be_read() {
    for damage in DAMAGES {
        let (store, source) = damaged(damage).await;
        store.namespace.copy_object(copy(&store, source)).await.unwrap();
        let refused = look_up(&store, "copy", LookupRange::Whole, 10).await;
        assert_eq!(refused.err(), Some(MetadataError::Internal), "{damage}");
    }
}

#[tokio::test]
async fn an_object_of_damaged_parts_cannot_be_read_and_one_of_sound_ranges_can() {
    for damage in DAMAGES {
        let (store, source) = damaged(damage).await;
        let target = store.begin(FIRST, "k", None).await;
        let part = |start, end| CopyPart {
            target: target.clone(),
            number: 1,
            part: PartId(store.cluster.env.uuid_v7()),
            source: store.reference(source),
            start,
            end,
            etag: "etag".to_owned(),
            checksum: None,
        };
        let sound = CopyPart { number: 2, ..part(0, 8) };
        store.namespace.copy_part(sound.clone()).await.unwrap();
        let broken = part(11, 30);
        store.namespace.copy_part(broken.clone()).await.unwrap();
        store.complete(target, vec![(1, broken.part), (2, sound.part)]).await;
        let bytes = |first, last| LookupRange::Bytes { first, last: Some(last) };
        let refused = look_up(&store, "k", bytes(0, 18), 10).await;
        assert_eq!(refused.err(), Some(MetadataError::Internal), "{damage}");
        assert_eq!(look_up(&store, "k", bytes(19, 26), 10).await.unwrap().extents.len(), 1, "{damage}");
    }
}

/// A reader received the extents that there were, and its read broke off where one was missing.
#[tokio::test]
async fn a_damaged_range_is_not_located_and_a_sound_one_is() {
    for damage in DAMAGES {
        let (store, _) = damaged(damage).await;
        let list = store.list("source").await;
        let bytes = |first, last| LookupRange::Bytes { first, last: Some(last) };
        for range in [LookupRange::Whole, bytes(11, 29)] {
            let refused = look_up(&store, "source", range, 10).await;
            assert_eq!(refused.err(), Some(MetadataError::Internal), "{damage}, {range:?}");
        }
        let page = ListExtents { list, start: 5, end: 30, max: 10 };
        assert_eq!(store.namespace.list_extents(page).await.err(), Some(MetadataError::Internal), "{damage}");
        assert_eq!(look_up(&store, "source", bytes(0, 7), 10).await.unwrap().extents.len(), 1, "{damage}");
        assert_eq!(head(&store, "source").await.unwrap().object.length, 30);
    }
}
