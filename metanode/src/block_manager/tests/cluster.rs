//! A cluster for tests: a block manager, and datanodes that carry out its commands.

use cairn_protocol::cluster::ReplicaChange;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_protocol::admin::{
    Admin, AdminStateChange, AdminStateReport, ClusterStatus, HoldRequest, HoldStatus, NodeProgress,
    NodeProgressRequest, ReleaseHold, SetAdminState, SetWorker, StatusRequest, WorkerName, WorkerStatus,
    WorkersRequest,
};
use cairn_protocol::checksum::combine;
use cairn_protocol::cluster::*;
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::id::{BlockId, ClusterId, NodeId, PartId, UploadId, VolumeId};
use cairn_protocol::metadata::*;
use cairn_protocol::secret::ClusterSecret;
use futures_util::FutureExt;
use tempfile::TempDir;
use uuid::Uuid;

use super::super::workers::{self, Progress, Runner};
use super::super::{BlockManager, BlockManagerConfig};
use crate::store::parts::{self, StoredPart};
use crate::store::{Connection, Store, StoreError, buckets, lists, retired};

/// What refers to blocks in these tests: a part without an upload.
pub(super) type OwnerId = u32;

/// The upload of the parts.
const UPLOAD: UploadId = UploadId(Uuid::nil());

pub(super) const BUCKET: &str = "bucket";
pub(super) const CAPACITY: u64 = 1 << 40;

/// A block manager, its clock, and the datanodes.
pub(super) struct TestCluster {
    pub(super) blocks: BlockManager,
    pub(super) store: Store,
    pub(super) clock: ManualClock,
    pub(super) env: Env,
    pub(super) events: EventBus,
    pub(super) config: BlockManagerConfig,
    pub(super) nodes: Vec<TestNode>,
    workers: Vec<Runner>,
    /// Whether blocks are balanced. Most tests switch it off, so that moves do not disturb them.
    pub(super) balances: bool,
    seen: u64,
    directory: TempDir,
}

/// A simulated datanode.
#[derive(Clone, Debug)]
pub(super) struct TestNode {
    pub(super) id: NodeId,
    pub(super) zone: Option<String>,
    pub(super) incarnation: u64,
    /// Its replicas.
    pub(super) held: BTreeMap<BlockId, ReportedReplica>,
    /// Its trash: deleted replicas that it can restore.
    pub(super) trash: BTreeMap<BlockId, ReportedReplica>,
    /// Commands that it has not carried out yet.
    pub(super) commands: Vec<Command>,
    /// Whether it is running.
    pub(super) up: bool,
    /// Bytes that its volume may use.
    pub(super) capacity: u64,
    /// The progress of its scrub.
    pub(super) scrub: Option<ScrubProgress>,
    /// The scrub order in the last reply to a heartbeat.
    pub(super) scrub_order: ScrubOrder,
    pub(super) increments: Increments,
    /// Replicas that it cannot delete, and how often it was ordered to.
    pub(super) undeletable: BTreeSet<BlockId>,
    pub(super) deletions_refused: usize,
    /// Generations of the database that it has seen.
    pub(super) seen: Vec<Generation>,
}

/// The changes that it reports with its next heartbeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Increments {
    pub(super) changes: Vec<ReplicaChange>,
    pub(super) finished: Vec<CommandResult>,
}

pub(super) fn secret() -> ClusterSecret {
    ClusterSecret::new("a secret that is long enough for tests").unwrap()
}

pub(super) fn volume(node: NodeId, used: u64) -> VolumeUsage {
    VolumeUsage {
        volume: VolumeId(node.0),
        capacity: CAPACITY,
        used,
        free: CAPACITY - used,
        trash: 0,
        failed: None,
    }
}

impl TestNode {
    /// Remembers the generation of the database, as a datanode does.
    fn learn(&mut self, lineage: Lineage) {
        let Lineage { latest, sole } = lineage;
        self.seen.retain(|seen| !sole && latest.is_none_or(|latest| seen.opening != latest.opening));
        self.seen.extend(latest);
    }

    /// The usage of its volume.
    pub(super) fn usage(&self) -> VolumeUsage {
        let used = self.held.values().map(|replica| replica.length).sum();
        VolumeUsage {
            capacity: self.capacity,
            free: self.capacity.saturating_sub(used),
            ..volume(self.id, used)
        }
    }
}

