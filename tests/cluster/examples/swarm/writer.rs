//! A simulated gateway, which writes objects without bytes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Env;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{
    AllocateBlocks, CommitObject, CreateBucket, Metadata, NewExtent, ObjectAttributes, Tags, WriteCondition,
};
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::nodes::Swarm;

const BUCKET: &str = "swarm";

/// Length of every object in bytes: small, so that the rate limit does not slow down repair.
const LENGTH: u64 = 64 << 10;

/// Objects that are written concurrently.
const AT_ONCE: usize = 32;

pub(crate) struct Writer {
    rpc: RpcClient,
    env: Env,
    swarm: Arc<Swarm>,
}

/// The latencies of writes, sorted.
pub(crate) struct Latencies(Vec<Duration>);

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |share: usize| self.0.get((self.0.len() * share / 100).min(self.0.len().saturating_sub(1)));
        let millis = |share| at(share).map_or(0.0, |latency| latency.as_secs_f64() * 1e3);
        let (median, late) = (millis(50), millis(99));
        write!(f, "median {median:.1} ms, 99 % within {late:.1} ms, {} in all", self.0.len())
    }
}

impl Writer {
    pub(crate) async fn new(
        metanode: &str,
        secret: &ClusterSecret,
        swarm: Arc<Swarm>,
    ) -> anyhow::Result<Self> {
        let env = Env::system();
        let rpc = RpcClient::new(metanode, secret.clone(), env.clone())?;
        rpc.create_bucket(CreateBucket::new(BUCKET, "us-east-1")).await?;
        Ok(Self { rpc, env, swarm })
    }

    /// Writes `count` objects as fast as possible.
    pub(crate) async fn write_all(&self, count: usize) -> anyhow::Result<()> {
        stream::iter(0..count)
            .map(|_| self.write())
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Writes `rate` objects a second during `span`.
    pub(crate) async fn write_for(&self, span: Duration, rate: u32) -> anyhow::Result<Latencies> {
        let count = u32::try_from(span.as_secs()).unwrap_or(u32::MAX).saturating_mul(rate);
        let began = self.env.monotonic();
        let mut latencies: Vec<Duration> = stream::iter(0..count)
            .map(|number| async move {
                let due = began + Duration::from_secs(1) * number / rate;
                self.env.sleep(due.saturating_sub(self.env.monotonic())).await;
                self.write().await
            })
            // Writes that are not due yet count as concurrent, too.
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        latencies.sort_unstable();
        Ok(Latencies(latencies))
    }

    /// Writes an object; returns the time that the metanode took for its calls.
    async fn write(&self) -> anyhow::Result<Duration> {
        let began = self.env.monotonic();
        let request = AllocateBlocks {
            expected_length: None,
            bucket: BUCKET.to_owned(),
            storage_class: None,
            object_offset: 0,
            object_length: Some(LENGTH),
            block_size: None,
            count: 1,
            exclude: Vec::new(),
        };
        let mut extents = Vec::new();
        for grant in self.rpc.allocate_blocks(request).await? {
            let stored_on: Vec<_> = grant.targets.iter().map(|target| target.node).collect();
            for node in &stored_on {
                self.swarm
                    .stored(*node, ReportedReplica { block: grant.block, length: LENGTH, crc32c: 7 })?;
            }
            extents.push(NewExtent {
                grant,
                length: LENGTH,
                crc32c: 7,
                stored_on,
                incarnations: Vec::new(),
                slice: None,
            });
        }
        let commit = CommitObject {
            bucket: BUCKET.to_owned(),
            key: self.env.uuid_v7().to_string(),
            version: VersionId(self.env.uuid_v7()),
            length: LENGTH,
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            attributes: ObjectAttributes::default(),
            tags: Tags::default(),
            extents,
            condition: WriteCondition::None,
        };
        self.rpc.commit_object(commit).await?;
        Ok(self.env.monotonic().saturating_sub(began))
    }
}
