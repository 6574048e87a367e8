//! The lifecycle of objects, with time that passes when the test says so. A day has ten seconds here.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_lifecycle::{
    Expiration, Filter, FilterForm, NoncurrentExpiration, NoncurrentTransition, Rule, RuleSet, Transition,
    When,
};
use cairn_protocol::admin::{
    Admin, ExplainLifecycle, LifecycleAction, LifecycleExplanation, LifecycleRequest, WorkerActivity,
    WorkerName,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;

use super::cluster::TestCluster;
use super::support::TestStore;
use crate::block_manager::BlockManagerConfig;

const DAY: Duration = Duration::from_secs(10);
const BUCKET: &str = "kept";

async fn new(nodes: usize) -> TestStore {
    let config = BlockManagerConfig {
        lifecycle_day: DAY,
        storage_classes: BTreeMap::from([("COLD".to_owned(), 1), ("HOT".to_owned(), 3)]),
        ..BlockManagerConfig::default()
    };
    let store = TestStore::over(TestCluster::with(config, nodes).await);
    store.make_bucket(BUCKET).await;
    store
}

async fn versioned(state: Versioning, store: &TestStore) {
    let set = SetVersioning { bucket: BUCKET.to_owned(), versioning: state, mutation: None };
    store.namespace.set_versioning(set).await.unwrap();
}

fn rule(id: &str) -> Rule {
    Rule { id: id.to_owned(), is_enabled: true, form: FilterForm::Empty, ..Rule::default() }
}

fn expires(days: u32) -> Option<Expiration> {
    Some(Expiration::At(When::Days(days)))
}

async fn put_rules(store: &TestStore, rules: Vec<Rule>) {
    let document =
        (!rules.is_empty()).then(|| serde_json::to_string(&RuleSet { rules, ..RuleSet::default() }).unwrap());
    let put = PutBucketConfiguration {
        bucket: BUCKET.to_owned(),
        kind: ConfigurationKind::Lifecycle,
        document,
        expected_revision: None,
        mutation: None,
    };
    store.namespace.put_bucket_configuration(put).await.unwrap();
}

/// Runs the worker until it has nothing to do. Returns the number of its steps.
async fn run(store: &mut TestStore) -> u32 {
    for steps in 0..10_000 {
        store.cluster.step(WorkerName::Lifecycle).await;
        if store.cluster.worker(WorkerName::Lifecycle).await.activity == WorkerActivity::Resting {
            return steps;
        }
    }
    panic!("the worker does not come to rest");
}

/// Lets days pass, and runs the worker.
async fn days(store: &mut TestStore, days: u32) {
    store.cluster.clock.advance(DAY * days);
    run(store).await;
}

/// The versions of the bucket as `key`, or `key (marker)`, from the newest of each key on.
async fn versions(store: &TestStore) -> Vec<String> {
    let list = ListVersions {
        bucket: BUCKET.to_owned(),
        prefix: String::new(),
        delimiter: None,
        after: None,
        max: 10_000,
    };
    let page = store.namespace.list_versions(list).await.unwrap();
    page.entries
        .into_iter()
        .map(|entry| match entry {
            VersionEntry::Version(version) if version.is_delete_marker => {
                format!("{} (marker)", version.object.key)
            }
            VersionEntry::Version(version) => version.object.key,
            VersionEntry::CommonPrefix(prefix) => prefix,
        })
        .collect()
}

async fn head(store: &TestStore, key: &str) -> ObjectVersion {
    let request = LookupObject {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    store.namespace.lookup_object(request).await.unwrap().object
}

async fn explain(store: &TestStore, key: &str) -> LifecycleExplanation {
    let request = ExplainLifecycle { bucket: BUCKET.to_owned(), key: key.to_owned() };
    store.cluster.blocks.explain_lifecycle(request).await.unwrap()
}

/// How many versions have a due time.
async fn scheduled(store: &TestStore) -> i64 {
    let mut reader = store.cluster.store.read().await.unwrap();
    crate::store::lifecycle::count_scheduled(&mut reader).await.unwrap()
}

async fn hold(store: &TestStore, key: &str, change: LockChange) {
    let put = PutObjectLock {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        version: None,
        change,
        mutation: None,
    };
    store.namespace.put_object_lock(put).await.unwrap();
}

async fn with_locks(store: &TestStore) {
    versioned(Versioning::Enabled, store).await;
    let lock = SetBucketLock { bucket: BUCKET.to_owned(), lock: BucketLock::default(), mutation: None };
    store.namespace.set_bucket_lock(lock).await.unwrap();
}

#[tokio::test]
async fn an_object_expires_at_the_midnight_after_its_days_and_others_stay() {
    let mut store = new(1).await;
    let filter = Filter { prefix: "logs/".to_owned(), ..Filter::default() };
    put_rules(&store, vec![Rule { expiration: expires(2), filter, ..rule("logs") }]).await;
    run(&mut store).await;
    store.cluster.clock.advance(Duration::from_secs(3));
    for key in ["logs/a", "other"] {
        store.put(BUCKET, key, &[]).await;
    }
    assert_eq!(scheduled(&store).await, 1, "only what a rule is about is in the index");
    // Made three seconds after a midnight: two days later it is not midnight yet.
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await, ["logs/a", "other"]);
    store.cluster.new_events();
    store.cluster.clock.advance(Duration::from_secs(7));
    run(&mut store).await;
    assert_eq!(versions(&store).await, ["other"]);
    let events = store.cluster.new_events();
    let expired = events.iter().filter(|event| {
        matches!(event, EventKind::LifecycleApplied { key, action: LifecycleAction::Expire, rule, .. }
                 if key == "logs/a" && rule == "logs")
    });
    assert_eq!(expired.count(), 1);
    let status = store.cluster.worker(WorkerName::Lifecycle).await;
    assert!(status.done == 1 && status.doing.contains("expired 1 objects"), "{status:?}");
    store.cluster.verify().await;
}

#[tokio::test]
async fn objects_from_before_the_rules_are_found_and_a_restart_in_the_middle_does_no_harm() {
    let mut store = new(1).await;
    for number in 0..450 {
        store.put(BUCKET, &format!("k{number:03}"), &[]).await;
    }
    assert_eq!(scheduled(&store).await, 0);
    put_rules(&store, vec![Rule { expiration: expires(1), ..rule("r") }]).await;
    store.cluster.step(WorkerName::Lifecycle).await;
    assert_eq!(scheduled(&store).await, 200, "a step, and no more");
    store.restart().await;
    let list = store.cluster.blocks.lifecycle(LifecycleRequest {}).await.unwrap();
    assert_eq!((list.buckets.len(), list.buckets[0].looked_at), (1, Some(200)), "it goes on where it was");
    run(&mut store).await;
    assert_eq!(scheduled(&store).await, 450);
    store.cluster.clock.advance(DAY * 2);
    let list = store.cluster.blocks.lifecycle(LifecycleRequest {}).await.unwrap();
    assert_eq!((list.overdue, list.buckets[0].overdue, list.buckets[0].looked_at), (450, 450, None));
    store.cluster.step(WorkerName::Lifecycle).await;
    assert_eq!(versions(&store).await.len(), 425, "a step, and no more");
    store.restart().await;
    run(&mut store).await;
    assert_eq!(versions(&store).await.len(), 0);
}

#[tokio::test]
async fn rules_that_are_replaced_during_a_walk_are_the_ones_that_count() {
    let mut store = new(1).await;
    for number in 0..450 {
        store.put(BUCKET, &format!("k{number:03}"), &[]).await;
    }
    put_rules(&store, vec![Rule { expiration: expires(1), ..rule("short") }]).await;
    store.cluster.step(WorkerName::Lifecycle).await;
    put_rules(&store, vec![Rule { expiration: expires(100), ..rule("long") }]).await;
    run(&mut store).await;
    days(&mut store, 3).await;
    assert_eq!(versions(&store).await.len(), 450);
    assert_eq!(scheduled(&store).await, 450);
    // Without rules nothing is in the index any more.
    put_rules(&store, vec![]).await;
    run(&mut store).await;
    assert_eq!(scheduled(&store).await, 0);
    days(&mut store, 200).await;
    assert_eq!(versions(&store).await.len(), 450);
    assert_eq!(store.cluster.blocks.lifecycle(LifecycleRequest {}).await.unwrap().buckets, []);
}

#[tokio::test]
async fn with_versioning_a_marker_is_put_on_top_then_the_version_ends_and_then_the_marker() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    put_rules(
        &store,
        vec![
            Rule {
                expiration: expires(1),
                noncurrent_expiration: Some(NoncurrentExpiration { days: 2, newer_kept: 0 }),
                ..rule("age")
            },
            Rule { expiration: Some(Expiration::DeleteMarkers), ..rule("markers") },
        ],
    )
    .await;
    run(&mut store).await;
    store.put(BUCKET, "k", &[]).await;
    days(&mut store, 1).await;
    assert_eq!(versions(&store).await, ["k (marker)", "k"]);
    days(&mut store, 1).await;
    assert_eq!(versions(&store).await, ["k (marker)", "k"]);
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await.len(), 0, "the marker goes as soon as it is alone");
    store.cluster.verify().await;
}

