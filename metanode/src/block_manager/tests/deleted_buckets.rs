//! Buckets that are deleted while uploads into them are in progress.

use cairn_protocol::admin::{FsckTotals, WorkerName};
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::{ListUploads, Metadata, MetadataError};

use super::super::admin::fsck::page_of;
use super::support::{TestStore, check};

const BUCKET: &str = "deleted";

async fn uploads_in(store: &TestStore, bucket: &str) -> usize {
    let list = ListUploads { bucket: bucket.to_owned(), max: 10, ..ListUploads::default() };
    store.namespace.list_uploads(list).await.unwrap().entries.len()
}

fn aborted(store: &mut TestStore) -> usize {
    let events = store.cluster.new_events();
    events.iter().filter(|event| matches!(event, EventKind::UploadAborted { .. })).count()
}

async fn totals(store: &TestStore) -> FsckTotals {
    let mut request = check(None);
    let mut totals = FsckTotals::default();
    loop {
        let page = page_of(&store.cluster.blocks.inner, request.clone(), 1_000).await.unwrap();
        assert_eq!(page.problems, []);
        totals += page.totals;
        request.after = page.next;
        if request.after.is_none() {
            return totals;
        }
    }
}

/// Deleting a bucket with 10⁵ uploads aborted all of them in one transaction, and every other write waited for seconds.
#[tokio::test]
async fn the_uploads_of_a_deleted_bucket_are_gone_at_once_and_given_up_in_small_steps() {
    let mut store = TestStore::new(3).await;
    store.make_bucket(BUCKET).await;
    let (first, blocks) = {
        let target = store.begin(BUCKET, "a", None).await;
        let (_, blocks) = store.put_part(&target, 1, &[10, 20]).await;
        (target, blocks)
    };
    for number in 0..700 {
        store.begin(BUCKET, &format!("b{number}"), None).await;
    }
    store.remove_bucket(BUCKET).await;
    let gone = store.namespace.get_upload(first.clone()).await;
    assert_eq!(gone.err(), Some(MetadataError::NoSuchBucket { bucket: BUCKET.to_owned() }));
    // The name is free, and a new bucket of that name has nothing of the old one.
    store.make_bucket(BUCKET).await;
    assert_eq!(store.namespace.get_upload(first).await.err(), Some(MetadataError::NoSuchUpload));
    assert_eq!(uploads_in(&store, BUCKET).await, 0);
    let kept = store.begin(BUCKET, "kept", None).await;
    store.cluster.verify().await;
    assert_eq!((aborted(&mut store), totals(&store).await.deleted_buckets), (0, 1));

    store.cluster.step(WorkerName::Uploads).await;
    assert_eq!(aborted(&mut store), 500, "a step, and no more");
    store.cluster.verify().await;
    // A restart in the middle does not stop the work.
    store.restart().await;
    store.cluster.work().await;
    assert_eq!(aborted(&mut store), 201);
    assert_eq!(totals(&store).await.deleted_buckets, 0);
    store.cluster.verify().await;
    assert!(store.namespace.get_upload(kept).await.is_ok());
    store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    assert!(blocks.iter().all(|block| store.cluster.really_at(*block).is_empty()));
}

#[tokio::test]
async fn an_upload_of_many_parts_is_aborted_in_several_steps_with_one_event() {
    let mut store = TestStore::new(1).await;
    store.make_bucket(BUCKET).await;
    let target = store.begin(BUCKET, "a", None).await;
    for number in 1..=600 {
        store.put_part(&target, number, &[]).await;
    }
    store.begin(BUCKET, "b", None).await;
    store.remove_bucket(BUCKET).await;
    store.cluster.new_events();
    store.cluster.step(WorkerName::Uploads).await;
    assert_eq!((aborted(&mut store), totals(&store).await.garbage_queued), (0, 500));
    store.cluster.verify().await;
    store.cluster.work().await;
    assert_eq!((aborted(&mut store), totals(&store).await.garbage_queued), (2, 600));
    store.cluster.verify().await;
}

#[tokio::test]
async fn buckets_without_uploads_leave_nothing_and_several_deleted_ones_go_one_after_another() {
    let mut store = TestStore::new(1).await;
    for bucket in ["one", "two", "three"] {
        store.make_bucket(bucket).await;
        if bucket != "two" {
            store.begin(bucket, "k", None).await;
        }
        store.remove_bucket(bucket).await;
    }
    assert_eq!(totals(&store).await.deleted_buckets, 2);
    store.cluster.work().await;
    assert_eq!((aborted(&mut store), totals(&store).await.deleted_buckets), (2, 0));
    let doing = store.cluster.worker(WorkerName::Uploads).await.doing;
    assert!(doing.contains("2 of deleted buckets"), "{doing}");
}
