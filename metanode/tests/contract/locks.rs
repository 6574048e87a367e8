//! Object Lock: no sequence of calls, settings of the clock and restarts removes a version before its time.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_protocol::admin::{AdvanceLockClock, LockClockRequest};
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::metadata::*;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::cluster::Cluster;

contract! {
    a_locked_version_is_not_deleted_and_others_of_the_same_call_are,
    governance_is_bypassed_and_compliance_and_holds_are_not,
    a_retention_is_extended_and_not_shortened,
    new_versions_get_the_default_and_their_own_lock_comes_first,
    a_lock_needs_a_bucket_with_object_lock,
    a_bucket_with_object_lock_keeps_its_versioning_and_its_versions,
    a_repeated_change_of_a_lock_undoes_nothing,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn retention(mode: RetentionMode, until: Timestamp) -> Option<Retention> {
    Some(Retention { mode, until })
}

async fn locked_bucket(cluster: &Cluster) {
    let create = CreateBucket { object_lock: true, ..CreateBucket::new("b", "us-east-1") };
    let made = cluster.create_bucket(create).await.unwrap();
    assert_eq!((made.versioning, made.object_lock), (Versioning::Enabled, Some(BucketLock::default())));
}

async fn put(cluster: &Cluster, key: &str, lock: Option<ObjectLock>) -> VersionName {
    let attributes = ObjectAttributes { lock, ..ObjectAttributes::default() };
    let object = CommitObject { attributes, ..cluster.object("b", key, "e", &[]) };
    cluster.commit_object(object).await.unwrap().name.unwrap()
}

async fn lock_of(
    cluster: &Cluster,
    key: &str,
    version: VersionName,
) -> Result<Option<ObjectLock>, MetadataError> {
    let (bucket, key, range) = ("b".to_owned(), key.to_owned(), LookupRange::Whole);
    let request = LookupObject { bucket, key, version: Some(version), range, extents_max: 0 };
    Ok(cluster.lookup_object(request).await?.object.attributes.lock)
}

async fn delete(
    cluster: &Cluster,
    key: &str,
    version: Option<VersionName>,
    bypass_governance: bool,
) -> Result<Deleted, MetadataError> {
    let object =
        DeleteObject { key: key.to_owned(), condition: WriteCondition::None, version, bypass_governance };
    let request = DeleteObjects { bucket: "b".into(), objects: vec![object], mutation: cluster.mutation() };
    cluster.delete_objects(request).await.unwrap().pop().unwrap()
}

fn change(cluster: &Cluster, key: &str, version: VersionName, change: LockChange) -> PutObjectLock {
    let (bucket, key, mutation) = ("b".to_owned(), key.to_owned(), cluster.mutation());
    PutObjectLock { bucket, key, version: Some(version), change, mutation }
}

async fn retain(
    cluster: &Cluster,
    version: VersionName,
    retention: Option<Retention>,
    bypass_governance: bool,
) -> Result<(), MetadataError> {
    let wanted = LockChange::Retention { retention, bypass_governance };
    cluster.put_object_lock(change(cluster, "k", version, wanted)).await.map(drop)
}

async fn hold(cluster: &Cluster, version: VersionName, held: bool) {
    cluster.put_object_lock(change(cluster, "k", version, LockChange::LegalHold(held))).await.unwrap();
}

async fn a_locked_version_is_not_deleted_and_others_of_the_same_call_are(cluster: &Cluster) {
    locked_bucket(cluster).await;
    let until = cluster.env.now().after(DAY);
    let lock = ObjectLock { retention: retention(RetentionMode::Compliance, until), legal_hold: None };
    let locked = put(cluster, "locked", Some(lock)).await;
    let free = put(cluster, "free", None).await;
    let object = |key: &str, name| DeleteObject {
        key: key.to_owned(),
        condition: WriteCondition::None,
        version: Some(name),
        bypass_governance: true,
    };
    let request = DeleteObjects {
        bucket: "b".into(),
        objects: vec![object("locked", locked), object("free", free)],
        mutation: cluster.mutation(),
    };
    let answers = cluster.delete_objects(request).await.unwrap();
    assert_eq!(answers[0], Err(MetadataError::ObjectLocked));
    assert!(answers[1].is_ok());
    assert_eq!(lock_of(cluster, "locked", locked).await, Ok(Some(lock)));
    assert_eq!(lock_of(cluster, "free", free).await, Err(MetadataError::NoSuchVersion));
    // A lock does not keep a delete marker from being put on top, nor the marker from being deleted.
    let marker = delete(cluster, "locked", None, false).await.unwrap().marker;
    assert!(marker.is_some() && delete(cluster, "locked", marker, false).await.is_ok());
    assert_eq!(lock_of(cluster, "locked", locked).await, Ok(Some(lock)));
}

async fn governance_is_bypassed_and_compliance_and_holds_are_not(cluster: &Cluster) {
    locked_bucket(cluster).await;
    let until = cluster.env.now().after(DAY);
    for (mode, legal_hold, bypass, deleted) in [
        (RetentionMode::Governance, None, false, false),
        (RetentionMode::Governance, Some(false), true, true),
        (RetentionMode::Governance, Some(true), true, false),
        (RetentionMode::Compliance, None, true, false),
    ] {
        let lock = ObjectLock { retention: retention(mode, until), legal_hold };
        let version = put(cluster, "k", Some(lock)).await;
        let outcome = delete(cluster, "k", Some(version), bypass).await;
        assert_eq!(outcome.is_ok(), deleted, "{lock:?} {bypass}");
    }
    // A hold holds without a retention, until it is switched off.
    let version = put(cluster, "k", Some(ObjectLock { retention: None, legal_hold: Some(true) })).await;
    assert_eq!(delete(cluster, "k", Some(version), true).await, Err(MetadataError::ObjectLocked));
    hold(cluster, version, false).await;
    assert_eq!(lock_of(cluster, "k", version).await.unwrap().unwrap().legal_hold, Some(false));
    assert!(delete(cluster, "k", Some(version), false).await.is_ok());
}

async fn a_retention_is_extended_and_not_shortened(cluster: &Cluster) {
    use RetentionMode::{Compliance, Governance};
    locked_bucket(cluster).await;
    let now = cluster.env.now();
    let (sooner, until, later) = (now.after(DAY), now.after(DAY * 2), now.after(DAY * 3));
    for (old, new, bypass, allowed) in [
        (None, retention(Governance, until), false, true),
        (None, retention(Compliance, until), false, true),
        (retention(Governance, until), retention(Governance, later), false, true),
        (retention(Governance, until), retention(Governance, until), false, true),
        (retention(Governance, until), retention(Governance, sooner), false, false),
        (retention(Governance, until), retention(Governance, sooner), true, true),
        (retention(Governance, until), retention(Compliance, later), false, false),
        (retention(Governance, until), retention(Compliance, sooner), true, true),
        (retention(Governance, until), None, false, false),
        (retention(Governance, until), None, true, true),
        (retention(Compliance, until), retention(Compliance, later), false, true),
        (retention(Compliance, until), retention(Compliance, sooner), true, false),
        (retention(Compliance, until), retention(Governance, later), true, false),
        (retention(Compliance, until), None, true, false),
        // A retention that has ended stands against nothing.
        (retention(Compliance, now.before(DAY)), retention(Governance, sooner), false, true),
        (retention(Compliance, now.before(DAY)), None, false, true),
    ] {
        let lock = old.map(|old| ObjectLock { retention: Some(old), legal_hold: None });
        let version = put(cluster, "k", lock).await;
        let outcome = retain(cluster, version, new, bypass).await;
        let wanted = if allowed { Ok(()) } else { Err(MetadataError::ObjectLocked) };
        assert_eq!(outcome, wanted, "{old:?} to {new:?}, bypass: {bypass}");
        let kept = lock_of(cluster, "k", version).await.unwrap().and_then(|lock| lock.retention);
        assert_eq!(kept, if allowed { new } else { old });
    }
}

async fn set_default(cluster: &Cluster, period: RetentionPeriod) -> Result<(), MetadataError> {
    let default_retention = Some(DefaultRetention { mode: RetentionMode::Governance, period });
    let (bucket, lock, mutation) = ("b".to_owned(), BucketLock { default_retention }, cluster.mutation());
    cluster.set_bucket_lock(SetBucketLock { bucket, lock, mutation }).await
}

async fn new_versions_get_the_default_and_their_own_lock_comes_first(cluster: &Cluster) {
    locked_bucket(cluster).await;
    let before = put(cluster, "k", None).await;
    set_default(cluster, RetentionPeriod::Days(2)).await.unwrap();
    assert_eq!(lock_of(cluster, "k", before).await, Ok(None), "the default is for new versions");
    let until = |lock: Option<ObjectLock>| lock.unwrap().retention.unwrap().until;

    let own = ObjectLock {
        retention: retention(RetentionMode::Compliance, cluster.env.now().after(DAY)),
        legal_hold: Some(true),
    };
    let version = put(cluster, "k", Some(own)).await;
    assert_eq!(lock_of(cluster, "k", version).await, Ok(Some(own)));

    // A PUT, a copy and an upload each count from the time at which the version is made.
    let held = ObjectLock { retention: None, legal_hold: Some(true) };
    let version = put(cluster, "k", Some(held)).await;
    let object = cluster.head("b", "k").await.unwrap();
    let lock = lock_of(cluster, "k", version).await.unwrap();
    assert_eq!(until(lock), object.modified_at.after(DAY * 2));
    assert_eq!(lock.unwrap().legal_hold, Some(true));

    let copy = CopyObject {
        source: object.reference("b"),
        bucket: "b".into(),
        key: "copy".into(),
        version: cluster.version(),
        etag: "e".into(),
        attributes: None,
        tags: None,
        condition: WriteCondition::None,
    };
    let copied = cluster.copy_object(copy).await.unwrap();
    let lock = lock_of(cluster, "copy", copied.name.unwrap()).await.unwrap();
    assert_eq!((until(lock), lock.unwrap().legal_hold), (copied.modified_at.after(DAY * 2), None));

    let target = cluster.upload_ref("b", "joined");
    let attributes = ObjectAttributes { lock: Some(held), ..ObjectAttributes::default() };
    let create = CreateUpload { target: target.clone(), attributes, tags: Tags::new(), checksum: None };
    cluster.create_upload(create).await.unwrap();
    let part = cluster.add(&target, 1, &[4]).await;
    let joined = cluster.complete_upload(cluster.completion(&target, &[part])).await.unwrap();
    let lock = lock_of(cluster, "joined", joined.name.unwrap()).await.unwrap();
    assert_eq!((until(lock), lock.unwrap().legal_hold), (joined.modified_at.after(DAY * 2), Some(true)));

    // Years are those of the calendar.
    set_default(cluster, RetentionPeriod::Years(1)).await.unwrap();
    let version = put(cluster, "k", None).await;
    let made = cluster.head("b", "k").await.unwrap().modified_at;
    let days = until(lock_of(cluster, "k", version).await.unwrap()).since(made).as_secs() / DAY.as_secs();
    assert!((365..=366).contains(&days), "{days}");
    for wrong in [
        RetentionPeriod::Days(0),
        RetentionPeriod::Days(36_501),
        RetentionPeriod::Years(0),
        RetentionPeriod::Years(101),
    ] {
        let refused = set_default(cluster, wrong).await;
        assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{wrong:?}");
    }
    // Without a default, new versions are free again.
    let lock =
        SetBucketLock { bucket: "b".into(), lock: BucketLock::default(), mutation: cluster.mutation() };
    cluster.set_bucket_lock(lock).await.unwrap();
    let version = put(cluster, "k", None).await;
    assert_eq!(lock_of(cluster, "k", version).await, Ok(None));
}

async fn a_lock_needs_a_bucket_with_object_lock(cluster: &Cluster) {
    cluster.bucket("b").await;
    let lock = Some(ObjectLock { retention: None, legal_hold: Some(true) });
    let attributes = ObjectAttributes { lock, ..ObjectAttributes::default() };
    let object = CommitObject { attributes: attributes.clone(), ..cluster.object("b", "k", "e", &[3]) };
    assert_eq!(cluster.commit_object(object).await, Err(MetadataError::NoObjectLock));
    assert_eq!(cluster.head("b", "k").await, Err(MetadataError::NoSuchKey));
    let target = cluster.upload_ref("b", "k");
    let create = CreateUpload { target, attributes, tags: Tags::new(), checksum: None };
    assert_eq!(cluster.create_upload(create).await.err(), Some(MetadataError::NoObjectLock));

    cluster.put("b", "k", "e", &[3]).await;
    let wanted = change(cluster, "k", VersionName::Null, LockChange::LegalHold(true));
    assert_eq!(cluster.put_object_lock(wanted).await, Err(MetadataError::NoObjectLock));
    let refused = set_default(cluster, RetentionPeriod::Days(1)).await;
    assert_eq!(refused, Err(MetadataError::VersioningNotEnabled { bucket: "b".into() }));

    // Once it has versioning, it can get Object Lock, and the null version from before can be locked.
    let request =
        SetVersioning { bucket: "b".into(), versioning: Versioning::Enabled, mutation: cluster.mutation() };
    cluster.set_versioning(request).await.unwrap();
    set_default(cluster, RetentionPeriod::Days(1)).await.unwrap();
    hold(cluster, VersionName::Null, true).await;
    assert_eq!(delete(cluster, "k", Some(VersionName::Null), true).await, Err(MetadataError::ObjectLocked));
    let missing = change(cluster, "none", VersionName::Null, LockChange::LegalHold(true));
    assert_eq!(cluster.put_object_lock(missing).await, Err(MetadataError::NoSuchVersion));
}

async fn a_bucket_with_object_lock_keeps_its_versioning_and_its_versions(cluster: &Cluster) {
    locked_bucket(cluster).await;
    let version = put(cluster, "k", Some(ObjectLock { retention: None, legal_hold: Some(true) })).await;
    let set = |versioning| SetVersioning { bucket: "b".into(), versioning, mutation: cluster.mutation() };
    let refused = cluster.set_versioning(set(Versioning::Suspended)).await;
    assert_eq!(refused, Err(MetadataError::VersioningLocked { bucket: "b".into() }));
    cluster.set_versioning(set(Versioning::Enabled)).await.unwrap();
    delete(cluster, "k", None, true).await.unwrap();
    assert_eq!(
        cluster.delete_bucket_of("b").await,
        Err(MetadataError::BucketNotEmpty { bucket: "b".into() })
    );
    // Neither a new version nor a copy over it takes its place.
    put(cluster, "k", None).await;
    assert!(lock_of(cluster, "k", version).await.unwrap().is_some());
}

async fn a_repeated_change_of_a_lock_undoes_nothing(cluster: &Cluster) {
    locked_bucket(cluster).await;
    let version = put(cluster, "k", None).await;
    let first = change(cluster, "k", version, LockChange::LegalHold(false));
    let answer = cluster.put_object_lock(first.clone()).await.unwrap();
    hold(cluster, version, true).await;
    assert_eq!(cluster.put_object_lock(first).await.unwrap(), answer);
    assert_eq!(lock_of(cluster, "k", version).await.unwrap().unwrap().legal_hold, Some(true));

    let (bucket, lock, mutation) = ("b".to_owned(), BucketLock::default(), cluster.mutation());
    let first = SetBucketLock { bucket, lock, mutation };
    cluster.set_bucket_lock(first.clone()).await.unwrap();
    set_default(cluster, RetentionPeriod::Days(1)).await.unwrap();
    cluster.set_bucket_lock(first).await.unwrap();
    let info = cluster.get_bucket(BucketRef { bucket: "b".into() }).await.unwrap();
    assert!(info.object_lock.unwrap().default_retention.is_some());
}

/// A metanode that is started again and again on one directory, with wall clocks that differ.
struct Restarted {
    cluster: Cluster,
    clock: ManualClock,
    directory: TempDir,
}

const START: Timestamp = Timestamp(1_700_000_000_000);

impl Restarted {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, START);
        let cluster = Cluster::in_directory_with(directory.path(), env, None).await;
        locked_bucket(&cluster).await;
        Self { cluster, clock, directory }
    }

    /// Restarts the metanode at a time of the wall clock.
    async fn at(self, wall: Timestamp) -> Self {
        self.cluster.metanode.close().await;
        let Self { cluster, directory, .. } = self;
        drop(cluster);
        // Another seed, so that ids are new.
        let (env, clock) = Env::manual(wall.0, wall);
        let cluster = Cluster::in_directory_with(directory.path(), env, None).await;
        Self { cluster, clock, directory }
    }
}