#[tokio::test]
async fn while_versioning_is_suspended_the_null_version_ends_and_versions_with_ids_stay() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    store.put(BUCKET, "k", &[]).await;
    store.put(BUCKET, "with-id", &[]).await;
    versioned(Versioning::Suspended, &store).await;
    store.put(BUCKET, "k", &[]).await;
    put_rules(&store, vec![Rule { expiration: expires(1), ..rule("r") }]).await;
    run(&mut store).await;
    days(&mut store, 2).await;
    // Of k the null version was replaced by the marker, which is a null version too.
    assert_eq!(versions(&store).await, ["k (marker)", "k", "with-id (marker)", "with-id"]);
}

/// Newer noncurrent versions are kept whatever their age. Which version is the first that is not changes with each write.
#[tokio::test]
async fn newer_noncurrent_versions_are_kept_in_a_key_of_ten_thousand() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    let end = Some(NoncurrentExpiration { days: 1, newer_kept: 3 });
    put_rules(&store, vec![Rule { noncurrent_expiration: end, ..rule("r") }]).await;
    run(&mut store).await;
    for _ in 0..5 {
        store.put(BUCKET, "k", &[]).await;
    }
    assert_eq!(scheduled(&store).await, 1, "the fifth is current, and of the others three are kept");
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await.len(), 4);
    for _ in 0..10_000 {
        store.put(BUCKET, "k", &[]).await;
    }
    assert_eq!(scheduled(&store).await, 10_000);
    store.cluster.clock.advance(DAY * 2);
    let steps = run(&mut store).await;
    assert!(steps <= 401, "25 versions in each step: {steps}");
    assert_eq!(versions(&store).await.len(), 4);
    assert_eq!(scheduled(&store).await, 0);
}

