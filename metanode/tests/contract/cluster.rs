//! A metanode on a directory of its own, and helpers for tests.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_metanode::{Config, Metanode};
use cairn_protocol::cluster::Register;
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::iam::Iam;
use cairn_protocol::id::{BlockId, MutationId, NodeId, PartId, UploadId, VersionId};
use cairn_protocol::metadata::*;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The largest length of blocks in tests.
pub(crate) const BLOCK_SIZE: u64 = 100;

pub(crate) struct Cluster {
    pub(crate) metanode: Arc<Metanode>,
    pub(crate) metadata: Arc<dyn Metadata>,
    pub(crate) iam: Arc<dyn Iam>,
    pub(crate) env: Env,
    pub(crate) events: EventBus,
    /// The data directory, which is removed at the end.
    pub(crate) directory: Option<TempDir>,
    /// Datanodes that registered and do nothing else.
    nodes: Vec<NodeId>,
    _server: Option<DropGuard>,
}

impl Deref for Cluster {
    type Target = dyn Metadata;
    fn deref(&self) -> &Self::Target {
        &*self.metadata
    }
}

fn secret() -> ClusterSecret {
    ClusterSecret::new("a secret that is long enough for tests").unwrap()
}

pub(crate) async fn open(directory: &Path, env: &Env, events: &EventBus) -> Metanode {
    open_with(directory, env, events, None).await
}

/// Opens a metanode with this grace period.
pub(crate) async fn open_with(
    directory: &Path,
    env: &Env,
    events: &EventBus,
    grace: Option<Duration>,
) -> Metanode {
    let mut config = Config::new(directory);
    if let Some(grace) = grace {
        (config.blocks.garbage_grace, config.blocks.lease) = (grace, grace);
    }
    Metanode::open(config, secret(), env.clone(), events.clone()).await.unwrap()
}

fn datanode(node: NodeId) -> Register {
    Register {
        node,
        cluster: None,
        address: "http://127.0.0.1:1".to_owned(),
        zone: None,
        volumes: Vec::new(),
        version: "test".to_owned(),
        incarnation: 0,
        seen: Vec::new(),
        packs: true,
    }
}

impl Cluster {
    /// Runs the workers until they have collected `blocks` blocks of garbage in one round.
    pub(crate) async fn collect_garbage(&self, blocks: u64) {
        let shutdown = CancellationToken::new();
        let workers = tokio::spawn({
            let (metanode, shutdown) = (self.metanode.clone(), shutdown.clone());
            async move { metanode.run_workers(shutdown).await }
        });
        let wanted = EventKind::GarbageCollected { blocks };
        assert!(self.events.wait_for(|kind| *kind == wanted).await.is_some());
        shutdown.cancel();
        workers.await.unwrap();
    }

