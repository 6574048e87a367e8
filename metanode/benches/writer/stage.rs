//! A metanode in this process, with datanodes that store nothing.

use std::sync::Arc;
use std::time::Duration;

use cairn_metanode::block_manager::BlockManagerConfig;
use cairn_metanode::{Config, Metanode};
use cairn_protocol::cluster::{BlockReport, Register, ReportedReplica, VolumeUsage};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{NodeId, VersionId, VolumeId};
use cairn_protocol::metadata::{
    AllocateBlocks, CommitObject, CreateBucket, Metadata, NewExtent, ObjectAttributes, Tags, WriteCondition,
};
use cairn_protocol::secret::ClusterSecret;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const BUCKET: &str = "bench";

/// PUTs a second: a third of the number that a disk which syncs in a few milliseconds would allow one after another.
const RATE: u32 = 100;

const CAPACITY: u64 = 4 << 40;
const NODES: usize = 6;

/// The length of every block.
const LENGTH: u64 = 64 << 10;

/// A metanode and its datanodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) metanode: Arc<Metanode>,
    pub(crate) env: Env,
    pub(crate) nodes: Arc<Vec<(NodeId, u64)>>,
    stop: CancellationToken,
    _directory: Arc<TempDir>,
}

/// The latencies of PUTs, in order.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    fn within(&self, permille: usize) -> Duration {
        self.0[(self.0.len() * permille / 1_000).min(self.0.len() - 1)]
    }

    pub(crate) fn median(&self) -> Duration {
        self.within(500)
    }

    pub(crate) fn late(&self) -> Duration {
        self.within(990)
    }

    pub(crate) fn longest(&self) -> Duration {
        self.within(1_000)
    }
}

impl Stage {
    pub(crate) async fn new(config: BlockManagerConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = Env::system();
        // No node sends heartbeats.
        let hours = Duration::from_secs(3_600);
        let blocks = BlockManagerConfig { stale_after: hours, dead_after: 2 * hours, ..config };
        let config = Config { blocks, ..Config::new(directory.path()) };
        let secret = ClusterSecret::new("a secret that is long enough for benchmarks").unwrap();
        let metanode = Metanode::open(config, secret, env.clone(), EventBus::new(env.clone())).await.unwrap();
        let (metanode, stop) = (Arc::new(metanode), CancellationToken::new());
        let (workers, stopped) = (metanode.clone(), stop.clone());
        tokio::spawn(async move { workers.run_workers(stopped).await });
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(register(&metanode, &env).await);
        }
        let stage = Self { metanode, env, nodes: nodes.into(), stop, _directory: directory.into() };
        stage.make_bucket(BUCKET).await;
        stage
    }

    pub(crate) fn metadata(&self) -> Arc<dyn Metadata> {
        self.metanode.metadata()
    }

    pub(crate) async fn make_bucket(&self, bucket: &str) {
        let region = "us-east-1".to_owned();
        let request = CreateBucket::new(bucket, region);
        self.metadata().create_bucket(request).await.unwrap();
    }

    /// Writes an object of `blocks` blocks. Returns its replicas, and the nodes that have each.
    pub(crate) async fn put(&self, key: String, blocks: u32) -> Vec<(ReportedReplica, Vec<NodeId>)> {
        let metadata = self.metadata();
        let mut extents = Vec::new();
        while extents.len() < blocks as usize {
            let request = AllocateBlocks {
                expected_length: Some(LENGTH),
                bucket: BUCKET.to_owned(),
                storage_class: None,
                object_offset: 0,
                object_length: None,
                block_size: None,
                count: (blocks - u32::try_from(extents.len()).unwrap()).min(16),
                exclude: Vec::new(),
            };
            for grant in metadata.allocate_blocks(request).await.unwrap() {
                let stored_on = grant.targets.iter().map(|target| target.node).collect();
                extents.push(NewExtent {
                    grant,
                    length: LENGTH,
                    crc32c: 7,
                    stored_on,
                    incarnations: Vec::new(),
                    slice: None,
                });
            }
        }
        let held = |extent: &NewExtent| {
            let replica = ReportedReplica { block: extent.grant.block, length: LENGTH, crc32c: 7 };
            (replica, extent.stored_on.clone())
        };
        let stored = extents.iter().map(held).collect();
        let request = CommitObject {
            bucket: BUCKET.to_owned(),
            key,
            version: VersionId(self.env.uuid_v7()),
            length: LENGTH * u64::from(blocks),
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            attributes: ObjectAttributes::default(),
            tags: Tags::default(),
            extents,
            condition: WriteCondition::None,
        };
        metadata.commit_object(request).await.unwrap();
        stored
    }

    /// Writes objects of `blocks` blocks each as fast as possible, under keys with a common prefix.
    pub(crate) async fn fill(
        &self,
        prefix: &str,
        objects: u32,
        blocks: u32,
    ) -> Vec<(ReportedReplica, Vec<NodeId>)> {
        let stored = stream::iter(0..objects)
            .map(|number| self.put(format!("{prefix}{number:08}"), blocks))
            .buffer_unordered(if blocks > 1 { 4 } else { 64 })
            .collect::<Vec<_>>()
            .await;
        stored.into_iter().flatten().collect()
    }

    /// Writes at a fixed rate for this long.
    pub(crate) async fn put_for(&self, span: Duration) -> Latencies {
        let count = u32::try_from(span.as_secs()).unwrap() * RATE;
        let began = self.env.monotonic();
        let puts = (0..count).map(|number| {
            let stage = self.clone();
            let due = began + Duration::from_secs(1) * number / RATE;
            tokio::spawn(async move {
                stage.env.sleep(due.saturating_sub(stage.env.monotonic())).await;
                stage.put(stage.env.uuid_v4().to_string(), 1).await;
                stage.env.monotonic().saturating_sub(due)
            })
        });
        let mut latencies = Vec::new();
        for put in puts.collect::<Vec<_>>() {
            latencies.push(put.await.unwrap());
        }
        latencies.sort_unstable();
        Latencies(latencies)
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.metanode.close().await;
    }
}

/// Registers a node that reports no replicas. Returns its id and incarnation.
async fn register(metanode: &Metanode, env: &Env) -> (NodeId, u64) {
    let node = NodeId(env.uuid_v4());
    let volume = VolumeUsage {
        volume: VolumeId(env.uuid_v4()),
        capacity: CAPACITY,
        used: 0,
        free: CAPACITY,
        trash: 0,
        failed: None,
    };
    let register = Register {
        node,
        cluster: None,
        address: format!("http://{node}:9020"),
        zone: None,
        volumes: vec![volume],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: 0,
        seen: Vec::new(),
        packs: true,
    };
    let cluster = metanode.cluster();
    let incarnation = cluster.register(register).await.unwrap().incarnation;
    let report = BlockReport::new(node, incarnation, None, None, Vec::new());
    cluster.report_blocks(report).await.unwrap();
    (node, incarnation)
}