#[tokio::test]
async fn a_locked_version_is_passed_over_and_ends_when_its_lock_does() {
    let mut store = new(1).await;
    with_locks(&store).await;
    let end = Some(NoncurrentExpiration { days: 1, newer_kept: 0 });
    put_rules(&store, vec![Rule { noncurrent_expiration: end, ..rule("r") }]).await;
    run(&mut store).await;
    for key in ["held", "retained", "free"] {
        store.put(BUCKET, key, &[]).await;
    }
    hold(&store, "held", LockChange::LegalHold(true)).await;
    let until = store.cluster.env.wall().after(DAY * 5);
    let retention = Some(Retention { mode: RetentionMode::Compliance, until });
    hold(&store, "retained", LockChange::Retention { retention, bypass_governance: false }).await;
    for key in ["held", "retained", "free"] {
        store.delete(BUCKET, key).await;
    }
    store.cluster.clock.advance(DAY * 2);
    let kept = explain(&store, "held").await.versions[1].kept_by.clone();
    assert_eq!(kept.as_deref(), Some("its legal hold"));
    run(&mut store).await;
    assert_eq!(
        versions(&store).await,
        ["free (marker)", "held (marker)", "held", "retained (marker)", "retained"]
    );
    let doing = store.cluster.worker(WorkerName::Lifecycle).await.doing;
    assert!(doing.contains("passed over 2 locked versions"), "{doing}");
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await.len(), 5);
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await, ["free (marker)", "held (marker)", "held", "retained (marker)"]);
}

