//! A change whose reply was lost is repeated under the same id, and returns the first outcome. Whatever other requests
//! did since, nothing is done twice.

use std::time::Duration;

use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::*;

use crate::cluster::{Cluster, open, reference};

contract! {
    a_repeated_delete_does_not_delete_what_came_since,
    a_repeated_delete_of_many_gets_the_answers_of_the_first,
    a_refused_delete_is_done_by_its_repetition_when_it_is_possible,
    a_repeated_change_of_tags_does_not_undo_what_came_since,
    a_repeated_creation_of_a_bucket_is_no_conflict,
    a_repeated_deletion_of_a_bucket_spares_the_next_of_its_name,
    a_repeated_abort_is_no_error,
    a_repeated_creation_does_not_bring_an_aborted_upload_back,
    a_repeated_copy_to_an_absent_key_returns_the_first_outcome,
    a_repeated_part_is_recognised_when_its_upload_has_ended,
    without_an_id_everything_is_done_each_time,
}

fn delete(cluster: &Cluster, key: &str, condition: WriteCondition) -> DeleteObjects {
    let objects =
        vec![DeleteObject { key: key.to_owned(), condition, version: None, bypass_governance: false }];
    DeleteObjects { bucket: "b".to_owned(), objects, mutation: cluster.mutation() }
}

/// A copy of a version of the key `source`.
fn copy(cluster: &Cluster, source: VersionId, key: &str, condition: WriteCondition) -> CopyObject {
    CopyObject {
        source: reference("b", "source", source),
        bucket: "b".into(),
        key: key.into(),
        version: cluster.version(),
        etag: "e".into(),
        attributes: None,
        tags: None,
        condition,
    }
}

/// The first delete was done, and its reply was lost. Before it was repeated, another client wrote the key again. The
/// repetition deleted that object too, although its write had been acknowledged.
async fn a_repeated_delete_does_not_delete_what_came_since(cluster: &Cluster) {
    cluster.bucket("b").await;
    let old = cluster.put("b", "k", "old", &[1]).await;
    for condition in [WriteCondition::None, WriteCondition::Present] {
        let request = delete(cluster, "k", condition);
        let answer = cluster.delete_objects(request.clone()).await.unwrap();
        assert!(
            matches!(&answer[..], [Ok(Deleted { version: Some(_), marker: None })]),
            "{answer:?} {old:?}"
        );
        assert_eq!(cluster.delete_objects(request.clone()).await.unwrap(), answer);
        cluster.put("b", "k", "new", &[2]).await;
        assert_eq!(cluster.delete_objects(request).await.unwrap(), answer);
        assert_eq!(cluster.head("b", "k").await.unwrap().etag, "new");
    }
}

async fn a_repeated_delete_of_many_gets_the_answers_of_the_first(cluster: &Cluster) {
    cluster.bucket("b").await;
    for key in ["a", "b"] {
        cluster.put("b", key, key, &[1]).await;
    }
    let object = |key: &str, condition| DeleteObject {
        key: key.to_owned(),
        condition,
        version: None,
        bypass_governance: false,
    };
    let request = DeleteObjects {
        bucket: "b".into(),
        objects: vec![
            object("a", WriteCondition::Etag("a".into())),
            object("b", WriteCondition::Etag("other".into())),
            object("missing", WriteCondition::Present),
        ],
        mutation: cluster.mutation(),
    };
    let answers = cluster.delete_objects(request.clone()).await.unwrap();
    let refused = (Err(MetadataError::PreconditionFailed), Err(MetadataError::ConditionOnMissingKey));
    assert_eq!((&answers[1], &answers[2]), (&refused.0, &refused.1));
    // The objects that the refusals depended on have changed, but the refusals stay.
    cluster.put("b", "missing", "e", &[1]).await;
    cluster.put("b", "a", "a", &[1]).await;
    assert_eq!(cluster.delete_objects(request).await.unwrap(), answers);
    for key in ["a", "b", "missing"] {
        cluster.head("b", key).await.unwrap();
    }
}

