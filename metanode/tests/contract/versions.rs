//! Versions: what writes, deletes and lookups mean in a bucket whose versioning is enabled or suspended, compared with a naive
//! model of AWS's rules ("How S3 Versioning works").

use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::*;
use proptest::prelude::*;

use crate::cluster::{Cluster, bytes, new_bytes};

contract! {
    a_write_keeps_the_versions_before_it,
    a_delete_hides_an_object_and_its_marker_can_be_deleted,
    the_null_version_is_found_among_others_and_replaced_while_versioning_is_suspended,
    a_bucket_with_versions_or_delete_markers_is_not_empty,
    a_repeated_write_or_delete_makes_no_second_version,
    versions_are_listed_from_the_newest_on_in_pages_of_any_size,
    tags_belong_to_a_version,
    versioning_is_not_turned_off,
}

const KEYS: [&str; 3] = ["a", "b/1", "b/2"];

async fn set(cluster: &Cluster, versioning: Versioning) {
    let request = SetVersioning { bucket: "b".into(), versioning, mutation: cluster.mutation() };
    cluster.set_versioning(request).await.unwrap();
}

async fn find(
    cluster: &Cluster,
    key: &str,
    version: Option<VersionName>,
) -> Result<LocatedObject, MetadataError> {
    let (bucket, key, range) = ("b".to_owned(), key.to_owned(), LookupRange::Whole);
    cluster.lookup_object(LookupObject { bucket, key, version, range, extents_max: 10 }).await
}

async fn etag(cluster: &Cluster, key: &str, version: Option<VersionName>) -> Result<String, MetadataError> {
    Ok(find(cluster, key, version).await?.object.etag)
}

async fn delete(cluster: &Cluster, key: &str, version: Option<VersionName>) -> Deleted {
    let object = DeleteObject {
        key: key.to_owned(),
        condition: WriteCondition::None,
        version,
        bypass_governance: false,
    };
    let request = DeleteObjects { bucket: "b".into(), objects: vec![object], mutation: cluster.mutation() };
    cluster.delete_objects(request).await.unwrap().pop().unwrap().unwrap()
}

async fn list(cluster: &Cluster, after: Option<VersionMark>, max: u32) -> VersionPage {
    let request = ListVersions { bucket: "b".into(), after, max, ..Default::default() };
    cluster.list_versions(request).await.unwrap()
}

