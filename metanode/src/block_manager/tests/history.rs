//! Random histories: in the end, every acknowledged block that lost no more replicas than it may lose has its full
//! replication, and nothing else is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminStateChange, RemoveNode, SetAdminState, WorkerName};
use cairn_protocol::cluster::{ReplicaChange, ReportedReplica};
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{ReleaseGrants, RenewGrants, ReplicaProblem, ReplicaReport};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::BlockManagerConfig;
use super::cluster::{OwnerId, TestCluster};

const NODES: usize = 5;

struct History {
    cluster: TestCluster,
    rng: StdRng,
    /// The objects that were acknowledged and not deleted.
    objects: BTreeMap<OwnerId, BlockId>,
}

impl History {
    async fn begin(seed: u64) -> Self {
        // Shorter times, so that more happens in the same number of steps.
        let config = BlockManagerConfig {
            dead_after: Duration::from_secs(30),
            lease: Duration::from_secs(60),
            lease_slack: Duration::from_secs(6),
            garbage_grace: Duration::from_secs(20),
            ..BlockManagerConfig::default()
        };
        let mut cluster = TestCluster::with(config, NODES).await;
        cluster.balances = true;
        Self { cluster, rng: StdRng::seed_from_u64(seed), objects: BTreeMap::new() }
    }

    fn any(&mut self, length: usize) -> usize {
        self.rng.random_range(0..length)
    }

    fn any_object(&mut self) -> Option<(OwnerId, BlockId)> {
        let index = self.rng.random_range(0..self.objects.len().max(1));
        self.objects.iter().nth(index).map(|(owner, block)| (*owner, *block))
    }

    /// The number of nodes that are up and have an intact replica.
    fn intact(&self, block: BlockId) -> usize {
        let right = |replica: &ReportedReplica| replica.crc32c == 77;
        self.cluster.nodes.iter().filter(|node| node.up && node.held.get(&block).is_some_and(right)).count()
    }

    /// Whether no block is lost if a node loses all its replicas.
    fn can_spare(&self, index: usize) -> bool {
        let held: Vec<BlockId> = self.cluster.nodes[index].held.keys().copied().collect();
        held.into_iter()
            .all(|block| !self.objects.values().any(|kept| *kept == block) || self.intact(block) > 1)
    }

    async fn put(&mut self) {
        let Ok(grants) = self.cluster.blocks.allocate(super::cluster::allocation(1)).await else { return };
        let grant = grants.into_iter().next().unwrap();
        let up = |node| self.cluster.nodes.iter().any(|other| other.id == node && other.up);
        let reached: Vec<_> =
            grant.targets.iter().map(|target| target.node).filter(|node| up(*node)).collect();
        let block = grant.block;
        let min_replicas = grant.min_replicas as usize;
        let mut extent = self.cluster.store_block_on(grant.clone(), 10, &reached);
        match self.any(6) {
            // The client goes away, or the gateway dies.
            0 => self
                .cluster
                .blocks
                .release(ReleaseGrants { grants: vec![grant], unused: false })
                .await
                .unwrap(),
            1 => {}
            // The upload takes its time.
            2 => {
                let grants = vec![grant];
                extent.grant =
                    self.cluster.blocks.renew(RenewGrants { grants }).await.unwrap().pop().unwrap();
                self.commit(extent, block, min_replicas).await;
            }
            _ => self.commit(extent, block, min_replicas).await,
        }
    }

    async fn commit(
        &mut self,
        extent: cairn_protocol::metadata::NewExtent,
        block: BlockId,
        min_replicas: usize,
    ) {
        if extent.stored_on.len() >= min_replicas {
            let owner = self.cluster.commit(vec![extent]).await.unwrap();
            self.objects.insert(owner, block);
        }
    }

