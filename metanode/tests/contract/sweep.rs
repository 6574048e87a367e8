//! The namespace after the block manager has swept what was retired.

use std::time::Duration;

use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, bytes, new_bytes, reference};

#[tokio::test]
async fn a_sweep_removes_retired_versions_but_no_shared_blocks() {
    let (cluster, clock) = Cluster::with_manual_clock().await;
    cluster.bucket("b").await;
    cluster.bucket("deleted").await;
    let overwritten = cluster.object("b", "k", "old", &[10, 11]);
    let old = overwritten.version;
    let shared = new_bytes(&overwritten.extents);
    cluster.commit_object(overwritten).await.unwrap();

    // A part that was copied from it stays in an upload, and a part that is replaced does not.
    let upload = cluster.begin("b", "joined").await;
    let copied = CopyPart {
        target: upload.clone(),
        number: 1,
        part: cluster.part(),
        source: reference("b", "k", old),
        start: 5,
        end: 15,
        etag: "e".into(),
        checksum: None,
    };
    let parts = [
        (1, copied.part),
        (2, {
            cluster.add(&upload, 2, &[12]).await;
            cluster.add(&upload, 2, &[13, 14]).await.1
        }),
    ];
    cluster.copy_part(copied).await.unwrap();
    cluster.put("b", "k", "new", &[15]).await;

    // A multipart object and its whole bucket are deleted.
    let gone = cluster.begin("deleted", "k").await;
    let part = cluster.add(&gone, 1, &[16]).await;
    let gone_completion = cluster.completion(&gone, &[part]);
    cluster.complete_upload(gone_completion.clone()).await.unwrap();
    let gone_list = cluster.list("deleted", "k").await;
    cluster.delete("deleted", "k", WriteCondition::None).await.unwrap();
    cluster.delete_bucket(DeleteBucket { bucket: "deleted".into(), mutation: None }).await.unwrap();

    clock.advance(Duration::from_secs(3600));
    // The replaced part's block and that of the deleted object; both of the overwritten one are shared.
    cluster.collect_garbage(2).await;
    cluster.verify().await;
    let request = ListExtents { list: gone_list, start: 0, end: 100, max: 10 };
    assert_eq!(cluster.list_extents(request).await.err(), Some(MetadataError::NoSuchVersion));
    let request = ListObjectParts { list: gone_list, after: 0, max: 10, offset: None };
    assert_eq!(cluster.list_object_parts(request).await.err(), Some(MetadataError::NoSuchVersion));
    for (bucket, version) in [("b", old), ("deleted", gone_completion.version)] {
        let copy = CopyObject {
            source: reference(bucket, "k", version),
            bucket: "b".into(),
            key: "copy".into(),
            version: cluster.version(),
            etag: "e".into(),
            attributes: None,
            tags: None,
            condition: WriteCondition::None,
        };
        assert_eq!(cluster.copy_object(copy).await, Err(MetadataError::NoSuchVersion));
    }
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, "new");

    // The upload goes on, and its object has the shared bytes.
    cluster.complete_upload(cluster.completion(&upload, &parts)).await.unwrap();
    let found = cluster.get("b", "joined", LookupRange::Part { number: 1 }).await.unwrap();
    assert_eq!(found.range, ResolvedRange::Satisfiable { start: 0, end: 10 });
    let found = cluster.get("b", "joined", LookupRange::Whole).await.unwrap();
    assert_eq!(bytes(&found.extents)[..10], shared[5..15]);
    cluster.verify().await;
}

#[tokio::test]
async fn a_completion_is_remembered_longer_than_its_object_but_not_for_ever() {
    let (cluster, clock) = Cluster::with_manual_clock().await;
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let part = cluster.add(&upload, 1, &[16]).await;
    let completion = cluster.completion(&upload, &[part]);
    let answer = cluster.complete_upload(completion.clone()).await.unwrap();
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    clock.advance(Duration::from_secs(24 * 3600));
    cluster.collect_garbage(1).await;
    assert_eq!(cluster.complete_upload(completion.clone()).await.unwrap(), answer);
    assert_eq!(cluster.head("b", "k").await.err(), Some(MetadataError::NoSuchKey));

    clock.advance(Duration::from_secs(7 * 24 * 3600));
    cluster.put("b", "other", "e", &[1]).await;
    cluster.delete("b", "other", WriteCondition::None).await.unwrap();
    cluster.put("b", "more", "e", &[1, 2]).await;
    cluster.delete("b", "more", WriteCondition::None).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    cluster.collect_garbage(3).await;
    assert_eq!(cluster.complete_upload(completion).await.err(), Some(MetadataError::NoSuchUpload));
    cluster.verify().await;
}

/// An upload that its client abandoned kept its bytes for ever.
#[tokio::test]
async fn an_upload_that_gets_no_part_for_long_is_given_up_and_one_that_gets_parts_is_not() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (cluster, clock) = Cluster::with_manual_clock().await;
    cluster.bucket("b").await;
    let abandoned = cluster.begin("b", "abandoned").await;
    cluster.add(&abandoned, 1, &[5, 6]).await;
    let empty = cluster.begin("b", "empty").await;
    let slow = cluster.begin("b", "slow").await;
    cluster.add(&slow, 1, &[7]).await;
    let completed = cluster.begin("b", "completed").await;
    let part = cluster.add(&completed, 1, &[8]).await;
    cluster.complete_upload(cluster.completion(&completed, &[part])).await.unwrap();
    clock.advance(DAY * 6);
    let second = cluster.add(&slow, 2, &[9]).await;
    clock.advance(DAY + Duration::from_secs(1));
    // More uploads than one step examines, and all still get parts.
    for n in 0..20 {
        cluster.begin("b", &format!("young {n}")).await;
    }
    let shutdown = CancellationToken::new();
    let workers = tokio::spawn({
        let (metanode, shutdown) = (cluster.metanode.clone(), shutdown.clone());
        async move { metanode.run_workers(shutdown).await }
    });
    for target in [&abandoned, &empty] {
        let (bucket, key, upload) = (target.bucket.clone(), target.key.clone(), target.upload);
        let wanted = EventKind::UploadExpired { bucket, key, upload };
        assert!(cluster.events.wait_for(|kind| *kind == wanted).await.is_some());
        assert_eq!(cluster.get_upload(target.clone()).await.err(), Some(MetadataError::NoSuchUpload));
    }
    // Its bytes are deleted a grace period later.
    clock.advance(Duration::from_secs(3600));
    let collected = EventKind::GarbageCollected { blocks: 2 };
    assert!(cluster.events.wait_for(|kind| *kind == collected).await.is_some());
    shutdown.cancel();
    workers.await.unwrap();
    let parts = ListParts { target: slow.clone(), after: 0, max: 10 };
    assert_eq!(cluster.list_parts(parts).await.unwrap().parts.len(), 2);
    cluster.complete_upload(cluster.completion(&slow, &[second])).await.unwrap();
    let uploads = ListUploads { bucket: "b".into(), max: 100, ..Default::default() };
    assert_eq!(cluster.list_uploads(uploads).await.unwrap().entries.len(), 20);
    cluster.head("b", "completed").await.unwrap();
    cluster.verify().await;
}