/// A refusal of the whole request did nothing, so there is nothing to remember.
async fn a_refused_delete_is_done_by_its_repetition_when_it_is_possible(cluster: &Cluster) {
    let request = delete(cluster, "k", WriteCondition::None);
    let missing = Err(MetadataError::NoSuchBucket { bucket: "b".into() });
    assert_eq!(cluster.delete_objects(request.clone()).await, missing);
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[1]).await;
    cluster.delete_objects(request).await.unwrap();
    assert_eq!(cluster.head("b", "k").await, Err(MetadataError::NoSuchKey));
}

async fn a_repeated_change_of_tags_does_not_undo_what_came_since(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[1]).await;
    let tags = |value: &str| Tags::from([("a".to_owned(), value.to_owned())]);
    let request = |value| UpdateTags {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        tags: tags(value),
        mutation: cluster.mutation(),
    };
    let first = request("1");
    cluster.update_tags(first.clone()).await.unwrap();
    cluster.update_tags(request("2")).await.unwrap();
    cluster.update_tags(first.clone()).await.unwrap();
    assert_eq!(cluster.head("b", "k").await.unwrap().tags, tags("2"));
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    cluster.update_tags(first).await.unwrap();
}

async fn a_repeated_creation_of_a_bucket_is_no_conflict(cluster: &Cluster) {
    let request = CreateBucket { mutation: cluster.mutation(), ..CreateBucket::new("b", "r") };
    let made = cluster.create_bucket(request.clone()).await.unwrap();
    assert_eq!(cluster.create_bucket(request.clone()).await.unwrap(), made);
    let other = CreateBucket { mutation: cluster.mutation(), ..request };
    assert_eq!(cluster.create_bucket(other).await, Err(MetadataError::BucketExists { bucket: "b".into() }));
}

async fn a_repeated_deletion_of_a_bucket_spares_the_next_of_its_name(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = DeleteBucket { bucket: "b".into(), mutation: cluster.mutation() };
    cluster.delete_bucket(request.clone()).await.unwrap();
    cluster.delete_bucket(request.clone()).await.unwrap();
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    cluster.delete_bucket(request).await.unwrap();
    cluster.get_upload(upload).await.unwrap();
}

async fn a_repeated_abort_is_no_error(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    cluster.add(&upload, 1, &[5]).await;
    let request = AbortUpload { target: upload.clone(), mutation: cluster.mutation() };
    cluster.abort_upload(request.clone()).await.unwrap();
    cluster.abort_upload(request).await.unwrap();
    assert_eq!(cluster.abort(&upload).await, Err(MetadataError::NoSuchUpload));
}

async fn a_repeated_creation_does_not_bring_an_aborted_upload_back(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = CreateUpload {
        target: cluster.upload_ref("b", "k"),
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        checksum: None,
    };
    let made = cluster.create_upload(request.clone()).await.unwrap();
    cluster.abort(&request.target).await.unwrap();
    assert_eq!(cluster.create_upload(request.clone()).await.unwrap(), made);
    assert_eq!(cluster.get_upload(request.target).await.err(), Some(MetadataError::NoSuchUpload));
}

async fn a_repeated_copy_to_an_absent_key_returns_the_first_outcome(cluster: &Cluster) {
    cluster.bucket("b").await;
    let source = cluster.put("b", "source", "e", &[3, 4]).await.version;
    let request = copy(cluster, source, "copy", WriteCondition::Absent);
    let answer = cluster.copy_object(request.clone()).await.unwrap();
    assert_eq!(cluster.copy_object(request.clone()).await.unwrap(), answer);
    cluster.delete("b", "copy", WriteCondition::None).await.unwrap();
    assert_eq!(cluster.copy_object(request).await.unwrap(), answer);
    assert_eq!(cluster.head("b", "copy").await, Err(MetadataError::NoSuchKey));
}

