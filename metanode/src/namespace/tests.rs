//! The cost of listings on a real database, and errors of the database.

use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{ClusterId, UploadId, VersionId};
use cairn_protocol::metadata::*;
use cairn_protocol::secret::ClusterSecret;
use tempfile::TempDir;

use super::Namespace;
use crate::block_manager::{BlockManager, BlockManagerConfig};
use crate::iam::Identities;
use crate::store::{Store, tests as store_tests};

pub(super) async fn namespace() -> (Namespace, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("metanode.db"), &Env::system()).await.unwrap();
    let env = Env::system();
    let events = EventBus::new(env.clone());
    let secret = ClusterSecret::new("a secret that is long enough for tests").unwrap();
    let cluster = ClusterId(env.uuid_v4());
    let blocks = BlockManager::open(
        store.clone(),
        BlockManagerConfig::default(),
        cluster,
        secret,
        env.clone(),
        events.clone(),
    )
    .await
    .unwrap();
    let identities = Identities::without_root(&store, &env);
    let namespace = Namespace::new(store, blocks, env, events, identities);
    namespace.create_bucket(CreateBucket::new("b", "us-east-1")).await.unwrap();
    (namespace, directory)
}

fn list(prefix: &str, delimiter: Option<&str>, after: Option<ListMark>, max: u32) -> ListObjects {
    ListObjects {
        bucket: "b".to_owned(),
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after,
        max,
    }
}

#[tokio::test]
async fn a_listing_of_many_keys_costs_what_is_on_its_page() {
    let (namespace, _directory) = namespace().await;
    store_tests::fill(&namespace.store, 100_000, 10).await;

    // Ten roll-ups of 10,000 keys each: one seek for each, and one after the last.
    let (page, cost) = namespace.walk_objects(list("", Some("/"), None, 1000)).await.unwrap();
    let wanted: Vec<_> = (0..10).map(|n| ListEntry::CommonPrefix(format!("p{n:02}/"))).collect();
    assert_eq!((page.entries, page.truncated), (wanted, false));
    assert!(cost.seeks <= 11 && cost.rows <= 30, "{cost:?}");

    // A page that begins in the middle.
    let after = Some(ListMark::Prefix("p04/".to_owned()));
    let (page, cost) = namespace.walk_objects(list("", Some("/"), after, 2)).await.unwrap();
    assert_eq!((page.entries.len(), page.truncated), (2, true));
    assert!(cost.seeks <= 3 && cost.rows <= 9, "{cost:?}");

    // A flat page that begins far inside: one statement, a row for each entry, and one that shows whether there are
    // more.
    let after = Some(ListMark::Key("p07/00050007".to_owned()));
    let (page, cost) = namespace.walk_objects(list("", None, after, 1000)).await.unwrap();
    assert_eq!((page.entries.len(), page.truncated), (1000, true));
    assert_eq!((cost.seeks, cost.rows), (1, 1001));

    // Within a prefix, with a delimiter that does not occur in the rest of the keys.
    let (page, cost) = namespace.walk_objects(list("p03/", Some("/"), None, 1000)).await.unwrap();
    assert_eq!((page.entries.len(), page.truncated), (1000, true));
    assert!(cost.seeks <= 11 && cost.rows == 1001, "{cost:?}");
}

#[tokio::test]
async fn a_listing_of_uploads_costs_what_is_on_its_page() {
    let (namespace, _directory) = namespace().await;
    let begin = async |key: String| {
        let upload = UploadId(namespace.env.uuid_v7());
        let target = UploadRef { bucket: "b".to_owned(), key, upload };
        let attributes = ObjectAttributes::default();
        let request = CreateUpload { target, attributes, tags: Tags::new(), checksum: None };
        namespace.create_upload(request).await.unwrap();
    };
    futures_util::future::join_all((0..1000).map(|n| begin(format!("p{}/{n}", n % 10)))).await;
    let request = ListUploads {
        bucket: "b".to_owned(),
        delimiter: Some("/".to_owned()),
        max: 1000,
        ..ListUploads::default()
    };
    let (page, cost) = namespace.walk_uploads(request).await.unwrap();
    assert_eq!((page.entries.len(), page.truncated), (10, false));
    assert!(cost.seeks <= 11 && cost.rows <= 30, "{cost:?}");
}

pub(super) fn commit(namespace: &Namespace, key: &str, etag: &str) -> CommitObject {
    CommitObject {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: VersionId(namespace.env.uuid_v7()),
        length: 0,
        etag: etag.to_owned(),
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        extents: Vec::new(),
        condition: WriteCondition::None,
    }
}

pub(super) fn lookup(key: &str) -> LookupObject {
    LookupObject {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 0,
    }
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_and_reads_go_on() {
    let (namespace, _directory) = namespace().await;
    namespace.commit_object(commit(&namespace, "k", "e")).await.unwrap();
    store_tests::fill_disk(&namespace.store).await;
    let large = commit(&namespace, "large", &"e".repeat(1_000_000));
    assert_eq!(namespace.commit_object(large.clone()).await, Err(MetadataError::NoSpace));
    assert_eq!(namespace.lookup_object(lookup("k")).await.unwrap().object.etag, "e");
    assert_eq!(namespace.lookup_object(lookup("large")).await.err(), Some(MetadataError::NoSuchKey));
    store_tests::free_disk(&namespace.store).await;
    namespace.commit_object(large).await.unwrap();
}

#[tokio::test]
async fn an_internal_error_names_no_details() {
    let (namespace, _directory) = namespace().await;
    namespace.commit_object(commit(&namespace, "k", "e")).await.unwrap();
    store_tests::execute(&namespace.store, "UPDATE versions SET attributes = x'ff'").await;
    assert_eq!(namespace.lookup_object(lookup("k")).await.err(), Some(MetadataError::Internal));
    store_tests::execute(&namespace.store, "DROP TABLE list_parts").await;
    let part = LookupObject { range: LookupRange::Part { number: 2 }, ..lookup("k") };
    assert_eq!(namespace.lookup_object(part).await.err(), Some(MetadataError::Internal));
}

#[tokio::test]
async fn a_closed_metanode_returns_unavailable() {
    let (namespace, _directory) = namespace().await;
    namespace.store.close().await;
    let refused = namespace.commit_object(commit(&namespace, "k", "e")).await;
    assert!(matches!(refused, Err(MetadataError::Unavailable { .. })), "{refused:?}");
    let refused = namespace.lookup_object(lookup("k")).await;
    assert!(matches!(refused, Err(MetadataError::Unavailable { .. })), "{refused:?}");
}
