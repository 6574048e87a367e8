//! A fake metanode and fake datanodes for tests: they return prepared answers and record the calls.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_protocol::admin::{
    Admin, AdminError, AdminState, AdminStateReport, AdvanceLockClock, BalanceRequest, BalanceStatus,
    BucketSettings, BucketUsagePage, CanStop, CanStopReport, ClusterStatus, ExplainLifecycle, ExtentPlace,
    FsckPage, FsckRequest, GetBucketSettings, HoldRequest, HoldStatus, LifecycleExplanation,
    LifecycleRequest, LifecycleStatus, ListBucketUsage, LockClockRequest, LockClockStatus, NodeProgress,
    NodeProgressRequest, NodeState, NodeStatus, ObjectPlace, PackPreview, PreviewPack, ReleaseHold,
    RemoveNode, RemoveNodeReport, ReplicaPlace, ScrubRequest, ScrubStatus, SetAdminState, SetBalance,
    SetBucketSettings, SetWorker, StartPack, StartScrub, StatusRequest, WhereRequest, WorkerActivity,
    WorkerName, WorkerSettings, WorkerStatus, WorkersRequest,
};
use cairn_protocol::block::{
    BlockConnector, BlockError, BlockInfo, BlockRead, BlockService, BlockStream, DeleteBlock, GetBlock,
    HeadBlock, PutBlock, PutBlockReply,
};
use cairn_protocol::checksum::{ChunkTable, crc32c};
use cairn_protocol::cluster::VolumeUsage;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, ClusterId, NodeId, VersionId, VolumeId};
use cairn_protocol::metadata::{Quota, Usage};
use clap::{Command, Subcommand};
use futures_util::StreamExt;

/// Parses a command line into an operation.
pub(super) fn parse<O: Subcommand>(line: &[&str]) -> Result<O, clap::Error> {
    let command = O::augment_subcommands(Command::new("operation").no_binary_name(true));
    O::from_arg_matches(&command.try_get_matches_from(line)?)
}

/// The id of the fake cluster's only node.
pub(super) const NODE: &str = "aaaaaaaa-aaaa-4000-8000-000000000001";

/// An environment whose clock jumps forward whenever a caller waits.
pub(super) fn impatient_env() -> Env {
    let (env, clock) = Env::manual(1, Timestamp(0));
    tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
    env
}

/// A live node with a volume of 100 MiB, of which an eighth is used.
pub(super) fn node(id: &str, address: &str) -> NodeStatus {
    let volume: VolumeId = "cccccccc-0000-4000-8000-000000000001".parse().unwrap();
    let usage =
        VolumeUsage { volume, capacity: 100 << 20, used: 25 << 19, free: 75 << 20, trash: 0, failed: None };
    NodeStatus {
        node: id.parse().unwrap(),
        address: address.to_owned(),
        zone: None,
        state: NodeState::Live,
        admin_state: AdminState::InService,
        incarnation: 1,
        version: "0.1.0".to_owned(),
        last_contact_ms: Some(100),
        replicas: 10,
        predicted_used: 25 << 19,
        volumes: vec![usage],
    }
}

/// The status of a cluster of these nodes, with 10 blocks and no problems.
pub(super) fn status(nodes: Vec<NodeStatus>) -> ClusterStatus {
    ClusterStatus {
        cluster: ClusterId("dddddddd-0000-4000-8000-000000000001".parse().unwrap()),
        nodes,
        blocks: 10,
        under_replicated: 0,
        missing: 0,
        repairs_in_flight: 0,
        deletions_queued: 0,
        buckets: vec![],
        workers: vec![],
        hold: HoldStatus::default(),
    }
}

/// A worker without a rate limit.
pub(super) fn worker(worker: WorkerName, activity: WorkerActivity) -> WorkerStatus {
    WorkerStatus {
        worker,
        settings: WorkerSettings::default(),
        rate: None,
        activity,
        doing: "nothing to do".to_owned(),
        done: 0,
        bytes: 0,
        error: None,
    }
}

/// The progress of the node in this administrative state, with `blocks` of 1 MiB left.
pub(super) fn progress(admin_state: AdminState, blocks: u64) -> NodeProgress {
    NodeProgress {
        node: NODE.parse().unwrap(),
        state: NodeState::Live,
        admin_state,
        drained: admin_state == AdminState::Draining && blocks == 0,
        blocks,
        bytes: blocks << 20,
        in_flight: 0,
        grants: 0,
        grants_last_ms: 0,
        obstacles: vec![],
    }
}

