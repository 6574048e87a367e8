//! Objects: a committed object is found, a repeated commit returns the first outcome, and a refused one changes
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::*;

use crate::cluster::{BLOCK_SIZE, Cluster, bytes, new_bytes, reference};

contract! {
    a_committed_object_is_found_as_it_was_committed,
    a_repeated_commit_answers_as_the_first_did_even_when_overwritten,
    the_bytes_of_an_overwritten_or_deleted_version_stay_readable_and_it_has_no_name,
    a_commit_is_refused_as_a_whole,
    a_grant_can_be_committed_once,
    a_block_that_was_given_up_is_refused_by_its_name,
    each_delete_has_an_answer_of_its_own_in_order,
    a_copy_shares_the_bytes_of_its_source,
    a_copy_onto_itself_replaces_attributes,
    tags_are_replaced,
    extents_come_in_pages,
    blocks_are_located,
}

fn attributes() -> ObjectAttributes {
    ObjectAttributes {
        access: None,
        headers: BTreeMap::from([("content-type".to_owned(), "text/plain".to_owned())]),
        user_metadata: BTreeMap::from([("näme".to_owned(), "\u{1f980}\"\\".to_owned())]),
        storage_class: Some("REDUCED_REDUNDANCY".to_owned()),
        checksum: Some(ObjectChecksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            kind: ChecksumKind::FullObject,
            value: "AAAAAAAAAAA=".to_owned(),
        }),
        block_size: None,
        lock: None,
    }
}

async fn a_committed_object_is_found_as_it_was_committed(cluster: &Cluster) {
    cluster.bucket("b").await;
    // S3's longest key, and keys with every kind of character that may be in one.
    let keys = ["a/../b//c", "\0\u{1}\u{7f}", "\u{1f980} é", "'; DROP TABLE blocks; --", &"k".repeat(1024)];
    for key in keys {
        let request = CommitObject {
            attributes: attributes(),
            tags: Tags::from([("team".to_owned(), "blue".to_owned())]),
            ..cluster.object("b", key, "etag", &[3, 4])
        };
        let committed = cluster.commit_object(request.clone()).await.unwrap();
        let found = cluster.get("b", key, LookupRange::Whole).await.unwrap();
        let wanted = ObjectVersion {
            key: key.to_owned(),
            version: request.version,
            length: 7,
            etag: "etag".to_owned(),
            modified_at: committed.modified_at,
            attributes: request.attributes,
            tags: request.tags,
            part_count: 0,
            sequence: found.object.sequence,
            is_null: true,
            is_versioned: false,
            content: found.object.content,
            checksum: found.object.checksum,
        };
        assert_eq!(found.object, wanted);
        assert!(found.object.is_sound());
        assert!(found.extents.iter().all(|extent| extent.belongs_to(found.object.content)));
        assert_eq!(bytes(&found.extents), new_bytes(&request.extents));
        assert_eq!(found.extents[1].object_offset, 3);
        assert_eq!(found.extents[1].block.crc32c, 7);
        assert!(!found.more);
    }
    assert_eq!(cluster.head("b", "nothing").await, Err(MetadataError::NoSuchKey));
}

async fn a_repeated_commit_answers_as_the_first_did_even_when_overwritten(cluster: &Cluster) {
    cluster.bucket("b").await;
    let first = CommitObject { condition: WriteCondition::Absent, ..cluster.object("b", "k", "first", &[1]) };
    let answer = cluster.commit_object(first.clone()).await.unwrap();
    assert_eq!(cluster.commit_object(first.clone()).await.unwrap(), answer);
    let second = cluster.put("b", "k", "second", &[2]).await;
    assert_eq!(cluster.commit_object(first.clone()).await.unwrap(), answer);
    assert_eq!(cluster.head("b", "k").await.unwrap().version, second.version);
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    assert_eq!(cluster.commit_object(first).await.unwrap(), answer);
    assert_eq!(cluster.head("b", "k").await, Err(MetadataError::NoSuchKey));
}

async fn the_bytes_of_an_overwritten_or_deleted_version_stay_readable_and_it_has_no_name(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "old", &[1, 2]).await;
    let old = cluster.list("b", "k").await;
    cluster.put("b", "k", "new", &[1, 1, 1]).await;
    let new = cluster.list("b", "k").await;
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    for (list, blocks) in [(old, 2), (new, 3)] {
        let page = ListExtents { list, start: 0, end: 3, max: 10 };
        assert_eq!(cluster.list_extents(page).await.unwrap().extents.len(), blocks);
    }
    let request = LookupObject {
        bucket: "b".into(),
        key: "k".into(),
        version: Some(VersionName::Null),
        range: LookupRange::Whole,
        extents_max: 10,
    };
    assert_eq!(cluster.lookup_object(request).await.err(), Some(MetadataError::NoSuchVersion));
}