/// A wall clock that leaps forward must not delete everything; one that is set back must not either.
#[tokio::test]
async fn a_wall_clock_that_leaps_deletes_nothing() {
    let mut store = new(1).await;
    put_rules(&store, vec![Rule { expiration: expires(30), ..rule("r") }]).await;
    run(&mut store).await;
    store.put(BUCKET, "k", &[]).await;
    let year_ms = 365 * 24 * 3600 * 1000;
    store.cluster.clock.set_wall(year_ms);
    days(&mut store, 1).await;
    assert_eq!(versions(&store).await, ["k"]);
    // A start believes a day of 24 hours at most, and the length of a day here is another thing.
    store.cluster.clock.set_wall(-year_ms);
    days(&mut store, 28).await;
    assert_eq!(versions(&store).await, ["k"]);
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await.len(), 0);
}

/// A metanode that was stopped cannot tell how long from anything but the wall clock. With rules it believes no more than with locks.
#[tokio::test]
async fn a_start_with_a_wrong_wall_clock_deletes_nothing() {
    let mut store = new(1).await;
    put_rules(&store, vec![Rule { expiration: expires(20_000), ..rule("r") }]).await;
    run(&mut store).await;
    store.put(BUCKET, "k", &[]).await;
    // The clock is written.
    store.cluster.work().await;
    // 20,000 days of ten seconds are more than two days of 24 hours.
    store.cluster.clock.set_wall(365 * 24 * 3600 * 1000);
    store.restart().await;
    run(&mut store).await;
    assert_eq!(versions(&store).await, ["k"]);
}

#[tokio::test]
async fn a_transition_changes_the_class_and_the_replicas_both_ways() {
    let mut store = new(3).await;
    let to = |class: &str, days| Transition { when: When::Days(days), class: class.to_owned() };
    let any_size = Filter { larger_than: Some(0), ..Filter::default() };
    put_rules(
        &store,
        vec![Rule {
            transitions: vec![to("COLD", 1), to("HOT", 3)],
            filter: any_size,
            form: FilterForm::One,
            ..rule("r")
        }],
    )
    .await;
    run(&mut store).await;
    let (_, one) = store.put(BUCKET, "one", &[10]).await;
    let (_, many) = store.put(BUCKET, "many", &[10, 20]).await;
    let (shared_version, shared) = store.put(BUCKET, "shared", &[10]).await;
    store.make_bucket("elsewhere").await;
    store.copy(shared_version, "elsewhere", "copy", None).await;
    store.cluster.settle().await;
    let replicas = |store: &TestStore, blocks: &[cairn_protocol::id::BlockId]| {
        blocks.iter().map(|block| store.cluster.really_at(*block).len()).collect::<Vec<_>>()
    };
    assert_eq!(replicas(&store, &one), [3]);
    store.cluster.pass(DAY * 2).await;
    for key in ["one", "many", "shared"] {
        assert_eq!(head(&store, key).await.attributes.storage_class.as_deref(), Some("COLD"), "{key}");
        assert!(head(&store, key).await.is_sound());
    }
    assert_eq!((replicas(&store, &one), replicas(&store, &many)), (vec![1], vec![1, 1]));
    assert_eq!(replicas(&store, &shared), [3], "the copy has another class");
    store.cluster.pass(DAY * 2).await;
    assert_eq!(head(&store, "one").await.attributes.storage_class.as_deref(), Some("HOT"));
    assert_eq!((replicas(&store, &one), replicas(&store, &many)), (vec![3], vec![3, 3]));
    // It stays there: of classes of the configuration the later rule wins.
    store.cluster.pass(DAY * 2).await;
    assert_eq!(head(&store, "one").await.attributes.storage_class.as_deref(), Some("HOT"));
    let status = store.cluster.worker(WorkerName::Lifecycle).await;
    assert!(status.doing.contains("changed 6 storage classes"), "{}", status.doing);
    store.cluster.verify().await;
}