/// A cluster that is balanced and whose balancer is stopped.
pub(super) fn balance() -> BalanceStatus {
    BalanceStatus {
        running: false,
        activity: WorkerActivity::Resting,
        rate: 32 << 20,
        threshold_permille: 100,
        mean: 0.5,
        lowest: 0.5,
        highest: 0.5,
        nodes_outside: 0,
        bytes_to_move: 0,
        moves_in_flight: 0,
        bytes_moved: 0,
    }
}

/// The node's scrubber after an order at this time.
pub(super) fn scrub(asked_at: Timestamp) -> ScrubStatus {
    ScrubStatus { node: NODE.parse().unwrap(), progress: None, asked_at: Some(asked_at) }
}

/// The place of an object of these blocks, each with a replica on the node.
pub(super) fn place(blocks: &[&[u8]]) -> ObjectPlace {
    let env = Env::system();
    let mut offset = 0;
    let extents = blocks.iter().map(|block| {
        let length = block.len() as u64;
        offset += length;
        ExtentPlace {
            offset: offset - length,
            length,
            block: BlockId(env.uuid_v7()),
            block_offset: 0,
            block_length: length,
            crc32c: crc32c(block),
            replication: 3,
            references: 1,
            replicas: vec![ReplicaPlace {
                node: NODE.parse().unwrap(),
                address: "http://10.0.0.1:9020".to_owned(),
                zone: None,
                state: NodeState::Live,
                admin_state: AdminState::InService,
                good: true,
            }],
        }
    });
    let extents: Vec<_> = extents.collect();
    ObjectPlace {
        version: VersionId(env.uuid_v7()),
        length: offset,
        etag: "\"etag\"".to_owned(),
        modified_at: Timestamp(0),
        extents,
    }
}

/// A fake metanode with one node.
#[derive(Default)]
pub(super) struct Fake {
    orders: Mutex<Vec<String>>,
    progress: Mutex<VecDeque<NodeProgress>>,
    scrubs: Mutex<VecDeque<ScrubStatus>>,
    pages: Mutex<VecDeque<FsckPage>>,
    previews: Mutex<VecDeque<PackPreview>>,
    can_stop: Mutex<Option<CanStopReport>>,
    last_replicas: Mutex<u64>,
    hold: Mutex<HoldStatus>,
    node: Mutex<Option<NodeStatus>>,
}

/// The next prepared answer; the last one is returned repeatedly.
fn next<T: Clone>(prepared: &Mutex<VecDeque<T>>) -> Option<T> {
    let mut prepared = prepared.lock().unwrap();
    if prepared.len() > 1 { prepared.pop_front() } else { prepared.front().cloned() }
}

impl Fake {
    /// The changing calls and the calls of fsck, in order. Other reads are not recorded.
    pub(super) fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }

    fn order(&self, order: String, dry_run: bool) {
        self.orders.lock().unwrap().push(if dry_run { order + " dry" } else { order });
    }

    pub(super) fn progress(&self, progress: impl IntoIterator<Item = NodeProgress>) {
        self.progress.lock().unwrap().extend(progress);
    }

    pub(super) fn scrubs(&self, scrubs: impl IntoIterator<Item = ScrubStatus>) {
        self.scrubs.lock().unwrap().extend(scrubs);
    }

    pub(super) fn scrubs_left(&self) -> usize {
        self.scrubs.lock().unwrap().len()
    }

    pub(super) fn fsck(&self, pages: impl IntoIterator<Item = FsckPage>) {
        self.pages.lock().unwrap().extend(pages);
    }

    pub(super) fn previews(&self, pages: impl IntoIterator<Item = PackPreview>) {
        self.previews.lock().unwrap().extend(pages);
    }

    pub(super) fn can_stop(&self, report: CanStopReport) {
        *self.can_stop.lock().unwrap() = Some(report);
    }

    pub(super) fn hold(&self, hold: HoldStatus) {
        *self.hold.lock().unwrap() = hold;
    }

    /// What its node is like.
    pub(super) fn node(&self, node: NodeStatus) {
        *self.node.lock().unwrap() = Some(node);
    }

    pub(super) fn last_replicas(&self, blocks: u64) {
        *self.last_replicas.lock().unwrap() = blocks;
    }

    fn next_progress(&self) -> NodeProgress {
        next(&self.progress).unwrap_or_else(|| progress(AdminState::InService, 1))
    }
}