fn marker(result: Result<LocatedObject, MetadataError>) -> VersionName {
    match result {
        Err(MetadataError::DeleteMarker { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

async fn a_write_keeps_the_versions_before_it(cluster: &Cluster) {
    cluster.bucket("b").await;
    let first = cluster.put("b", "k", "0", &[3]).await;
    assert_eq!(first.name, None, "no version id is shown without versioning");
    set(cluster, Versioning::Enabled).await;
    let one = cluster.object("b", "k", "1", &[4, 5]);
    let name_of_one = cluster.commit_object(one.clone()).await.unwrap().name.unwrap();
    let name_of_two = cluster.put("b", "k", "2", &[]).await.name.unwrap();
    assert_eq!(etag(cluster, "k", None).await.unwrap(), "2");
    assert_eq!(etag(cluster, "k", Some(name_of_two)).await.unwrap(), "2");
    let found = find(cluster, "k", Some(name_of_one)).await.unwrap();
    assert_eq!(bytes(&found.extents), new_bytes(&one.extents));
    assert_eq!(found.object.shown_name(), Some(name_of_one));
    assert_eq!(etag(cluster, "k", Some(VersionName::Null)).await.unwrap(), "0");
    let VersionName::Id { sequence, .. } = name_of_one else { panic!("{name_of_one:?}") };
    let other = VersionName::Id { sequence, version: cluster.version() };
    for (key, name) in [("k", other), ("other", name_of_one), ("other", VersionName::Null)] {
        assert_eq!(etag(cluster, key, Some(name)).await, Err(MetadataError::NoSuchVersion));
    }
}

async fn a_delete_hides_an_object_and_its_marker_can_be_deleted(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    let written = cluster.put("b", "k", "1", &[2, 1]).await;
    let list = cluster.list("b", "k").await;
    let deleted = delete(cluster, "k", None).await;
    let name = deleted.marker.unwrap();
    assert_eq!(deleted.version, None, "no bytes are given up");
    assert_eq!(marker(find(cluster, "k", None).await), name);
    assert_eq!(marker(find(cluster, "k", Some(name)).await), name);
    assert_eq!(etag(cluster, "k", written.name).await.unwrap(), "1");
    let request = ListObjects { bucket: "b".into(), max: 10, ..Default::default() };
    assert!(cluster.list_objects(request).await.unwrap().entries.is_empty());
    // An object that a condition names does not exist behind a delete marker.
    let refused = cluster.delete("b", "k", WriteCondition::Present).await;
    assert_eq!(refused, Err(MetadataError::ConditionOnMissingKey));
    assert_eq!(delete(cluster, "k", Some(name)).await, Deleted { version: None, marker: Some(name) });
    assert_eq!(etag(cluster, "k", None).await.unwrap(), "1");
    assert_eq!(delete(cluster, "k", Some(name)).await, Deleted::default(), "it is deleted already");
    let gone = delete(cluster, "k", written.name).await;
    assert_eq!(gone, Deleted { version: Some(written.version), marker: None });
    assert_eq!(etag(cluster, "k", None).await, Err(MetadataError::NoSuchKey));
    assert_eq!(etag(cluster, "k", written.name).await, Err(MetadataError::NoSuchVersion), "it is retired");
    let page = ListExtents { list, start: 0, end: 3, max: 10 };
    assert_eq!(
        cluster.list_extents(page).await.unwrap().extents.len(),
        2,
        "a read that began before goes on"
    );
    // A delete of a key that does not exist makes a delete marker too.
    assert!(delete(cluster, "never", None).await.marker.is_some());
}

async fn the_null_version_is_found_among_others_and_replaced_while_versioning_is_suspended(
    cluster: &Cluster,
) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "before", &[3]).await;
    set(cluster, Versioning::Enabled).await;
    let kept = cluster.put("b", "k", "kept", &[4]).await.name.unwrap();
    set(cluster, Versioning::Suspended).await;
    let null = cluster.put("b", "k", "null", &[5]).await;
    assert_eq!(null.name, Some(VersionName::Null));
    assert_eq!(etag(cluster, "k", None).await.unwrap(), "null");
    assert_eq!(etag(cluster, "k", Some(kept)).await.unwrap(), "kept");
    assert_eq!(list(cluster, None, 10).await.entries.len(), 2, "the null version before is replaced");
    let deleted = delete(cluster, "k", None).await;
    assert_eq!(deleted, Deleted { version: Some(null.version), marker: Some(VersionName::Null) });
    assert_eq!(marker(find(cluster, "k", None).await), VersionName::Null);
    assert_eq!(delete(cluster, "k", None).await.marker, Some(VersionName::Null));
    assert_eq!(list(cluster, None, 10).await.entries.len(), 2, "one marker, and the version that is kept");
    let gone = delete(cluster, "k", Some(VersionName::Null)).await;
    assert_eq!(gone, Deleted { version: None, marker: Some(VersionName::Null) });
    assert_eq!(etag(cluster, "k", None).await.unwrap(), "kept");
}

async fn a_bucket_with_versions_or_delete_markers_is_not_empty(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    let written = cluster.put("b", "k", "1", &[3]).await.name;
    let marker = delete(cluster, "k", None).await.marker;
    let not_empty = Err(MetadataError::BucketNotEmpty { bucket: "b".to_owned() });
    assert_eq!(cluster.delete_bucket_of("b").await, not_empty);
    delete(cluster, "k", written).await;
    assert_eq!(cluster.delete_bucket_of("b").await, not_empty);
    delete(cluster, "k", marker).await;
    cluster.delete_bucket_of("b").await.unwrap();
}

async fn a_repeated_write_or_delete_makes_no_second_version(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    let request = cluster.object("b", "k", "1", &[3]);
    let answer = cluster.commit_object(request.clone()).await.unwrap();
    cluster.put("b", "k", "2", &[3]).await;
    assert_eq!(cluster.commit_object(request).await.unwrap(), answer);
    let object = DeleteObject {
        key: "k".into(),
        condition: WriteCondition::None,
        version: None,
        bypass_governance: false,
    };
    let request = DeleteObjects { bucket: "b".into(), objects: vec![object], mutation: cluster.mutation() };
    let answer = cluster.delete_objects(request.clone()).await.unwrap();
    assert_eq!(cluster.delete_objects(request).await.unwrap(), answer);
    assert_eq!(list(cluster, None, 10).await.entries.len(), 3);
}

async fn versions_are_listed_from_the_newest_on_in_pages_of_any_size(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "b/2", "null", &[1]).await;
    set(cluster, Versioning::Enabled).await;
    for number in 0..3 {
        for key in KEYS {
            cluster.put("b", key, &format!("{key} {number}"), &[1]).await;
        }
    }
    delete(cluster, "a", None).await;
    let whole = list(cluster, None, 100).await;
    assert!(!whole.truncated);
    let shown: Vec<_> = whole
        .entries
        .iter()
        .map(|entry| match entry {
            VersionEntry::Version(version) => {
                (version.object.etag.as_str(), version.is_latest, version.is_delete_marker)
            }
            VersionEntry::CommonPrefix(prefix) => panic!("{prefix}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("", true, true),
            ("a 2", false, false),
            ("a 1", false, false),
            ("a 0", false, false),
            ("b/1 2", true, false),
            ("b/1 1", false, false),
            ("b/1 0", false, false),
            ("b/2 2", true, false),
            ("b/2 1", false, false),
            ("b/2 0", false, false),
            ("null", false, false),
        ]
    );
    for max in 1..12 {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = list(cluster, after, max).await;
            assert!(page.entries.len() <= max as usize);
            entries.extend(page.entries);
            if !page.truncated {
                break;
            }
            let Some(VersionEntry::Version(last)) = entries.last() else { panic!("an empty page") };
            after = Some(VersionMark::Version(last.object.key.clone(), last.name));
        }
        assert_eq!(entries, whole.entries, "{max}");
    }
    let request =
        ListVersions { bucket: "b".into(), delimiter: Some("/".into()), max: 10, ..Default::default() };
    let rolled_up = cluster.list_versions(request).await.unwrap().entries;
    assert_eq!(rolled_up.len(), 5);
    assert_eq!(rolled_up[4], VersionEntry::CommonPrefix("b/".into()));
    // A mark that names a version which is gone, or a key without a null version.
    let after = VersionMark::Version("b/1".into(), VersionName::Null);
    assert_eq!(list(cluster, Some(after), 100).await.entries, whole.entries[7..]);
}

async fn tags_belong_to_a_version(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, Versioning::Enabled).await;
    let one = cluster.put("b", "k", "1", &[1]).await.name;
    cluster.put("b", "k", "2", &[1]).await;
    let tags = |value: &str| Tags::from([("t".to_owned(), value.to_owned())]);
    let request = |version, value| UpdateTags {
        bucket: "b".into(),
        key: "k".into(),
        version,
        tags: tags(value),
        mutation: cluster.mutation(),
    };
    cluster.update_tags(request(one, "old")).await.unwrap();
    cluster.update_tags(request(None, "new")).await.unwrap();
    assert_eq!(find(cluster, "k", one).await.unwrap().object.tags, tags("old"));
    assert_eq!(find(cluster, "k", None).await.unwrap().object.tags, tags("new"));
    let name = delete(cluster, "k", None).await.marker;
    for version in [None, name] {
        let refused = cluster.update_tags(request(version, "x")).await;
        assert!(matches!(refused, Err(MetadataError::DeleteMarker { .. })), "{refused:?}");
    }
}

