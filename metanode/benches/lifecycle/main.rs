//! What the lifecycle worker costs in a bucket with many objects of which few are due. Every object is subject to a rule, and has an entry in
//! the index by time; 100 of them are due.
//!
//! `make bench-lifecycle` compares 10,000 objects with a million; `make bench-lifecycle OBJECTS=100000` with another number. The times
//! should not differ by more than the depth of the trees does.

#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::sync::Arc;
use std::time::Duration;

use cairn_lifecycle::{Expiration, Filter, FilterForm, Rule, RuleSet, When};
use cairn_metanode::{Config, Metanode};
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{
    CommitObject, ConfigurationKind, CreateBucket, Metadata, ObjectAttributes, PutBucketConfiguration, Tags,
    WriteCondition,
};
use cairn_protocol::secret::ClusterSecret;
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

const BUCKET: &str = "bench";
const DUE: u64 = 100;
const FEW: u64 = 10_000;
const MANY: u64 = 1_000_000;

/// Commits that wait for the writer at the same time, so that they share transactions.
const WAITING: usize = 500;

/// Midnight of the 1st of January 2020.
const PAST: Timestamp = Timestamp(1_577_836_800_000);

#[tokio::main]
async fn main() {
    // cargo passes `--bench`.
    let many = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MANY);
    println!("{:>12} {:>12} {:>14} {:>18}", "objects", "due", "in all", "for each due one");
    for objects in [FEW, many] {
        let took = measure(objects).await;
        let ms = took.as_secs_f64() * 1e3;
        println!("{objects:>12} {DUE:>12} {ms:>11.1} ms {:>15.2} ms", ms / 100.0);
    }
}

/// The time from the start of the workers until all that is due is done.
async fn measure(objects: u64) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system();
    let events = EventBus::new(env.clone());
    let secret = ClusterSecret::new("a secret that is long enough for benchmarks").unwrap();
    let config = Config::new(directory.path());
    let metanode = Arc::new(Metanode::open(config, secret, env.clone(), events.clone()).await.unwrap());
    let metadata = metanode.metadata();
    metadata.create_bucket(CreateBucket::new(BUCKET, "us-east-1")).await.unwrap();
    put_rules(&*metadata).await;
    let due_every = objects / DUE;
    let keys = (0..objects).map(|number| match number % due_every {
        0 => format!("due/{number:09}"),
        _ => format!("kept/{number:09}"),
    });
    let commits = stream::iter(keys).map(|key| commit(&*metadata, &env, key));
    commits.buffer_unordered(WAITING).collect::<()>().await;

    let (began, stop) = (env.monotonic(), CancellationToken::new());
    let (workers, stopped) = (metanode.clone(), stop.clone());
    let running = tokio::spawn(async move { workers.run_workers(stopped).await });
    let mut done = 0;
    let mut seen = Box::pin(events.subscribe_after(0));
    while done < DUE {
        let event = seen.next().await.unwrap();
        done += u64::from(matches!(event.kind, EventKind::LifecycleApplied { .. }));
    }
    let took = env.monotonic() - began;
    stop.cancel();
    running.await.unwrap();
    metanode.close().await;
    took
}

async fn put_rules(metadata: &dyn Metadata) {
    let rule = |id: &str, prefix: &str, when| Rule {
        id: id.to_owned(),
        is_enabled: true,
        filter: Filter { prefix: prefix.to_owned(), ..Filter::default() },
        form: FilterForm::One,
        expiration: Some(Expiration::At(when)),
        ..Rule::default()
    };
    let rules = vec![rule("all", "", When::Days(10_000)), rule("due", "due/", When::Date(PAST))];
    let set = RuleSet { rules, ..RuleSet::default() };
    let put = PutBucketConfiguration {
        bucket: BUCKET.to_owned(),
        kind: ConfigurationKind::Lifecycle,
        document: Some(serde_json::to_string(&set).unwrap()),
        expected_revision: None,
        mutation: None,
    };
    metadata.put_bucket_configuration(put).await.unwrap();
}

async fn commit(metadata: &dyn Metadata, env: &Env, key: String) {
    let commit = CommitObject {
        bucket: BUCKET.to_owned(),
        key,
        version: VersionId(env.uuid_v7()),
        length: 0,
        etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        attributes: ObjectAttributes::default(),
        tags: Tags::new(),
        extents: Vec::new(),
        condition: WriteCondition::None,
    };
    metadata.commit_object(commit).await.unwrap();
}
