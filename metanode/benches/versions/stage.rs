//! A metanode in this process with a bucket that keeps versions, and the requests that are measured. Objects are empty: only the
//! cost of metadata is of interest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_metanode::{Config, Metanode};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{
    CommitObject, Committed, CreateBucket, DeleteObject, DeleteObjects, ListObjects, ListVersions,
    LookupObject, LookupRange, Metadata, ObjectAttributes, SetVersioning, Tags, VersionMark, VersionName,
    Versioning, WriteCondition,
};
use cairn_protocol::secret::ClusterSecret;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;

const BUCKET: &str = "bench";

/// Entries of a page, as many as S3 gives at most.
const PAGE: u32 = 1_000;

/// Requests of a round that are on their way at the same time, so that mutations share their syncs as those of clients do.
const AT_ONCE: usize = 32;

/// Small requests, and pages, of a round.
const SMALL: u64 = 640;
const PAGES: u64 = 32;

/// How the versions are spread over keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of one key.
    OneKey,
    /// One of each key.
    ManyKeys,
}

impl Shape {
    pub(crate) const ALL: [Self; 2] = [Self::OneKey, Self::ManyKeys];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneKey => "versions of one key",
            Self::ManyKeys => "keys",
        }
    }

    fn key(self, number: u64) -> String {
        match self {
            Self::OneKey => "object".to_owned(),
            Self::ManyKeys => format!("object-{number:09}"),
        }
    }
}

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    Put,
    Look,
    LookOld,
    FirstPage,
    MiddlePage,
    Objects,
    Delete,
}

impl Task {
    pub(crate) const ALL: [Self; 7] = [
        Self::Put,
        Self::Look,
        Self::LookOld,
        Self::FirstPage,
        Self::MiddlePage,
        Self::Objects,
        Self::Delete,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "new version",
            Self::Look => "look-up of a current version",
            Self::LookOld => "look-up of a version in the middle",
            Self::FirstPage => "first page of versions",
            Self::MiddlePage => "page of versions in the middle",
            Self::Objects => "first page of objects",
            Self::Delete => "delete of a version",
        }
    }

    fn requests(self) -> u64 {
        match self {
            Self::Put | Self::Look | Self::LookOld | Self::Delete => SMALL,
            Self::FirstPage | Self::MiddlePage | Self::Objects => PAGES,
        }
    }
}

/// A metanode with a filled bucket.
pub(crate) struct Stage {
    metanode: Arc<Metanode>,
    metadata: Arc<dyn Metadata>,
    env: Env,
    shape: Shape,
    /// The number of the next object that is written.
    next: AtomicU64,
    /// A version from the middle: its key and name.
    middle: (String, VersionName),
    _directory: TempDir,
}

impl Stage {
    /// A bucket with this many versions.
    pub(crate) async fn new(shape: Shape, versions: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = Env::system();
        let secret = ClusterSecret::new("a secret that is long enough for benchmarks").unwrap();
        let config = Config::new(directory.path());
        let metanode = Metanode::open(config, secret, env.clone(), EventBus::new(env.clone())).await.unwrap();
        let metadata = metanode.metadata();
        metadata.create_bucket(CreateBucket::new(BUCKET, "us-east-1")).await.unwrap();
        let versioning = Versioning::Enabled;
        let request = SetVersioning { bucket: BUCKET.to_owned(), versioning, mutation: None };
        metadata.set_versioning(request).await.unwrap();
        let middle = (String::new(), VersionName::Null);
        let next = AtomicU64::new(0);
        let metanode = Arc::new(metanode);
        let mut stage = Self { metanode, metadata, env, shape, next, middle, _directory: directory };
        let half = u64::from(versions / 2);
        stage.fill(half).await;
        let (key, made) = stage.put().await;
        stage.middle = (key, made.name.expect("a bucket with versions shows their names"));
        stage.fill(half).await;
        stage
    }

    async fn fill(&self, versions: u64) {
        stream::iter(0..versions).for_each_concurrent(256, |_| async { drop(self.put().await) }).await;
    }

    /// Writes an object. Returns its key and the outcome.
    async fn put(&self) -> (String, Committed) {
        let key = self.shape.key(self.next.fetch_add(1, Ordering::Relaxed));
        let request = CommitObject {
            bucket: BUCKET.to_owned(),
            key: key.clone(),
            version: VersionId(self.env.uuid_v7()),
            length: 0,
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            attributes: ObjectAttributes::default(),
            tags: Tags::default(),
            extents: Vec::new(),
            condition: WriteCondition::None,
        };
        (key, self.metadata.commit_object(request).await.unwrap())
    }

    /// The time of a round per request.
    pub(crate) async fn round(&self, task: Task) -> Duration {
        // What is deleted is made before.
        let victims: Vec<_> = match task {
            Task::Delete => stream::iter(0..SMALL).then(|_| self.put()).collect().await,
            _ => Vec::new(),
        };
        let requests = task.requests();
        let began = self.env.monotonic();
        stream::iter(0..requests)
            .for_each_concurrent(AT_ONCE, |number| {
                let victim = usize::try_from(number).ok().and_then(|number| victims.get(number));
                self.request(task, victim)
            })
            .await;
        let spent = self.env.monotonic().saturating_sub(began);
        spent / u32::try_from(requests).expect("rounds are short")
    }

    async fn request(&self, task: Task, victim: Option<&(String, Committed)>) {
        let (key, name) = &self.middle;
        match task {
            Task::Put => drop(self.put().await),
            Task::Look => self.look_up(self.shape.key(0), None).await,
            Task::LookOld => self.look_up(key.clone(), Some(*name)).await,
            Task::FirstPage => self.list_versions(None).await,
            Task::MiddlePage => self.list_versions(Some(VersionMark::Version(key.clone(), *name))).await,
            Task::Objects => {
                let list = ListObjects { bucket: BUCKET.to_owned(), max: PAGE, ..ListObjects::default() };
                self.metadata.list_objects(list).await.unwrap();
            }
            Task::Delete => self.delete(victim.expect("each delete has a version of its own")).await,
        }
    }

    async fn look_up(&self, key: String, version: Option<VersionName>) {
        let (bucket, range) = (BUCKET.to_owned(), LookupRange::Whole);
        let request = LookupObject { bucket, key, version, range, extents_max: 1 };
        self.metadata.lookup_object(request).await.unwrap();
    }

    async fn list_versions(&self, after: Option<VersionMark>) {
        let bucket = BUCKET.to_owned();
        let request = ListVersions { bucket, prefix: String::new(), delimiter: None, after, max: PAGE };
        let page = self.metadata.list_versions(request).await.unwrap();
        assert_eq!(page.entries.len(), PAGE as usize);
    }

    async fn delete(&self, (key, made): &(String, Committed)) {
        let object = DeleteObject {
            key: key.clone(),
            condition: WriteCondition::None,
            version: made.name,
            bypass_governance: false,
        };
        let mutation = Some(MutationId(self.env.uuid_v4()));
        let request = DeleteObjects { bucket: BUCKET.to_owned(), objects: vec![object], mutation };
        let [deleted] = &self.metadata.delete_objects(request).await.unwrap()[..] else {
            panic!("one answer")
        };
        deleted.as_ref().unwrap();
    }

    pub(crate) async fn end(self) {
        self.metanode.close().await;
    }
}