async fn versioning_is_not_turned_off(cluster: &Cluster) {
    cluster.bucket("b").await;
    let state = async || cluster.get_bucket(BucketRef { bucket: "b".into() }).await.unwrap().versioning;
    assert_eq!(state().await, Versioning::Never);
    set(cluster, Versioning::Enabled).await;
    let enabled =
        SetVersioning { bucket: "b".into(), versioning: Versioning::Suspended, mutation: cluster.mutation() };
    cluster.set_versioning(enabled.clone()).await.unwrap();
    set(cluster, Versioning::Enabled).await;
    // A repetition whose first answer was lost must not undo what was set since.
    cluster.set_versioning(enabled).await.unwrap();
    assert_eq!(state().await, Versioning::Enabled);
    let off = SetVersioning { bucket: "b".into(), versioning: Versioning::Never, mutation: None };
    assert!(matches!(cluster.set_versioning(off).await, Err(MetadataError::Malformed { .. })));
    let missing = SetVersioning { bucket: "x".into(), versioning: Versioning::Enabled, mutation: None };
    let wanted = Err(MetadataError::NoSuchBucket { bucket: "x".into() });
    assert_eq!(cluster.set_versioning(missing).await, wanted);
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Copy { from: usize, to: usize },
    Rename { from: usize, to: usize },
    Delete(usize),
    DeleteVersion { key: usize, index: usize },
    Set(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    prop_oneof![
        5 => key().prop_map(Step::Put),
        2 => (key(), key()).prop_map(|(from, to)| Step::Copy { from, to }),
        2 => (key(), key()).prop_map(|(from, to)| Step::Rename { from, to }),
        3 => key().prop_map(Step::Delete),
        3 => (key(), 0usize..4).prop_map(|(key, index)| Step::DeleteVersion { key, index }),
        1 => any::<bool>().prop_map(Step::Set),
    ]
}

/// A version in the model: its name, and its ETag; a delete marker has none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    name: VersionName,
    id: Option<VersionId>,
    etag: Option<String>,
}

