//! Objects that share a block: each is committed by itself, and the block lasts as long as any of them.

use std::time::Duration;

use cairn_protocol::metadata::*;

use crate::cluster::{Cluster, bytes};

contract! {
    objects_that_share_a_block_are_committed_one_by_one,
    a_refused_commit_of_one_changes_nothing_for_the_others,
    slices_that_are_not_of_the_block_are_refused,
    a_copy_of_a_slice_is_read_and_checked_like_it,
    a_part_may_be_a_slice,
}

const LENGTH: u64 = 100;

/// Commits of objects whose bytes are these slices of one block.
fn commits<const N: usize>(cluster: &Cluster, slices: [(u64, u64); N]) -> [CommitObject; N] {
    let block = cluster.extent(LENGTH);
    slices.map(|(offset, length)| {
        let slice = BlockSlice { offset, length, crc32c: (offset as u32).wrapping_add(1000) };
        let extents = vec![NewExtent { slice: Some(slice), ..block.clone() }];
        let key = format!("{offset:03}");
        CommitObject { length, extents, ..cluster.object("b", &key, "e", &[]) }
    })
}

async fn objects_that_share_a_block_are_committed_one_by_one(cluster: &Cluster) {
    cluster.bucket("b").await;
    let all = commits(cluster, [(0, 10), (10, 60), (70, 30)]);
    for commit in &all {
        let committed = cluster.commit_object(commit.clone()).await.unwrap();
        assert_eq!(cluster.commit_object(commit.clone()).await.unwrap(), committed, "a repetition");
    }
    for commit in &all {
        let slice = commit.extents[0].slice.unwrap();
        let found = cluster.get("b", &commit.key, LookupRange::Whole).await.unwrap();
        let block = commit.extents[0].grant.block;
        let content = Content::Block { block, offset: slice.offset, crc32c: Some(slice.crc32c) };
        assert_eq!(found.object.content, content);
        assert!(found.object.is_sound());
        assert!(found.extents[0].belongs_to(content));
        let expected: Vec<_> = (slice.offset..slice.offset + slice.length).map(|at| (block, at)).collect();
        assert_eq!(bytes(&found.extents), expected);
        assert_eq!((found.extents[0].block.length, found.extents[0].block.replicas.len()), (LENGTH, 3));
    }
}

async fn a_refused_commit_of_one_changes_nothing_for_the_others(cluster: &Cluster) {
    cluster.bucket("b").await;
    let [refused, good, late] = commits(cluster, [(0, 10), (10, 60), (70, 30)]);
    cluster.put("b", "000", "old", &[1]).await;
    let refused = CommitObject { condition: WriteCondition::Absent, ..refused };
    assert_eq!(cluster.commit_object(refused).await, Err(MetadataError::PreconditionFailed));
    cluster.commit_object(good).await.unwrap();
    cluster.commit_object(late).await.unwrap();
    assert_eq!(cluster.head("b", "000").await.unwrap().etag, "old");
    assert_eq!(cluster.head("b", "070").await.unwrap().length, 30);
}

async fn slices_that_are_not_of_the_block_are_refused(cluster: &Cluster) {
    cluster.bucket("b").await;
    let [first, other, outside, empty, beyond] =
        commits(cluster, [(0, 10), (10, 10), (91, 10), (20, 0), (u64::MAX, 2)]);
    cluster.commit_object(first.clone()).await.unwrap();
    // Another block under the same grant.
    let mut other_crc = other.clone();
    other_crc.extents[0].crc32c += 1;
    let mut longer = other.clone();
    longer.extents[0].length += 1;
    let mut forged = other.clone();
    forged.extents[0].grant.block_size += 1;
    let mut whole = other.clone();
    whole.extents[0].slice = None;
    whole.length = LENGTH;
    for commit in [outside, empty, beyond, other_crc, longer, forged, whole] {
        let refused = cluster.commit_object(commit).await;
        assert!(matches!(refused, Err(MetadataError::InvalidGrant { .. })), "{refused:?}");
    }
    assert_eq!(cluster.head("b", "010").await, Err(MetadataError::NoSuchKey));
    cluster.commit_object(other).await.unwrap();
}

async fn a_copy_of_a_slice_is_read_and_checked_like_it(cluster: &Cluster) {
    cluster.bucket("b").await;
    let [commit] = commits(cluster, [(30, 10)]);
    cluster.commit_object(commit).await.unwrap();
    let source = cluster.head("b", "030").await.unwrap();
    let request = CopyObject {
        source: source.reference("b"),
        bucket: "b".into(),
        key: "copy".into(),
        version: cluster.version(),
        etag: "e".into(),
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    };
    cluster.copy_object(request).await.unwrap();
    assert_eq!(cluster.head("b", "copy").await.unwrap().content, source.content);
}

async fn a_part_may_be_a_slice(cluster: &Cluster) {
    cluster.bucket("b").await;
    let [commit] = commits(cluster, [(30, 10)]);
    let upload = cluster.begin("b", "joined").await;
    let part = PutPart { length: 10, extents: commit.extents, ..cluster.new_part(&upload, 1, &[]) };
    let (number, id) = (part.number, part.part);
    cluster.put_part(part).await.unwrap();
    cluster.complete_upload(cluster.completion(&upload, &[(number, id)])).await.unwrap();
    let found = cluster.get("b", "joined", LookupRange::Whole).await.unwrap();
    let at: Vec<_> = bytes(&found.extents).into_iter().map(|(_, at)| at).collect();
    assert_eq!(at, (30..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_shared_block_goes_with_the_last_of_its_objects() {
    let (cluster, clock) = Cluster::with_manual_clock().await;
    cluster.bucket("b").await;
    let [first, last] = commits(&cluster, [(0, 10), (10, 90)]);
    for commit in [&first, &last] {
        cluster.commit_object(commit.clone()).await.unwrap();
    }
    cluster.put("b", "other", "e", &[1]).await;
    for key in ["000", "other"] {
        cluster.delete("b", key, WriteCondition::None).await.unwrap();
    }
    clock.advance(Duration::from_secs(3600));
    cluster.collect_garbage(1).await;
    cluster.verify().await;
    assert_eq!(cluster.get("b", "010", LookupRange::Whole).await.unwrap().extents.len(), 1);
    cluster.delete("b", "010", WriteCondition::None).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    cluster.collect_garbage(1).await;
    cluster.verify().await;
    // Whoever was late must write its bytes again.
    let late = CommitObject { key: "late".into(), version: cluster.version(), ..first };
    let refused = cluster.commit_object(late).await;
    assert!(
        matches!(refused, Err(MetadataError::BlockLost { .. } | MetadataError::GrantExpired)),
        "{refused:?}"
    );
}
