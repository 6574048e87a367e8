//! Multipart uploads: parts, copies of parts, completion and abort.

use std::collections::BTreeMap;

use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;

use crate::cluster::{Cluster, bytes, new_bytes, reference};

contract! {
    an_upload_is_returned_as_it_was_created,
    an_upload_is_found_under_its_own_bucket_and_key_only,
    parts_joined_are_the_object,
    a_part_that_is_sent_again_replaces_the_first,
    a_repeated_part_is_recognised,
    a_part_copied_from_an_object_shares_its_bytes,
    a_completion_names_parts_that_are_there,
    a_repeated_completion_answers_as_the_first_did,
    a_completed_upload_accepts_nothing_more_and_names_its_object,
    an_aborted_upload_is_gone,
    parts_are_listed_in_pages,
    the_largest_object_is_completed_in_one_call,
}

async fn an_upload_is_returned_as_it_was_created(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = CreateUpload {
        target: cluster.upload_ref("b", "k"),
        attributes: ObjectAttributes {
            user_metadata: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..Default::default()
        },
        tags: Tags::from([("c".to_owned(), "d".to_owned())]),
        checksum: Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite)),
    };
    let made = cluster.create_upload(request.clone()).await.unwrap();
    assert_eq!(made.attributes, request.attributes);
    assert_eq!(made.tags, request.tags);
    assert_eq!(made.checksum, request.checksum);
    assert_eq!(cluster.get_upload(request.target.clone()).await.unwrap(), made);
    assert_eq!(cluster.create_upload(request.clone()).await.unwrap(), made);

    let (number, part) = cluster.add(&request.target, 1, &[5]).await;
    let checksum = ObjectChecksum {
        algorithm: ChecksumAlgorithm::Sha256,
        kind: ChecksumKind::Composite,
        value: "x".into(),
    };
    let completion = CompleteUpload {
        checksum: Some(checksum.clone()),
        ..cluster.completion(&request.target, &[(number, part)])
    };
    cluster.complete_upload(completion).await.unwrap();
    let object = cluster.head("b", "k").await.unwrap();
    assert_eq!(object.attributes, ObjectAttributes { checksum: Some(checksum), ..request.attributes });
    assert_eq!((object.tags, object.part_count), (request.tags, 1));
}

async fn an_upload_is_found_under_its_own_bucket_and_key_only(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.bucket("c").await;
    let upload = cluster.begin("b", "k").await;
    let part = cluster.add(&upload, 1, &[5]).await;
    let elsewhere = [
        UploadRef { bucket: "c".into(), ..upload.clone() },
        UploadRef { key: "other".into(), ..upload.clone() },
        cluster.upload_ref("b", "k"),
    ];
    for target in elsewhere {
        let no = MetadataError::NoSuchUpload;
        assert_eq!(cluster.get_upload(target.clone()).await.err(), Some(no.clone()));
        assert_eq!(cluster.put_part(cluster.new_part(&target, 2, &[1])).await.err(), Some(no.clone()));
        assert_eq!(
            cluster.complete_upload(cluster.completion(&target, &[part])).await.err(),
            Some(no.clone())
        );
        assert_eq!(cluster.abort(&target).await.err(), Some(no.clone()));
        let list = ListParts { target, after: 0, max: 1 };
        assert_eq!(cluster.list_parts(list).await.err(), Some(no));
    }
}