#[tokio::test]
async fn noncurrent_versions_change_their_class_too() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    let class = "COLD".to_owned();
    let any_size = Filter { smaller_than: Some(1_000), ..Filter::default() };
    let noncurrent_transitions = vec![NoncurrentTransition { days: 1, newer_kept: 0, class }];
    put_rules(
        &store,
        vec![Rule { noncurrent_transitions, filter: any_size, form: FilterForm::One, ..rule("r") }],
    )
    .await;
    run(&mut store).await;
    for _ in 0..2 {
        store.put(BUCKET, "k", &[]).await;
    }
    days(&mut store, 2).await;
    let explained = explain(&store, "k").await;
    let classes: Vec<_> = explained.versions.iter().map(|version| version.storage_class.as_str()).collect();
    assert_eq!(classes, ["STANDARD", "COLD"]);
}

#[tokio::test]
async fn uploads_are_aborted_and_completed_ones_are_not() {
    let mut store = new(1).await;
    let old = store.begin(BUCKET, "old", None).await;
    put_rules(&store, vec![Rule { abort_uploads_days: Some(2), ..rule("r") }]).await;
    run(&mut store).await;
    let young = store.begin(BUCKET, "young", None).await;
    let completed = store.begin(BUCKET, "completed", None).await;
    let (part, _) = store.put_part(&completed, 1, &[]).await;
    store.complete(completed, vec![(1, part)]).await;
    days(&mut store, 1).await;
    assert!(store.namespace.get_upload(old.clone()).await.is_ok());
    store.cluster.new_events();
    days(&mut store, 1).await;
    for target in [&old, &young] {
        let gone = store.namespace.get_upload(target.clone()).await;
        assert_eq!(gone.err(), Some(MetadataError::NoSuchUpload), "{target:?}");
    }
    let events = store.cluster.new_events();
    let aborted = events.iter().filter(|event| matches!(event, EventKind::LifecycleAborted { .. }));
    assert_eq!(aborted.count(), 2);
    assert_eq!(versions(&store).await, ["completed"]);
}

#[tokio::test]
async fn tags_that_change_change_what_is_due() {
    let mut store = new(1).await;
    let tags = BTreeMap::from([("class".to_owned(), "scratch".to_owned())]);
    let filter = Filter { tags: tags.clone(), ..Filter::default() };
    put_rules(&store, vec![Rule { expiration: expires(1), filter, form: FilterForm::One, ..rule("r") }])
        .await;
    run(&mut store).await;
    let tag = |key: &str, tags: Tags| UpdateTags {
        bucket: BUCKET.to_owned(),
        key: key.to_owned(),
        version: None,
        tags,
        mutation: None,
    };
    for key in ["gets", "loses", "never"] {
        store.put(BUCKET, key, &[]).await;
    }
    store.namespace.update_tags(tag("loses", tags.clone())).await.unwrap();
    assert_eq!(scheduled(&store).await, 1);
    store.namespace.update_tags(tag("loses", Tags::new())).await.unwrap();
    store.namespace.update_tags(tag("gets", tags)).await.unwrap();
    assert_eq!(scheduled(&store).await, 1);
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await, ["loses", "never"]);
}

/// What is not certain is not done: a row whose checksum is wrong is left to fsck and to people.
#[tokio::test]
async fn damaged_rows_are_left_alone_and_do_not_stop_the_others() {
    let mut store = new(1).await;
    put_rules(&store, vec![Rule { expiration: expires(1), ..rule("r") }]).await;
    run(&mut store).await;
    for key in ["a", "b", "c"] {
        store.put(BUCKET, key, &[]).await;
    }
    store.sql("UPDATE versions SET checksum = checksum + 1 WHERE key = CAST('a' AS BLOB)").await;
    store.sql("UPDATE versions SET tags = 'no JSON' WHERE key = CAST('b' AS BLOB)").await;
    store.cluster.clock.advance(DAY * 2);
    run(&mut store).await;
    let mut reader = store.cluster.store.read().await.unwrap();
    assert_eq!(crate::store::tests::count_objects(&mut reader).await.unwrap(), 2);
    drop(reader);
    let doing = store.cluster.worker(WorkerName::Lifecycle).await.doing;
    assert!(doing.contains("expired 1 objects") && doing.contains("passed over 2 damaged"), "{doing}");
}

