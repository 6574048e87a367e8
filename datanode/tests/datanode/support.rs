//! Datanodes on their own ports, and blocks for them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cairn_datanode::volume::VolumeOptions;
use cairn_datanode::volume::disk::{Disk, RealDisk};
use cairn_datanode::{Config, Datanode, RefusedError};
use cairn_listener::Drained;
use cairn_protocol::block::{
    BlockConnector, BlockError, BlockRead, BlockService, BlockStream, GetBlock, HeadBlock, HttpBlockClient,
    PipelineTarget, PutBlock, PutBlockReply,
};
use cairn_protocol::checksum::{CHUNK_SIZE, crc32c};
use cairn_protocol::cluster::Cluster;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::secret::{BlockOperation, ClusterSecret};
use cairn_protocol::tls::Identity;
use futures_util::{StreamExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metanode::Metanode;

pub(crate) fn secret() -> ClusterSecret {
    ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap()
}

/// Connects over HTTP.
pub(crate) struct Http;

impl BlockConnector for Http {
    fn connect(&self, _: NodeId, address: &str) -> Arc<dyn BlockService> {
        let identity = Identity::of_secret(&secret(), Env::system()).unwrap();
        Arc::new(HttpBlockClient::new(HttpBlockClient::pool(&identity).unwrap(), address))
    }
}

pub(crate) fn config(directory: &Path) -> Config {
    Config {
        volume: VolumeOptions { reserve_bytes: 0, ..VolumeOptions::default() },
        retry_delay: (Duration::from_millis(1), Duration::from_millis(5)),
        ..Config::new(vec![directory.to_path_buf()], "")
    }
}

/// A datanode that serves.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) address: String,
    pub(crate) datanode: Arc<Datanode>,
    pub(crate) events: EventBus,
    pub(crate) metanode: Arc<Metanode>,
    pub(crate) directory: Arc<TempDir>,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<Drained, RefusedError>>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut config = config(directory.path());
        change(&mut config);
        Self::start_on(Arc::new(RealDisk), directory, config, Arc::new(Http), Metanode::new()).await
    }

    pub(crate) async fn start_on(
        disk: Arc<dyn Disk>,
        directory: Arc<TempDir>,
        config: Config,
        connector: Arc<dyn BlockConnector>,
        metanode: Arc<Metanode>,
    ) -> Self {
        let env = Env::system();
        let events = EventBus::new(env.clone());
        let mut datanode =
            Datanode::open_on(disk, config, connector, secret(), env, events.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        datanode.set_address(address.clone());
        let datanode = Arc::new(datanode);
        let shutdown = CancellationToken::new();
        let cluster: Arc<dyn Cluster> = metanode.clone();
        let serving = {
            let (datanode, shutdown) = (datanode.clone(), shutdown.clone());
            tokio::spawn(async move { datanode.serve(listener, cluster, shutdown).await })
        };
        let id = datanode.node();
        Self { id, address, datanode, events, metanode, directory, shutdown, serving }
    }

    /// Starts again on the same directory after an orderly stop.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let (directory, metanode) = (self.directory.clone(), self.metanode.clone());
        self.stop().await;
        let mut config = config(directory.path());
        change(&mut config);
        Self::start_on(Arc::new(RealDisk), directory, config, Arc::new(Http), metanode).await
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
        self.datanode.close().await;
    }

    pub(crate) async fn refused(self) -> RefusedError {
        self.serving.await.unwrap().unwrap_err()
    }

    /// This node, over HTTP.
    pub(crate) fn client(&self) -> Arc<dyn BlockService> {
        Http.connect(self.id, &self.address)
    }

    pub(crate) fn target(&self, block: BlockId) -> PipelineTarget {
        let token = token(BlockOperation::Put, block, self.id);
        PipelineTarget { node: self.id, address: self.address.clone(), token }
    }

    pub(crate) async fn put(
        &self,
        block: BlockId,
        bytes: &Bytes,
        pipeline: Vec<PipelineTarget>,
    ) -> Result<PutBlockReply, BlockError> {
        self.client().put(put_request(self.id, block, bytes, pipeline), pieces(bytes)).await
    }

    pub(crate) async fn holds(&self, block: BlockId) -> bool {
        let token = token(BlockOperation::Get, block, self.id);
        match self.client().head(HeadBlock { block, token }).await {
            Ok(_) => true,
            Err(BlockError::NotFound) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn get(
        &self,
        block: BlockId,
        range: Option<(u64, u64)>,
    ) -> Result<BlockRead, BlockError> {
        let token = token(BlockOperation::Get, block, self.id);
        self.client().get(GetBlock { block, range, token }).await
    }

    /// The whole block, verified as a gateway does.
    pub(crate) async fn read(&self, block: BlockId) -> Result<Bytes, BlockError> {
        let read = self.get(block, None).await?;
        assert!(read.table.matches(read.info.length, read.info.crc32c));
        let bytes = collect(read.data).await?;
        for (chunk, crc) in bytes.chunks(CHUNK_SIZE).zip(read.table.crcs()) {
            assert_eq!(crc32c(chunk), *crc);
        }
        Ok(bytes)
    }
}

pub(crate) async fn collect(data: BlockStream) -> Result<Bytes, BlockError> {
    let all: BytesMut = data.try_collect().await?;
    Ok(all.freeze())
}

pub(crate) fn token(operation: BlockOperation, block: BlockId, node: NodeId) -> String {
    secret().block_token(operation, block, node, Timestamp(u64::MAX))
}

pub(crate) fn put_request(
    node: NodeId,
    block: BlockId,
    bytes: &Bytes,
    pipeline: Vec<PipelineTarget>,
) -> PutBlock {
    let token = token(BlockOperation::Put, block, node);
    PutBlock { block, length: bytes.len() as u64, crc32c: crc32c(bytes), token, pipeline }
}

pub(crate) fn pieces(bytes: &Bytes) -> BlockStream {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(100_000);
    let pieces: Vec<_> =
        starts.map(|start| Ok(bytes.slice(start..bytes.len().min(start + 100_000)))).collect();
    futures_util::stream::iter(pieces).boxed()
}

pub(crate) fn id(n: u128) -> BlockId {
    BlockId(Uuid::from_u128(n))
}

pub(crate) fn content(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// The lengths of a small block, in a shared segment, and of a large one, in a dedicated segment.
pub(crate) const LENGTHS: [usize; 2] = [100_001, 3_000_003];

/// Flips one bit of the files under `directory` that hold blocks, `offset` bytes before their ends.
pub(crate) fn flip_bits(directory: &Path, offset: usize) {
    for below in ["shared", "own"] {
        flip_below(&directory.join(below), offset);
    }
}

fn flip_below(directory: &Path, offset: usize) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            flip_below(&path, offset);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - offset;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}