#[tokio::test]
async fn a_lock_ends_at_its_time_and_not_when_the_wall_clock_leaps() {
    let world = Restarted::new().await;
    let until = START.after(DAY * 30);
    let lock = ObjectLock { retention: retention(RetentionMode::Compliance, until), legal_hold: None };
    let version = put(&world.cluster, "k", Some(lock)).await;
    world.clock.set_wall(365 * 86_400_000);
    let locked = Err(MetadataError::ObjectLocked);
    assert_eq!(delete(&world.cluster, "k", Some(version), true).await, locked);
    world.clock.set_wall(-365 * 86_400_000);
    // A start with a clock that is a year ahead believes a day of it.
    let world = world.at(START.after(DAY * 365)).await;
    assert_eq!(delete(&world.cluster, "k", Some(version), true).await, locked);
    world.clock.advance(DAY * 28);
    assert_eq!(delete(&world.cluster, "k", Some(version), true).await, locked);
    world.clock.advance(DAY);
    delete(&world.cluster, "k", Some(version), false).await.unwrap();
    world.cluster.verify().await;
}

#[tokio::test]
async fn after_a_long_stop_an_operators_word_ends_what_is_due() {
    let world = Restarted::new().await;
    let lock = ObjectLock {
        retention: retention(RetentionMode::Governance, START.after(DAY * 5)),
        legal_hold: None,
    };
    let version = put(&world.cluster, "k", Some(lock)).await;
    let world = world.at(START.after(DAY * 10)).await;
    assert_eq!(delete(&world.cluster, "k", Some(version), false).await, Err(MetadataError::ObjectLocked));
    let admin = world.cluster.metanode.admin();
    let status = admin.lock_clock(LockClockRequest {}).await.unwrap();
    assert_eq!((status.time, status.behind_ms), (START.after(DAY), 9 * 86_400_000));
    let status = admin.advance_lock_clock(AdvanceLockClock { until: status.wall }).await.unwrap();
    assert_eq!((status.time, status.behind_ms), (START.after(DAY * 10), 0));
    // It is remembered, also if the clock of the next start is wrong.
    let world = world.at(START).await;
    delete(&world.cluster, "k", Some(version), false).await.unwrap();
}