async fn parts_joined_are_the_object(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "replaced", &[1]).await;
    let upload = cluster.begin("b", "k").await;
    let (first, second) = (cluster.new_part(&upload, 3, &[5, 6]), cluster.new_part(&upload, 10_000, &[7]));
    let given_up = cluster.new_part(&upload, 5, &[8]);
    let wanted = [new_bytes(&first.extents), new_bytes(&second.extents)].concat();
    let named = [(3, first.part), (10_000, second.part)];
    for part in [second, given_up, first] {
        cluster.put_part(part).await.unwrap();
    }
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, "replaced");
    let completion = cluster.completion(&upload, &named);
    let answer = cluster.complete_upload(completion.clone()).await.unwrap();
    assert_eq!((answer.version, answer.etag.as_str()), (completion.version, "joined-2"));
    let found = cluster.get("b", "k", LookupRange::Whole).await.unwrap();
    assert_eq!(found.object.part_count, 2);
    assert_eq!(found.object.modified_at, answer.modified_at);
    assert_eq!(bytes(&found.extents), wanted);
    assert_eq!(found.extents.iter().map(|extent| extent.object_offset).collect::<Vec<_>>(), [0, 5, 11]);
    let list = cluster.list("b", "k").await;
    let parts = ListObjectParts { list, after: 0, max: 10, offset: None };
    let parts = cluster.list_object_parts(parts).await.unwrap().parts;
    assert_eq!(
        parts.iter().map(|part| (part.number, part.length)).collect::<Vec<_>>(),
        [(3, 11), (10_000, 7)]
    );
    // A copy of the object has the same parts.
    let copy = CopyObject {
        source: reference("b", "k", answer.version),
        bucket: "b".into(),
        key: "copy".into(),
        version: cluster.version(),
        etag: answer.etag,
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    };
    cluster.copy_object(copy).await.unwrap();
    let found = cluster.get("b", "copy", LookupRange::Part { number: 10_000 }).await.unwrap();
    assert_eq!(found.range, ResolvedRange::Satisfiable { start: 11, end: 18 });
}

async fn a_part_that_is_sent_again_replaces_the_first(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let first = cluster.add(&upload, 1, &[5]).await;
    let second = cluster.add(&upload, 1, &[6]).await;
    let refused = cluster.complete_upload(cluster.completion(&upload, &[first])).await;
    assert_eq!(refused, Err(MetadataError::InvalidPart { number: 1 }));
    cluster.complete_upload(cluster.completion(&upload, &[second])).await.unwrap();
    assert_eq!(cluster.head("b", "k").await.unwrap().length, 6);
}

async fn a_repeated_part_is_recognised(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let first = cluster.new_part(&upload, 1, &[5]);
    let answer = cluster.put_part(first.clone()).await.unwrap();
    assert_eq!(cluster.put_part(first.clone()).await.unwrap(), answer);
    // The part was replaced meanwhile, and the repetition must not bring it back.
    let second = cluster.add(&upload, 1, &[6]).await;
    cluster.put_part(first).await.unwrap();
    cluster.complete_upload(cluster.completion(&upload, &[second])).await.unwrap();
}

async fn a_part_copied_from_an_object_shares_its_bytes(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = cluster.object("b", "source", "e", &[10, 10, 10]);
    let source = request.version;
    let all = new_bytes(&request.extents);
    cluster.commit_object(request).await.unwrap();
    let upload = cluster.begin("b", "k").await;
    let copy = |number, start, end| CopyPart {
        target: upload.clone(),
        number,
        part: cluster.part(),
        source: reference("b", "source", source),
        start,
        end,
        etag: "e".into(),
        checksum: None,
    };
    let pieces = [(5, 25), (0, 30), (10, 20), (29, 30), (12, 13)];
    let mut named = Vec::new();
    let mut wanted = Vec::new();
    for (number, (start, end)) in (1..).zip(pieces) {
        let request = copy(number, start, end);
        named.push((number, request.part));
        wanted.extend_from_slice(&all[start as usize..end as usize]);
        let answer = cluster.copy_part(request.clone()).await.unwrap();
        assert_eq!(cluster.copy_part(request).await.unwrap(), answer);
    }
    for (start, end) in [(5, 31), (30, 31), (6, 5)] {
        let refused = cluster.copy_part(copy(9, start, end)).await;
        assert_eq!(refused, Err(MetadataError::InvalidSourceRange { length: 30 }));
    }
    let of_nothing = CopyPart { source: reference("b", "source", cluster.version()), ..copy(9, 0, 1) };
    assert_eq!(cluster.copy_part(of_nothing).await, Err(MetadataError::NoSuchVersion));
    cluster.delete("b", "source", WriteCondition::None).await.unwrap();
    cluster.complete_upload(cluster.completion(&upload, &named)).await.unwrap();
    let found = cluster.get("b", "k", LookupRange::Whole).await.unwrap();
    assert_eq!(bytes(&found.extents), wanted);
}