#[async_trait]
impl Admin for Fake {
    async fn status(&self, _: StatusRequest) -> Result<ClusterStatus, AdminError> {
        let prepared = self.node.lock().unwrap().clone();
        Ok(status(vec![prepared.unwrap_or_else(|| node(NODE, "http://10.0.0.1:9020"))]))
    }

    async fn set_admin_state(&self, request: SetAdminState) -> Result<AdminStateReport, AdminError> {
        self.order("set_admin_state".to_owned(), request.dry_run);
        let progress =
            if request.dry_run { progress(AdminState::InService, 1) } else { self.next_progress() };
        Ok(AdminStateReport { before: AdminState::InService, after: progress.admin_state, progress })
    }

    async fn node_progress(&self, _: NodeProgressRequest) -> Result<NodeProgress, AdminError> {
        Ok(self.next_progress())
    }

    async fn can_stop(&self, request: CanStop) -> Result<CanStopReport, AdminError> {
        self.order(format!("can_stop {}", request.nodes.len()), false);
        self.can_stop.lock().unwrap().clone().ok_or(AdminError::Internal)
    }

    async fn remove_node(&self, request: RemoveNode) -> Result<RemoveNodeReport, AdminError> {
        self.order("remove_node".to_owned(), request.dry_run);
        let last_replicas = *self.last_replicas.lock().unwrap();
        Ok(RemoveNodeReport { replicas: last_replicas, last_replicas })
    }

    async fn workers(&self, _: WorkersRequest) -> Result<Vec<WorkerStatus>, AdminError> {
        Ok(vec![worker(WorkerName::Repair, WorkerActivity::Resting)])
    }

    async fn set_worker(&self, request: SetWorker) -> Result<WorkerStatus, AdminError> {
        self.order(format!("set_worker {} {:?} {:?}", request.worker, request.paused, request.rate), false);
        Ok(worker(request.worker, WorkerActivity::Resting))
    }

    async fn balance(&self, _: BalanceRequest) -> Result<BalanceStatus, AdminError> {
        Ok(balance())
    }

    async fn set_balance(&self, request: SetBalance) -> Result<BalanceStatus, AdminError> {
        let SetBalance { running, rate, threshold_permille, dry_run } = request;
        self.order(format!("set_balance {running:?} {rate:?} {threshold_permille:?}"), dry_run);
        Ok(balance())
    }

    async fn start_pack(&self, _: StartPack) -> Result<WorkerStatus, AdminError> {
        self.order("start_pack".to_owned(), false);
        Ok(worker(WorkerName::Pack, WorkerActivity::Resting))
    }

    async fn preview_pack(&self, request: PreviewPack) -> Result<PackPreview, AdminError> {
        let after = request.after.map(|cursor| cursor.0);
        self.order(format!("preview_pack {after:?}"), false);
        self.previews.lock().unwrap().pop_front().ok_or(AdminError::Internal)
    }

    async fn scrub(&self, _: ScrubRequest) -> Result<Vec<ScrubStatus>, AdminError> {
        Ok(next(&self.scrubs).into_iter().collect())
    }

    async fn start_scrub(&self, request: StartScrub) -> Result<Vec<ScrubStatus>, AdminError> {
        self.order(format!("start_scrub {:?}", request.node), false);
        Ok(vec![scrub(Timestamp(100))])
    }

    async fn hold(&self, _: HoldRequest) -> Result<HoldStatus, AdminError> {
        Ok(self.hold.lock().unwrap().clone())
    }

    async fn release_hold(&self, request: ReleaseHold) -> Result<HoldStatus, AdminError> {
        self.order(format!("release_hold {}", request.revision), request.dry_run);
        Ok(self.hold.lock().unwrap().clone())
    }

    async fn lock_clock(&self, _: LockClockRequest) -> Result<LockClockStatus, AdminError> {
        let (time, wall) = (Timestamp(95_000), Timestamp(100_000));
        Ok(LockClockStatus { time, wall, behind_ms: 5_000, allowance_ms: 0 })
    }

    async fn advance_lock_clock(&self, request: AdvanceLockClock) -> Result<LockClockStatus, AdminError> {
        self.order(format!("advance_lock_clock {}", request.until.0), false);
        self.lock_clock(LockClockRequest {}).await
    }

    async fn fsck(&self, request: FsckRequest) -> Result<FsckPage, AdminError> {
        let after = request.after.map(|cursor| cursor.0);
        self.order(
            format!("fsck {}", after.map_or("None".to_owned(), |after| format!("Some({after})"))),
            false,
        );
        self.pages.lock().unwrap().pop_front().ok_or(AdminError::Internal)
    }