async fn open(
    directory: &Path,
    config: &BlockManagerConfig,
    env: &Env,
    events: &EventBus,
) -> (Store, BlockManager) {
    let store = Store::open(&directory.join("metanode.db"), env).await.unwrap();
    let cluster = ClusterId(Uuid::from_u128(1));
    let (config, env, events) = (config.clone(), env.clone(), events.clone());
    let blocks = BlockManager::open(store.clone(), config, cluster, secret(), env, events).await.unwrap();
    (store, blocks)
}

impl TestCluster {
    /// A cluster of `nodes` live nodes, with the default timings.
    pub(super) async fn new(nodes: usize) -> Self {
        Self::with(BlockManagerConfig::default(), nodes).await
    }

    pub(super) async fn with(config: BlockManagerConfig, nodes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(7, Timestamp(1_800_000_000_000));
        let events = EventBus::new(env.clone());
        let (store, blocks) = open(directory.path(), &config, &env, &events).await;
        let workers = workers::all(&blocks.inner);
        let nodes_wanted = nodes;
        let mut cluster = Self {
            blocks,
            store,
            clock,
            env,
            events,
            config,
            nodes: Vec::new(),
            workers,
            balances: false,
            seen: 0,
            directory,
        };
        cluster.make_bucket().await;
        for _ in 0..nodes_wanted {
            cluster.add_node(None).await;
        }
        cluster.settle().await;
        cluster
    }

    async fn make_bucket(&self) {
        self.store
            .write(|tx| {
                async { buckets::insert(tx, BUCKET, "us-east-1", &Account::first(), Timestamp(1)).await }
                    .boxed()
            })
            .await
            .unwrap();
    }

    /// Kills the metanode, and starts it again on the same database.
    pub(super) async fn restart(&mut self) {
        self.store.close().await;
        self.open_again().await;
    }

    async fn open_again(&mut self) {
        let (store, blocks) = open(self.directory.path(), &self.config, &self.env, &self.events).await;
        self.workers = workers::all(&blocks.inner);
        (self.store, self.blocks) = (store, blocks);
    }