/// A default retention that counted from a wall clock that was set back would end before it began.
#[tokio::test]
async fn a_wall_clock_that_is_set_back_shortens_no_default_retention() {
    let world = Restarted::new().await;
    set_default(&world.cluster, RetentionPeriod::Days(1)).await.unwrap();
    put(&world.cluster, "earlier", None).await;
    world.clock.set_wall(-1000 * 86_400_000);
    let version = put(&world.cluster, "k", None).await;
    let lock = lock_of(&world.cluster, "k", version).await.unwrap().unwrap();
    assert_eq!(lock.retention.unwrap().until, START.after(DAY));
    assert_eq!(delete(&world.cluster, "k", Some(version), false).await, Err(MetadataError::ObjectLocked));
}

#[derive(Clone, Debug)]
enum Step {
    Put { lock: Option<(bool, u64)>, held: Option<bool> },
    Delete { version: usize, bypass: bool },
    Marker,
    Retain { version: usize, compliance: bool, hours: u64, bypass: bool },
    Unretain { version: usize, bypass: bool },
    Hold { version: usize, held: bool },
    Suspend,
    DeleteBucket,
    Pass { hours: u64 },
    SetWall { hours: i64 },
    Restart { wall_hours: i64, off_hours: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let hours = || 0u64..200;
    let version = || 0usize..6;
    prop_oneof![
        4 => (proptest::option::of((any::<bool>(), hours())), proptest::option::weighted(0.2, any::<bool>()))
            .prop_map(|(lock, held)| Step::Put { lock, held }),
        6 => (version(), any::<bool>()).prop_map(|(version, bypass)| Step::Delete { version, bypass }),
        1 => Just(Step::Marker),
        3 => (version(), any::<bool>(), hours(), any::<bool>())
            .prop_map(|(version, compliance, hours, bypass)| Step::Retain { version, compliance, hours, bypass }),
        1 => (version(), any::<bool>()).prop_map(|(version, bypass)| Step::Unretain { version, bypass }),
        1 => (version(), any::<bool>()).prop_map(|(version, held)| Step::Hold { version, held }),
        1 => Just(Step::Suspend),
        1 => Just(Step::DeleteBucket),
        3 => hours().prop_map(|hours| Step::Pass { hours }),
        2 => (-400i64..400).prop_map(|hours| Step::SetWall { hours }),
        1 => (-400i64..400, hours()).prop_map(|(wall_hours, off_hours)| Step::Restart { wall_hours, off_hours }),
    ]
}

/// What the model knows of a version: the time until which each mode was promised to hold, by the time that really passed, and
/// whether a hold is on.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    governance: Option<u64>,
    compliance: Option<u64>,
    held: bool,
}

