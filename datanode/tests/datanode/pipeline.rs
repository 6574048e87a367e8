//! Pipelines: a block is written to several datanodes at the same time, and the write continues when one of them fails.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_datanode::volume::disk::RealDisk;
use cairn_protocol::block::{
    BlockConnector, BlockError, BlockInfo, BlockRead, BlockService, BlockStream, DeleteBlock, FailedTarget,
    GetBlock, HeadBlock, PipelineTarget, PutBlock, PutBlockReply,
};
use cairn_protocol::id::NodeId;
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

use crate::metanode::Metanode;
use crate::support::{Http, LENGTHS, Node, config, content, id, pieces, put_request};

fn failed(reply: &PutBlockReply) -> Vec<NodeId> {
    reply.failed.iter().map(|FailedTarget { node, .. }| *node).collect()
}

fn stranger(address: String) -> PipelineTarget {
    PipelineTarget { node: NodeId(Uuid::from_u128(404)), address, token: String::new() }
}

/// The address of a port on which nothing listens.
async fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_block_is_on_all_nodes_of_its_pipeline_when_the_answer_comes() {
    let nodes = [Node::start().await, Node::start().await, Node::start().await];
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let pipeline = nodes[1..].iter().map(|node| node.target(id(n))).collect();
        let reply = nodes[0].put(id(n), &bytes, pipeline).await.unwrap();
        assert_eq!(reply.stored, nodes.iter().map(|node| node.id).collect::<Vec<_>>());
        assert_eq!(reply.failed, []);
        for node in &nodes {
            assert_eq!(node.read(id(n)).await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn a_dead_node_is_left_out_and_named_and_the_one_behind_it_still_gets_the_block() {
    let nodes = [Node::start().await, Node::start().await];
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let dead = stranger(unused_address().await);
        let pipeline = vec![dead.clone(), nodes[1].target(id(n))];
        let reply = nodes[0].put(id(n), &bytes, pipeline).await.unwrap();
        assert_eq!(reply.stored, [nodes[0].id, nodes[1].id]);
        assert_eq!(failed(&reply), [dead.node]);
        assert_eq!(nodes[1].read(id(n)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn when_a_node_dies_in_the_middle_the_one_behind_it_is_sent_the_block_from_the_disk() {
    let nodes = [Node::start().await, Node::start().await];
    let bytes = content(1, 20_000_000);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dying = stranger(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = vec![0; 200_000];
        stream.read_exact(&mut some).await.unwrap();
    });
    let pipeline = vec![dying.clone(), nodes[1].target(id(1))];
    let reply = nodes[0].put(id(1), &bytes, pipeline).await.unwrap();
    assert_eq!(reply.stored, [nodes[0].id, nodes[1].id]);
    assert_eq!(failed(&reply), [dying.node]);
    assert_eq!(nodes[1].read(id(1)).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_node_that_hangs_holds_up_a_write_for_no_longer_than_the_time_out() {
    for length in [1000, 40_000_000] {
        let node = Node::start_with(|config| config.stall_timeout = Duration::from_secs(1)).await;
        let bytes = content(1, length);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hanging = stranger(format!("http://{}", listener.local_addr().unwrap()));
        let reply = node.put(id(1), &bytes, vec![hanging.clone()]).await.unwrap();
        assert_eq!(reply.stored, [node.id]);
        assert_eq!(failed(&reply), [hanging.node]);
        assert_eq!(node.read(id(1)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn bytes_with_another_checksum_than_announced_are_kept_nowhere() {
    let nodes = [Node::start().await, Node::start().await, Node::start().await];
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let pipeline = nodes[1..].iter().map(|node| node.target(id(n))).collect();
        let request = PutBlock { crc32c: 5, ..put_request(nodes[0].id, id(n), &bytes, pipeline) };
        let refused = nodes[0].client().put(request, pieces(&bytes)).await;
        assert_eq!(refused, Err(BlockError::ChecksumMismatch));
        for node in &nodes {
            assert!(!node.holds(id(n)).await);
        }
    }
}

#[tokio::test]
async fn too_few_or_too_many_bytes_are_kept_nowhere() {
    let nodes = [Node::start().await, Node::start().await];
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let request = put_request(nodes[0].id, id(n), &bytes, vec![nodes[1].target(id(n))]);
        let whole = length as u64;
        for (announced, received) in [(whole - 1, whole), (whole + 1, whole)] {
            let request = PutBlock { length: announced, ..request.clone() };
            let refused = nodes[0].datanode.blocks().put(request, pieces(&bytes)).await;
            assert_eq!(refused, Err(BlockError::LengthMismatch { expected: announced, received }));
            for node in &nodes {
                assert!(!node.holds(id(n)).await);
            }
        }
    }
}

#[tokio::test]
async fn a_node_without_space_still_forwards_the_block() {
    let full = Node::start_with(|config| config.volume.capacity_bytes_max = Some(1)).await;
    let behind = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let reply = full.put(id(n), &bytes, vec![behind.target(id(n))]).await.unwrap();
        assert_eq!(reply.stored, [behind.id]);
        assert_eq!(failed(&reply), [full.id]);
        assert_eq!(full.put(id(n), &bytes, vec![]).await, Err(BlockError::NoSpace));
    }
}

/// A connection that flips a bit of the bytes that it carries.
struct BadCable(Arc<dyn BlockService>);

#[async_trait]
impl BlockService for BadCable {
    async fn put(&self, request: PutBlock, data: BlockStream) -> Result<PutBlockReply, BlockError> {
        let flip = |piece: Bytes| {
            let mut bytes = piece.to_vec();
            bytes[0] ^= 1;
            Bytes::from(bytes)
        };
        self.0.put(request, data.map(move |piece| piece.map(flip)).boxed()).await
    }
    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        self.0.get(request).await
    }
    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError> {
        self.0.head(request).await
    }
    async fn delete(&self, request: DeleteBlock) -> Result<(), BlockError> {
        self.0.delete(request).await
    }
}

struct BadCables;

impl BlockConnector for BadCables {
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn BlockService> {
        Arc::new(BadCable(Http.connect(node, address)))
    }
}

#[tokio::test]
async fn bytes_that_change_on_the_way_to_the_next_node_are_not_kept_there() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let config = config(directory.path());
    let first =
        Node::start_on(Arc::new(RealDisk), directory, config, Arc::new(BadCables), Metanode::new()).await;
    let second = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let reply = first.put(id(n), &bytes, vec![second.target(id(n))]).await.unwrap();
        assert_eq!(reply.stored, [first.id]);
        assert_eq!(failed(&reply), [second.id]);
        assert!(reply.failed[0].reason.contains("CRC32C"), "{}", reply.failed[0].reason);
        assert!(!second.holds(id(n)).await);
    }
}

/// A connection that counts the bytes that it carries.
struct Meter(Arc<dyn BlockService>, Arc<watch::Sender<usize>>);

#[async_trait]
impl BlockService for Meter {
    async fn put(&self, request: PutBlock, data: BlockStream) -> Result<PutBlockReply, BlockError> {
        let passed = self.1.clone();
        let counted = data.inspect_ok(move |piece| passed.send_modify(|passed| *passed += piece.len()));
        self.0.put(request, counted.boxed()).await
    }
    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        self.0.get(request).await
    }
    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError> {
        self.0.head(request).await
    }
    async fn delete(&self, request: DeleteBlock) -> Result<(), BlockError> {
        self.0.delete(request).await
    }
}

struct Meters(Arc<watch::Sender<usize>>);

impl BlockConnector for Meters {
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn BlockService> {
        Arc::new(Meter(Http.connect(node, address), self.0.clone()))
    }
}

#[tokio::test]
async fn the_next_node_is_sent_bytes_before_the_first_has_all_of_them() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let config = config(directory.path());
    let passed = Arc::new(watch::Sender::new(0));
    let meters = Arc::new(Meters(passed.clone()));
    let first = Node::start_on(Arc::new(RealDisk), directory, config, meters, Metanode::new()).await;
    let second = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        passed.send_replace(0);
        let bytes = content(1, length);
        let half = bytes.slice(..length / 2);
        let rest = bytes.slice(length / 2..);
        // The second half is sent only when the next node has been sent the first.
        let mut seen = passed.subscribe();
        let second_half = async move {
            seen.wait_for(|passed| *passed >= length / 2).await.unwrap();
            Ok(rest)
        };
        let coming =
            futures_util::stream::iter([Ok(half)]).chain(futures_util::stream::once(second_half)).boxed();
        let request = put_request(first.id, id(n), &bytes, vec![second.target(id(n))]);
        let reply = first.client().put(request, coming).await.unwrap();
        assert_eq!(reply.stored, [first.id, second.id]);
        assert_eq!(second.read(id(n)).await.unwrap(), bytes);
        // Each byte is sent once between two nodes.
        assert_eq!(*passed.borrow(), length);
    }
}