    /// The files of the database, as an operator copies them while the metanode runs; without `with_log` the log is
    /// forgotten.
    pub(super) fn save(&self, with_log: bool) -> Vec<(PathBuf, Vec<u8>)> {
        let file = |name: &str| self.directory.path().join(name);
        let log = with_log.then(|| file("metanode.db-wal"));
        [file("metanode.db")]
            .into_iter()
            .chain(log)
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// Stops the metanode, and starts it on saved files. Nodes register with it when they send a heartbeat.
    pub(super) async fn put_back(&mut self, saved: &[(PathBuf, Vec<u8>)]) {
        self.store.close().await;
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in saved {
            fs::write(path, bytes).unwrap();
        }
        self.open_again().await;
    }

    pub(super) async fn add_node(&mut self, zone: Option<&str>) -> usize {
        self.nodes.push(TestNode {
            id: NodeId(self.env.uuid_v4()),
            zone: zone.map(str::to_owned),
            incarnation: 0,
            held: BTreeMap::new(),
            trash: BTreeMap::new(),
            commands: Vec::new(),
            up: true,
            capacity: CAPACITY,
            scrub: None,
            scrub_order: ScrubOrder::default(),
            increments: Increments::default(),
            undeletable: BTreeSet::new(),
            deletions_refused: 0,
            seen: Vec::new(),
        });
        let index = self.nodes.len() - 1;
        self.register(index).await;
        index
    }

    pub(super) fn registration(&self, index: usize) -> Register {
        let node = &self.nodes[index];
        Register {
            node: node.id,
            cluster: None,
            address: format!("http://node-{index}"),
            zone: node.zone.clone(),
            volumes: vec![node.usage()],
            version: "test".to_owned(),
            incarnation: node.incarnation,
            seen: node.seen.clone(),
            packs: true,
        }
    }

    /// Registers a node, which reports all its replicas.
    pub(super) async fn register(&mut self, index: usize) {
        let registered = self.blocks.register(self.registration(index)).await.unwrap();
        self.nodes[index].incarnation = registered.incarnation;
        self.nodes[index].learn(registered.lineage);
        self.nodes[index].commands.clear();
        self.nodes[index].increments = Increments::default();
        self.report(index).await;
    }

    /// Sends a report of all replicas of a node, in one page.
    pub(super) async fn report(&mut self, index: usize) {
        let node = &self.nodes[index];
        let (id, incarnation) = (node.id, node.incarnation);
        let mut restored_through = None;
        loop {
            let held = self.nodes[index].held.values().copied().collect();
            let report = BlockReport::new(id, incarnation, None, None, held);
            let report = BlockReport { can_restore: true, restored_through, ..report };
            match self.blocks.report_blocks(report).await.unwrap() {
                None => return,
                Some(Action::Restore { blocks }) => {
                    self.restore(index, &blocks);
                    restored_through = blocks.last().copied();
                }
                Some(order) => panic!("{order:?} is nothing that a report is answered with"),
            }
        }
    }

    /// The heartbeat that the node would send now.
    pub(super) fn heartbeat_of(&self, index: usize) -> Heartbeat {
        let node = &self.nodes[index];
        let Increments { changes, finished } = node.increments.clone();
        Heartbeat {
            node: node.id,
            incarnation: node.incarnation,
            volumes: vec![node.usage()],
            changes,
            finished,
            scrub: node.scrub.clone(),
            seen: node.seen.clone(),
        }
    }

    /// Sends a heartbeat of a node, which registers again if the reply asks for it.
    pub(super) async fn beat(&mut self, index: usize) {
        match self.blocks.heartbeat(self.heartbeat_of(index)).await {
            Ok(reply) => {
                self.nodes[index].increments = Increments::default();
                self.nodes[index].commands.extend(reply.commands);
                self.nodes[index].scrub_order = reply.scrub;
                self.nodes[index].learn(reply.lineage);
                if reply.report {
                    self.report(index).await;
                }
            }
            Err(ClusterError::Reregister) => self.register(index).await,
            Err(error) => panic!("{error}"),
        }
    }

    /// One node, and one block whose grace period is over: the node was ordered to delete it and has not done so.
    pub(super) async fn with_a_deletion_ordered() -> (Self, BlockId) {
        let mut cluster = Self::new(1).await;
        let (owner, block) = cluster.put(10).await;
        cluster.give_up(owner).await;
        cluster.clock.advance(cluster.config.garbage_grace + Duration::from_secs(1));
        cluster.beat(0).await;
        cluster.work().await;
        cluster.register(0).await;
        cluster.beat(0).await;
        assert_eq!(cluster.nodes[0].commands.len(), 1);
        (cluster, block)
    }

    pub(super) async fn beat_all(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].up {
                self.beat(index).await;
            }
        }
    }

    /// Lets a node carry out its commands. A block that it has to copy must be at one of the sources.
    pub(super) fn obey(&mut self, index: usize) {
        for command in std::mem::take(&mut self.nodes[index].commands) {
            let error = match &command.action {
                Action::Replicate { replica, sources } => self.copy(index, *replica, sources),
                Action::Pack { replica, pieces, nodes } => self.pack(index, *replica, pieces, nodes),
                Action::Delete { blocks } => self.delete(index, blocks),
                Action::Restore { blocks } => self.restore(index, blocks),
            };
            self.nodes[index].increments.finished.push(CommandResult { command: command.id, error });
        }
    }

    fn copy(
        &mut self,
        index: usize,
        replica: ReportedReplica,
        sources: &[(NodeId, String)],
    ) -> Option<String> {
        let has = |node: &&TestNode| node.up && node.held.get(&replica.block) == Some(&replica);
        let found =
            sources.iter().any(|(source, _)| self.nodes.iter().filter(has).any(|node| node.id == *source));
        if !found {
            return Some("no source has it".to_owned());
        }
        self.nodes[index].held.insert(replica.block, replica);
        self.nodes[index].increments.changes.push(ReplicaChange::Stored(replica));
        None
    }

    /// Makes a pack, if each of its pieces is where the command says.
    fn pack(
        &mut self,
        index: usize,
        replica: ReportedReplica,
        pieces: &[PackPiece],
        nodes: &[(NodeId, String)],
    ) -> Option<String> {
        let is_there = |piece: &PackPiece| {
            piece.sources.iter().any(|source| {
                let (holder, _) = &nodes[*source as usize];
                let node = self.nodes.iter().find(|node| node.id == *holder && node.up);
                let held = node.and_then(|node| node.held.get(&piece.block));
                held.is_some_and(|held| piece.offset + piece.length <= held.length)
            })
        };
        if !pieces.iter().all(is_there) {
            return Some("a piece is nowhere".to_owned());
        }
        let append = |(length, crc): (u64, u32), piece: &PackPiece| {
            (length + piece.length, combine(crc, piece.crc32c, piece.length))
        };
        assert_eq!(pieces.iter().fold((0, 0), append), (replica.length, replica.crc32c));
        self.nodes[index].held.insert(replica.block, replica);
        self.nodes[index].increments.changes.push(ReplicaChange::Stored(replica));
        None
    }

    fn delete(&mut self, index: usize, blocks: &[BlockId]) -> Option<String> {
        let node = &mut self.nodes[index];
        let (can, cannot): (Vec<_>, Vec<_>) =
            blocks.iter().partition(|block| !node.undeletable.contains(block));
        for block in can {
            if let Some(replica) = node.held.remove(block) {
                node.trash.insert(*block, replica);
            }
            node.increments.changes.push(ReplicaChange::Deleted(*block));
        }
        if cannot.is_empty() {
            return None;
        }
        node.deletions_refused += 1;
        Some("the volume failed".to_owned())
    }

    fn restore(&mut self, index: usize, blocks: &[BlockId]) -> Option<String> {
        let node = &mut self.nodes[index];
        for block in blocks {
            if let Some(replica) = node.trash.remove(block) {
                node.held.entry(*block).or_insert(replica);
            }
            node.increments.changes.extend(node.held.get(block).copied().map(ReplicaChange::Stored));
        }
        None
    }

    /// Runs every worker until it has nothing to do now.
    pub(super) async fn work(&mut self) {
        for worker in &mut self.workers {
            if worker.name() == WorkerName::Balance && !self.balances {
                continue;
            }
            // An upper limit of steps; no test has work for as many.
            let mut steps = 0;
            while worker.step().await.unwrap() == Progress::More {
                steps += 1;
                assert!(steps < 1_000, "{} does not come to rest", worker.name());
            }
        }
    }

    /// Runs one step of a worker.
    pub(super) async fn step(&mut self, name: WorkerName) {
        let worker = self.workers.iter_mut().find(|worker| worker.name() == name).unwrap();
        worker.step().await.unwrap();
    }

    /// Runs one step of a worker, which must fail.
    pub(super) async fn step_and_fail(&mut self, name: WorkerName) {
        let worker = self.workers.iter_mut().find(|worker| worker.name() == name).unwrap();
        worker.step().await.unwrap_err();
    }

    /// Wakes the workers as their interval does.
    pub(super) async fn work_again(&mut self) {
        for worker in &mut self.workers {
            let mut wait = Box::pin(worker.wait());
            if futures_util::poll!(&mut wait).is_pending() {
                self.clock.advance(self.config.worker_interval);
                // Workers with a longer rest go on resting.
                let _ = futures_util::poll!(&mut wait);
            }
        }
        self.work().await;
    }

    /// Lets the repair worker take its longest rest, while nodes send heartbeats.
    pub(super) async fn long_rest(&mut self) {
        let index = self.workers.iter().position(|worker| worker.name() == WorkerName::Repair).unwrap();
        let mut repair = self.workers.swap_remove(index);
        // Pending wakes are handled first.
        while repair.wait().now_or_never().is_some() {
            repair.step().await.unwrap();
        }
        let mut wait = Box::pin(repair.wait());
        while futures_util::poll!(&mut wait).is_pending() {
            self.clock.advance(self.config.heartbeat_interval);
            self.beat_all().await;
        }
        drop(wait);
        self.workers.push(repair);
    }

    /// Runs heartbeats, workers and commands until nothing more happens.
    pub(super) async fn settle(&mut self) {
        for _ in 0..20 {
            self.work().await;
            self.beat_all().await;
            let busy = self.nodes.iter().any(|node| node.up && !node.commands.is_empty());
            for index in 0..self.nodes.len() {
                if self.nodes[index].up {
                    self.obey(index);
                }
            }
            if !busy {
                self.work().await;
                self.verify().await;
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    async fn beat_for(&mut self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = left.min(self.config.heartbeat_interval);
            self.clock.advance(step);
            self.beat_all().await;
            self.notice_lost_contact().await;
            left -= step;
        }
    }

    /// Lets time pass in steps of a heartbeat, with heartbeats of the nodes that are up.
    pub(super) async fn pass(&mut self, duration: Duration) {
        self.beat_for(duration).await;
        self.settle().await;
        self.work_again().await;
        self.settle().await;
    }

    pub(super) async fn notice_lost_contact(&mut self) {
        let liveness = self.workers.iter_mut().find(|worker| worker.name() == WorkerName::Liveness).unwrap();
        liveness.step().await.unwrap();
    }

    pub(super) fn down(&mut self, index: usize) {
        self.nodes[index].up = false;
    }

    /// Stops a node until it is dead, and runs everything that follows from that.
    pub(super) async fn kill(&mut self, index: usize) {
        self.down(index);
        self.pass(self.config.dead_after + self.config.heartbeat_interval).await;
    }

    pub(super) async fn grant(&self) -> Grant {
        self.grants(1).await.pop().unwrap()
    }

    pub(super) async fn grants(&self, count: u32) -> Vec<Grant> {
        self.blocks.allocate(allocation(count)).await.unwrap()
    }

    /// Stores a block at all targets of its grant, as a pipeline would.
    pub(super) fn store_block(&mut self, grant: Grant, length: u64) -> NewExtent {
        let nodes: Vec<_> = grant.targets.iter().map(|target| target.node).collect();
        self.store_block_on(grant, length, &nodes)
    }

    pub(super) fn store_block_on(&mut self, grant: Grant, length: u64, nodes: &[NodeId]) -> NewExtent {
        let replica = ReportedReplica { block: grant.block, length, crc32c: 77 };
        let mut incarnations = Vec::new();
        for node in self.nodes.iter_mut().filter(|node| nodes.contains(&node.id)) {
            node.held.insert(replica.block, replica);
            node.increments.changes.push(ReplicaChange::Stored(replica));
            incarnations.push((node.id, node.incarnation));
        }
        NewExtent { grant, length, crc32c: 77, stored_on: nodes.to_vec(), incarnations, slice: None }
    }

    pub(super) async fn commit(&self, extents: Vec<NewExtent>) -> Result<OwnerId, MetadataError> {
        let blocks = self.blocks.clone();
        let length = extents.iter().map(|extent| extent.length).sum();
        let part = PartId(self.env.uuid_v7());
        self.store
            .write(move |tx| {
                async move {
                    let content = blocks.commit_extents(tx, &extents).await?;
                    Ok(insert(tx, part, length, content).await?)
                }
                .boxed()
            })
            .await
    }

    /// An object of one block, with as many replicas as it gets.
    pub(super) async fn put(&mut self, length: u64) -> (OwnerId, BlockId) {
        let grant = self.grant().await;
        let block = grant.block;
        let extent = self.store_block(grant, length);
        (self.commit(vec![extent]).await.unwrap(), block)
    }

    /// `count` objects of one block each, old enough to be moved.
    pub(super) async fn put_many(&mut self, count: usize, length: u64) -> Vec<BlockId> {
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(self.put(length).await.1);
        }
        self.pass(self.config.repair_grace).await;
        blocks
    }

    /// Changes a node's administrative state.
    pub(super) async fn change_admin_state(
        &self,
        index: usize,
        change: AdminStateChange,
    ) -> AdminStateReport {
        let request = SetAdminState { node: self.nodes[index].id, change, dry_run: false };
        self.blocks.set_admin_state(request).await.unwrap()
    }

    pub(super) async fn progress(&self, index: usize) -> NodeProgress {
        self.blocks.node_progress(NodeProgressRequest { node: self.nodes[index].id }).await.unwrap()
    }

    /// Pauses or resumes a worker.
    pub(super) async fn pause(&self, worker: WorkerName, paused: bool) {
        let request = SetWorker { worker, paused: Some(paused), rate: None };
        self.blocks.set_worker(request).await.unwrap();
    }

    pub(super) async fn worker(&self, worker: WorkerName) -> WorkerStatus {
        let all = self.blocks.workers(WorkersRequest {}).await.unwrap();
        all.into_iter().find(|status| status.worker == worker).unwrap()
    }

    /// Stops a node until it is dead. The workers run, but no node carries out a command.
    pub(super) async fn die(&mut self, index: usize) {
        self.down(index);
        self.beat_for(self.config.dead_after + self.config.heartbeat_interval).await;
        self.work().await;
    }

    /// The number of copies that nodes were ordered to make and have not made.
    pub(super) fn copies_ordered(&self) -> usize {
        let commands = self.nodes.iter().flat_map(|node| &node.commands);
        commands.filter(|command| matches!(command.action, Action::Replicate { .. })).count()
    }

    pub(super) async fn share(&self, from: OwnerId, length: u64) -> OwnerId {
        let part = PartId(self.env.uuid_v7());
        self.store.write(move |tx| share_all(tx, from, length, part).boxed()).await.unwrap()
    }

    pub(super) async fn give_up(&self, owner: OwnerId) {
        let now = self.env.now();
        self.store.write(move |tx| retire(tx, owner, now).boxed()).await.unwrap();
    }

    pub(super) async fn locate(&self, block: BlockId) -> Option<BlockLocation> {
        let mut reader = self.store.read().await.unwrap();
        self.blocks.locate(&mut reader, &[block]).await.unwrap().pop()
    }

    /// The nodes that have a block according to SQL, by index.
    pub(super) async fn holders(&self, block: BlockId) -> BTreeSet<usize> {
        let location = self.locate(block).await.expect("the block is known");
        let index = |replica: &Replica| self.nodes.iter().position(|node| node.id == replica.node).unwrap();
        location.replicas.iter().map(index).collect()
    }

    /// The nodes that really have a block, by index.
    pub(super) fn really_at(&self, block: BlockId) -> BTreeSet<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].held.contains_key(&block)).collect()
    }

    pub(super) async fn status(&self) -> ClusterStatus {
        self.blocks.status(StatusRequest {}).await.unwrap()
    }

    pub(super) async fn hold(&self) -> HoldStatus {
        self.blocks.hold(HoldRequest {}).await.unwrap()
    }

    /// Releases the hold on deletions.
    pub(super) async fn release(&self) {
        let revision = self.hold().await.revision;
        self.blocks.release_hold(ReleaseHold { revision, dry_run: false }).await.unwrap();
    }

    /// The events since the last call.
    pub(super) fn new_events(&mut self) -> Vec<EventKind> {
        use futures_util::StreamExt;
        let mut events = Box::pin(self.events.subscribe_after(self.seen));
        let mut kinds = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            self.seen = event.sequence;
            kinds.push(event.kind);
        }
        kinds
    }

    /// Deletes all rows of a block's replicas.
    pub(super) async fn damage(&self, block: BlockId) {
        crate::store::tests::forget_replicas(&self.store, block).await;
    }

    /// Deletes the extents that refer to a block.
    pub(super) async fn drop_extent(&self, block: BlockId) {
        crate::store::tests::forget_extents(&self.store, block).await;
    }

    /// Checks the invariants of the tables. (The parts in these tests have no upload.)
    pub(super) async fn verify(&self) {
        let mut broken = self.store.verify_invariants().await.unwrap();
        broken.retain(|promise| !promise.contains("a part belongs to an upload in progress"));
        assert_eq!(broken, Vec::<String>::new());
    }
}

