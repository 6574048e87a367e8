//! Listings: order, roll-ups, pages. Their cost is tested with the walk.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::*;
use futures_util::future::try_join_all;
use proptest::prelude::*;

use crate::cluster::Cluster;

contract! {
    objects_are_listed_in_the_order_of_their_keys_bytes,
    objects_are_rolled_up_at_any_delimiter,
    a_listing_continues_after_its_marks,
    a_listing_shows_the_current_objects_of_its_bucket,
    a_summary_has_the_fields_of_listings,
    uploads_are_listed_by_key_and_then_by_time,
    uploads_are_rolled_up_too,
}

fn show(page: ObjectPage) -> (String, bool) {
    let entries: Vec<_> = page
        .entries
        .into_iter()
        .map(|entry| match entry {
            ListEntry::Object(object) => object.key,
            ListEntry::CommonPrefix(prefix) => format!("[{prefix}]"),
        })
        .collect();
    (entries.join(" "), page.truncated)
}

async fn list(
    cluster: &Cluster,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<ListMark>,
    max: u32,
) -> (String, bool) {
    let request = ListObjects {
        bucket: "b".into(),
        prefix: prefix.into(),
        delimiter: delimiter.map(str::to_owned),
        after,
        max,
    };
    show(cluster.list_objects(request).await.unwrap())
}

async fn with_keys(cluster: &Cluster, keys: &[&str]) {
    cluster.bucket("b").await;
    try_join_all(keys.iter().map(|key| cluster.commit_object(cluster.object("b", key, "e", &[]))))
        .await
        .unwrap();
}

fn all(keys: &str) -> (String, bool) {
    (keys.to_owned(), false)
}

async fn objects_are_listed_in_the_order_of_their_keys_bytes(cluster: &Cluster) {
    // U+FF61 sorts before U+1F980 in UTF-8, and after it in UTF-16.
    with_keys(cluster, &["\u{1f980}", "\u{ff61}", "é", "z", "a", "Z", "a/b", "a-b", "a0", "\u{1}"]).await;
    assert_eq!(list(cluster, "", None, None, 100).await, all("\u{1} Z a a-b a/b a0 z é \u{ff61} \u{1f980}"));
    assert_eq!(list(cluster, "a", None, None, 100).await, all("a a-b a/b a0"));
    assert_eq!(list(cluster, "\u{1f980}", None, None, 100).await, all("\u{1f980}"));
    assert_eq!(list(cluster, "nothing", None, None, 100).await, all(""));
}

async fn objects_are_rolled_up_at_any_delimiter(cluster: &Cluster) {
    with_keys(cluster, &["a", "a/", "a/1", "a/2", "b::1", "b::2", "b:x", "c/1/2", "dé1", "dé2"]).await;
    assert_eq!(list(cluster, "", Some("/"), None, 100).await, all("a [a/] b::1 b::2 b:x [c/] dé1 dé2"));
    assert_eq!(list(cluster, "a/", Some("/"), None, 100).await, all("a/ a/1 a/2"));
    assert_eq!(list(cluster, "c", Some("/"), None, 100).await, all("[c/]"));
    assert_eq!(list(cluster, "c/", Some("/"), None, 100).await, all("[c/1/]"));
    assert_eq!(list(cluster, "b", Some("::"), None, 100).await, all("[b::] b:x"));
    assert_eq!(list(cluster, "d", Some("é"), None, 100).await, all("[dé]"));
    assert_eq!(list(cluster, "a", Some("a"), None, 100).await, all("a a/ a/1 a/2"));
    let empty =
        ListObjects { bucket: "b".into(), delimiter: Some(String::new()), max: 1, ..Default::default() };
    assert!(matches!(cluster.list_objects(empty).await, Err(MetadataError::Malformed { .. })));
}