    async fn locate_object(&self, _: WhereRequest) -> Result<ObjectPlace, AdminError> {
        Ok(place(&[b"hello"]))
    }

    async fn list_bucket_usage(&self, _: ListBucketUsage) -> Result<BucketUsagePage, AdminError> {
        Ok(BucketUsagePage { buckets: Vec::new(), truncated: false })
    }

    async fn bucket_settings(&self, request: GetBucketSettings) -> Result<BucketSettings, AdminError> {
        Ok(BucketSettings {
            bucket: request.bucket,
            replication: Some(2),
            block_size: Some(1 << 20),
            effective_replication: 2,
            effective_block_size: 1 << 20,
            quota: Quota { objects: Some(7), bytes: Some(1 << 30) },
            usage: Usage::default(),
        })
    }

    async fn set_bucket_settings(&self, request: SetBucketSettings) -> Result<BucketSettings, AdminError> {
        let SetBucketSettings { bucket, replication, block_size, quota } = request;
        let quota = quota.map_or("None".to_owned(), |quota| format!("{:?} {:?}", quota.objects, quota.bytes));
        self.order(format!("set_bucket_settings {bucket} {replication:?} {block_size:?} {quota}"), false);
        self.bucket_settings(GetBucketSettings { bucket }).await
    }

    async fn explain_lifecycle(&self, request: ExplainLifecycle) -> Result<LifecycleExplanation, AdminError> {
        Err(AdminError::NoSuchKey { bucket: request.bucket })
    }

    async fn lifecycle(&self, _request: LifecycleRequest) -> Result<LifecycleStatus, AdminError> {
        Err(AdminError::Internal)
    }
}

/// The answer of a datanode to a read of a block.
type Stored = Result<&'static [u8], BlockError>;

/// How a prepared read ends.
enum Ending {
    InTheMiddle,
    Later(Result<(), BlockError>),
}

/// The node's blocks.
#[derive(Clone, Default)]
pub(super) struct Disks {
    stored: Arc<Mutex<HashMap<BlockId, Stored>>>,
    /// How the next reads end. When it is empty, reads succeed.
    broken_off: Arc<Mutex<VecDeque<Ending>>>,
}

impl Disks {
    pub(super) fn store(&self, block: BlockId, stored: Stored) {
        self.stored.lock().unwrap().insert(block, stored);
    }

    /// Makes the next read break off in the middle, and the one after it end with `then`.
    pub(super) fn break_off(&self, then: Result<(), BlockError>) {
        self.broken_off.lock().unwrap().extend([Ending::InTheMiddle, Ending::Later(then)]);
    }

    fn info(bytes: &[u8]) -> BlockInfo {
        let volume = Some("cccccccc-0000-4000-8000-000000000001".parse().unwrap());
        BlockInfo { length: bytes.len() as u64, crc32c: crc32c(bytes), volume, incarnation: None }
    }
}

impl BlockConnector for Disks {
    fn connect(&self, _: NodeId, _: &str) -> Arc<dyn BlockService> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl BlockService for Disks {
    async fn put(&self, _: PutBlock, _: BlockStream) -> Result<PutBlockReply, BlockError> {
        Err(BlockError::Internal)
    }

    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        let stored =
            self.stored.lock().unwrap().get(&request.block).cloned().unwrap_or(Err(BlockError::NotFound));
        let bytes = stored?;
        let mut pieces = vec![Ok(Bytes::from_static(bytes))];
        match self.broken_off.lock().unwrap().pop_front() {
            Some(Ending::Later(then)) => then?,
            Some(Ending::InTheMiddle) => {
                let error = BlockError::Unreachable { reason: "broke off".to_owned() };
                pieces = vec![Ok(Bytes::from_static(&bytes[..2])), Err(error)];
            }
            None => {}
        }
        let data = futures_util::stream::iter(pieces).boxed();
        Ok(BlockRead {
            info: Self::info(bytes),
            table: ChunkTable::of(bytes),
            data_offset: 0,
            data,
            owned_chunks: false,
        })
    }

    async fn head(&self, _: HeadBlock) -> Result<BlockInfo, BlockError> {
        Err(BlockError::Internal)
    }

    async fn delete(&self, _: DeleteBlock) -> Result<(), BlockError> {
        Err(BlockError::Internal)
    }
}