async fn a_commit_is_refused_as_a_whole(cluster: &Cluster) {
    cluster.bucket("b").await;
    let good = || cluster.object("b", "k", "e", &[10, 10]);
    let mut wrong_sum = good();
    wrong_sum.length = 19;
    let mut forged = good();
    forged.extents[1].grant.block_size += 1;
    let mut expired = good();
    expired.extents[1].grant = cluster.grant(cluster.env.now().before(Duration::from_secs(1)));
    expired.extents[1].stored_on =
        expired.extents[1].grant.targets.iter().map(|target| target.node).collect();
    let mut too_long = good();
    too_long.extents[1].length = BLOCK_SIZE + 1;
    too_long.length = 10 + BLOCK_SIZE + 1;

    let refused = cluster.commit_object(wrong_sum).await;
    assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{refused:?}");
    assert_eq!(cluster.commit_object(expired).await, Err(MetadataError::GrantExpired));
    for request in [forged, too_long] {
        let refused = cluster.commit_object(request).await;
        assert!(matches!(refused, Err(MetadataError::InvalidGrant { .. })), "{refused:?}");
    }
    // Nothing of them was stored, not even the blocks that were valid.
    assert_eq!(cluster.head("b", "k").await, Err(MetadataError::NoSuchKey));
}

async fn a_block_that_was_given_up_is_refused_by_its_name(cluster: &Cluster) {
    cluster.bucket("b").await;
    let commit = cluster.object("b", "k", "e", &[10, 10]);
    let given_up = commit.extents[1].grant.clone();
    let block = given_up.block;
    cluster
        .metadata
        .release_grants(ReleaseGrants { grants: vec![given_up.clone()], unused: false })
        .await
        .unwrap();
    let is_lost =
        |error: MetadataError| matches!(error, MetadataError::BlockLost { block: lost, .. } if lost == block);
    assert!(is_lost(cluster.commit_object(commit).await.unwrap_err()));
    assert_eq!(cluster.head("b", "k").await, Err(MetadataError::NoSuchKey));
    let renewed = cluster.metadata.renew_grants(RenewGrants { grants: vec![given_up] }).await;
    assert!(is_lost(renewed.unwrap_err()));
}

async fn a_grant_can_be_committed_once(cluster: &Cluster) {
    cluster.bucket("b").await;
    let first = cluster.object("b", "k", "e", &[10]);
    let second = CommitObject { key: "other".into(), version: cluster.version(), ..first.clone() };
    cluster.commit_object(first).await.unwrap();
    let refused = cluster.commit_object(second).await;
    assert!(matches!(refused, Err(MetadataError::InvalidGrant { .. })), "{refused:?}");
    assert_eq!(cluster.head("b", "other").await, Err(MetadataError::NoSuchKey));
}

async fn each_delete_has_an_answer_of_its_own_in_order(cluster: &Cluster) {
    cluster.bucket("b").await;
    let a = cluster.put("b", "a", "etag a", &[1]).await;
    let c = cluster.put("b", "c", "etag c", &[1]).await;
    let delete = |key: &str, condition| DeleteObject {
        key: key.into(),
        condition,
        version: None,
        bypass_governance: false,
    };
    let objects = vec![
        delete("c", WriteCondition::Etag("etag a".into())),
        delete("a", WriteCondition::Etag("etag a".into())),
        delete("missing", WriteCondition::None),
        delete("missing", WriteCondition::Present),
        delete("c", WriteCondition::None),
        delete("c", WriteCondition::None),
    ];
    let answers =
        cluster.delete_objects(DeleteObjects { bucket: "b".into(), objects, mutation: None }).await.unwrap();
    let wanted = [
        Err(MetadataError::PreconditionFailed),
        Ok(Deleted { version: Some(a.version), marker: None }),
        Ok(Deleted::default()),
        Err(MetadataError::ConditionOnMissingKey),
        Ok(Deleted { version: Some(c.version), marker: None }),
        Ok(Deleted::default()),
    ];
    assert_eq!(answers, wanted);
}

/// A copy of a version of the key `k` in bucket `b`.
fn copy_of(cluster: &Cluster, source: VersionId, bucket: &str, key: &str) -> CopyObject {
    CopyObject {
        source: reference("b", "k", source),
        bucket: bucket.into(),
        key: key.into(),
        version: cluster.version(),
        etag: "copied".into(),
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    }
}

