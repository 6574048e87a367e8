//! A small cluster in memory. Tests choose how its nodes misbehave.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cairn_protocol::block::*;
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, crc32c};
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::id::{BlockId, NodeId, VersionId};
use cairn_protocol::metadata::*;
use cairn_protocol::secret::{BlockOperation, ClusterSecret};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::Notify;

use crate::data::{DataConfig, DataError, DataPath, Placement};

/// How a node misbehaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// Connections are refused.
    Down,
    /// It accepts requests and never answers them, like a stopped process.
    Stopped,
    /// It stores a block and never replies.
    Mute,
    /// It has no space.
    Full,
    /// It refuses this many requests to store as `Busy`, and then works.
    Busy(usize),
    /// It takes this long to store a block.
    Slow(Duration),
    /// The byte at this offset of every block is wrong.
    Corrupt(usize),
    /// It closes the connection after this many bytes of a response.
    BreaksOff(usize),
    /// It sends nothing more after this many bytes of a response.
    GoesSilent(usize),
    /// Each piece of a response arrives this long after it was polled for.
    Dribbles(Duration),
    /// It sends the chunk table, length and CRC of another block.
    Impostor,
}

pub(super) struct Node {
    pub(super) id: NodeId,
    world: Weak<World>,
    pub(super) fault: Mutex<Fault>,
    pub(super) blocks: Mutex<HashMap<BlockId, Bytes>>,
    /// The number of requests to store that it received.
    pub(super) puts: Mutex<usize>,
    /// The number of requests to read that it received.
    pub(super) gets: Mutex<usize>,
    /// The number of bytes of blocks that it received from the gateway and not from another node.
    pub(super) sent: Mutex<usize>,
}

#[derive(Default)]
pub(super) struct Meta {
    pub(super) granted: BTreeMap<BlockId, Grant>,
    pub(super) released: Vec<BlockId>,
    /// Those of them of which the gateway said that nothing was sent.
    pub(super) unused: Vec<BlockId>,
    pub(super) reports: Vec<(NodeId, ReplicaProblem)>,
    pub(super) commits: Vec<CommitObject>,
    pub(super) allocations: Vec<AllocateBlocks>,
    pub(super) renewals: usize,
    /// Nodes whose replicas the metanode returns as bad.
    pub(super) bad: Vec<NodeId>,
    /// The versions whose reads were renewed, with the time.
    pub(super) reads_renewed: Vec<(VersionId, Duration)>,
    /// The number of renewals of reads that will fail.
    pub(super) read_renewals_refused: usize,
    /// The number of commits that will be done without an answer.
    pub(super) commits_unanswered: usize,
    /// The number of commits that will be refused with `BlockLost` for one of their blocks.
    pub(super) blocks_lost: usize,
    /// Whether all commits are refused with `BlockLost` once `commits_unanswered` is 0.
    pub(super) lost_after_unanswered: bool,
    /// How far the metanode's clock is ahead of the gateway's, in milliseconds.
    pub(super) ahead_ms: i64,
    pub(super) commit_refused: Option<MetadataError>,
    /// The error for all requests for grants until this time on the monotonic clock.
    pub(super) grants_refused: Option<(MetadataError, Duration)>,
    next: usize,
}

pub(super) struct World {
    pub(super) env: Env,
    pub(super) clock: ManualClock,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) meta: Mutex<Meta>,
    pub(super) changed: Notify,
    /// Whether nodes send whole chunks, each in memory of its own, as a datanode of this process does.
    pub(super) sends_chunks: AtomicBool,
    secret: ClusterSecret,
    block_size: u64,
    replication: u32,
    min_replicas: u32,
}

const LEASE: Duration = Duration::from_secs(60);

/// How long a version stays readable after it was replaced.
pub(super) const GRACE: Duration = Duration::from_secs(600);

