//! Buckets: created once, listed in order, deleted only when they have no objects.

use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;
use cairn_protocol::rpc::with_access_epoch;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;

contract! {
    a_bucket_is_made_once_and_found_until_deleted,
    buckets_are_listed_in_the_order_of_their_names,
    a_bucket_with_an_object_is_not_deleted,
    deleting_a_bucket_aborts_its_uploads_and_loses_no_block,
    a_new_bucket_of_an_old_name_has_nothing_of_the_old_one,
    a_configuration_has_a_revision_and_goes_with_its_bucket,
    a_call_that_was_authorised_in_an_earlier_epoch_is_refused,
    buckets_of_an_account_are_listed_apart,
}

fn name(bucket: &str) -> BucketRef {
    BucketRef { bucket: bucket.to_owned() }
}

fn missing(bucket: &str) -> MetadataError {
    MetadataError::NoSuchBucket { bucket: bucket.to_owned() }
}

async fn a_bucket_is_made_once_and_found_until_deleted(cluster: &Cluster) {
    let request = CreateBucket::new("b", "eu-central-1");
    let made = cluster.create_bucket(request.clone()).await.unwrap();
    assert_eq!((made.bucket.as_str(), made.region.as_str()), ("b", "eu-central-1"));
    assert_eq!(cluster.get_bucket(name("b")).await.unwrap(), made);
    let again = cluster.create_bucket(request).await;
    assert_eq!(again, Err(MetadataError::BucketExists { bucket: "b".into() }));
    cluster.delete_bucket_of("b").await.unwrap();
    assert_eq!(cluster.get_bucket(name("b")).await, Err(missing("b")));
    assert_eq!(cluster.delete_bucket_of("b").await, Err(missing("b")));
    assert_eq!(cluster.head("b", "k").await, Err(missing("b")));
    assert_eq!(cluster.commit_object(cluster.object("b", "k", "e", &[1])).await, Err(missing("b")));
    let list = ListObjects { bucket: "b".into(), max: 1, ..Default::default() };
    assert_eq!(cluster.list_objects(list).await.err(), Some(missing("b")));
}

async fn buckets_are_listed_in_the_order_of_their_names(cluster: &Cluster) {
    for bucket in ["b1", "a-2", "b3", "b2", "a1", "c"] {
        cluster.bucket(bucket).await;
    }
    let list = async |prefix: &str, after: Option<&str>, max| {
        let request = ListBuckets {
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            max,
            owner: None,
            region: None,
        };
        let page = cluster.list_buckets(request).await.unwrap();
        (page.buckets.into_iter().map(|info| info.bucket).collect::<Vec<_>>().join(" "), page.truncated)
    };
    assert_eq!(list("", None, 10).await, ("a-2 a1 b1 b2 b3 c".to_owned(), false));
    assert_eq!(list("", None, 6).await, ("a-2 a1 b1 b2 b3 c".to_owned(), false));
    assert_eq!(list("", None, 5).await, ("a-2 a1 b1 b2 b3".to_owned(), true));
    assert_eq!(list("b", None, 2).await, ("b1 b2".to_owned(), true));
    assert_eq!(list("b", Some("b1"), 2).await, ("b2 b3".to_owned(), false));
    assert_eq!(list("b", Some("a"), 3).await, ("b1 b2 b3".to_owned(), false));
    assert_eq!(list("b", Some("c"), 3).await, (String::new(), false));
    assert_eq!(list("", None, 0).await, (String::new(), false));
}

async fn a_bucket_with_an_object_is_not_deleted(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[5]).await;
    let refused = cluster.delete_bucket_of("b").await;
    assert_eq!(refused, Err(MetadataError::BucketNotEmpty { bucket: "b".into() }));
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    // The retired version still exists for its readers, but is no object any more.
    cluster.delete_bucket_of("b").await.unwrap();
}

async fn deleting_a_bucket_aborts_its_uploads_and_loses_no_block(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.bucket("other").await;
    let upload = cluster.begin("b", "k").await;
    let kept = cluster.begin("other", "k").await;
    cluster.add(&upload, 1, &[5, 6]).await;
    let part = cluster.add(&kept, 1, &[7]).await;
    cluster.delete_bucket_of("b").await.unwrap();
    // The upload is gone at once, before any worker has aborted it.
    let gone = Err(MetadataError::NoSuchBucket { bucket: "b".into() });
    assert_eq!(cluster.get_upload(upload.clone()).await, gone);
    cluster.bucket("b").await;
    assert_eq!(cluster.get_upload(upload.clone()).await, Err(MetadataError::NoSuchUpload));
    let shutdown = CancellationToken::new();
    let workers = tokio::spawn({
        let (metanode, shutdown) = (cluster.metanode.clone(), shutdown.clone());
        async move { metanode.run_workers(shutdown).await }
    });
    let wanted = EventKind::UploadAborted { upload: upload.upload };
    assert!(cluster.events.wait_for(|kind| *kind == wanted).await.is_some());
    shutdown.cancel();
    workers.await.unwrap();
    assert_eq!(cluster.get_upload(upload).await, Err(MetadataError::NoSuchUpload));
    cluster.complete_upload(cluster.completion(&kept, &[part])).await.unwrap();
}