async fn a_completion_names_parts_that_are_there(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let one = cluster.add(&upload, 1, &[5]).await;
    let two = cluster.add(&upload, 2, &[5]).await;
    for (parts, number) in [
        (vec![one, (2, one.1)], 2),
        (vec![one, two, (3, cluster.part())], 3),
        (vec![(1, two.1)], 1),
        (vec![(1, cluster.part()), two], 1),
    ] {
        let refused = cluster.complete_upload(cluster.completion(&upload, &parts)).await;
        assert_eq!(refused, Err(MetadataError::InvalidPart { number }));
    }
    for parts in [vec![], vec![two, one], vec![one, one]] {
        let refused = cluster.complete_upload(cluster.completion(&upload, &parts)).await;
        assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{refused:?}");
    }
    for number in [0, 10_001] {
        let refused = cluster.put_part(cluster.new_part(&upload, number, &[1])).await;
        assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{refused:?}");
    }
    // None of the refused completions changed anything, so the right one still works.
    cluster.complete_upload(cluster.completion(&upload, &[one, two])).await.unwrap();
}

async fn a_repeated_completion_answers_as_the_first_did(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let part = cluster.add(&upload, 1, &[5]).await;
    let request =
        CompleteUpload { condition: WriteCondition::Absent, ..cluster.completion(&upload, &[part]) };
    let answer = cluster.complete_upload(request.clone()).await.unwrap();
    assert_eq!(cluster.complete_upload(request.clone()).await.unwrap(), answer);
    cluster.put("b", "k", "later", &[1]).await;
    assert_eq!(cluster.complete_upload(request).await.unwrap(), answer);
    assert_eq!(cluster.head("b", "k").await.unwrap().etag, "later");
}

async fn a_completed_upload_accepts_nothing_more_and_names_its_object(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let part = cluster.add(&upload, 1, &[5]).await;
    let request = cluster.completion(&upload, &[part]);
    cluster.complete_upload(request.clone()).await.unwrap();
    let completed = CompletedUpload {
        version: request.version,
        etag: request.etag.clone(),
        checksum: None,
        name: None,
        request_digest: request.request_digest.clone(),
    };
    let told = Some(MetadataError::UploadCompleted { completed: Box::new(completed) });
    let again = CompleteUpload { version: cluster.version(), ..request };
    assert_eq!(cluster.complete_upload(again).await.err(), told);
    assert_eq!(cluster.put_part(cluster.new_part(&upload, 2, &[1])).await.err(), told);
    assert_eq!(cluster.get_upload(upload.clone()).await.err(), told);
    assert_eq!(cluster.abort(&upload).await.err(), told);
    let list = ListParts { target: upload, after: 0, max: 1 };
    assert_eq!(cluster.list_parts(list).await.err(), told);
    let uploads = ListUploads { bucket: "b".into(), max: 10, ..Default::default() };
    assert!(cluster.list_uploads(uploads).await.unwrap().entries.is_empty());
}

async fn an_aborted_upload_is_gone(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let part = cluster.add(&upload, 1, &[5]).await;
    cluster.add(&upload, 2, &[6, 7]).await;
    cluster.abort(&upload).await.unwrap();
    let wanted = EventKind::UploadAborted { upload: upload.upload };
    assert!(cluster.events.wait_for(|kind| *kind == wanted).await.is_some());
    let no = Some(MetadataError::NoSuchUpload);
    assert_eq!(cluster.abort(&upload).await.err(), no);
    assert_eq!(cluster.put_part(cluster.new_part(&upload, 1, &[1])).await.err(), no);
    assert_eq!(cluster.complete_upload(cluster.completion(&upload, &[part])).await.err(), no);
}

