//! Renames: the object has its new key and not its old one, in one step, and keeps what it had.

use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::*;

use crate::cluster::{Cluster, bytes, new_bytes};

contract! {
    a_rename_keeps_what_the_object_had_and_its_time,
    what_is_replaced_and_what_was_read_stay_readable_for_the_grace_period,
    with_versioning_the_old_key_gets_a_delete_marker_and_the_new_key_a_version,
    while_versioning_is_suspended_null_versions_are_replaced,
    a_rename_onto_itself_changes_nothing,
    objects_that_were_replaced_meanwhile_are_not_renamed,
    what_does_not_exist_is_not_renamed,
    a_repeated_rename_gets_the_first_outcome_and_moves_nothing_that_came_since,
    a_repeated_write_does_not_bring_the_object_back_to_its_old_key,
    a_locked_version_stays_and_the_new_one_has_the_default_of_the_bucket,
}

fn request(cluster: &Cluster, source: &str, version: VersionId, key: &str) -> RenameObject {
    RenameObject {
        bucket: "b".into(),
        source: source.into(),
        source_version: version,
        key: key.into(),
        destination: ExpectedObject::Any,
        version: cluster.version(),
        marker: cluster.version(),
        parameters: "p".into(),
        mutation: cluster.mutation(),
    }
}

/// Renames the current object of a key.
async fn rename(cluster: &Cluster, source: &str, key: &str) -> Result<Renamed, MetadataError> {
    let version = cluster.head("b", source).await?.version;
    cluster.rename_object(request(cluster, source, version, key)).await
}

async fn set(cluster: &Cluster, versioning: Versioning) {
    let request = SetVersioning { bucket: "b".into(), versioning, mutation: cluster.mutation() };
    cluster.set_versioning(request).await.unwrap();
}

async fn keys(cluster: &Cluster) -> Vec<String> {
    let request = ListObjects { bucket: "b".into(), max: 100, ..Default::default() };
    let entries = cluster.list_objects(request).await.unwrap().entries;
    let key = |entry| match entry {
        ListEntry::Object(object) => object.key,
        ListEntry::CommonPrefix(prefix) => panic!("{prefix}"),
    };
    entries.into_iter().map(key).collect()
}

/// Key, and whether it is a delete marker, of all versions.
async fn versions(cluster: &Cluster) -> Vec<(String, bool)> {
    let request = ListVersions { bucket: "b".into(), max: 100, ..Default::default() };
    let entries = cluster.list_versions(request).await.unwrap().entries;
    let version = |entry| match entry {
        VersionEntry::Version(version) => (version.object.key, version.is_delete_marker),
        VersionEntry::CommonPrefix(prefix) => panic!("{prefix}"),
    };
    entries.into_iter().map(version).collect()
}

async fn a_rename_keeps_what_the_object_had_and_its_time(cluster: &Cluster) {
    cluster.bucket("b").await;
    let attributes = ObjectAttributes {
        headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        user_metadata: [("colour".to_owned(), "red".to_owned())].into(),
        access: Some(Box::new(ObjectAccess { owner: None, acl: Some("grants".into()) })),
        ..Default::default()
    };
    let tags = Tags::from([("k".to_owned(), "v".to_owned())]);
    let upload = cluster.upload_ref("b", "old");
    let create = CreateUpload { target: upload.clone(), attributes, tags, checksum: None };
    cluster.create_upload(create).await.unwrap();
    let parts = [cluster.add(&upload, 1, &[5, 6]).await, cluster.add(&upload, 3, &[7]).await];
    cluster.complete_upload(cluster.completion(&upload, &parts)).await.unwrap();
    let old = cluster.get("b", "old", LookupRange::Whole).await.unwrap();

    let renamed = rename(cluster, "old", "new").await.unwrap();
    assert_eq!(renamed.name, None, "no version id is shown without versioning");
    let new = cluster.get("b", "new", LookupRange::Whole).await.unwrap();
    assert_eq!(bytes(&new.extents), bytes(&old.extents));
    assert!(new.object.is_sound());
    // All the same but the key, and what the metanode needs to tell the versions apart.
    let ObjectVersion { version, sequence, checksum, .. } = new.object.clone();
    let wanted = ObjectVersion { key: "new".into(), version, sequence, checksum, ..old.object };
    assert_eq!(new.object, wanted);
    assert_eq!(keys(cluster).await, ["new"]);
    let part = cluster.get("b", "new", LookupRange::Part { number: 3 }).await.unwrap();
    assert_eq!(part.range, ResolvedRange::Satisfiable { start: 11, end: 18 });
}

