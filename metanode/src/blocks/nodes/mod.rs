//! The datanodes, as this process knows them: who is there, how full, and what was asked of them.
//!
//! The table is filled from SQL at start. A node from SQL counts as live until its silence says
//! otherwise, counted from the start; but nobody has heard of it yet, so others are preferred, and
//! its first heartbeat is answered with the wish that it register again: its full report tells what
//! this process cannot know.

pub(crate) mod state;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::admin::{Duty, NodeState};
use cairn_protocol::cluster::{Register, VolumeUsage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId, VolumeId};

use self::state::{Patience, Signal};
use cairn_planner::{ClusterView, NodeView};

/// A datanode.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its base URL.
    pub(crate) address: String,
    /// Its zone.
    pub(crate) zone: Option<Arc<str>>,
    /// Its incarnation.
    pub(crate) incarnation: u64,
    /// Its state.
    pub(crate) state: NodeState,
    /// What the operator wants of it.
    pub(crate) duty: Duty,
    /// Version of its software.
    pub(crate) version: String,
    /// When it was seen to be stale.
    stale_at: Duration,
    /// Its volumes, as it told last.
    pub(crate) volumes: Vec<VolumeUsage>,
    /// When it was heard of last, by monotonic time; when the table was filled, if not yet.
    pub(crate) heard_at: Duration,
    /// Whether it registered with this process.
    pub(crate) present: bool,
    /// Until when others are preferred, because a client could not reach it.
    avoid_until: Duration,
    /// What is queued for deletion there.
    outgoing: Outgoing,
    /// What it is told to delete.
    pub(crate) deletions: Deletions,
    /// Blocks that its current report has named so far.
    pub(crate) reported: u64,
    /// Blocks that it stored lately, which a report on its way may not name yet.
    recent: Recent,
}

/// Where handing out a node's deletions stands. The queue is gone through round and round, for what
/// cannot be deleted (it is on a volume that failed) must not hold up what can.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    /// Whether SQL may have some that were not handed out.
    pub(crate) waiting: bool,
    /// The command that the node is at, and its deadline.
    pub(crate) command: Option<(u64, Timestamp)>,
    /// How far this round has come.
    pub(crate) through: Option<BlockId>,
    /// Something could not be deleted in this round.
    failed: bool,
    /// When the next round begins at the earliest.
    rests_until: Timestamp,
}

impl Deletions {
    /// Whether the node can be given the next ones.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        let busy = self.command.is_some_and(|(_, deadline)| deadline >= now);
        self.waiting && !busy && now >= self.rests_until
    }

    /// A command ended; answers whether it was the one that the node is at.
    pub(crate) fn ended(&mut self, command: u64, well: bool) -> bool {
        let known = self.command.is_some_and(|(at, _)| at == command);
        if known {
            self.command = None;
            self.failed |= !well;
        }
        known
    }

    /// The round has come to the end of the queue, which was empty or not. What failed is tried again
    /// after a rest.
    pub(crate) fn end_round(&mut self, empty: bool, rest_until: Timestamp) {
        self.through = None;
        self.waiting |= !empty;
        if std::mem::take(&mut self.failed) {
            self.rests_until = rest_until;
        }
    }
}

/// Replicas on their way out. Their lengths are known when they are queued but not when they are
/// done, so what is done counts at the mean.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: u64,
    replicas: u64,
}

impl Outgoing {
    fn queued(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.replicas += 1;
    }

    fn done(&mut self, replicas: u64) {
        let share = u128::from(self.bytes) * u128::from(replicas.min(self.replicas))
            / u128::from(self.replicas.max(1));
        self.bytes = self.bytes.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX));
        self.replicas = self.replicas.saturating_sub(replicas);
    }
}

#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<(Duration, BlockId)>,
    at: HashMap<BlockId, Duration>,
}

impl Recent {
    fn add(&mut self, block: BlockId, now: Duration, kept: Duration) {
        self.order.push_back((now, block));
        self.at.insert(block, now);
        while let Some((at, block)) = self.order.front().copied() {
            if at + kept >= now {
                break;
            }
            self.order.pop_front();
            if self.at.get(&block) == Some(&at) {
                self.at.remove(&block);
            }
        }
    }
}

impl Node {
    fn good_volumes(&self) -> impl Iterator<Item = &VolumeUsage> {
        self.volumes.iter().filter(|volume| volume.failed.is_none())
    }

    fn view(&self, node: NodeId, inbound: u64, now: Duration) -> NodeView {
        let sum =
            |bytes: fn(&VolumeUsage) -> u64| self.good_volumes().map(bytes).fold(0u64, u64::saturating_add);
        NodeView {
            node,
            zone: self.zone.clone(),
            state: self.state,
            duty: self.duty,
            doubtful: !self.present || now < self.avoid_until,
            failing: false,
            capacity: sum(|volume| volume.capacity),
            predicted_used: sum(|volume| volume.used)
                .saturating_add(inbound)
                .saturating_sub(self.outgoing.bytes),
            room: sum(|volume| volume.free).saturating_sub(inbound),
            largest_volume: self.good_volumes().map(|volume| volume.free).max().unwrap_or(0),
        }
    }
}

/// All registered datanodes.
#[derive(Debug)]
pub(crate) struct NodeTable {
    nodes: BTreeMap<NodeId, Node>,
    patience: Patience,
}

/// What SQL knows of a node.
#[derive(Clone, Debug)]
pub(crate) struct KnownNode {
    /// The node.
    pub(crate) node: NodeId,
    /// Its base URL.
    pub(crate) address: String,
    /// Its zone.
    pub(crate) zone: Option<String>,
    /// Its incarnation.
    pub(crate) incarnation: u64,
    /// Its volumes at its last registration.
    pub(crate) volumes: Vec<VolumeUsage>,
    /// What the operator wants of it.
    pub(crate) duty: Duty,
    /// Version of its software.
    pub(crate) version: String,
}