impl World {
    pub(super) fn new(nodes: usize, block_size: u64) -> Arc<Self> {
        let (env, clock) = Env::manual(7, Timestamp(1_000_000));
        Arc::new_cyclic(|world| {
            let node = |_| {
                Arc::new(Node {
                    id: NodeId(env.uuid_v4()),
                    world: world.clone(),
                    fault: Mutex::default(),
                    blocks: Mutex::default(),
                    puts: Mutex::default(),
                    gets: Mutex::default(),
                    sent: Mutex::default(),
                })
            };
            Self {
                nodes: (0..nodes).map(node).collect(),
                env: env.clone(),
                clock,
                meta: Mutex::default(),
                changed: Notify::new(),
                sends_chunks: AtomicBool::new(false),
                secret: ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap(),
                block_size,
                replication: nodes.min(3) as u32,
                min_replicas: nodes.min(2) as u32,
            }
        })
    }

    fn metanode_now(&self, meta: &Meta) -> Timestamp {
        Timestamp(self.env.now().0.saturating_add_signed(meta.ahead_ms))
    }

    pub(super) fn data(self: &Arc<Self>) -> DataPath {
        self.data_with(&DataConfig::default())
    }

    pub(super) fn data_with(self: &Arc<Self>, config: &DataConfig) -> DataPath {
        let metadata = Arc::new(FakeMetadata(self.clone()));
        let blocks = Arc::new(FakeConnector(self.clone()));
        DataPath::new(metadata, blocks, self.secret.clone(), self.env.clone(), config)
    }

    pub(super) fn fault(&self, node: usize, fault: Fault) {
        *self.nodes[node].fault.lock().unwrap() = fault;
    }