async fn what_is_replaced_and_what_was_read_stay_readable_for_the_grace_period(cluster: &Cluster) {
    cluster.bucket("b").await;
    let source = cluster.object("b", "old", "s", &[3, 4]);
    cluster.commit_object(source.clone()).await.unwrap();
    cluster.put("b", "new", "d", &[5, 6]).await;
    let (read, replaced) = (cluster.list("b", "old").await, cluster.list("b", "new").await);
    rename(cluster, "old", "new").await.unwrap();
    let new = cluster.get("b", "new", LookupRange::Whole).await.unwrap();
    assert_eq!(bytes(&new.extents), new_bytes(&source.extents));
    assert_eq!(new.object.etag, "s");
    for list in [read, replaced] {
        let page = ListExtents { list, start: 0, end: u64::MAX, max: 10 };
        assert_eq!(cluster.list_extents(page).await.unwrap().extents.len(), 2);
    }
}

async fn with_versioning_the_old_key_gets_a_delete_marker_and_the_new_key_a_version(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    cluster.put("b", "new", "before", &[1]).await;
    let old = cluster.put("b", "old", "e", &[2, 3]).await;
    let renamed = rename(cluster, "old", "new").await.unwrap();
    let new = cluster.head("b", "new").await.unwrap();
    assert_eq!((new.shown_name(), new.etag.as_str()), (renamed.name, "e"));
    assert!(new.modified_at >= old.modified_at, "the version below it is noncurrent from now on");
    let all = [("new", false), ("new", false), ("old", true), ("old", false)];
    assert_eq!(versions(cluster).await, all.map(|(key, is_marker)| (key.to_owned(), is_marker)));
    let gone = cluster.head("b", "old").await;
    assert!(matches!(gone, Err(MetadataError::DeleteMarker { .. })), "{gone:?}");
    // The old version is still there, with its content.
    let (key, range) = ("old".to_owned(), LookupRange::Whole);
    let old = LookupObject { bucket: "b".into(), key, version: old.name, range, extents_max: 5 };
    let old = cluster.lookup_object(old).await.unwrap().object;
    assert_eq!(old.content, new.content);
}

async fn while_versioning_is_suspended_null_versions_are_replaced(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "new", "before", &[1]).await;
    cluster.put("b", "old", "e", &[2, 3]).await;
    set(cluster, Versioning::Suspended).await;
    let renamed = rename(cluster, "old", "new").await.unwrap();
    assert_eq!(renamed.name, Some(VersionName::Null));
    assert_eq!(cluster.head("b", "new").await.unwrap().etag, "e");
    assert_eq!(versions(cluster).await, [("new".to_owned(), false), ("old".to_owned(), true)]);
}

async fn a_rename_onto_itself_changes_nothing(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    let put = cluster.put("b", "k", "e", &[2, 3]).await;
    let before = cluster.head("b", "k").await.unwrap();
    assert_eq!(rename(cluster, "k", "k").await.unwrap().name, put.name);
    assert_eq!(cluster.head("b", "k").await.unwrap(), before);
    assert_eq!(versions(cluster).await, [("k".to_owned(), false)]);
}

async fn objects_that_were_replaced_meanwhile_are_not_renamed(cluster: &Cluster) {
    cluster.bucket("b").await;
    let first = cluster.put("b", "old", "1", &[1]).await.version;
    let second = cluster.put("b", "old", "2", &[1]).await.version;
    let changed = Err(MetadataError::ObjectChanged);
    assert_eq!(cluster.rename_object(request(cluster, "old", first, "new")).await, changed);
    let expecting = |destination| RenameObject { destination, ..request(cluster, "old", second, "new") };
    let other = ExpectedObject::Version(first);
    assert_eq!(cluster.rename_object(expecting(other)).await, changed, "there is none");
    let there = cluster.put("b", "new", "3", &[1]).await.version;
    for destination in [ExpectedObject::Absent, other] {
        assert_eq!(cluster.rename_object(expecting(destination)).await, changed);
    }
    assert_eq!(keys(cluster).await, ["new", "old"]);
    cluster.rename_object(expecting(ExpectedObject::Version(there))).await.unwrap();
    assert_eq!(keys(cluster).await, ["new"]);
}