/// The versions of each key, the newest first.
#[derive(Debug, Default)]
struct Model {
    keys: [Vec<Version>; 3],
    versioning: Versioning,
    writes: usize,
}

impl Model {
    fn push(&mut self, key: usize, version: Version) {
        if version.name == VersionName::Null {
            self.keys[key].retain(|other| other.name != VersionName::Null);
        }
        self.keys[key].insert(0, version);
    }

    async fn apply(&mut self, cluster: &Cluster, step: Step) {
        match step {
            Step::Set(enabled) => {
                self.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
                set(cluster, self.versioning).await;
            }
            Step::Put(key) => {
                self.writes += 1;
                let etag = format!("etag {}", self.writes);
                let done = cluster.put("b", KEYS[key], &etag, &[1, 2]).await;
                self.written(key, etag, &done);
            }
            Step::Copy { from, to } => {
                let Some(source) = self.keys[from].iter().rev().find(|version| version.id.is_some()) else {
                    return;
                };
                let source = find(cluster, KEYS[from], Some(source.name)).await.unwrap().object;
                self.writes += 1;
                let etag = format!("etag {}", self.writes);
                let request = CopyObject {
                    source: source.reference("b"),
                    bucket: "b".into(),
                    key: KEYS[to].into(),
                    version: cluster.version(),
                    etag: etag.clone(),
                    attributes: None,
                    tags: None,
                    condition: WriteCondition::None,
                };
                let done = cluster.copy_object(request).await.unwrap();
                self.written(to, etag, &done);
            }
            Step::Rename { from, to } => self.rename(cluster, from, to).await,
            Step::Delete(key) => {
                let done = delete(cluster, KEYS[key], None).await;
                match self.versioning {
                    Versioning::Never => {
                        assert_eq!(done.marker, None);
                        self.keys[key].clear();
                    }
                    Versioning::Enabled | Versioning::Suspended => {
                        let name = done.marker.unwrap();
                        assert_eq!(name == VersionName::Null, self.versioning == Versioning::Suspended);
                        self.push(key, Version { name, id: None, etag: None });
                    }
                }
            }
            Step::DeleteVersion { key, index } => {
                let name = self.keys[key].get(index).map_or(VersionName::Null, |version| version.name);
                let gone = self.keys[key].iter().position(|version| version.name == name);
                let gone = gone.map(|index| self.keys[key].remove(index));
                let wanted = gone.map_or_else(Deleted::default, |gone| Deleted {
                    marker: gone.etag.is_none().then_some(name),
                    version: gone.id,
                });
                assert_eq!(delete(cluster, KEYS[key], Some(name)).await, wanted);
            }
        }
    }