    pub(crate) async fn in_process() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = Self::in_directory(directory.path()).await;
        Self { directory: Some(directory), ..cluster }
    }

    pub(crate) async fn in_directory(directory: &Path) -> Self {
        Self::in_directory_with(directory, Env::system(), None).await
    }

    /// A metanode with a clock that only the test advances.
    pub(crate) async fn with_manual_clock() -> (Self, ManualClock) {
        Self::with_manual_clock_and(None).await
    }

    /// The same with this grace period.
    pub(crate) async fn with_manual_clock_and_grace(grace: Duration) -> (Self, ManualClock) {
        Self::with_manual_clock_and(Some(grace)).await
    }

    async fn with_manual_clock_and(grace: Option<Duration>) -> (Self, ManualClock) {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, Timestamp(1_700_000_000_000));
        let cluster = Self::in_directory_with(directory.path(), env, grace).await;
        (Self { directory: Some(directory), ..cluster }, clock)
    }

    pub(crate) async fn in_directory_with(directory: &Path, env: Env, grace: Option<Duration>) -> Self {
        crate::faults::watch();
        let events = EventBus::new(env.clone());
        let metanode = Arc::new(open_with(directory, &env, &events, grace).await);
        let nodes: Vec<_> = (0..3).map(|_| NodeId(env.uuid_v4())).collect();
        for node in &nodes {
            metanode.cluster().register(datanode(*node)).await.unwrap();
        }
        Self {
            metadata: metanode.metadata(),
            iam: metanode.iam(),
            metanode,
            env,
            events,
            directory: None,
            nodes,
            _server: None,
        }
    }

    pub(crate) async fn over_http() -> Self {
        let cluster = Self::in_process().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn({
            let (metanode, shutdown) = (cluster.metanode.clone(), shutdown.clone());
            async move { metanode.serve(listener, shutdown).await }
        });
        let client = RpcClient::new(&base, secret(), cluster.env.clone()).unwrap();
        Self {
            metadata: Arc::new(client.clone()),
            iam: Arc::new(client),
            _server: Some(shutdown.drop_guard()),
            ..cluster
        }
    }

    pub(crate) async fn verify(&self) {
        assert_eq!(self.metanode.store().verify_invariants().await.unwrap(), Vec::<String>::new());
        crate::faults::assert_none();
    }

    /// The extent list of the current version of a key.
    pub(crate) async fn list(&self, bucket: &str, key: &str) -> ListId {
        self.head(bucket, key).await.unwrap().content.list().expect("it has several extents")
    }

    pub(crate) fn version(&self) -> VersionId {
        VersionId(self.env.uuid_v7())
    }

    pub(crate) fn part(&self) -> PartId {
        PartId(self.env.uuid_v7())
    }

    /// A grant for all nodes, as a metanode gives it.
    pub(crate) fn grant(&self, expires_at: Timestamp) -> Grant {
        self.grant_of(BLOCK_SIZE, expires_at)
    }

    fn grant_of(&self, block_size: u64, expires_at: Timestamp) -> Grant {
        let mut grant = Grant {
            block: BlockId(self.env.uuid_v7()),
            targets: self
                .nodes
                .iter()
                .map(|node| GrantTarget { node: *node, address: "http://127.0.0.1:1".into() })
                .collect(),
            block_size,
            replication: 3,
            min_replicas: 2,
            expires_at,
            lifetime_ms: 0,
            signature: String::new(),
        };
        grant.signature = secret().sign("grant", &grant.message());
        grant
    }

    /// The extent of a block that was stored on all its nodes.
    pub(crate) fn extent(&self, length: u64) -> NewExtent {
        self.extent_in(BLOCK_SIZE, length)
    }

    /// The same, for a block of up to `block_size` bytes.
    pub(crate) fn extent_in(&self, block_size: u64, length: u64) -> NewExtent {
        let grant = self.grant_of(block_size, self.env.now().after(Duration::from_secs(600)));
        let stored_on = grant.targets.iter().map(|target| target.node).collect();
        NewExtent { grant, length, crc32c: 7, stored_on, incarnations: Vec::new(), slice: None }
    }

    pub(crate) fn extents(&self, lengths: &[u64]) -> Vec<NewExtent> {
        lengths.iter().map(|length| self.extent(*length)).collect()
    }

    pub(crate) async fn bucket(&self, bucket: &str) {
        let region = "us-east-1".to_owned();
        self.create_bucket(CreateBucket::new(bucket, region)).await.unwrap();
    }

    /// The commit of a new version with blocks of these lengths.
    pub(crate) fn object(&self, bucket: &str, key: &str, etag: &str, lengths: &[u64]) -> CommitObject {
        CommitObject {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: self.version(),
            length: lengths.iter().sum(),
            etag: etag.to_owned(),
            attributes: ObjectAttributes::default(),
            tags: Tags::new(),
            extents: self.extents(lengths),
            condition: WriteCondition::None,
        }
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, etag: &str, lengths: &[u64]) -> Committed {
        self.commit_object(self.object(bucket, key, etag, lengths)).await.unwrap()
    }

    pub(crate) async fn get(
        &self,
        bucket: &str,
        key: &str,
        range: LookupRange,
    ) -> Result<LocatedObject, MetadataError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.lookup_object(LookupObject { bucket, key, version: None, range, extents_max: 100 }).await
    }

    pub(crate) async fn head(&self, bucket: &str, key: &str) -> Result<ObjectVersion, MetadataError> {
        Ok(self.get(bucket, key, LookupRange::Whole).await?.object)
    }

    pub(crate) async fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: WriteCondition,
    ) -> Result<Deleted, MetadataError> {
        let objects =
            vec![DeleteObject { key: key.to_owned(), condition, version: None, bypass_governance: false }];
        let request = DeleteObjects { bucket: bucket.to_owned(), objects, mutation: None };
        self.delete_objects(request).await?.pop().unwrap()
    }

    pub(crate) fn upload_ref(&self, bucket: &str, key: &str) -> UploadRef {
        UploadRef { bucket: bucket.to_owned(), key: key.to_owned(), upload: UploadId(self.env.uuid_v7()) }
    }

    pub(crate) async fn begin(&self, bucket: &str, key: &str) -> UploadRef {
        let target = self.upload_ref(bucket, key);
        let request = CreateUpload {
            target: target.clone(),
            attributes: ObjectAttributes::default(),
            tags: Tags::new(),
            checksum: None,
        };
        self.create_upload(request).await.unwrap();
        target
    }

    pub(crate) async fn abort(&self, target: &UploadRef) -> Result<(), MetadataError> {
        self.abort_upload(AbortUpload { target: target.clone(), mutation: None }).await
    }

    pub(crate) async fn delete_bucket_of(&self, bucket: &str) -> Result<(), MetadataError> {
        self.delete_bucket(DeleteBucket { bucket: bucket.to_owned(), mutation: None }).await
    }

    pub(crate) fn mutation(&self) -> Option<MutationId> {
        Some(MutationId(self.env.uuid_v7()))
    }

    pub(crate) fn new_part(&self, target: &UploadRef, number: u32, lengths: &[u64]) -> PutPart {
        PutPart {
            target: target.clone(),
            number,
            part: self.part(),
            length: lengths.iter().sum(),
            etag: format!("part {number}"),
            checksum: None,
            extents: self.extents(lengths),
        }
    }

    pub(crate) async fn add(&self, target: &UploadRef, number: u32, lengths: &[u64]) -> (u32, PartId) {
        let request = self.new_part(target, number, lengths);
        let part = request.part;
        self.put_part(request).await.unwrap();
        (number, part)
    }

    pub(crate) fn completion(&self, target: &UploadRef, parts: &[(u32, PartId)]) -> CompleteUpload {
        CompleteUpload {
            target: target.clone(),
            version: self.version(),
            parts: parts.to_vec(),
            etag: "joined-2".to_owned(),
            checksum: None,
            request_digest: "what was asked".to_owned(),
            condition: WriteCondition::None,
        }
    }
}

/// The bytes of located extents, each as its block and its offset in it.
/// Names a version that is the newest of its key, or retired.
pub(crate) fn reference(bucket: &str, key: &str, version: VersionId) -> VersionRef {
    VersionRef { bucket: bucket.into(), key: key.into(), sequence: None, version }
}

pub(crate) fn bytes(extents: &[LocatedExtent]) -> Vec<(BlockId, u64)> {
    extents
        .iter()
        .flat_map(|extent| (extent.offset..extent.offset + extent.length).map(|at| (extent.block.block, at)))
        .collect()
}

/// The bytes of blocks that were just stored, in the same form.
pub(crate) fn new_bytes(extents: &[NewExtent]) -> Vec<(BlockId, u64)> {
    extents.iter().flat_map(|extent| (0..extent.length).map(|at| (extent.grant.block, at))).collect()
}
