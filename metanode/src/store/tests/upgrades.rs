//! Databases of earlier releases open, and keep what they have.

use super::*;

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
    let (bucket, _) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    let object = crate::store::objects::find_current(&mut reader, bucket, "a").await.unwrap().unwrap();
    let list = object.content.list().expect("the parts belong to a list");
    let parts = crate::store::list_parts::list(&mut reader, list, 0, None, 10).await.unwrap();
    assert_eq!(
        parts.iter().map(|part| (part.number, part.length, &part.etag)).collect::<Vec<_>>(),
        [(1, 5, &None)]
    );
    let begun = crate::store::uploads::begun_before(&mut reader, Timestamp(8), None, 10).await.unwrap();
    assert_eq!(begun.len(), 1);
    let mutation = MutationId("00112233-4455-6677-8899-aabbccddeeff".parse().unwrap());
    assert_eq!(crate::store::mutations::find::<()>(&mut reader, Some(mutation)).await.unwrap(), None);
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
    let (id, _) = crate::store::buckets::find(&mut reader, "older").await.unwrap().unwrap();
    let found = crate::store::configurations::all(&mut reader, id).await.unwrap();
    let documents: Vec<_> = found.iter().map(|found| (found.kind, found.document.as_str())).collect();
    let of_new = NewConfiguration::of_new_bucket();
    let wanted: Vec<_> = of_new.iter().map(|new| (new.kind, new.document.as_str())).collect();
    assert_eq!(documents, wanted);
    drop(reader);
    // Their revisions are not used again.
    let newer = store.write(move |tx| {
        Box::pin(crate::store::configurations::put(tx, id, ConfigurationKind::Policy, "{}"))
    });
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
    let accounts = crate::store::iam::accounts::list(&mut reader, "", 10).await.unwrap();
    let first = cairn_protocol::metadata::Account::first();
    assert_eq!(accounts.iter().map(|entry| &entry.account).collect::<Vec<_>>(), [&first]);
    assert!(crate::store::buckets::find(&mut reader, "b").await.unwrap().is_some());
    let root = crate::store::settings::find(&mut reader, crate::store::settings::Setting::RootCredentials)
        .await
        .unwrap();
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
    let (bucket, info) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    assert_eq!(info.object_lock, None);
    assert!(crate::store::objects::find_current(&mut reader, bucket, "k").await.unwrap().is_some());
    assert_eq!(crate::store::locks::find(&mut reader, bucket, "k", 3).await.unwrap(), None);
    assert!(!crate::store::locks::any(&mut reader).await.unwrap());
    assert_eq!(store.verify_invariants().await.unwrap(), Vec::<String>::new());
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
    assert!(crate::store::retired::any_due(&mut store.read().await.unwrap(), Timestamp(8)).await.unwrap());
    let gone = store
        .write(|tx| {
            async move {
                let (bucket, _) = crate::store::buckets::find(tx, "b").await?.unwrap();
                assert!(crate::store::buckets::delete(tx, bucket, Timestamp(9)).await?);
                crate::store::uploads::give_up_some(tx, bucket, 10, Timestamp(9)).await
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((gone.uploads.len(), gone.more), (1, false));
    let queued = crate::store::fsck::count_garbage(&mut store.read().await.unwrap(), None, 10).await.unwrap();
    assert_eq!(queued.0, 2);
}

/// Versions and uploads of before lifecycle rules have no due time, and a walk finds them.
#[tokio::test]
async fn versions_from_before_lifecycle_rules_are_not_due_and_a_walk_finds_them() {
    use crate::store::lifecycle::{Walk, find_walk, next_due, page, put_walk};
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
    let (bucket, _) = crate::store::buckets::find(&mut reader, "b").await.unwrap().unwrap();
    let walk = Walk::begin(bucket);
    let found = page(&mut reader, &walk.at, 10).await.unwrap();
    assert_eq!(found.iter().map(|found| (found.at.sequence, found.due_at)).collect::<Vec<_>>(), [(3, None)]);
    let kept = walk.clone();
    store.write(move |tx| async move { put_walk(tx, &kept).await }.boxed()).await.unwrap();
    assert_eq!(find_walk(&mut reader, Some(bucket)).await.unwrap(), Some(walk));
}