#[tokio::test]
async fn an_explanation_says_what_is_done_and_why_not_and_changes_nothing() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    put_rules(
        &store,
        vec![
            Rule { expiration: expires(3), ..rule("soon") },
            Rule { expiration: expires(1), is_enabled: false, ..rule("off") },
            Rule {
                expiration: expires(1),
                filter: Filter { prefix: "other".to_owned(), ..Filter::default() },
                ..rule("elsewhere")
            },
            Rule {
                noncurrent_expiration: Some(NoncurrentExpiration { days: 1, newer_kept: 1 }),
                ..rule("old")
            },
        ],
    )
    .await;
    run(&mut store).await;
    for _ in 0..2 {
        store.put(BUCKET, "k", &[]).await;
    }
    store.begin(BUCKET, "k", None).await;
    let before = versions(&store).await;
    store.cluster.clock.advance(DAY * 4);
    let explained = explain(&store, "k").await;
    assert_eq!((explained.versions.len(), explained.uploads.len(), explained.rules), (2, 1, 4));
    let [current, old] = &explained.versions[..] else { unreachable!() };
    let action = current.action.as_ref().unwrap();
    assert_eq!((&action.action, action.rule.as_str()), (&LifecycleAction::Expire, "soon"));
    let why: Vec<_> = current.rules.iter().map(|rule| rule.why_not.as_deref()).collect();
    assert_eq!(
        why,
        [
            None,
            Some("it is disabled"),
            Some("the key does not begin with its prefix"),
            Some("it has no action for current versions"),
        ]
    );
    assert_eq!(old.action, None);
    assert_eq!(
        old.rules[3].why_not.as_deref(),
        Some("it keeps 1 newer noncurrent versions, and there are 0")
    );
    assert_eq!(explained.uploads[0].rules[0].why_not.as_deref(), Some("it aborts no uploads"));
    assert_eq!(versions(&store).await, before);
}

/// A repetition of a PUT whose answer was lost does not change what is due, and a version that was due too early is looked at again.
#[tokio::test]
async fn deleting_a_version_by_its_id_makes_no_other_one_late() {
    let mut store = new(1).await;
    versioned(Versioning::Enabled, &store).await;
    let end = Some(NoncurrentExpiration { days: 1, newer_kept: 1 });
    put_rules(&store, vec![Rule { noncurrent_expiration: end, ..rule("r") }]).await;
    run(&mut store).await;
    for _ in 0..3 {
        store.put(BUCKET, "k", &[]).await;
    }
    assert_eq!(scheduled(&store).await, 1);
    // The current version goes. Now there is one noncurrent version, which is kept.
    let name = head(&store, "k").await.name();
    let object = DeleteObject {
        key: "k".to_owned(),
        condition: WriteCondition::None,
        version: Some(name),
        bypass_governance: false,
    };
    let delete = DeleteObjects { bucket: BUCKET.to_owned(), objects: vec![object], mutation: None };
    store.namespace.delete_objects(delete).await.unwrap();
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await, ["k", "k"]);
    assert_eq!(scheduled(&store).await, 0, "it was looked at, and is not subject to the rule");
    store.put(BUCKET, "k", &[]).await;
    days(&mut store, 2).await;
    assert_eq!(versions(&store).await, ["k", "k"], "the write has made it one too many");
}

#[tokio::test]
async fn a_bucket_that_is_deleted_during_a_walk_ends_the_walk() {
    let mut store = new(1).await;
    store.begin(BUCKET, "k", None).await;
    put_rules(&store, vec![Rule { abort_uploads_days: Some(1), ..rule("r") }]).await;
    store.cluster.step(WorkerName::Lifecycle).await;
    store.remove_bucket(BUCKET).await;
    days(&mut store, 3).await;
    assert_eq!(store.cluster.blocks.lifecycle(LifecycleRequest {}).await.unwrap().next_due, None);
    store.cluster.work().await;
    store.cluster.verify().await;
}