async fn a_listing_continues_after_its_marks(cluster: &Cluster) {
    with_keys(cluster, &["a/1", "a/2", "b", "c/1", "c/2", "d"]).await;
    let key = |key: &str| Some(ListMark::Key(key.to_owned()));
    let prefix = |prefix: &str| Some(ListMark::Prefix(prefix.to_owned()));
    let more = |keys: &str| (keys.to_owned(), true);
    assert_eq!(list(cluster, "", Some("/"), None, 2).await, more("[a/] b"));
    assert_eq!(list(cluster, "", Some("/"), key("b"), 2).await, all("[c/] d"));
    assert_eq!(list(cluster, "", Some("/"), key("b"), 1).await, more("[c/]"));
    assert_eq!(list(cluster, "", Some("/"), prefix("c/"), 1).await, all("d"));
    assert_eq!(list(cluster, "", Some("/"), prefix("a/"), 1).await, more("b"));
    // After a key in the middle of a prefix, the prefix still has entries.
    assert_eq!(list(cluster, "", Some("/"), key("a/1"), 1).await, more("[a/]"));
    assert_eq!(list(cluster, "", None, key("a/1"), 2).await, more("a/2 b"));
    assert_eq!(list(cluster, "c", None, key("a"), 9).await, all("c/1 c/2"));
    assert_eq!(list(cluster, "c", None, key("z"), 9).await, all(""));
    assert_eq!(list(cluster, "", None, prefix(""), 9).await, all(""));
    assert_eq!(list(cluster, "", None, None, 6).await, all("a/1 a/2 b c/1 c/2 d"));
    assert_eq!(list(cluster, "", None, None, 5).await, more("a/1 a/2 b c/1 c/2"));
    assert_eq!(list(cluster, "", None, None, 0).await, all(""));
}

async fn a_listing_shows_the_current_objects_of_its_bucket(cluster: &Cluster) {
    with_keys(cluster, &["deleted", "kept", "overwritten"]).await;
    cluster.bucket("a").await;
    cluster.bucket("c").await;
    cluster.put("a", "elsewhere", "e", &[]).await;
    cluster.put("c", "elsewhere", "e", &[]).await;
    cluster.put("b", "overwritten", "e", &[3]).await;
    cluster.delete("b", "deleted", WriteCondition::None).await.unwrap();
    assert_eq!(list(cluster, "", None, None, 100).await, all("kept overwritten"));
}

async fn a_summary_has_the_fields_of_listings(cluster: &Cluster) {
    cluster.bucket("b").await;
    let attributes = ObjectAttributes {
        storage_class: Some("REDUCED_REDUNDANCY".into()),
        checksum: Some(ObjectChecksum {
            algorithm: ChecksumAlgorithm::Sha1,
            kind: ChecksumKind::Composite,
            value: "x".into(),
        }),
        ..Default::default()
    };
    let request = CommitObject { attributes, ..cluster.object("b", "k", "etag", &[3, 4]) };
    let committed = cluster.commit_object(request).await.unwrap();
    let page = ListObjects { bucket: "b".into(), max: 1, ..Default::default() };
    let page = cluster.list_objects(page).await.unwrap();
    let wanted = ObjectSummary {
        key: "k".into(),
        length: 7,
        etag: "etag".into(),
        modified_at: committed.modified_at,
        storage_class: Some("REDUCED_REDUNDANCY".into()),
        checksum: Some((ChecksumAlgorithm::Sha1, ChecksumKind::Composite)),
        owner: None,
    };
    assert_eq!(page.entries, [ListEntry::Object(Box::new(wanted))]);
}

async fn list_uploads(
    cluster: &Cluster,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<UploadMark>,
    max: u32,
) -> (Vec<Result<(String, UploadId), String>>, bool) {
    let request = ListUploads {
        bucket: "b".into(),
        prefix: prefix.into(),
        delimiter: delimiter.map(str::to_owned),
        after,
        max,
    };
    let page = cluster.list_uploads(request).await.unwrap();
    let entries = page.entries.into_iter().map(|entry| match entry {
        UploadEntry::Upload(info) => Ok((info.key, info.upload)),
        UploadEntry::CommonPrefix(prefix) => Err(prefix),
    });
    (entries.collect(), page.truncated)
}

/// An upload that began at this time; ids sort by time.
async fn begin_at(cluster: &Cluster, key: &str, millisecond: u64) -> UploadId {
    let seed = u64::from_le_bytes(cluster.env.random_bytes());
    let (env, _) = Env::manual(seed, Timestamp(millisecond));
    let upload = UploadId(env.uuid_v7());
    let request = CreateUpload {
        target: UploadRef { bucket: "b".into(), key: key.into(), upload },
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        checksum: None,
    };
    cluster.create_upload(request).await.unwrap();
    upload
}

