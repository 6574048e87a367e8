//! Quotas and usage, compared with a naive model: the sum over all versions, uploads and parts that clients can see.

use std::collections::BTreeMap;

use cairn_protocol::admin::{BucketSettings, GetBucketSettings, ListBucketUsage, SetBucketSettings};
use cairn_protocol::event::EventKind;
use cairn_protocol::iam::{
    CreateAccessKey, CreateUser, EntityRef, KeyOwner, OpenSession, SessionOf, SetUserQuota,
};
use cairn_protocol::id::{PartId, VersionId};
use cairn_protocol::metadata::*;
use cairn_protocol::rpc::with_user;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, open};

contract! {
    each_version_marker_upload_and_part_is_counted_until_it_is_gone,
    a_write_beyond_a_quota_is_refused_and_leaves_nothing,
    a_write_that_replaces_needs_room_for_what_it_adds_only,
    a_lowered_quota_stops_writes_and_loses_nothing,
    deletes_work_beyond_a_quota,
    parts_count_and_a_completion_needs_nothing_more,
    a_copy_counts_for_who_copies_and_a_rename_for_who_wrote,
    what_a_deleted_user_wrote_is_counted_until_it_is_gone,
    a_repeated_write_gets_its_first_outcome_beyond_a_quota,
    a_deleted_bucket_and_its_uploads_take_from_no_user,
    buckets_are_listed_with_what_they_use,
    quotas_that_no_counter_can_hold_are_refused,
    gateways_learn_who_has_a_quota,
}

async fn settings(cluster: &Cluster, bucket: &str) -> BucketSettings {
    let request = GetBucketSettings { bucket: bucket.to_owned() };
    cluster.metanode.admin().bucket_settings(request).await.unwrap()
}

async fn used(cluster: &Cluster) -> (u64, u64) {
    let usage = settings(cluster, "b").await.usage;
    (usage.objects, usage.bytes)
}

fn limit(objects: Option<u64>, bytes: Option<u64>) -> Quota {
    Quota { objects, bytes }
}

async fn set(cluster: &Cluster, quota: Quota) {
    let (bucket, quota) = ("b".to_owned(), Some(quota));
    let request = SetBucketSettings { bucket, replication: None, block_size: None, quota };
    cluster.metanode.admin().set_bucket_settings(request).await.unwrap();
}

/// Makes a user, and returns its unique id.
async fn user(cluster: &Cluster, name: &str) -> String {
    let request = CreateUser {
        account: "000000000000".into(),
        name: name.into(),
        path: "/".into(),
        boundary: None,
        tags: BTreeMap::new(),
        mutation: None,
    };
    cluster.iam.create_user(request).await.unwrap().id
}

async fn used_by(cluster: &Cluster, name: &str) -> (u64, u64) {
    let request = EntityRef { account: "000000000000".into(), name: name.into() };
    let usage = cluster.iam.get_user(request).await.unwrap().usage;
    (usage.objects, usage.bytes)
}

async fn set_user(cluster: &Cluster, name: &str, quota: Quota) {
    let account = "000000000000".to_owned();
    let request = SetUserQuota { account, name: name.into(), quota, mutation: cluster.mutation() };
    assert_eq!(cluster.iam.set_user_quota(request).await.unwrap().quota, quota);
}

async fn enable(cluster: &Cluster) {
    let request =
        SetVersioning { bucket: "b".into(), versioning: Versioning::Enabled, mutation: cluster.mutation() };
    cluster.set_versioning(request).await.unwrap();
}

async fn try_put(cluster: &Cluster, key: &str, lengths: &[u64]) -> Result<Committed, MetadataError> {
    cluster.commit_object(cluster.object("b", key, "e", lengths)).await
}

fn exceeded<T>(of: QuotaOf, unit: QuotaUnit) -> Result<T, MetadataError> {
    Err(MetadataError::QuotaExceeded { of, unit })
}

async fn delete(cluster: &Cluster, key: &str, version: Option<VersionName>) {
    let object =
        DeleteObject { key: key.into(), condition: WriteCondition::None, version, bypass_governance: false };
    let request = DeleteObjects { bucket: "b".into(), objects: vec![object], mutation: cluster.mutation() };
    cluster.delete_objects(request).await.unwrap().pop().unwrap().unwrap();
}