/// The naive model: time is an hour hand that no clock can move, and a promise is broken when a version goes before its hour.
#[derive(Default)]
struct Promises {
    versions: BTreeMap<usize, (VersionName, Promise)>,
    /// Hours that really passed since [`START`], with and without a metanode.
    passed: u64,
    /// Those with one.
    ran: u64,
}

impl Promises {
    /// The latest hour that the metanode can rightly believe it to be: a day of stops in thirty.
    fn latest(&self) -> u64 {
        self.passed + 24 + self.ran / 30 + 1
    }

    /// Whether the version may be gone.
    fn may_go(&self, promise: Promise, bypass: bool) -> bool {
        let over = |until: Option<u64>| until.is_none_or(|until| until <= self.latest());
        !promise.held && over(promise.compliance) && (bypass || over(promise.governance))
    }

    fn set(promise: &mut Promise, compliance: bool, until: Option<u64>) {
        (promise.governance, promise.compliance) = if compliance { (None, until) } else { (until, None) };
    }
}

fn mode(compliance: bool) -> RetentionMode {
    if compliance { RetentionMode::Compliance } else { RetentionMode::Governance }
}

const HOUR: Duration = Duration::from_secs(3600);

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = Restarted::new().await;
    // While there is no lock at all, a start sets the clock for locks to the wall clock.
    put(&world.cluster, "first", Some(ObjectLock { retention: None, legal_hold: Some(true) })).await;
    let mut model = Promises::default();
    let mut made = 0;
    for step in steps {
        let cluster = &world.cluster;
        let at = |hours: u64| START.after(HOUR * u32::try_from(hours).unwrap());
        match step {
            Step::Put { lock, held } => {
                let until = |hours: u64| model.passed + hours;
                let retention = lock
                    .map(|(compliance, hours)| Retention { mode: mode(compliance), until: at(until(hours)) });
                let mut promise = Promise { held: held == Some(true), ..Promise::default() };
                if let Some((compliance, hours)) = lock {
                    Promises::set(&mut promise, compliance, Some(until(hours)));
                }
                let version = put(cluster, "k", Some(ObjectLock { retention, legal_hold: held })).await;
                model.versions.insert(made % 6, (version, promise));
                made += 1;
            }
            Step::Delete { version, bypass } => {
                let Some((name, promise)) = model.versions.get(&version).copied() else { continue };
                let outcome = delete(cluster, "k", Some(name), bypass).await;
                let is_there = lock_of(cluster, "k", name).await.is_ok();
                prop_assert_eq!(is_there, outcome.is_err());
                if !is_there {
                    prop_assert!(model.may_go(promise, bypass), "{:?} at {}", promise, model.passed);
                    model.versions.remove(&version);
                }
            }
            Step::Marker => drop(delete(cluster, "k", None, true).await.unwrap()),
            Step::Retain { version, compliance, hours, bypass } => {
                let Some((name, promise)) = model.versions.get_mut(&version) else { continue };
                let (name, until) = (*name, model.passed + hours);
                let wanted = Some(Retention { mode: mode(compliance), until: at(until) });
                if retain(cluster, name, wanted, bypass).await.is_ok() {
                    let latest = model.passed + 24 + model.ran / 30 + 1;
                    let kept =
                        promise.compliance.is_none_or(|old| old <= latest || (compliance && until >= old));
                    prop_assert!(kept, "{:?} became {:?}", promise, wanted);
                    let kept = bypass
                        || promise
                            .governance
                            .is_none_or(|old| old <= latest || (!compliance && until >= old));
                    prop_assert!(kept, "{:?} became {:?}", promise, wanted);
                    Promises::set(promise, compliance, Some(until));
                }
            }
            Step::Unretain { version, bypass } => {
                let Some((name, promise)) = model.versions.get(&version).copied() else { continue };
                if retain(cluster, name, None, bypass).await.is_ok() {
                    let unheld = Promise { held: false, ..promise };
                    prop_assert!(model.may_go(unheld, bypass), "{:?} at {}", promise, model.passed);
                    model
                        .versions
                        .insert(version, (name, Promise { held: promise.held, ..Promise::default() }));
                }
            }
            Step::Hold { version, held } => {
                let Some((name, promise)) = model.versions.get_mut(&version) else { continue };
                promise.held = held;
                hold(cluster, *name, held).await;
            }
            Step::Suspend => {
                let versioning = Versioning::Suspended;
                let request = SetVersioning { bucket: "b".into(), versioning, mutation: cluster.mutation() };
                prop_assert!(cluster.set_versioning(request).await.is_err());
            }
            Step::DeleteBucket => {
                if !model.versions.is_empty() {
                    prop_assert!(cluster.delete_bucket_of("b").await.is_err());
                }
            }
            Step::Pass { hours } => {
                world.clock.advance(HOUR * u32::try_from(hours).unwrap());
                (model.passed, model.ran) = (model.passed + hours, model.ran + hours);
            }
            Step::SetWall { hours } => world.clock.set_wall(hours * 3_600_000),
            Step::Restart { wall_hours, off_hours } => {
                model.passed += off_hours;
                let wall = at(model.passed).0.saturating_add_signed(wall_hours * 3_600_000);
                world = world.at(Timestamp(wall)).await;
            }
        }
        for (name, _) in model.versions.values() {
            prop_assert!(lock_of(&world.cluster, "k", *name).await.is_ok(), "a version is gone");
        }
    }
    world.cluster.verify().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_steps_removes_a_version_before_its_time(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