/// Adds a part with the next number.
async fn insert(
    tx: &mut Connection,
    part: PartId,
    length: u64,
    content: Content,
) -> Result<OwnerId, StoreError> {
    let last = parts::list(tx, UPLOAD, 0, u32::MAX).await?.last().map_or(0, |part| part.info.number);
    let (number, etag) = (last + 1, String::new());
    let info = PartInfo { number, part, length, etag, checksum: None, modified_at: Timestamp(0) };
    parts::insert(tx, UPLOAD, &StoredPart { info, content, user: None }).await?;
    Ok(number)
}

async fn share_all(
    tx: &mut Connection,
    from: OwnerId,
    length: u64,
    part: PartId,
) -> Result<OwnerId, StoreError> {
    let from = parts::find(tx, UPLOAD, from).await?.unwrap();
    let content = lists::slice(tx, (from.content, length), 0, length).await?;
    insert(tx, part, length, content).await
}

async fn retire(tx: &mut Connection, owner: OwnerId, now: Timestamp) -> Result<(), StoreError> {
    let part = parts::find(tx, UPLOAD, owner).await?.unwrap();
    retired::insert_part(tx, &part, now).await?;
    parts::delete(tx, UPLOAD, owner).await
}

pub(super) fn allocation(count: u32) -> AllocateBlocks {
    AllocateBlocks {
        expected_length: None,
        bucket: BUCKET.to_owned(),
        storage_class: None,
        object_offset: 0,
        object_length: None,
        block_size: None,
        count,
        exclude: Vec::new(),
    }
}