async fn each_version_marker_upload_and_part_is_counted_until_it_is_gone(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[5, 6]).await;
    assert_eq!(used(cluster).await, (1, 11));
    cluster.put("b", "k", "e", &[7]).await;
    assert_eq!(used(cluster).await, (1, 7), "what was replaced is gone");
    enable(cluster).await;
    let second = cluster.put("b", "k", "e", &[3]).await;
    assert_eq!(used(cluster).await, (2, 10));
    delete(cluster, "k", None).await;
    assert_eq!(used(cluster).await, (3, 10), "a delete marker is an object of no bytes");
    delete(cluster, "k", second.name).await;
    delete(cluster, "k", Some(VersionName::Null)).await;
    assert_eq!(used(cluster).await, (1, 0));
    let upload = cluster.begin("b", "u").await;
    assert_eq!(used(cluster).await, (2, 0));
    cluster.add(&upload, 1, &[4]).await;
    cluster.add(&upload, 1, &[9]).await;
    cluster.add(&upload, 2, &[1, 1]).await;
    assert_eq!(used(cluster).await, (2, 11));
    cluster.abort(&upload).await.unwrap();
    assert_eq!(used(cluster).await, (1, 0));
}

async fn a_write_beyond_a_quota_is_refused_and_leaves_nothing(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, limit(Some(2), Some(20))).await;
    try_put(cluster, "a", &[10]).await.unwrap();
    assert_eq!(try_put(cluster, "c", &[5, 6]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    assert_eq!(cluster.head("b", "c").await, Err(MetadataError::NoSuchKey));
    try_put(cluster, "c", &[10]).await.unwrap();
    assert_eq!(try_put(cluster, "d", &[]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Objects));
    assert_eq!(used(cluster).await, (2, 20));
    let begin = CreateUpload {
        target: cluster.upload_ref("b", "u"),
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        checksum: None,
    };
    assert_eq!(
        cluster.create_upload(begin.clone()).await.map(drop),
        exceeded(QuotaOf::Bucket, QuotaUnit::Objects)
    );
    assert_eq!(cluster.get_upload(begin.target).await.map(drop), Err(MetadataError::NoSuchUpload));
    set(cluster, limit(None, None)).await;
    try_put(cluster, "d", &[100]).await.unwrap();
}

async fn a_write_that_replaces_needs_room_for_what_it_adds_only(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, limit(Some(1), Some(10))).await;
    try_put(cluster, "k", &[10]).await.unwrap();
    try_put(cluster, "k", &[9]).await.unwrap();
    try_put(cluster, "k", &[10]).await.unwrap();
    assert_eq!(try_put(cluster, "k", &[11]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    enable(cluster).await;
    assert_eq!(try_put(cluster, "k", &[1]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    assert_eq!(cluster.head("b", "k").await.unwrap().length, 10);
}

async fn a_lowered_quota_stops_writes_and_loses_nothing(cluster: &Cluster) {
    cluster.bucket("b").await;
    try_put(cluster, "a", &[10]).await.unwrap();
    try_put(cluster, "c", &[10]).await.unwrap();
    set(cluster, limit(Some(1), Some(5))).await;
    assert_eq!(used(cluster).await, (2, 20));
    assert_eq!(try_put(cluster, "d", &[1]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    assert_eq!(cluster.head("b", "a").await.unwrap().length, 10);
    // What makes it less is possible.
    try_put(cluster, "a", &[2]).await.unwrap();
    assert_eq!(used(cluster).await, (2, 12));
    // 0 is a limit too.
    set(cluster, limit(Some(0), Some(0))).await;
    assert_eq!(try_put(cluster, "d", &[]).await, exceeded(QuotaOf::Bucket, QuotaUnit::Objects));
}

async fn deletes_work_beyond_a_quota(cluster: &Cluster) {
    cluster.bucket("b").await;
    enable(cluster).await;
    let put = try_put(cluster, "k", &[10]).await.unwrap();
    set(cluster, limit(Some(0), Some(0))).await;
    delete(cluster, "k", None).await;
    assert_eq!(used(cluster).await, (2, 10), "the delete marker is counted");
    delete(cluster, "k", put.name).await;
    assert_eq!(used(cluster).await, (1, 0));
}

async fn parts_count_and_a_completion_needs_nothing_more(cluster: &Cluster) {
    cluster.bucket("b").await;
    set(cluster, limit(Some(1), Some(30))).await;
    let upload = cluster.begin("b", "k").await;
    let one = cluster.add(&upload, 1, &[10]).await;
    cluster.add(&upload, 2, &[10]).await;
    let three = cluster.add(&upload, 3, &[10]).await;
    let part = cluster.new_part(&upload, 4, &[1]);
    assert_eq!(cluster.put_part(part).await.map(drop), exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    // A part of the same number takes the room of the one before it.
    let longer = cluster.new_part(&upload, 3, &[11]);
    assert_eq!(cluster.put_part(longer).await.map(drop), exceeded(QuotaOf::Bucket, QuotaUnit::Bytes));
    cluster.complete_upload(cluster.completion(&upload, &[one, three])).await.unwrap();
    assert_eq!(used(cluster).await, (1, 20), "the part that was not named is gone");
}

async fn a_copy_counts_for_who_copies_and_a_rename_for_who_wrote(cluster: &Cluster) {
    cluster.bucket("b").await;
    let (ann, bob) = (user(cluster, "ann").await, user(cluster, "bob").await);
    let put = with_user(Some(ann.clone()), try_put(cluster, "k", &[10])).await.unwrap();
    assert_eq!((used_by(cluster, "ann").await, used_by(cluster, "bob").await), ((1, 10), (0, 0)));
    let copy = CopyObject {
        source: crate::cluster::reference("b", "k", put.version),
        bucket: "b".into(),
        key: "copy".into(),
        version: cluster.version(),
        etag: "e".into(),
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    };
    set_user(cluster, "bob", limit(None, Some(9))).await;
    let refused = with_user(Some(bob.clone()), cluster.copy_object(copy.clone())).await;
    assert_eq!(refused, exceeded(QuotaOf::User, QuotaUnit::Bytes));
    set_user(cluster, "bob", limit(None, Some(10))).await;
    with_user(Some(bob.clone()), cluster.copy_object(copy)).await.unwrap();
    assert_eq!((used_by(cluster, "ann").await, used_by(cluster, "bob").await), ((1, 10), (1, 10)));
    let rename = RenameObject {
        bucket: "b".into(),
        source: "k".into(),
        source_version: put.version,
        key: "renamed".into(),
        destination: ExpectedObject::Any,
        version: cluster.version(),
        marker: cluster.version(),
        parameters: String::new(),
        mutation: cluster.mutation(),
    };
    with_user(Some(bob.clone()), cluster.rename_object(rename)).await.unwrap();
    assert_eq!((used_by(cluster, "ann").await, used_by(cluster, "bob").await), ((1, 10), (1, 10)));
    // What root writes over it is nobody's.
    try_put(cluster, "renamed", &[1]).await.unwrap();
    assert_eq!((used_by(cluster, "ann").await, used(cluster).await), ((0, 0), (2, 11)));
}

async fn what_a_deleted_user_wrote_is_counted_until_it_is_gone(cluster: &Cluster) {
    cluster.bucket("b").await;
    let ann = user(cluster, "ann").await;
    with_user(Some(ann.clone()), try_put(cluster, "k", &[10])).await.unwrap();
    let delete_user = cairn_protocol::iam::DeleteEntity {
        account: "000000000000".into(),
        name: "ann".into(),
        mutation: None,
    };
    cluster.iam.delete_user(delete_user).await.unwrap();
    // A user of the same name begins at nothing, and does not pay for the other one's objects.
    user(cluster, "ann").await;
    assert_eq!((used_by(cluster, "ann").await, used(cluster).await), ((0, 0), (1, 10)));
    cluster.verify().await;
    cluster.delete("b", "k", WriteCondition::None).await.unwrap();
    assert_eq!(used(cluster).await, (0, 0));
    // A request of the deleted user that was under way counts for nobody.
    with_user(Some(ann), try_put(cluster, "k", &[3])).await.unwrap();
    assert_eq!((used_by(cluster, "ann").await, used(cluster).await), ((0, 0), (1, 3)));
}

async fn a_repeated_write_gets_its_first_outcome_beyond_a_quota(cluster: &Cluster) {
    cluster.bucket("b").await;
    let put = cluster.object("b", "k", "e", &[10]);
    let first = cluster.commit_object(put.clone()).await.unwrap();
    set(cluster, limit(Some(0), Some(0))).await;
    assert_eq!(cluster.commit_object(put).await, Ok(first));
    assert_eq!(used(cluster).await, (1, 10));
}

async fn a_deleted_bucket_and_its_uploads_take_from_no_user(cluster: &Cluster) {
    cluster.bucket("b").await;
    let ann = user(cluster, "ann").await;
    let upload = with_user(Some(ann.clone()), cluster.begin("b", "u")).await;
    with_user(Some(ann), cluster.add(&upload, 1, &[10])).await;
    assert_eq!(used_by(cluster, "ann").await, (1, 10));
    cluster.delete_bucket_of("b").await.unwrap();
    let shutdown = CancellationToken::new();
    let workers = tokio::spawn({
        let (metanode, shutdown) = (cluster.metanode.clone(), shutdown.clone());
        async move { metanode.run_workers(shutdown).await }
    });
    let wanted = EventKind::UploadAborted { upload: upload.upload };
    assert!(cluster.events.wait_for(|kind| *kind == wanted).await.is_some());
    shutdown.cancel();
    workers.await.unwrap();
    assert_eq!(used_by(cluster, "ann").await, (0, 0));
    // A bucket of the same name begins at nothing.
    cluster.bucket("b").await;
    assert_eq!(used(cluster).await, (0, 0));
}

async fn buckets_are_listed_with_what_they_use(cluster: &Cluster) {
    for bucket in ["a", "b", "c"] {
        cluster.bucket(bucket).await;
    }
    cluster.put("b", "k", "e", &[10]).await;
    set(cluster, limit(Some(5), None)).await;
    let admin = cluster.metanode.admin();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|(bucket, ..): &(String, Quota, Usage)| bucket.clone());
        let page = admin.list_bucket_usage(ListBucketUsage { after, max: 2 }).await.unwrap();
        listed.extend(page.buckets.into_iter().map(|bucket| (bucket.bucket, bucket.quota, bucket.usage)));
        if !page.truncated {
            break;
        }
    }
    let nothing = |bucket: &str| (bucket.to_owned(), Quota::default(), Usage::default());
    let used = ("b".to_owned(), limit(Some(5), None), Usage { objects: 1, bytes: 10 });
    assert_eq!(listed, [nothing("a"), used.clone(), nothing("c")]);
    let largest = admin.status(cairn_protocol::admin::StatusRequest {}).await.unwrap().buckets;
    assert_eq!((largest[0].bucket.as_str(), largest[0].usage), ("b", used.2));
}

async fn quotas_that_no_counter_can_hold_are_refused(cluster: &Cluster) {
    cluster.bucket("b").await;
    user(cluster, "ann").await;
    let quota = limit(None, Some(1 << 63));
    let request =
        SetBucketSettings { bucket: "b".into(), replication: None, block_size: None, quota: Some(quota) };
    assert!(cluster.metanode.admin().set_bucket_settings(request).await.is_err());
    let request = SetUserQuota {
        account: "000000000000".into(),
        name: "ann".into(),
        quota,
        mutation: cluster.mutation(),
    };
    assert!(cluster.iam.set_user_quota(request).await.is_err());
    assert_eq!(settings(cluster, "b").await.quota, Quota::default());
}

/// 64 writes at once, of which 10 fit: exactly 10 succeed, in whatever transactions they come together.
#[tokio::test]
async fn as_many_writes_at_once_succeed_as_fit() {
    for quota in [limit(Some(10), None), limit(None, Some(109))] {
        let cluster = Cluster::in_process().await;
        cluster.bucket("b").await;
        let ann = user(&cluster, "ann").await;
        set(&cluster, quota).await;
        set_user(&cluster, "ann", quota).await;
        let put = |n: usize| {
            let (cluster, sender) = (&cluster, n.is_multiple_of(2).then(|| ann.clone()));
            async move { with_user(sender, try_put(cluster, &n.to_string(), &[4, 6])).await }
        };
        let outcomes = join_all((0..64).map(put)).await;
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!((done, used(&cluster).await), (10, (10, 100)), "{quota:?}");
        let all_refused = outcomes.iter().flat_map(|outcome| outcome.as_ref().err());
        assert!(all_refused.clone().all(|error| matches!(error, MetadataError::QuotaExceeded { .. })));
        cluster.verify().await;
    }
}

/// The counters are in the transaction of what they count, so a kill in the middle leaves neither without the other.
#[tokio::test]
async fn usage_survives_a_kill() {
    let cluster = Cluster::in_process().await;
    cluster.bucket("b").await;
    let ann = user(&cluster, "ann").await;
    with_user(Some(ann), try_put(&cluster, "k", &[10])).await.unwrap();
    let Cluster { metanode, metadata, iam, env, events, directory, .. } = cluster;
    let directory = directory.unwrap();
    drop((metanode, metadata, iam));
    let reopened = open(directory.path(), &env, &events).await;
    assert_eq!(reopened.store().verify_invariants().await.unwrap(), Vec::<String>::new());
    let found = reopened.admin().bucket_settings(GetBucketSettings { bucket: "b".into() }).await.unwrap();
    assert_eq!(found.usage, Usage { objects: 1, bytes: 10 });
}

const KEYS: [&str; 3] = ["a", "b/1", "b/2"];
const USERS: [&str; 2] = ["ann", "bob"];

#[derive(Clone, Debug)]
enum Step {
    Put { by: usize, key: usize, lengths: Vec<u64> },
    Copy { by: usize, from: usize, to: usize },
    Rename { by: usize, from: usize, to: usize },
    Delete { key: usize },
    DeleteVersion { key: usize, index: usize },
    Begin { by: usize, key: usize },
    PutPart { by: usize, upload: usize, number: u32, lengths: Vec<u64> },
    Complete { upload: usize, skip: usize },
    Abort { upload: usize },
    Versioning(bool),
    BucketQuota { objects: Option<u64>, bytes: Option<u64> },
    UserQuota { user: usize, objects: Option<u64>, bytes: Option<u64> },
}

fn step() -> impl Strategy<Value = Step> {
    let (by, key) = (|| 0usize..3, || 0..KEYS.len());
    let lengths = || proptest::collection::vec(1u64..6, 0..4);
    let limit = |max| proptest::option::of(0u64..max);
    prop_oneof![
        6 => (by(), key(), lengths()).prop_map(|(by, key, lengths)| Step::Put { by, key, lengths }),
        3 => (by(), key(), key()).prop_map(|(by, from, to)| Step::Copy { by, from, to }),
        3 => (by(), key(), key()).prop_map(|(by, from, to)| Step::Rename { by, from, to }),
        2 => key().prop_map(|key| Step::Delete { key }),
        3 => (key(), 0usize..4).prop_map(|(key, index)| Step::DeleteVersion { key, index }),
        2 => (by(), key()).prop_map(|(by, key)| Step::Begin { by, key }),
        5 => (by(), 0usize..3, 1u32..4, lengths())
            .prop_map(|(by, upload, number, lengths)| Step::PutPart { by, upload, number, lengths }),
        2 => (0usize..3, 0usize..3).prop_map(|(upload, skip)| Step::Complete { upload, skip }),
        1 => (0usize..3).prop_map(|upload| Step::Abort { upload }),
        1 => any::<bool>().prop_map(Step::Versioning),
        1 => (limit(12), limit(60)).prop_map(|(objects, bytes)| Step::BucketQuota { objects, bytes }),
        1 => (0usize..2, limit(6), limit(30))
            .prop_map(|(user, objects, bytes)| Step::UserQuota { user, objects, bytes }),
    ]
}

/// Who wrote something: a user, or nobody who is counted.
type Writer = Option<usize>;

#[derive(Clone, Debug)]
struct Version {
    name: VersionName,
    id: VersionId,
    /// `None` for a delete marker.
    length: Option<u64>,
    by: Writer,
}

#[derive(Clone, Debug)]
struct Upload {
    target: UploadRef,
    key: usize,
    by: Writer,
    parts: BTreeMap<u32, (PartId, u64, Writer)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    versioning: Versioning,
    /// The versions of each key, the newest first.
    keys: [Vec<Version>; 3],
    uploads: Vec<Upload>,
}

impl State {
    /// Objects and bytes of the bucket, and of each user: added up anew.
    fn usage(&self) -> [(u64, u64); 3] {
        let mut sums = [(0, 0); 3];
        let mut add = |by: Writer, objects: u64, bytes: u64| {
            for sum in [Some(0), by.map(|user| user + 1)].into_iter().flatten() {
                sums[sum].0 += objects;
                sums[sum].1 += bytes;
            }
        };
        for version in self.keys.iter().flatten() {
            add(version.by, 1, version.length.unwrap_or(0));
        }
        for upload in &self.uploads {
            add(upload.by, 1, 0);
            for (_, length, by) in upload.parts.values() {
                add(*by, 0, *length);
            }
        }
        sums
    }

    fn current(&self, key: usize) -> Option<&Version> {
        self.keys[key].first().filter(|version| version.length.is_some())
    }

    fn push(&mut self, key: usize, version: Version) {
        if version.name == VersionName::Null {
            self.keys[key].retain(|other| other.name != VersionName::Null);
        }
        self.keys[key].insert(0, version);
    }

    /// The names of versions matter only where there are several.
    fn name(&self, given: Option<VersionName>, id: VersionId) -> VersionName {
        match self.versioning {
            Versioning::Enabled => given.unwrap_or(VersionName::Id { sequence: 0, version: id }),
            Versioning::Never | Versioning::Suspended => VersionName::Null,
        }
    }

    /// Removes the current object as a delete without a version id does.
    fn delete(&mut self, key: usize, marker: VersionName) {
        match self.versioning {
            Versioning::Never => self.keys[key].clear(),
            Versioning::Enabled | Versioning::Suspended => {
                let id = VersionId(uuid::Uuid::nil());
                self.push(key, Version { name: marker, id, length: None, by: None });
            }
        }
    }
}

struct Model {
    state: State,
    /// Of the bucket, and of each user.
    quotas: [Quota; 3],
    users: Vec<String>,
}

impl Model {
    /// Whether a change from the present state to this one is within the quotas that it adds to. It is charged to the bucket and one
    /// writer.
    fn fits(&self, after: &State, by: Writer) -> bool {
        let (before, after) = (self.state.usage(), after.usage());
        [Some(0), by.map(|user| user + 1)].into_iter().flatten().all(|of| {
            let within = |before: u64, after: u64, limit: Option<u64>| {
                after <= before || limit.is_none_or(|limit| after <= limit)
            };
            within(before[of].0, after[of].0, self.quotas[of].objects)
                && within(before[of].1, after[of].1, self.quotas[of].bytes)
        })
    }

    fn sender(&self, by: Writer) -> Option<String> {
        by.map(|user| self.users[user].clone())
    }

    /// Takes over the state after a change, if it was to succeed; checks that it did exactly then.
    fn settle<T: std::fmt::Debug>(&mut self, after: State, by: Writer, outcome: &Result<T, MetadataError>) {
        if self.fits(&after, by) {
            assert!(outcome.is_ok(), "{outcome:?}");
            self.state = after;
        } else {
            assert!(matches!(outcome, Err(MetadataError::QuotaExceeded { .. })), "{outcome:?}");
        }
    }

    async fn apply(&mut self, cluster: &Cluster, step: Step) {
        let writer = |by: usize| by.checked_sub(1);
        match step {
            Step::Put { by, key, lengths } => self.put(cluster, writer(by), key, &lengths).await,
            Step::Copy { by, from, to } => self.copy(cluster, writer(by), from, to).await,
            Step::Rename { by, from, to } => self.rename(cluster, writer(by), from, to).await,
            Step::Delete { key } => {
                delete(cluster, KEYS[key], None).await;
                let marker = newest_name(cluster, KEYS[key]).await;
                self.state.delete(key, marker);
            }
            Step::DeleteVersion { key, index } => {
                if let Some(version) = self.state.keys[key].get(index).cloned() {
                    delete(cluster, KEYS[key], Some(version.name)).await;
                    self.state.keys[key].remove(index);
                }
            }
            Step::Begin { by, key } => self.begin(cluster, writer(by), key).await,
            Step::PutPart { by, upload, number, lengths } => {
                self.put_part(cluster, writer(by), upload, number, &lengths).await;
            }
            Step::Complete { upload, skip } => self.complete(cluster, upload, skip).await,
            Step::Abort { upload } => {
                if upload < self.state.uploads.len() {
                    let upload = self.state.uploads.remove(upload);
                    cluster.abort(&upload.target).await.unwrap();
                }
            }
            Step::Versioning(enabled) => {
                self.state.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
                let (bucket, versioning) = ("b".to_owned(), self.state.versioning);
                let request = SetVersioning { bucket, versioning, mutation: cluster.mutation() };
                cluster.set_versioning(request).await.unwrap();
            }
            Step::BucketQuota { objects, bytes } => {
                self.quotas[0] = limit(objects, bytes);
                set(cluster, self.quotas[0]).await;
            }
            Step::UserQuota { user, objects, bytes } => {
                self.quotas[user + 1] = limit(objects, bytes);
                set_user(cluster, USERS[user], self.quotas[user + 1]).await;
            }
        }
    }

    async fn put(&mut self, cluster: &Cluster, by: Writer, key: usize, lengths: &[u64]) {
        let outcome = with_user(self.sender(by), try_put(cluster, KEYS[key], lengths)).await;
        let done = outcome.as_ref().ok();
        let id = done.map_or_else(|| cluster.version(), |done| done.version);
        let name = self.state.name(done.and_then(|done| done.name), id);
        let mut after = self.state.clone();
        after.push(key, Version { name, id, length: Some(lengths.iter().sum()), by });
        self.settle(after, by, &outcome);
    }

    async fn copy(&mut self, cluster: &Cluster, by: Writer, from: usize, to: usize) {
        let Some(source) = self.state.current(from).cloned() else { return };
        let request = CopyObject {
            source: crate::cluster::reference("b", KEYS[from], source.id),
            bucket: "b".into(),
            key: KEYS[to].into(),
            version: cluster.version(),
            etag: "copy".into(),
            attributes: None,
            tags: None,
            condition: WriteCondition::None,
        };
        let id = request.version;
        let outcome = with_user(self.sender(by), cluster.copy_object(request)).await;
        let name = self.state.name(outcome.as_ref().ok().and_then(|done| done.name), id);
        let mut after = self.state.clone();
        after.push(to, Version { name, id, by, ..source });
        self.settle(after, by, &outcome);
    }

    async fn rename(&mut self, cluster: &Cluster, by: Writer, from: usize, to: usize) {
        let Some(source) = self.state.current(from).cloned() else { return };
        let request = RenameObject {
            bucket: "b".into(),
            source: KEYS[from].into(),
            source_version: source.id,
            key: KEYS[to].into(),
            destination: ExpectedObject::Any,
            version: cluster.version(),
            marker: cluster.version(),
            parameters: String::new(),
            mutation: cluster.mutation(),
        };
        let id = request.version;
        let outcome = with_user(self.sender(by), cluster.rename_object(request)).await;
        let mut after = self.state.clone();
        if from != to {
            let name = self.state.name(outcome.as_ref().ok().and_then(|done| done.name), id);
            after.push(to, Version { name, id, ..source.clone() });
            let marker = match &outcome {
                Ok(_) => newest_name(cluster, KEYS[from]).await,
                Err(_) => self.state.name(None, cluster.version()),
            };
            after.delete(from, marker);
        }
        self.settle(after, source.by, &outcome);
    }

    async fn begin(&mut self, cluster: &Cluster, by: Writer, key: usize) {
        let target = cluster.upload_ref("b", KEYS[key]);
        let request = CreateUpload {
            target: target.clone(),
            attributes: ObjectAttributes::default(),
            tags: Tags::new(),
            checksum: None,
        };
        let outcome = with_user(self.sender(by), cluster.create_upload(request)).await;
        let mut after = self.state.clone();
        after.uploads.push(Upload { target, key, by, parts: BTreeMap::new() });
        self.settle(after, by, &outcome);
    }

    async fn put_part(&mut self, cluster: &Cluster, by: Writer, upload: usize, number: u32, lengths: &[u64]) {
        let Some(target) = self.state.uploads.get(upload).map(|upload| upload.target.clone()) else { return };
        let request = cluster.new_part(&target, number, lengths);
        let part = request.part;
        let outcome = with_user(self.sender(by), cluster.put_part(request)).await;
        let mut after = self.state.clone();
        after.uploads[upload].parts.insert(number, (part, lengths.iter().sum(), by));
        self.settle(after, by, &outcome);
    }

    async fn complete(&mut self, cluster: &Cluster, upload: usize, skip: usize) {
        let Some(found) = self.state.uploads.get(upload).cloned() else { return };
        let named: Vec<_> = found
            .parts
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != skip)
            .map(|(_, (number, (part, length, _)))| (*number, *part, *length))
            .collect();
        if named.is_empty() {
            return;
        }
        let parts: Vec<_> = named.iter().map(|(number, part, _)| (*number, *part)).collect();
        let request = cluster.completion(&found.target, &parts);
        let id = request.version;
        let outcome = cluster.complete_upload(request).await;
        let name = self.state.name(outcome.as_ref().ok().and_then(|done| done.name), id);
        let length = Some(named.iter().map(|(_, _, length)| length).sum());
        let mut after = self.state.clone();
        after.uploads.remove(upload);
        after.push(found.key, Version { name, id, length, by: found.by });
        self.settle(after, found.by, &outcome);
    }

    async fn compare(&self, cluster: &Cluster) {
        let [bucket, ann, bob] = self.state.usage();
        assert_eq!(used(cluster).await, bucket);
        assert_eq!([used_by(cluster, USERS[0]).await, used_by(cluster, USERS[1]).await], [ann, bob]);
        cluster.verify().await;
    }
}

/// The name of the newest version of a key, which may be a delete marker.
async fn newest_name(cluster: &Cluster, key: &str) -> VersionName {
    match cluster.head("b", key).await {
        Ok(object) => object.name(),
        Err(MetadataError::DeleteMarker { name, .. }) => name,
        Err(MetadataError::NoSuchKey) => VersionName::Null,
        Err(error) => panic!("{error}"),
    }
}

/// Gateways ask for the room of quotas only where there is one. What they remember ends with each change of a quota.
async fn gateways_learn_who_has_a_quota(cluster: &Cluster) {
    cluster.bucket("b").await;
    let id = user(cluster, "alice").await;
    let owner = KeyOwner { account: "000000000000".into(), user: Some("alice".into()) };
    let create = CreateAccessKey { owner, given: None, mutation: cluster.mutation() };
    let key = AccessKeyRef::long_term(&cluster.iam.create_access_key(create).await.unwrap().access_key);
    let open = OpenSession {
        account: "000000000000".into(),
        of: SessionOf::User { id },
        length_s: 3600,
        policy: None,
        policy_arns: Vec::new(),
    };
    let session = cluster.iam.open_session(open).await.unwrap();
    let of_session = AccessKeyRef { access_key: session.access_key, token: Some(session.token) };
    let remembered = async || {
        let bucket = cluster.get_bucket_configurations(BucketRef { bucket: "b".into() }).await.unwrap();
        let mut holders = Vec::new();
        for key in [&key, &of_session] {
            holders.push(cluster.find_access_key(key.clone()).await.unwrap().unwrap().has_quota);
        }
        (bucket.has_quota, holders, bucket.epoch)
    };
    let (bucket, holders, before) = remembered().await;
    assert_eq!((bucket, holders), (false, vec![false, false]));
    set(cluster, limit(Some(1), None)).await;
    let (bucket, holders, with_bucket) = remembered().await;
    assert_eq!((bucket, holders), (true, vec![false, false]));
    set_user(cluster, "alice", limit(None, Some(1))).await;
    let (bucket, holders, with_user) = remembered().await;
    assert_eq!((bucket, holders), (true, vec![true, true]));
    set(cluster, Quota::default()).await;
    set_user(cluster, "alice", Quota::default()).await;
    let (bucket, holders, after) = remembered().await;
    assert_eq!((bucket, holders), (false, vec![false, false]));
    let epochs = [before, with_bucket, with_user, after];
    assert!(epochs.windows(2).all(|pair| pair[0] != pair[1]), "{epochs:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
    #[test]
    fn any_sequence_of_operations_uses_and_is_refused_what_the_model_says(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::in_process().await;
            cluster.bucket("b").await;
            let users = vec![user(&cluster, USERS[0]).await, user(&cluster, USERS[1]).await];
            let mut model = Model { state: State::default(), quotas: [Quota::default(); 3], users };
            for step in steps {
                model.apply(&cluster, step).await;
                model.compare(&cluster).await;
            }
        });
    }
}