async fn uploads_are_listed_by_key_and_then_by_time(cluster: &Cluster) {
    cluster.bucket("b").await;
    let mut wanted = Vec::new();
    for (key, at) in [("k", 3), ("k", 1), ("a", 9), ("k", 2), ("kk", 1)] {
        wanted.push((key.to_owned(), at, begin_at(cluster, key, at).await));
    }
    wanted.sort_unstable();
    let wanted: Vec<_> = wanted.into_iter().map(|(key, _, upload)| Ok((key, upload))).collect();
    assert_eq!(list_uploads(cluster, "", None, None, 5).await, (wanted.clone(), false));
    // Page by page.
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let (page, truncated) = list_uploads(cluster, "", None, after, 2).await;
        let (key, upload) = page.last().unwrap().clone().unwrap();
        after = Some(UploadMark::Upload { key, upload });
        listed.extend(page);
        assert_eq!(truncated, listed.len() < wanted.len());
        if !truncated {
            break;
        }
    }
    assert_eq!(listed, wanted);
    let behind_key = Some(UploadMark::Mark(ListMark::Key("k".into())));
    assert_eq!(list_uploads(cluster, "", None, behind_key, 5).await, (wanted[4..].to_vec(), false));
    assert_eq!(list_uploads(cluster, "k", None, None, 5).await, (wanted[1..].to_vec(), false));
}

async fn uploads_are_rolled_up_too(cluster: &Cluster) {
    cluster.bucket("b").await;
    for (key, at) in [("a/1", 1), ("a/1", 2), ("a/2", 1), ("c/1", 1)] {
        begin_at(cluster, key, at).await;
    }
    let b = begin_at(cluster, "b", 1).await;
    let wanted = vec![Err("a/".to_owned()), Ok(("b".to_owned(), b)), Err("c/".to_owned())];
    assert_eq!(list_uploads(cluster, "", Some("/"), None, 3).await, (wanted.clone(), false));
    assert_eq!(list_uploads(cluster, "", Some("/"), None, 2).await, (wanted[..2].to_vec(), true));
    let behind = Some(UploadMark::Mark(ListMark::Prefix("a/".into())));
    assert_eq!(list_uploads(cluster, "", Some("/"), behind, 3).await, (wanted[1..].to_vec(), false));
}

/// The walk itself is tested with its module. This tests that SQL returns the right rows for it.
async fn pages_joined(cluster: &Cluster, prefix: &str, delimiter: Option<&str>, max: u32) -> Vec<String> {
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let request = ListObjects {
            bucket: "b".into(),
            prefix: prefix.into(),
            delimiter: delimiter.map(str::to_owned),
            after,
            max,
        };
        let page = cluster.list_objects(request).await.unwrap();
        after = page.entries.last().map(|entry| match entry {
            ListEntry::Object(object) => ListMark::Key(object.key.clone()),
            ListEntry::CommonPrefix(prefix) => ListMark::Prefix(prefix.clone()),
        });
        listed.extend(page.entries.into_iter().map(|entry| match entry {
            ListEntry::Object(object) => object.key,
            ListEntry::CommonPrefix(prefix) => prefix,
        }));
        if !page.truncated {
            return listed;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
    #[test]
    fn pages_of_any_size_joined_are_the_keys_in_order_and_rolled_up(
        keys in proptest::collection::btree_set("[ab/é\u{10ffff}\u{1}]{1,5}", 0..40),
        prefix in "[ab/é\u{10ffff}]{0,1}",
        delimiter in proptest::option::of("(/|é|b/|\u{10ffff})"),
        max in 1u32..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::in_process().await;
            with_keys(&cluster, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
            let mut wanted: Vec<String> = keys
                .iter()
                .filter(|key| key.starts_with(&prefix))
                .map(|key| match delimiter.as_ref().and_then(|delimiter| key[prefix.len()..].find(delimiter.as_str())) {
                    Some(place) => key[..prefix.len() + place + delimiter.as_ref().unwrap().len()].to_owned(),
                    None => key.clone(),
                })
                .collect();
            wanted.dedup();
            assert_eq!(pages_joined(&cluster, &prefix, delimiter.as_deref(), max).await, wanted);
        });
    }
}