/// A part was stored and its reply was lost. Then other requests completed or aborted the upload, or replaced the part.
/// The repetition got the error that there is no such upload, though the object has the part's bytes.
async fn a_repeated_part_is_recognised_when_its_upload_has_ended(cluster: &Cluster) {
    cluster.bucket("b").await;
    let source = cluster.put("b", "source", "e", &[9]).await.version;
    for end in ["completed", "aborted"] {
        let upload = cluster.begin("b", end).await;
        let put = cluster.new_part(&upload, 1, &[5]);
        let copied = CopyPart {
            target: upload.clone(),
            number: 2,
            part: cluster.part(),
            source: reference("b", "source", source),
            start: 1,
            end: 4,
            etag: "e".into(),
            checksum: None,
        };
        let unnamed = cluster.new_part(&upload, 3, &[6]);
        let answer = cluster.put_part(put.clone()).await.unwrap();
        let copy_answer = cluster.copy_part(copied.clone()).await.unwrap();
        let unnamed_answer = cluster.put_part(unnamed.clone()).await.unwrap();
        if end == "aborted" {
            cluster.abort(&upload).await.unwrap();
        } else {
            let parts = [(1, put.part), (2, copied.part)];
            cluster.complete_upload(cluster.completion(&upload, &parts)).await.unwrap();
        }
        assert_eq!(cluster.put_part(put).await.unwrap(), answer);
        assert_eq!(cluster.copy_part(copied).await.unwrap(), copy_answer);
        assert_eq!(cluster.put_part(unnamed).await.unwrap(), unnamed_answer);
    }
    assert_eq!(cluster.head("b", "completed").await.unwrap().length, 8);
    assert_eq!(cluster.head("b", "aborted").await, Err(MetadataError::NoSuchKey));
}

/// Gateways of an earlier version send no id.
async fn without_an_id_everything_is_done_each_time(cluster: &Cluster) {
    let bare: DeleteBucket = serde_json::from_str(r#"{"bucket":"b"}"#).unwrap();
    assert_eq!(bare.mutation, None);
    cluster.bucket("b").await;
    cluster.delete_bucket(bare.clone()).await.unwrap();
    let missing = Err(MetadataError::NoSuchBucket { bucket: "b".into() });
    assert_eq!(cluster.delete_bucket(bare).await, missing);
}

/// With a grace period of a second, a version that was replaced was gone before its gateway asked again; the
/// repetition then made it current once more, over what had replaced it.
#[tokio::test]
async fn a_copy_that_was_replaced_and_collected_is_not_made_again() {
    let (cluster, clock) = Cluster::with_manual_clock_and_grace(Duration::from_secs(1)).await;
    cluster.bucket("b").await;
    let source = cluster.put("b", "source", "e", &[3]).await.version;
    let request = copy(&cluster, source, "k", WriteCondition::None);
    let answer = cluster.copy_object(request.clone()).await.unwrap();
    let put = cluster.object("b", "k", "newer", &[]);
    cluster.commit_object(put.clone()).await.unwrap();
    cluster.put("b", "k", "newest", &[4]).await;
    // An object whose removal can be observed, because the copy shares its blocks.
    cluster.put("b", "other", "e", &[5, 6]).await;
    cluster.delete("b", "other", WriteCondition::None).await.unwrap();
    clock.advance(Duration::from_secs(5));
    cluster.collect_garbage(2).await;
    let of_copy = CopyObject { source: reference("b", "k", request.version), ..request.clone() };
    let of_copy = CopyObject { version: cluster.version(), ..of_copy };
    assert_eq!(cluster.copy_object(of_copy).await, Err(MetadataError::NoSuchVersion));
    assert_eq!(cluster.copy_object(request).await.unwrap(), answer);
    assert_eq!(cluster.commit_object(put).await.unwrap().etag, "newer");
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, "newest");
    cluster.verify().await;
}

#[tokio::test]
async fn outcomes_survive_the_death_of_the_metanode() {
    let cluster = Cluster::in_process().await;
    cluster.bucket("b").await;
    cluster.put("b", "k", "old", &[1]).await;
    let request = delete(&cluster, "k", WriteCondition::Etag("old".into()));
    let answer = cluster.delete_objects(request.clone()).await.unwrap();
    cluster.put("b", "k", "new", &[2]).await;
    let Cluster { metanode, metadata, env, events, directory, .. } = cluster;
    let directory = directory.unwrap();
    drop((metanode, metadata));
    let metadata = open(directory.path(), &env, &events).await.metadata();
    assert_eq!(metadata.delete_objects(request).await.unwrap(), answer);
}