/// The worker's reads cost the same among a thousand versions and among a hundred thousand, all of which a rule is about: SQLite takes
/// as many steps, but for the depth of the tree.
#[tokio::test]
async fn finding_what_is_due_costs_what_is_due() {
    let mut steps = Vec::new();
    for versions in [1_000, 100_000] {
        let store = new(1).await;
        crate::store::tests::fill(&store.cluster.store, versions, 10).await;
        store.sql("UPDATE versions SET due_at = 2000000000000").await;
        store.sql("UPDATE versions SET due_at = 1 WHERE CAST(substr(key, 5) AS INTEGER) % 10 = 0 AND CAST(substr(key, 5) AS INTEGER) < 1000").await;
        let mut reader = store.cluster.store.read().await.unwrap();
        let ((due, next), cost) = crate::store::tests::steps(&mut reader, async |reader| {
            let due =
                crate::store::lifecycle::due(reader, cairn_protocol::env::Timestamp(5), 1_000).await.unwrap();
            (due.len(), crate::store::lifecycle::next_due(reader).await.unwrap())
        })
        .await;
        assert_eq!((due, next), (100, Some(cairn_protocol::env::Timestamp(1))));
        steps.push(cost);
    }
    assert!(steps[1] <= steps[0] + 20, "{steps:?}");
}

/// Asserts that every version of a key that a rule will want something of is due no later than that.
async fn assert_none_is_late(store: &TestStore, key: &str) {
    let request = ExplainLifecycle { bucket: BUCKET.to_owned(), key: key.to_owned() };
    let Ok(explained) = store.cluster.blocks.explain_lifecycle(request).await else { return };
    for version in &explained.versions {
        let wanted = version.rules.iter().flat_map(|rule| &rule.actions).map(|action| action.due);
        let next = match &version.action {
            Some(action) => Some(action.due),
            None => wanted.filter(|due| *due > explained.now).min(),
        };
        if let Some(next) = next {
            assert!(version.due_at.is_some_and(|due| due <= next), "{next:?}: {version:?}");
        }
    }
}

/// Writes, deletes, tags, days and the worker in any order, with rules about every kind of version.
#[tokio::test]
async fn no_due_time_is_too_late_whatever_happens() {
    for seed in 1..4_u64 {
        let mut store = new(1).await;
        versioned(Versioning::Enabled, &store).await;
        let kept = |days, newer_kept| Some(NoncurrentExpiration { days, newer_kept });
        let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let tagged = Filter { tags: tags.clone(), ..Filter::default() };
        put_rules(
            &store,
            vec![
                Rule { expiration: expires(3), noncurrent_expiration: kept(2, 2), ..rule("a") },
                Rule { noncurrent_expiration: kept(4, 1), ..rule("b") },
                Rule { expiration: Some(Expiration::DeleteMarkers), ..rule("c") },
                Rule { expiration: expires(1), filter: tagged, form: FilterForm::One, ..rule("d") },
            ],
        )
        .await;
        run(&mut store).await;
        // A linear congruential generator (Knuth, MMIX), so that a failure can be repeated.
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..150 {
            let key = ["x", "y"][random(2) as usize];
            let request = ExplainLifecycle { bucket: BUCKET.to_owned(), key: key.to_owned() };
            let there = store.cluster.blocks.explain_lifecycle(request).await;
            let there = there.map(|explained| explained.versions).unwrap_or_default();
            match random(10) {
                0..4 => drop(store.put(BUCKET, key, &[]).await),
                4 => store.delete(BUCKET, key).await,
                5 if !there.is_empty() => {
                    let version = Some(there[random(there.len() as u64) as usize].version);
                    let condition = WriteCondition::None;
                    let object =
                        DeleteObject { key: key.to_owned(), condition, version, bypass_governance: false };
                    let bucket = BUCKET.to_owned();
                    let delete = DeleteObjects { bucket, objects: vec![object], mutation: None };
                    store.namespace.delete_objects(delete).await.unwrap();
                }
                6 if there.first().is_some_and(|newest| !newest.is_delete_marker) => {
                    let tags = if random(2) == 0 { Tags::new() } else { tags.clone() };
                    let (bucket, key) = (BUCKET.to_owned(), key.to_owned());
                    let update = UpdateTags { bucket, key, version: None, tags, mutation: None };
                    store.namespace.update_tags(update).await.unwrap();
                }
                7 => {
                    let state = [Versioning::Enabled, Versioning::Suspended][random(2) as usize];
                    versioned(state, &store).await;
                }
                8 => drop(run(&mut store).await),
                _ => store.cluster.clock.advance(Duration::from_secs(random(25))),
            }
            for key in ["x", "y"] {
                assert_none_is_late(&store, key).await;
            }
        }
        store.cluster.verify().await;
    }
}