async fn a_new_bucket_of_an_old_name_has_nothing_of_the_old_one(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[5, 2]).await;
    let old = cluster.list("b", "k").await;
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    cluster.delete_bucket_of("b").await.unwrap();
    cluster.bucket("b").await;
    let request = LookupObject {
        bucket: "b".into(),
        key: "k".into(),
        version: Some(VersionName::Null),
        range: LookupRange::Whole,
        extents_max: 1,
    };
    assert_eq!(cluster.lookup_object(request).await.err(), Some(MetadataError::NoSuchVersion));
    // A read that began before continues.
    let page = ListExtents { list: old, start: 0, end: 7, max: 10 };
    assert_eq!(cluster.list_extents(page).await.unwrap().extents.len(), 2);
}

async fn a_configuration_has_a_revision_and_goes_with_its_bucket(cluster: &Cluster) {
    let made = cluster.create_bucket(CreateBucket::new("b", "r")).await.unwrap();
    let named = || BucketRef { bucket: "b".into() };
    let found = cluster.get_bucket_configurations(named()).await.unwrap();
    let kinds: Vec<_> = found.configurations.iter().map(|found| found.kind).collect();
    let of_new = [ConfigurationKind::OwnershipControls, ConfigurationKind::PublicAccessBlock];
    assert_eq!((found.info, &kinds[..]), (made, &of_new[..]));
    let put = |document: Option<&str>, expected_revision| PutBucketConfiguration {
        bucket: "b".into(),
        kind: ConfigurationKind::Policy,
        document: document.map(str::to_owned),
        expected_revision,
        mutation: None,
    };
    let first = cluster.put_bucket_configuration(put(Some("{}"), Some(0))).await.unwrap();
    let stale = cluster.put_bucket_configuration(put(Some("{ }"), Some(0))).await;
    assert_eq!(stale, Err(MetadataError::PreconditionFailed));
    cluster.put_bucket_configuration(put(None, Some(first))).await.unwrap();
    let second = cluster.put_bucket_configuration(put(Some("{}"), None)).await.unwrap();
    assert!(second > first, "a revision never repeats");
    let reserved = PutBucketConfiguration { kind: ConfigurationKind::Cors, ..put(Some("{}"), None) };
    let refused = cluster.put_bucket_configuration(reserved).await.unwrap_err();
    assert!(matches!(refused, MetadataError::Malformed { .. }), "{refused}");
    cluster.delete_bucket(DeleteBucket { bucket: "b".into(), mutation: None }).await.unwrap();
    cluster.create_bucket(CreateBucket::new("b", "r")).await.unwrap();
    assert_eq!(cluster.get_bucket_configurations(named()).await.unwrap().configurations.len(), 2);
}

/// A gateway that decided before access was taken away does not get through: whoever deletes a policy gets the answer when
/// nobody is let in by it any more.
async fn a_call_that_was_authorised_in_an_earlier_epoch_is_refused(cluster: &Cluster) {
    cluster.create_bucket(CreateBucket::new("b", "r")).await.unwrap();
    let named = || BucketRef { bucket: "b".into() };
    let before = cluster.get_bucket_configurations(named()).await.unwrap().epoch;
    let asked = || with_access_epoch(Some(before.0), cluster.get_bucket(named()));
    asked().await.unwrap();
    let put = PutBucketConfiguration {
        bucket: "b".into(),
        kind: ConfigurationKind::PublicAccessBlock,
        document: Some("{}".into()),
        expected_revision: None,
        mutation: None,
    };
    cluster.put_bucket_configuration(put).await.unwrap();
    let now = cluster.get_bucket_configurations(named()).await.unwrap().epoch;
    assert_ne!(now, before);
    assert_eq!(asked().await, Err(MetadataError::AccessChanged { epoch: now }));
    with_access_epoch(Some(now.0), cluster.get_bucket(named())).await.unwrap();
    cluster.get_bucket(named()).await.unwrap();
}

async fn buckets_of_an_account_are_listed_apart(cluster: &Cluster) {
    let other = Account { id: "111122223333".into(), ..Account::first() };
    cluster.create_bucket(CreateBucket::new("a", "r")).await.unwrap();
    cluster
        .create_bucket(CreateBucket { owner: other.clone(), ..CreateBucket::new("b", "r") })
        .await
        .unwrap();
    let list = |owner: Option<&str>| ListBuckets {
        max: 10,
        owner: owner.map(str::to_owned),
        ..ListBuckets::default()
    };
    let page = cluster.list_buckets(list(Some("111122223333"))).await.unwrap();
    assert_eq!(
        page.buckets.iter().map(|info| (&*info.bucket, &info.owner)).collect::<Vec<_>>(),
        [("b", &other)]
    );
    assert_eq!(cluster.list_buckets(list(None)).await.unwrap().buckets.len(), 2);
}