    async fn step(&mut self) {
        let node = self.any(NODES);
        match self.any(18) {
            0..4 => self.put().await,
            4 => {
                if let Some((owner, _)) = self.any_object() {
                    self.objects.remove(&owner);
                    self.cluster.give_up(owner).await;
                }
            }
            5 => {
                if let Some((owner, block)) = self.any_object() {
                    let copy = self.cluster.share(owner, 10).await;
                    self.objects.insert(copy, block);
                }
            }
            6 => {
                if self.can_spare(node) {
                    self.cluster.down(node);
                }
            }
            7 => self.cluster.nodes[node].up = true,
            8 => self.cluster.restart().await,
            9 => self.damage(node).await,
            10 => {
                if let Some((_, block)) = self.any_object() {
                    let problem = [ReplicaProblem::Corrupt, ReplicaProblem::Missing][self.any(2)];
                    let report = ReplicaReport { block, node: self.cluster.nodes[node].id, problem };
                    self.cluster.blocks.report_replica(report).await.unwrap();
                }
            }
            14 => self.change_admin_state(node).await,
            15 => {
                let worker = [WorkerName::Repair, WorkerName::Drain, WorkerName::Balance][self.any(3)];
                let paused = self.any(2) == 0;
                self.cluster.pause(worker, paused).await;
            }
            16 => self.remove(node).await,
            // The node starts again.
            11 => {
                if self.cluster.nodes[node].up {
                    self.cluster.register(node).await;
                }
            }
            _ => {
                let seconds = self.rng.random_range(1..60);
                self.cluster.pass(Duration::from_secs(seconds)).await;
            }
        }
    }

    async fn change_admin_state(&mut self, index: usize) {
        let change = match self.any(3) {
            0 => AdminStateChange::Drain,
            1 => AdminStateChange::Maintain { for_ms: 60_000 },
            _ => AdminStateChange::Return,
        };
        let node = self.cluster.nodes[index].id;
        // The node may have been removed.
        let _ = self.cluster.blocks.set_admin_state(SetAdminState { node, change, dry_run: false }).await;
    }

    /// Removes a node, if it is dead or drained and no block is lost by it. It comes back later.
    async fn remove(&mut self, index: usize) {
        let node = self.cluster.nodes[index].id;
        let _ = self.cluster.blocks.remove_node(RemoveNode { node, force: false, dry_run: false }).await;
    }

    /// Loses or damages one replica on a node. The node reports that now, or not yet.
    async fn damage(&mut self, index: usize) {
        let held = self.cluster.nodes[index].held.len();
        let chosen = self.any(held.max(1));
        let Some(block) = self.cluster.nodes[index].held.keys().nth(chosen).copied() else { return };
        if self.intact(block) < 2 || !self.cluster.nodes[index].up {
            return;
        }
        if self.any(2) == 0 {
            self.cluster.nodes[index].held.remove(&block);
            // After a restart of the metanode, the reply to the heartbeat asks the node to register.
            self.cluster.beat(index).await;
            self.cluster.report(index).await;
        } else {
            self.cluster.nodes[index].held.get_mut(&block).unwrap().crc32c = 0;
            self.cluster.nodes[index].increments.changes.push(ReplicaChange::Corrupt(block));
            self.cluster.beat(index).await;
        }
    }

    /// Brings all nodes up, and gives the cluster enough time for everything.
    async fn end(&mut self) {
        for index in 0..NODES {
            self.cluster.nodes[index].up = true;
        }
        self.cluster.beat_all().await;
        for index in 0..NODES {
            self.cluster.change_admin_state(index, AdminStateChange::Return).await;
        }
        for worker in [WorkerName::Repair, WorkerName::Drain, WorkerName::Balance] {
            self.cluster.pause(worker, false).await;
        }
        for _ in 0..6 {
            self.cluster.pass(Duration::from_secs(60)).await;
        }
        // Every node registers again, and so reports all its replicas.
        for index in 0..NODES {
            self.cluster.register(index).await;
        }
        for _ in 0..3 {
            self.cluster.pass(Duration::from_secs(60)).await;
        }
    }
}

#[tokio::test]
async fn after_any_history_every_block_is_at_its_factor_and_nothing_else_is_left() {
    for seed in 0..HISTORIES {
        let mut history = History::begin(seed).await;
        for _ in 0..STEPS {
            history.step().await;
        }
        history.end().await;
        let cluster = &history.cluster;
        for block in history.objects.values() {
            assert_eq!(history.intact(*block), 3, "seed {seed}: {block}");
            assert_eq!(cluster.holders(*block).await, cluster.really_at(*block), "seed {seed}: {block}");
        }
        for node in &cluster.nodes {
            for block in node.held.keys() {
                let wanted = history.objects.values().any(|kept| kept == block);
                assert!(wanted, "seed {seed}: {block} is left on {}", node.id);
            }
        }
        let status = cluster.status().await;
        assert_eq!((status.under_replicated, status.missing, status.deletions_queued), (0, 0, 0));
    }
}

/// Enough histories to see every pair of events follow each other, in seconds.
const HISTORIES: u64 = 10;
const STEPS: usize = 60;