    pub(super) fn meta(&self) -> std::sync::MutexGuard<'_, Meta> {
        self.meta.lock().unwrap()
    }

    fn node(&self, id: NodeId) -> Arc<Node> {
        self.nodes.iter().find(|node| node.id == id).unwrap().clone()
    }

    /// Grants that were neither committed nor given back.
    pub(super) fn grants_open(&self) -> usize {
        let meta = self.meta();
        let committed: Vec<_> =
            meta.commits.iter().flat_map(|c| &c.extents).map(|extent| extent.grant.block).collect();
        meta.granted
            .keys()
            .filter(|block| !committed.contains(block) && !meta.released.contains(block))
            .count()
    }

    /// Waits until the condition is true. It is checked again after each report and each release of grants.
    pub(super) async fn until(&self, happened: impl Fn(&Self) -> bool) {
        while !happened(self) {
            self.changed.notified().await;
        }
    }

    /// Advances the clock until `event` completes.
    pub(super) async fn while_time_passes<T>(&self, event: impl Future<Output = T>) -> T {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                biased;
                outcome = event.as_mut() => return outcome,
                () = tokio::task::yield_now() => self.clock.advance(Duration::from_millis(50)),
            }
        }
    }

    /// The metanode's reply to a lookup of the first committed object.
    pub(super) fn located(&self, range: std::ops::Range<u64>, extents_max: usize) -> LocatedObject {
        self.located_at(0, range, extents_max)
    }

    /// The metanode's reply to a lookup of the committed object of this number.
    pub(super) fn located_at(
        &self,
        number: usize,
        range: std::ops::Range<u64>,
        extents_max: usize,
    ) -> LocatedObject {
        let commit = self.meta().commits[number].clone();
        let list = ListId(number as u64);
        let mut page = self.extents((list, &commit), range.start, range.end, extents_max);
        let content = match &commit.extents[..] {
            // As the metanode records it: the row of the version refers to the block.
            [NewExtent { grant, slice: Some(slice), .. }] => {
                page.extents.iter_mut().for_each(|extent| extent.path.clear());
                Content::Block { block: grant.block, offset: slice.offset, crc32c: Some(slice.crc32c) }
            }
            _ => Content::List { list },
        };
        LocatedObject {
            object: ObjectVersion {
                key: commit.key.clone(),
                version: commit.version,
                length: commit.length,
                etag: commit.etag.clone(),
                modified_at: self.env.now(),
                attributes: commit.attributes.clone(),
                tags: Tags::new(),
                part_count: 0,
                sequence: 0,
                is_null: true,
                is_versioned: false,
                content,
                checksum: 0,
            },
            range: ResolvedRange::Satisfiable { start: range.start, end: range.end },
            extents: page.extents,
            more: page.more,
            readable_ms: GRACE.as_millis() as u64,
        }
    }

    /// The extents of a commit. The number of the commit is the id of its list.
    fn extents(
        &self,
        (list, commit): (ListId, &CommitObject),
        start: u64,
        end: u64,
        max: usize,
    ) -> ExtentPage {
        let mut offset = 0;
        let mut extents = Vec::new();
        for extent in &commit.extents {
            let object_offset = offset;
            let (begins_at, length) =
                extent.slice.map_or((0, extent.length), |slice| (slice.offset, slice.length));
            offset += length;
            if offset > start && object_offset < end {
                let block = self.location(extent.grant.block, extent.length, extent.crc32c);
                let target = EntryTarget::Block(extent.grant.block);
                let path = vec![ExtentEntry::new(list, object_offset, target, begins_at, length)];
                extents.push(LocatedExtent { object_offset, offset: begins_at, length, block, path });
            }
        }
        let more = extents.len() > max;
        extents.truncate(max);
        ExtentPage { extents, more }
    }

    /// The location of a block. Its replicas are in the order of the nodes.
    fn location(&self, block: BlockId, length: u64, crc32c: u32) -> BlockLocation {
        let bad = self.meta().bad.clone();
        let holds = |node: &&Arc<Node>| node.blocks.lock().unwrap().contains_key(&block);
        let replica = |node: &Arc<Node>| Replica {
            node: node.id,
            address: node.id.to_string(),
            zone: None,
            live: true,
            bad: bad.contains(&node.id),
        };
        let replicas = self.nodes.iter().filter(holds).map(replica).collect();
        BlockLocation { block, length, crc32c, replicas }
    }

    /// Writes a body that arrives in these pieces, and commits it.
    pub(super) async fn put(self: &Arc<Self>, data: &DataPath, pieces: Vec<Bytes>) -> Committed {
        let length = pieces.iter().map(Bytes::len).sum::<usize>() as u64;
        let mut body = body(pieces);
        let stored = data.write(placement(Some(length)), &mut body).await.unwrap();
        assert_eq!(stored.length(), length);
        stored.commit_object(self.commit()).await.unwrap()
    }

    pub(super) fn commit(&self) -> CommitObject {
        CommitObject {
            bucket: "bucket".to_owned(),
            key: "key".to_owned(),
            version: VersionId(self.env.uuid_v7()),
            length: 0,
            etag: "etag".to_owned(),
            attributes: ObjectAttributes::default(),
            tags: Tags::new(),
            extents: Vec::new(),
            condition: WriteCondition::None,
        }
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        data: &DataPath,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, DataError> {
        self.get_at(0, data, range).await
    }

    /// The bytes of the committed object of this number.
    pub(super) async fn get_at(
        self: &Arc<Self>,
        number: usize,
        data: &DataPath,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, DataError> {
        let body = data.read(self.located_at(number, range, usize::MAX)).await?;
        let whole = body.try_fold(BytesMut::new(), |mut whole, piece| async move {
            whole.extend_from_slice(&piece);
            Ok(whole)
        });
        Ok(whole.await?.freeze())
    }
}

pub(super) fn placement(length: Option<u64>) -> Placement {
    Placement { bucket: "bucket".to_owned(), storage_class: None, begins_at: 0, length, block_size: None }
}

pub(super) fn body(pieces: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, &'static str>> + Unpin + Send {
    futures_util::stream::iter(pieces.into_iter().map(Ok))
}

/// Test data that differs from offset to offset, so that swapped chunks are noticed.
pub(super) fn bytes(length: usize) -> Bytes {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

struct FakeConnector(Arc<World>);

impl BlockConnector for FakeConnector {
    fn connect(&self, node: NodeId, _address: &str) -> Arc<dyn BlockService> {
        Arc::new(FakeNode(self.0.node(node), Sender::Gateway))
    }
}

struct FakeNode(Arc<Node>, Sender);

/// The sender of a block to a node.
#[derive(PartialEq)]
enum Sender {
    Gateway,
    Pipeline,
}

impl FakeNode {
    async fn begin(
        &self,
        operation: BlockOperation,
        block: BlockId,
        token: &str,
    ) -> Result<Fault, BlockError> {
        let world = self.0.world.upgrade().unwrap();
        world.secret.check_block_token(token, operation, block, self.0.id, world.env.now()).unwrap();
        let fault = self.0.fault.lock().unwrap().clone();
        match fault {
            Fault::Down => Err(BlockError::Unreachable { reason: "down".to_owned() }),
            Fault::Stopped => std::future::pending().await,
            fault => Ok(fault),
        }
    }
}

#[async_trait]
impl BlockService for FakeNode {
    async fn put(&self, request: PutBlock, mut data: BlockStream) -> Result<PutBlockReply, BlockError> {
        *self.0.puts.lock().unwrap() += 1;
        let fault = self.begin(BlockOperation::Put, request.block, &request.token).await?;
        if fault == Fault::Full {
            return Err(BlockError::NoSpace);
        }
        if let Fault::Busy(times) = fault {
            *self.0.fault.lock().unwrap() = if times > 1 { Fault::Busy(times - 1) } else { Fault::None };
            return Err(BlockError::Busy);
        }
        let mut pieces = Vec::new();
        while let Some(piece) = data.next().await {
            let piece = piece?;
            if self.1 == Sender::Gateway {
                *self.0.sent.lock().unwrap() += piece.len();
            }
            pieces.push(piece);
            tokio::task::yield_now().await;
        }
        if let Fault::Slow(duration) = fault {
            let env = self.0.world.upgrade().unwrap().env.clone();
            env.sleep(duration).await;
        }
        let whole = Bytes::from(pieces.concat());
        assert_eq!(whole.len() as u64, request.length);
        assert_eq!(crc32c(&whole), request.crc32c);
        self.0.blocks.lock().unwrap().insert(request.block, whole);
        if fault == Fault::Mute {
            std::future::pending::<()>().await;
        }
        let mut reply = PutBlockReply { stored: vec![self.0.id], ..PutBlockReply::default() };
        if let [next, rest @ ..] = request.pipeline.as_slice() {
            let forward = PutBlock { token: next.token.clone(), pipeline: rest.to_vec(), ..request.clone() };
            let world = self.0.world.upgrade().unwrap();
            let node = FakeNode(world.node(next.node), Sender::Pipeline);
            let data = futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed();
            match node.put(forward, data).await {
                Ok(further) => {
                    reply.stored.extend(further.stored);
                    reply.failed.extend(further.failed);
                }
                // The nodes after it received nothing either, but they are not reported as failed.
                Err(error) => reply.failed.push(FailedTarget { node: next.node, reason: error.to_string() }),
            }
        }
        Ok(reply)
    }

    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        *self.0.gets.lock().unwrap() += 1;
        let fault = self.begin(BlockOperation::Get, request.block, &request.token).await?;
        let block = self.0.blocks.lock().unwrap().get(&request.block).cloned().ok_or(BlockError::NotFound)?;
        let length = block.len() as u64;
        let mut info = BlockInfo { length, crc32c: crc32c(&block), volume: None, incarnation: None };
        let mut table = ChunkTable::of(&block);
        let (start, end) = request.range.unwrap_or((0, length));
        assert!(start < end && end <= length, "{start}..{end} of {length}");
        let (start, end) = chunk_aligned(start, end, length);
        if self.0.world.upgrade().unwrap().sends_chunks.load(Ordering::Relaxed) {
            let chunks = (start..end).step_by(CHUNK_SIZE).map(|at| at as usize);
            let chunks: Vec<_> =
                chunks.map(|at| Ok(block.slice(at..end.min((at + CHUNK_SIZE) as u64) as usize))).collect();
            let data = futures_util::stream::iter(chunks).boxed();
            return Ok(BlockRead { info, table, data_offset: start, data, owned_chunks: true });
        }
        let mut block = block.to_vec();
        match fault {
            Fault::Corrupt(at) => block[at] ^= 1,
            Fault::Impostor => {
                table = ChunkTable::of(&block[1..]);
                info = BlockInfo {
                    length: length - 1,
                    crc32c: crc32c(&block[1..]),
                    volume: None,
                    incarnation: None,
                };
            }
            _ => {}
        }
        // The pieces do not end at the boundaries of chunks.
        let mut sent = 0;
        let mut pieces = Vec::new();
        for piece in Bytes::from(block).slice(start as usize..end as usize).chunks(CHUNK_SIZE / 3 + 5) {
            let mut piece = Bytes::copy_from_slice(piece);
            match fault {
                Fault::BreaksOff(after) if sent + piece.len() > after => {
                    piece.truncate(after - sent);
                    pieces.push(Ok(piece));
                    pieces.push(Err(BlockError::Unreachable { reason: "broke off".to_owned() }));
                    break;
                }
                Fault::GoesSilent(after) if sent + piece.len() > after => break,
                _ => {
                    sent += piece.len();
                    pieces.push(Ok(piece));
                }
            }
        }
        let data = futures_util::stream::iter(pieces);
        let data = match fault {
            Fault::GoesSilent(_) => data.chain(futures_util::stream::pending()).boxed(),
            Fault::Dribbles(time) => {
                let env = self.0.world.upgrade().unwrap().env.clone();
                data.then(move |piece| {
                    let sleep = env.sleep(time);
                    async move {
                        sleep.await;
                        piece
                    }
                })
                .boxed()
            }
            _ => data.boxed(),
        };
        Ok(BlockRead { info, table, data_offset: start, data, owned_chunks: false })
    }

    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError> {
        self.begin(BlockOperation::Get, request.block, &request.token).await?;
        let blocks = self.0.blocks.lock().unwrap();
        let block = blocks.get(&request.block).ok_or(BlockError::NotFound)?;
        Ok(BlockInfo { length: block.len() as u64, crc32c: crc32c(block), volume: None, incarnation: None })
    }

    async fn delete(&self, _: DeleteBlock) -> Result<(), BlockError> {
        panic!("a gateway deletes no blocks");
    }
}

trait Chunks {
    fn chunks(&self, size: usize) -> impl Iterator<Item = &[u8]>;
}

impl Chunks for Bytes {
    fn chunks(&self, size: usize) -> impl Iterator<Item = &[u8]> {
        self.as_ref().chunks(size)
    }
}

struct FakeMetadata(Arc<World>);

fn unused<T>() -> Result<T, MetadataError> {
    Err(MetadataError::Malformed { reason: "the data path has no business here".to_owned() })
}

#[async_trait]
impl Metadata for FakeMetadata {
    async fn allocate_blocks(&self, request: AllocateBlocks) -> Result<Vec<Grant>, MetadataError> {
        let world = &self.0;
        let mut meta = world.meta();
        let nodes: Vec<_> = world.nodes.iter().filter(|node| !request.exclude.contains(&node.id)).collect();
        meta.allocations.push(request.clone());
        if let Some((error, until)) = &meta.grants_refused
            && world.env.monotonic() < *until
        {
            return Err(error.clone());
        }
        if nodes.len() < world.min_replicas as usize {
            return Err(MetadataError::NotEnoughNodes { reason: format!("{} nodes", nodes.len()) });
        }
        let mut grants = Vec::new();
        for _ in 0..request.count {
            let first = meta.next;
            meta.next += 1;
            let targets = (0..nodes.len().min(world.replication as usize))
                .map(|n| nodes[(first + n) % nodes.len()].id)
                .map(|node| GrantTarget { node, address: node.to_string() })
                .collect();
            let grant = Grant {
                block: BlockId(world.env.uuid_v7()),
                targets,
                block_size: world.block_size,
                replication: world.replication,
                min_replicas: world.min_replicas,
                expires_at: world.metanode_now(&meta).after(LEASE),
                lifetime_ms: LEASE.as_millis() as u64,
                signature: String::new(),
            };
            meta.granted.insert(grant.block, grant.clone());
            grants.push(grant);
        }
        Ok(grants)
    }

    async fn renew_grants(&self, request: RenewGrants) -> Result<Vec<Grant>, MetadataError> {
        let mut meta = self.0.meta();
        let now = self.0.metanode_now(&meta);
        meta.renewals += 1;
        if request.grants.iter().any(|grant| grant.expires_at < now) {
            return Err(MetadataError::GrantExpired);
        }
        let renew = |grant| Grant { expires_at: now.after(LEASE), ..grant };
        Ok(request.grants.into_iter().map(renew).collect())
    }

    async fn release_grants(&self, request: ReleaseGrants) -> Result<(), MetadataError> {
        let blocks = request.grants.iter().map(|grant| grant.block);
        let mut meta = self.0.meta();
        meta.released.extend(blocks.clone());
        meta.unused.extend(blocks.filter(|_| request.unused));
        drop(meta);
        self.0.changed.notify_one();
        Ok(())
    }

    async fn report_replica(&self, request: ReplicaReport) -> Result<(), MetadataError> {
        self.0.meta().reports.push((request.node, request.problem));
        self.0.changed.notify_one();
        Ok(())
    }

    async fn commit_object(&self, request: CommitObject) -> Result<Committed, MetadataError> {
        let world = &self.0;
        let mut meta = world.meta();
        if let Some(refused) = &meta.commit_refused {
            return Err(refused.clone());
        }
        let lost = meta.blocks_lost > 0 || meta.lost_after_unanswered && meta.commits_unanswered == 0;
        if lost && !request.extents.is_empty() {
            meta.blocks_lost = meta.blocks_lost.saturating_sub(1);
            let block = request.extents[meta.blocks_lost % request.extents.len()].grant.block;
            return Err(MetadataError::BlockLost { block, reason: "its nodes are gone".to_owned() });
        }
        for extent in &request.extents {
            assert!(extent.length > 0 && extent.length <= extent.grant.block_size);
            assert!(extent.stored_on.len() >= world.min_replicas as usize);
            assert!(extent.stored_on.iter().all(|n| extent.grant.targets.iter().any(|t| t.node == *n)));
            if extent.grant.expires_at < world.metanode_now(&meta) {
                return Err(MetadataError::GrantExpired);
            }
        }
        let committed = Committed {
            version: request.version,
            etag: request.etag.clone(),
            modified_at: world.env.now(),
            name: None,
        };
        if !meta.commits.iter().any(|commit| commit.version == request.version) {
            meta.commits.push(request);
        }
        if meta.commits_unanswered > 0 {
            meta.commits_unanswered -= 1;
            return Err(MetadataError::Unavailable { reason: "no answer".to_owned() });
        }
        Ok(committed)
    }

    async fn list_extents(&self, request: ListExtents) -> Result<ExtentPage, MetadataError> {
        let commit = self.0.meta().commits.get(request.list.0 as usize).cloned();
        let commit = commit.ok_or(MetadataError::NoSuchVersion)?;
        // Pages are short, so that even small objects have several.
        Ok(self.0.extents((request.list, &commit), request.start, request.end, 2))
    }

    async fn locate_blocks(&self, request: LocateBlocks) -> Result<Vec<BlockLocation>, MetadataError> {
        let commits = self.0.meta().commits.clone();
        let extents = commits.iter().flat_map(|commit| &commit.extents);
        Ok(extents
            .filter(|extent| request.blocks.contains(&extent.grant.block))
            .map(|extent| self.0.location(extent.grant.block, extent.length, extent.crc32c))
            .collect())
    }

    async fn renew_reads(&self, request: RenewReads) -> Result<(), MetadataError> {
        let now = self.0.env.monotonic();
        let mut meta = self.0.meta();
        if meta.read_renewals_refused > 0 {
            meta.read_renewals_refused -= 1;
            return Err(MetadataError::Unavailable { reason: "no answer".to_owned() });
        }
        meta.reads_renewed.extend(request.versions.into_iter().map(|version| (version, now)));
        Ok(())
    }

    async fn create_bucket(&self, _: CreateBucket) -> Result<BucketInfo, MetadataError> {
        unused()
    }
    async fn get_bucket(&self, _: BucketRef) -> Result<BucketInfo, MetadataError> {
        unused()
    }
    async fn list_buckets(&self, _: ListBuckets) -> Result<BucketPage, MetadataError> {
        unused()
    }
    async fn set_versioning(&self, _: SetVersioning) -> Result<(), MetadataError> {
        unused()
    }
    async fn list_versions(&self, _: ListVersions) -> Result<VersionPage, MetadataError> {
        unused()
    }
    async fn delete_bucket(&self, _: DeleteBucket) -> Result<(), MetadataError> {
        unused()
    }
    async fn lookup_object(&self, _: LookupObject) -> Result<LocatedObject, MetadataError> {
        unused()
    }
    async fn list_object_parts(&self, _: ListObjectParts) -> Result<ObjectPartPage, MetadataError> {
        unused()
    }
    async fn copy_object(&self, _: CopyObject) -> Result<Committed, MetadataError> {
        unused()
    }
    async fn delete_objects(
        &self,
        _: DeleteObjects,
    ) -> Result<Vec<Result<Deleted, MetadataError>>, MetadataError> {
        unused()
    }
    async fn update_tags(&self, _: UpdateTags) -> Result<Option<VersionName>, MetadataError> {
        unused()
    }
    async fn set_bucket_lock(&self, _: SetBucketLock) -> Result<(), MetadataError> {
        unused()
    }
    async fn put_object_lock(&self, _: PutObjectLock) -> Result<Option<VersionName>, MetadataError> {
        unused()
    }
    async fn list_objects(&self, _: ListObjects) -> Result<ObjectPage, MetadataError> {
        unused()
    }
    async fn create_upload(&self, _: CreateUpload) -> Result<UploadInfo, MetadataError> {
        unused()
    }
    async fn get_upload(&self, _: UploadRef) -> Result<UploadInfo, MetadataError> {
        unused()
    }
    async fn put_part(&self, _: PutPart) -> Result<PartCommitted, MetadataError> {
        unused()
    }
    async fn copy_part(&self, _: CopyPart) -> Result<PartCommitted, MetadataError> {
        unused()
    }
    async fn list_parts(&self, _: ListParts) -> Result<PartPage, MetadataError> {
        unused()
    }
    async fn list_uploads(&self, _: ListUploads) -> Result<UploadPage, MetadataError> {
        unused()
    }
    async fn complete_upload(&self, _: CompleteUpload) -> Result<Committed, MetadataError> {
        unused()
    }
    async fn abort_upload(&self, _: AbortUpload) -> Result<(), MetadataError> {
        unused()
    }
    async fn check_storage_class(&self, _: StorageClassRef) -> Result<(), MetadataError> {
        unused()
    }
    async fn get_bucket_configurations(&self, _: BucketRef) -> Result<BucketConfigurations, MetadataError> {
        unused()
    }
    async fn put_bucket_configuration(&self, _: PutBucketConfiguration) -> Result<u64, MetadataError> {
        unused()
    }
    async fn get_account_configuration(
        &self,
        _: AccountConfigurationRef,
    ) -> Result<Option<String>, MetadataError> {
        unused()
    }
    async fn put_account_configuration(&self, _: PutAccountConfiguration) -> Result<(), MetadataError> {
        unused()
    }
    async fn rename_object(&self, _: RenameObject) -> Result<Renamed, MetadataError> {
        unused()
    }
    async fn find_rename(&self, _: RenameRef) -> Result<Option<Renamed>, MetadataError> {
        unused()
    }
    async fn update_access(&self, _: UpdateAccess) -> Result<Option<VersionName>, MetadataError> {
        unused()
    }
    async fn find_principals(&self, _: FindPrincipals) -> Result<Vec<FoundPrincipal>, MetadataError> {
        unused()
    }
    async fn find_access_key(&self, _: AccessKeyRef) -> Result<Option<AccessKey>, MetadataError> {
        unused()
    }
    async fn find_role(&self, _: RoleRef) -> Result<Option<FoundRole>, MetadataError> {
        unused()
    }
    async fn root_credentials(&self, _: RootCredentialsRequest) -> Result<RootCredentials, MetadataError> {
        unused()
    }
}