async fn parts_are_listed_in_pages(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    for number in [10, 2, 9_999, 1] {
        cluster.add(&upload, number, &[u64::from(number % 7) + 1]).await;
    }
    let list = async |after, max| {
        let page = cluster.list_parts(ListParts { target: upload.clone(), after, max }).await.unwrap();
        assert_eq!(page.upload.upload, upload.upload);
        (page.parts.iter().map(|part| (part.number, part.length)).collect::<Vec<_>>(), page.truncated)
    };
    assert_eq!(list(0, 4).await, (vec![(1, 2), (2, 3), (10, 4), (9_999, 4)], false));
    assert_eq!(list(0, 3).await, (vec![(1, 2), (2, 3), (10, 4)], true));
    assert_eq!(list(2, 1).await, (vec![(10, 4)], true));
    assert_eq!(list(9_999, 5).await, (vec![], false));
    assert_eq!(list(0, 0).await, (vec![], false));
}

/// The largest possible object: 10,000 parts of 5 GiB are 48.8 TiB. Each part is one block of 5 GiB, which no datanode
/// would take, but to the tables it is the same as twenty blocks.
async fn the_largest_object_is_completed_in_one_call(cluster: &Cluster) {
    const PART: u64 = 5 << 30;
    const WHOLE: u64 = 10_000 * PART;
    cluster.bucket("b").await;
    let source = CommitObject {
        length: PART,
        extents: vec![cluster.extent_in(PART, PART)],
        ..cluster.object("b", "source", "e", &[])
    };
    let source = cluster.commit_object(source).await.unwrap().version;
    let upload = cluster.begin("b", "k").await;
    let parts: Vec<_> = (1..=10_000).map(|number| (number, cluster.part())).collect();
    let copies = parts.iter().map(|(number, part)| CopyPart {
        target: upload.clone(),
        number: *number,
        part: *part,
        source: reference("b", "source", source),
        start: 0,
        end: PART,
        etag: "e".into(),
        checksum: None,
    });
    // The parts are added in the same process even when HTTP is tested, because 10,000 calls would take too long.
    let metadata = cluster.metanode.metadata();
    for chunk in copies.collect::<Vec<_>>().chunks(500) {
        futures_util::future::try_join_all(chunk.iter().cloned().map(|copy| metadata.copy_part(copy)))
            .await
            .unwrap();
    }
    let listed =
        cluster.list_parts(ListParts { target: upload.clone(), after: 0, max: 10_000 }).await.unwrap();
    assert_eq!(listed.parts.iter().map(|part| part.length).sum::<u64>(), WHOLE);
    let answer = cluster.complete_upload(cluster.completion(&upload, &parts)).await.unwrap();
    let object = cluster.head("b", "k").await.unwrap();
    assert_eq!((object.version, object.length, object.part_count), (answer.version, WHOLE, 10_000));
    for (range, start, end) in [
        (LookupRange::Part { number: 10_000 }, WHOLE - PART, WHOLE),
        (LookupRange::Bytes { first: WHOLE - 1, last: None }, WHOLE - 1, WHOLE),
        (LookupRange::Suffix { length: 7 }, WHOLE - 7, WHOLE),
        (LookupRange::Bytes { first: PART, last: Some(PART) }, PART, PART + 1),
    ] {
        let found = cluster.get("b", "k", range).await.unwrap();
        assert_eq!(found.range, ResolvedRange::Satisfiable { start, end });
        assert_eq!(found.extents.len(), 1);
    }
    let beyond = LookupRange::Bytes { first: WHOLE, last: None };
    assert_eq!(cluster.get("b", "k", beyond).await.unwrap().range, ResolvedRange::Unsatisfiable);
    let list = ListObjects { bucket: "b".into(), prefix: "k".into(), delimiter: None, after: None, max: 10 };
    let page = cluster.list_objects(list).await.unwrap();
    assert!(matches!(&page.entries[..], [ListEntry::Object(object)] if object.length == WHOLE));
}
