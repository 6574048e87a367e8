//! Simulated datanodes, which store nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use cairn_protocol::cluster::{
    Action, BlockReport, Cluster, ClusterError, Command, CommandResult, Heartbeat, HeartbeatReply, Register,
    ReplicaChange, ReportedReplica, VolumeUsage,
};
use cairn_protocol::env::Env;
use cairn_protocol::id::{ClusterId, NodeId, VolumeId};
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Datanodes that register at the same time, as after a power cut of a site.
const REGISTER_AT_ONCE: usize = 64;

const CAPACITY: u64 = 4 << 40;

/// Thousands of simulated datanodes, all sending heartbeats.
pub(crate) struct Swarm {
    nodes: HashMap<NodeId, Arc<Node>>,
    tasks: TaskTracker,
}

struct Node {
    id: NodeId,
    volume: VolumeId,
    address: String,
    zone: String,
    rpc: RpcClient,
    env: Env,
    ends: CancellationToken,
    news: Mutex<News>,
}

/// The content of the next heartbeat.
#[derive(Default)]
struct News {
    used: u64,
    changes: Vec<ReplicaChange>,
    finished: Vec<CommandResult>,
}

impl Swarm {
    /// Registers `count` nodes and starts their heartbeats.
    pub(crate) async fn start(metanode: &str, secret: &ClusterSecret, count: usize) -> anyhow::Result<Self> {
        let env = Env::system();
        let tasks = TaskTracker::new();
        let began = AtomicUsize::new(0);
        let nodes: Vec<Arc<Node>> = stream::iter(0..count)
            .map(|number| {
                let (env, began, tasks) = (env.clone(), &began, &tasks);
                async move {
                    let rpc = RpcClient::new(metanode, secret.clone(), env.clone())?;
                    let node = Arc::new(Node::new(number, rpc, env));
                    let (incarnation, interval) = node.register(None).await?;
                    // The first heartbeats are spread over the interval, as on machines that start at different times.
                    let place = began.fetch_add(1, Ordering::Relaxed) as f64 / count as f64;
                    let first = interval.mul_f64(place);
                    let living = node.clone();
                    tasks.spawn(async move { living.live(incarnation, interval, first).await });
                    anyhow::Ok(node)
                }
            })
            .buffer_unordered(REGISTER_AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { nodes: nodes.into_iter().map(|node| (node.id, node)).collect(), tasks })
    }

    /// Records a stored replica, which the node reports with its next heartbeat.
    pub(crate) fn stored(&self, node: NodeId, replica: ReportedReplica) -> anyhow::Result<()> {
        let node = self.nodes.get(&node).context("a grant names a node that there is not")?;
        let mut news = node.news();
        news.used += replica.length;
        news.changes.push(ReplicaChange::Stored(replica));
        Ok(())
    }

    /// Stops the heartbeats of `count` nodes.
    pub(crate) fn kill(&self, count: usize) {
        for node in self.nodes.values().take(count) {
            node.ends.cancel();
        }
    }

    /// Stops all nodes and waits for the end of their tasks.
    pub(crate) async fn stop(self) {
        self.kill(self.nodes.len());
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Node {
    fn new(number: usize, rpc: RpcClient, env: Env) -> Self {
        Self {
            id: NodeId(env.uuid_v4()),
            volume: VolumeId(env.uuid_v4()),
            address: format!("http://10.{}.{}.{}:9020", number >> 16 & 255, number >> 8 & 255, number & 255),
            // A rack holds some 40 machines.
            zone: format!("rack{}", number / 40),
            rpc,
            env,
            ends: CancellationToken::new(),
            news: Mutex::default(),
        }
    }

    fn news(&self) -> std::sync::MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn volumes(&self, used: u64) -> Vec<VolumeUsage> {
        vec![VolumeUsage {
            volume: self.volume,
            capacity: CAPACITY,
            used,
            free: CAPACITY - used,
            trash: 0,
            failed: None,
        }]
    }

    /// Registers and sends a block report; returns the incarnation and the heartbeat interval.
    async fn register(&self, cluster: Option<ClusterId>) -> Result<(u64, Duration), ClusterError> {
        let register = Register {
            node: self.id,
            cluster,
            address: self.address.clone(),
            zone: Some(self.zone.clone()),
            volumes: self.volumes(0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: 0,
            seen: Vec::new(),
            packs: true,
        };
        let registered = self.rpc.register(register).await?;
        let incarnation = registered.incarnation;
        let (node, replicas) = (self.id, Vec::new());
        self.rpc.report_blocks(BlockReport::new(node, incarnation, None, None, replicas)).await?;
        Ok((incarnation, Duration::from_millis(registered.heartbeat_interval_ms)))
    }

    async fn live(&self, incarnation: u64, interval: Duration, first: Duration) {
        let mut rest = first;
        loop {
            tokio::select! {
                () = self.ends.cancelled() => return,
                () = self.env.sleep(rest) => {}
            }
            let began = self.env.monotonic();
            let busy = match self.rpc.heartbeat(self.heartbeat(incarnation)).await {
                Ok(reply) => self.obey(reply),
                Err(error) => {
                    super::measure::say(format_args!("a heartbeat failed: {error}"));
                    false
                }
            };
            let passed = self.env.monotonic().saturating_sub(began);
            // A node that has finished a command sends the next heartbeat at once.
            rest = if busy { Duration::ZERO } else { interval.saturating_sub(passed) };
        }
    }

    fn heartbeat(&self, incarnation: u64) -> Heartbeat {
        let mut news = self.news();
        let used = news.used;
        let News { changes, finished, .. } = std::mem::replace(&mut *news, News { used, ..News::default() });
        let (node, volumes) = (self.id, self.volumes(used));
        Heartbeat { node, incarnation, volumes, changes, finished, scrub: None, seen: Vec::new() }
    }

    fn obey(&self, reply: HeartbeatReply) -> bool {
        let mut news = self.news();
        let busy = !reply.commands.is_empty();
        for Command { id, action, .. } in reply.commands {
            match action {
                Action::Replicate { replica, .. } | Action::Pack { replica, .. } => {
                    news.used += replica.length;
                    news.changes.push(ReplicaChange::Stored(replica));
                }
                Action::Delete { blocks } => {
                    news.changes.extend(blocks.into_iter().map(ReplicaChange::Deleted))
                }
                // These nodes keep no bytes, so they cannot restore deleted blocks.
                Action::Restore { .. } => {}
            }
            news.finished.push(CommandResult { command: id, error: None });
        }
        busy
    }
}