    async fn rename(&mut self, cluster: &Cluster, from: usize, to: usize) {
        let source = self.keys[from].first().and_then(|newest| Some((newest.id?, newest.etag.clone()?)));
        let request = RenameObject {
            bucket: "b".into(),
            source: KEYS[from].into(),
            source_version: source.as_ref().map_or_else(|| cluster.version(), |(version, _)| *version),
            key: KEYS[to].into(),
            destination: ExpectedObject::Any,
            version: cluster.version(),
            marker: cluster.version(),
            parameters: String::new(),
            mutation: cluster.mutation(),
        };
        let renamed = cluster.rename_object(request.clone()).await;
        let Some((_, etag)) = source else {
            assert_eq!(renamed, Err(MetadataError::NoSuchKey));
            return;
        };
        let renamed = renamed.unwrap();
        if from == to {
            return;
        }
        let name = renamed.name.unwrap_or(VersionName::Null);
        self.push(to, Version { name, id: Some(request.version), etag: Some(etag) });
        if self.versioning == Versioning::Never {
            self.keys[from].clear();
        } else {
            let name = marker(find(cluster, KEYS[from], None).await);
            self.push(from, Version { name, id: None, etag: None });
        }
    }

    fn written(&mut self, key: usize, etag: String, done: &Committed) {
        let name = match self.versioning {
            Versioning::Never => {
                assert_eq!(done.name, None);
                VersionName::Null
            }
            Versioning::Suspended => {
                assert_eq!(done.name, Some(VersionName::Null));
                VersionName::Null
            }
            Versioning::Enabled => {
                assert!(
                    matches!(done.name, Some(VersionName::Id { version, .. }) if version == done.version)
                );
                done.name.unwrap()
            }
        };
        self.push(key, Version { name, id: Some(done.version), etag: Some(etag) });
    }

    async fn compare(&self, cluster: &Cluster) {
        let mut listed = Vec::new();
        for entry in list(cluster, None, 1_000).await.entries {
            let VersionEntry::Version(version) = entry else { panic!("{entry:?}") };
            let etag = (!version.is_delete_marker).then_some(version.object.etag);
            listed.push((version.object.key, version.name, etag, version.is_latest));
        }
        let mut wanted = Vec::new();
        let mut current = Vec::new();
        for (key, versions) in KEYS.iter().zip(&self.keys) {
            for (index, version) in versions.iter().enumerate() {
                wanted.push(((*key).to_owned(), version.name, version.etag.clone(), index == 0));
                match (find(cluster, key, Some(version.name)).await, &version.etag) {
                    (Ok(found), Some(etag)) => assert_eq!(&found.object.etag, etag),
                    (found, _) => assert_eq!(marker(found), version.name),
                }
            }
            let newest = versions.first().and_then(|version| version.etag.clone());
            assert_eq!(etag(cluster, key, None).await.ok(), newest);
            current.extend(newest.map(|etag| ((*key).to_owned(), etag)));
        }
        assert_eq!(listed, wanted);
        let request = ListObjects { bucket: "b".into(), max: 10, ..Default::default() };
        let objects = cluster.list_objects(request).await.unwrap().entries;
        let objects: Vec<_> = objects
            .into_iter()
            .map(|entry| match entry {
                ListEntry::Object(object) => (object.key, object.etag),
                ListEntry::CommonPrefix(prefix) => panic!("{prefix}"),
            })
            .collect();
        assert_eq!(objects, current);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
    #[test]
    fn any_sequence_of_writes_and_deletes_matches_the_model_of_versions(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::in_process().await;
            cluster.bucket("b").await;
            let mut model = Model::default();
            for step in steps {
                model.apply(&cluster, step).await;
                cluster.verify().await;
            }
            model.compare(&cluster).await;
        });
    }
}