/// What a heartbeat changed.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// It was stale.
    pub(crate) revived: bool,
    /// Volumes that failed since the last heartbeat, and why.
    pub(crate) failed: Vec<(VolumeId, String)>,
}

impl NodeTable {
    /// A table of the nodes that SQL knows.
    pub(crate) fn new(known: Vec<KnownNode>, patience: Patience, now: Duration) -> Self {
        let nodes = known.into_iter().map(|known| (known.node, Node::from_known(known, now))).collect();
        Self { nodes, patience }
    }

    /// One node.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// One node, to be changed.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&node)
    }

    /// All nodes, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// A node's state; one that nobody knows is as good as dead.
    pub(crate) fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many copies there can be of a block that wants `replication`.
    pub(crate) fn attainable(&self, replication: u32) -> u32 {
        replication.min(self.len())
    }

    /// A node registered: it begins anew.
    pub(crate) fn registered(&mut self, register: Register, incarnation: u64, now: Duration) {
        let state = state::next(self.state(register.node), Signal::Registered, self.patience);
        let known = KnownNode {
            node: register.node,
            address: register.address,
            zone: register.zone,
            incarnation,
            volumes: register.volumes,
            duty: self.get(register.node).map(|node| node.duty).unwrap_or_default(),
            version: register.version,
        };
        let outgoing = self.nodes.remove(&known.node).map(|node| node.outgoing).unwrap_or_default();
        let id = known.node;
        let node = Node { state, present: true, outgoing, ..Node::from_known(known, now) };
        self.nodes.insert(id, node);
    }

    /// Whether messages of this incarnation are to be listened to.
    pub(crate) fn accepts(&self, node: NodeId, incarnation: u64) -> bool {
        self.get(node).is_some_and(|node| {
            node.present && node.incarnation == incarnation && node.state != NodeState::Dead
        })
    }

    /// A node sent a heartbeat.
    pub(crate) fn heard(&mut self, node: NodeId, volumes: Vec<VolumeUsage>, now: Duration) -> Heard {
        let patience = self.patience;
        let Some(node) = self.nodes.get_mut(&node) else { return Heard::default() };
        let before = node.state;
        node.state = state::next(before, Signal::Heard, patience);
        node.heard_at = now;
        let was_good =
            |id: VolumeId| !node.volumes.iter().any(|volume| volume.volume == id && volume.failed.is_some());
        let failed = volumes
            .iter()
            .filter(|volume| was_good(volume.volume))
            .filter_map(|volume| Some((volume.volume, volume.failed.clone()?)))
            .collect();
        node.volumes = volumes;
        Heard { revived: before == NodeState::Stale && node.state == NodeState::Live, failed }
    }

    /// Time has passed. Answers who changed to which state.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<(NodeId, NodeState)> {
        let patience = self.patience;
        let mut changes = Vec::new();
        for (id, node) in &mut self.nodes {
            let silence = Signal::Silent(now.saturating_sub(node.heard_at));
            let next = state::next(node.state, silence, patience);
            let unwarned = next == NodeState::Dead && now < node.stale_at + patience.warning;
            if next == node.state || unwarned {
                continue;
            }
            if next == NodeState::Stale {
                node.stale_at = now;
            }
            node.state = next;
            changes.push((*id, next));
        }
        changes
    }

    /// A client could not reach the node: others are preferred for as long as silence would need to
    /// make it stale.
    pub(crate) fn avoid(&mut self, node: NodeId, now: Duration) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.avoid_until = now + self.patience.stale_after;
        }
    }

    /// Whether others are to be preferred.
    pub(crate) fn is_doubtful(&self, node: NodeId, now: Duration) -> bool {
        self.get(node).is_none_or(|node| !node.present || now < node.avoid_until)
    }

    /// The nodes as decisions see them. `inbound` tells the bytes on their way to a node.
    pub(crate) fn view(&self, now: Duration, inbound: impl Fn(NodeId) -> u64) -> ClusterView {
        ClusterView::new(self.iter().map(|(id, node)| node.view(id, inbound(id), now)).collect())
    }

    /// A replica of `bytes` was queued for deletion at the node.
    pub(crate) fn deletion_queued(&mut self, node: NodeId, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.outgoing.queued(bytes);
            node.deletions.waiting = true;
        }
    }

    /// So many replicas were deleted at the node.
    pub(crate) fn deletions_done(&mut self, node: NodeId, replicas: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.outgoing.done(replicas);
        }
    }

    /// The node stored a block just now; remembered for `kept`.
    pub(crate) fn stored(&mut self, node: NodeId, block: BlockId, now: Duration, kept: Duration) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.recent.add(block, now, kept);
        }
    }

    /// Whether the node stored the block no longer than `kept` ago.
    pub(crate) fn stored_lately(&self, node: NodeId, block: BlockId, now: Duration, kept: Duration) -> bool {
        let at = self.get(node).and_then(|node| node.recent.at.get(&block));
        at.is_some_and(|at| *at + kept >= now)
    }
}

impl Node {
    fn from_known(known: KnownNode, now: Duration) -> Self {
        Self {
            address: known.address,
            zone: known.zone.map(Arc::from),
            incarnation: known.incarnation,
            state: NodeState::Live,
            duty: known.duty,
            version: known.version,
            stale_at: now,
            volumes: known.volumes,
            heard_at: now,
            present: false,
            avoid_until: Duration::ZERO,
            outgoing: Outgoing::default(),
            deletions: Deletions { waiting: true, ..Deletions::default() },
            reported: 0,
            recent: Recent::default(),
        }
    }
}

#[cfg(test)]
mod tests;