async fn a_copy_shares_the_bytes_of_its_source(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.bucket("c").await;
    let request = CommitObject {
        attributes: attributes(),
        tags: Tags::from([("a".to_owned(), "b".to_owned())]),
        ..cluster.object("b", "k", "e", &[3, 4])
    };
    let source = cluster.commit_object(request.clone()).await.unwrap();
    let copy = copy_of(cluster, source.version, "c", "copy");
    let answer = cluster.copy_object(copy.clone()).await.unwrap();
    assert_eq!((answer.version, answer.etag.as_str()), (copy.version, "copied"));
    assert_eq!(cluster.copy_object(copy.clone()).await.unwrap(), answer);
    let found = cluster.get("c", "copy", LookupRange::Whole).await.unwrap();
    assert_eq!(bytes(&found.extents), new_bytes(&request.extents));
    assert_eq!((found.object.attributes, found.object.tags), (request.attributes, request.tags));
    // The source is deleted and the copy stays; and a retired source can be copied.
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    let again = cluster.copy_object(copy_of(cluster, source.version, "b", "again")).await.unwrap();
    assert_eq!(cluster.head("b", "again").await.unwrap().version, again.version);

    let to_nowhere = cluster.copy_object(copy_of(cluster, source.version, "nowhere", "k")).await;
    assert_eq!(to_nowhere, Err(MetadataError::NoSuchBucket { bucket: "nowhere".into() }));
    let of_nothing = cluster.copy_object(copy_of(cluster, cluster.version(), "b", "k")).await;
    assert_eq!(of_nothing, Err(MetadataError::NoSuchVersion));
    let absent =
        CopyObject { condition: WriteCondition::Absent, ..copy_of(cluster, source.version, "c", "copy") };
    assert_eq!(cluster.copy_object(absent).await, Err(MetadataError::PreconditionFailed));
}

async fn a_copy_onto_itself_replaces_attributes(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = cluster.object("b", "k", "e", &[3, 4]);
    let source = cluster.commit_object(request.clone()).await.unwrap();
    let copy = CopyObject {
        attributes: Some(attributes()),
        tags: Some(Tags::from([("new".to_owned(), String::new())])),
        ..copy_of(cluster, source.version, "b", "k")
    };
    cluster.copy_object(copy.clone()).await.unwrap();
    let found = cluster.get("b", "k", LookupRange::Whole).await.unwrap();
    assert_eq!(found.object.version, copy.version);
    assert_eq!(Some(found.object.attributes), copy.attributes);
    assert_eq!(Some(found.object.tags), copy.tags);
    assert_eq!(bytes(&found.extents), new_bytes(&request.extents));
}

async fn tags_are_replaced(cluster: &Cluster) {
    cluster.bucket("b").await;
    let before = cluster.put("b", "k", "e", &[1]).await;
    let tags = Tags::from([("a".to_owned(), "1".to_owned()), ("ü".to_owned(), "2".to_owned())]);
    let request =
        UpdateTags { bucket: "b".into(), key: "k".into(), version: None, tags: tags.clone(), mutation: None };
    cluster.update_tags(request.clone()).await.unwrap();
    let found = cluster.head("b", "k").await.unwrap();
    assert_eq!((found.tags, found.version, found.modified_at), (tags, before.version, before.modified_at));
    let missing = UpdateTags { key: "missing".into(), ..request };
    assert_eq!(cluster.update_tags(missing).await, Err(MetadataError::NoSuchKey));
}

async fn extents_come_in_pages(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = cluster.object("b", "k", "e", &[10, 10, 10, 10]);
    cluster.commit_object(request).await.unwrap();
    let list = cluster.list("b", "k").await;
    let lookup = |extents_max, range| LookupObject {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        range,
        extents_max,
    };
    let head = cluster.lookup_object(lookup(0, LookupRange::Whole)).await.unwrap();
    assert!(head.extents.is_empty() && head.more);
    let first = cluster.lookup_object(lookup(2, LookupRange::Bytes { first: 5, last: None })).await.unwrap();
    assert_eq!(first.extents.iter().map(|extent| extent.object_offset).collect::<Vec<_>>(), [0, 10]);
    assert!(first.more);
    let page = async |start, end, max| {
        let page = cluster.list_extents(ListExtents { list, start, end, max }).await.unwrap();
        (page.extents.iter().map(|extent| extent.object_offset).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(20, 40, 2).await, (vec![20, 30], false));
    assert_eq!(page(20, 40, 1).await, (vec![20], true));
    // A range that begins or ends within extents returns them whole. One that ends on a border does not return the next
    // extent.
    assert_eq!(page(19, 20, 9).await, (vec![10], false));
    assert_eq!(page(19, 21, 9).await, (vec![10, 20], false));
    assert_eq!(page(40, 99, 9).await, (vec![], false));
    let missing = ListExtents { list: ListId(1_000_000), start: 0, end: 1, max: 1 };
    assert_eq!(cluster.list_extents(missing).await.err(), Some(MetadataError::NoSuchVersion));
}

async fn blocks_are_located(cluster: &Cluster) {
    cluster.bucket("b").await;
    let request = cluster.object("b", "k", "e", &[3, 4]);
    let [first, second] = [request.extents[0].grant.block, request.extents[1].grant.block];
    cluster.commit_object(request).await.unwrap();
    let unknown = cluster.extent(1).grant.block;
    let blocks = vec![second, unknown, first];
    let located = cluster.locate_blocks(LocateBlocks { blocks }).await.unwrap();
    let mut located: Vec<_> = located.iter().map(|location| (location.block, location.length)).collect();
    located.sort_unstable();
    let mut wanted = vec![(first, 3), (second, 4)];
    wanted.sort_unstable();
    assert_eq!(located, wanted);
}