async fn what_does_not_exist_is_not_renamed(cluster: &Cluster) {
    let missing = MetadataError::NoSuchBucket { bucket: "b".into() };
    let of_nothing = || request(cluster, "old", cluster.version(), "new");
    assert_eq!(cluster.rename_object(of_nothing()).await, Err(missing));
    cluster.bucket("b").await;
    assert_eq!(cluster.rename_object(of_nothing()).await, Err(MetadataError::NoSuchKey));
    set(cluster, Versioning::Enabled).await;
    let version = cluster.put("b", "old", "e", &[1]).await.version;
    cluster.delete("b", "old", WriteCondition::None).await.unwrap();
    let behind_marker = request(cluster, "old", version, "new");
    assert_eq!(cluster.rename_object(behind_marker).await, Err(MetadataError::NoSuchKey));
    assert_eq!(keys(cluster).await, [""; 0]);
}

/// The first rename was done, and its reply was lost. Meanwhile another client wrote the old key. The repetition would have renamed
/// that object, and replaced the first one by it.
async fn a_repeated_rename_gets_the_first_outcome_and_moves_nothing_that_came_since(cluster: &Cluster) {
    cluster.bucket("b").await;
    let version = cluster.put("b", "old", "first", &[1]).await.version;
    let request = request(cluster, "old", version, "new");
    let first = cluster.rename_object(request.clone()).await.unwrap();
    cluster.put("b", "old", "second", &[1]).await;
    assert_eq!(cluster.rename_object(request.clone()).await.unwrap(), first);
    assert_eq!(cluster.head("b", "new").await.unwrap().etag, "first");
    assert_eq!(cluster.head("b", "old").await.unwrap().etag, "second");
    let find = |mutation: Option<MutationId>| cluster.find_rename(RenameRef { mutation });
    assert_eq!(find(request.mutation).await.unwrap(), Some(first));
    assert_eq!(find(cluster.mutation()).await.unwrap(), None);
}

/// A gateway repeats a PUT whose answer it did not get. If the object was renamed in between, it must not appear again.
async fn a_repeated_write_does_not_bring_the_object_back_to_its_old_key(cluster: &Cluster) {
    cluster.bucket("b").await;
    for versioning in [Versioning::Never, Versioning::Enabled, Versioning::Suspended] {
        if versioning != Versioning::Never {
            set(cluster, versioning).await;
        }
        // An empty object has no grants whose second use would be refused.
        let put = cluster.object("b", "old", "e", &[]);
        let first = cluster.commit_object(put.clone()).await.unwrap();
        rename(cluster, "old", "new").await.unwrap();
        assert_eq!(cluster.commit_object(put).await.unwrap(), first);
        assert_eq!(keys(cluster).await, ["new"], "{versioning:?}");
    }
}

async fn a_locked_version_stays_and_the_new_one_has_the_default_of_the_bucket(cluster: &Cluster) {
    let create = CreateBucket { object_lock: true, ..CreateBucket::new("b", "us-east-1") };
    cluster.create_bucket(create).await.unwrap();
    let held = ObjectLock { legal_hold: Some(true), ..Default::default() };
    let attributes = ObjectAttributes { lock: Some(held), ..Default::default() };
    let put = CommitObject { attributes, ..cluster.object("b", "old", "e", &[2]) };
    let old = cluster.commit_object(put).await.unwrap();
    let default = DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Days(1) };
    let lock = BucketLock { default_retention: Some(default) };
    let set = SetBucketLock { bucket: "b".into(), lock, mutation: cluster.mutation() };
    cluster.set_bucket_lock(set).await.unwrap();
    rename(cluster, "old", "new").await.unwrap();
    let lock_of = async |key: &str, version| {
        let (bucket, key, range) = ("b".to_owned(), key.to_owned(), LookupRange::Whole);
        let request = LookupObject { bucket, key, version, range, extents_max: 0 };
        cluster.lookup_object(request).await.unwrap().object.attributes.lock
    };
    assert_eq!(lock_of("old", old.name).await, Some(held));
    let new = lock_of("new", None).await.unwrap();
    assert_eq!(new.legal_hold, None, "a lock belongs to its version");
    assert_eq!(new.retention.unwrap().mode, RetentionMode::Compliance);
}
