//! The datanodes as this process knows them: their state, their utilisation, and the work that they were ordered to do.
//!
//! | module | contents |
//! |---|---|
//! | this file | [`NodeTable`]: all nodes, heartbeats, registrations, and the view that decisions get |
//! | [`state`] | live, stale, dead: which state follows |
//! | [`report`] | the progress of a node's block report |
//! | [`deletions`] | the deletions that a node was ordered to make, and the number that is queued |
//! | [`failures`] | recent failures of a node, and the pause that follows |
//! | [`recent`] | blocks that a node stored a moment ago, which a report on its way may not name |
//!
//! The table is filled from SQL at start, and every node in it is live at first; the time without contact counts from
//! the start. Such a node is suspect until it has registered with this process: placement and readers prefer others.
//! The reply to its first heartbeat is the error `Reregister`, because only a full block report shows which replicas it
//! has now.

mod deletions;
mod failures;
mod recent;
mod report;
pub(crate) mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::admin::{AdminState, NodeState};
use cairn_protocol::cluster::{BlockReport, Register, VolumeUsage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId, VolumeId};

use self::deletions::{Deletions, Outgoing};
use self::failures::Failures;
use self::recent::Recent;
use self::report::Report;
pub(crate) use self::report::{ReportSums, Unknown};
use self::state::{Patience, Signal};
use crate::store::nodes::KnownNode;
use cairn_planner::NodeView;

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
    /// The administrative state that an operator gave it.
    pub(crate) admin_state: AdminState,
    /// Version of its software.
    pub(crate) version: String,
    /// Whether it knows the command to make a pack.
    pub(crate) packs: bool,
    /// When it became stale, by monotonic time.
    stale_at: Duration,
    /// Its volumes, as of its last heartbeat.
    pub(crate) volumes: Vec<VolumeUsage>,
    /// When it last sent a heartbeat or registered, by monotonic time; without either, when the table was filled.
    pub(crate) last_contact: Duration,
    /// Whether it registered with this process.
    pub(crate) present: bool,
    /// Until when it is suspect, because a gateway could not reach it.
    avoid_until: Duration,
    /// Replicas that are queued for deletion there, and their bytes.
    outgoing: Outgoing,
    /// Which deletions were ordered, and whether more wait.
    pub(crate) deletions: Deletions,
    /// Its block reports of this incarnation.
    pub(crate) report: Report,
    /// Whether the reply to its next heartbeat asks for a full block report.
    pub(crate) wants_report: bool,
    /// Blocks that it stored a moment ago: a block report on its way may be too old to name them.
    recent: Recent,
    /// Its recent failures.
    failures: Failures,
    /// Whether the event that it is drained was published.
    pub(crate) drained_announced: bool,
}

impl Node {
    fn good_volumes(&self) -> impl Iterator<Item = &VolumeUsage> {
        self.volumes.iter().filter(|volume| volume.failed.is_none())
    }

    /// Whether it registered with this process and its first block report is complete. Before that, what SQL says
    /// about its replicas may be out of date.
    pub(crate) fn has_reported(&self) -> bool {
        self.present && self.report.is_complete()
    }

    /// Whether its first block report is still expected.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.has_reported() && self.state != NodeState::Dead
    }

    /// Whether an operator allows it to be down at this time.
    fn may_be_down(&self, at: Timestamp) -> bool {
        matches!(self.admin_state, AdminState::Maintenance { until } if at < until)
    }

    fn view(&self, node: NodeId, traffic: Traffic, now: Moment) -> NodeView {
        let sum =
            |bytes: fn(&VolumeUsage) -> u64| self.good_volumes().map(bytes).fold(0u64, u64::saturating_add);
        NodeView {
            node,
            zone: self.zone.clone(),
            state: self.state,
            admin_state: match self.admin_state {
                AdminState::Maintenance { .. } if !self.may_be_down(now.wall) => AdminState::InService,
                admin_state => admin_state,
            },
            suspect: !self.has_reported() || now.monotonic < self.avoid_until,
            failing: false,
            capacity: sum(|volume| volume.capacity),
            // Volumes are as of the last heartbeat, the rest is as of now. For a moment the deletions may exceed the
            // used bytes, so the difference stops at zero.
            predicted_used: sum(|volume| volume.used)
                .saturating_add(traffic.inbound)
                .saturating_sub(self.outgoing.bytes())
                .saturating_sub(traffic.outbound),
            free_space: sum(|volume| volume.free).saturating_sub(traffic.inbound),
            largest_volume: self.good_volumes().map(|volume| volume.free).max().unwrap_or(0),
        }
    }
}

/// Bytes on their way to a node, and off it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes that grants reserve there, and bytes of copies to it.
    pub(crate) inbound: u64,
    /// Bytes of moves off it whose deletion is not queued yet.
    pub(crate) outbound: u64,
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For the time since the last contact, and for deadlines within this process.
    pub(crate) monotonic: Duration,
    /// For the end of maintenance, which operators state by the wall clock.
    pub(crate) wall: Timestamp,
}

/// All registered datanodes.
#[derive(Debug)]
pub(crate) struct NodeTable {
    nodes: BTreeMap<NodeId, Node>,
    patience: Patience,
    /// Nodes whose view changed since the last [`take_changed`](Self::take_changed).
    changed: BTreeSet<NodeId>,
    /// When the view of a node changes only because time passes.
    deadlines: BTreeSet<(Duration, NodeId)>,
    /// Nodes that get no work because they failed repeatedly.
    failing: BTreeSet<NodeId>,
    /// Whether more than half of the live nodes seem to fail. Then the reporter is more likely at fault, for example a
    /// gateway that is cut off from the network, and the failures are ignored.
    blames_too_many: bool,
}

/// The effect of a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatEffect {
    /// Whether the node was stale.
    pub(crate) revived: bool,
    /// Volumes that failed since the last heartbeat, and why.
    pub(crate) failed: Vec<(VolumeId, String)>,
}

impl NodeTable {
    /// A table of the nodes that SQL knows.
    pub(crate) fn new(known: Vec<KnownNode>, patience: Patience, now: Duration) -> Self {
        let nodes: BTreeMap<_, _> =
            known.into_iter().map(|known| (known.node, Node::from_known(known, now))).collect();
        let changed = nodes.keys().copied().collect();
        Self {
            nodes,
            patience,
            changed,
            deadlines: BTreeSet::new(),
            failing: BTreeSet::new(),
            blames_too_many: false,
        }
    }

    /// The nodes whose view may have changed since the last call.
    pub(crate) fn take_changed(&mut self, now: Duration) -> BTreeSet<NodeId> {
        while let Some((at, node)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, node));
            self.changed.insert(node);
        }
        let mut changed = std::mem::take(&mut self.changed);
        for node in &changed {
            if self.get(*node).is_some_and(|found| now < found.failures.until()) {
                self.failing.insert(*node);
            } else {
                self.failing.remove(node);
            }
        }
        let live = |node: &&NodeId| self.state(**node) == NodeState::Live;
        let failing = self.failing.iter().filter(live).count();
        let too_many = failing > 0
            && failing * 2 > self.nodes.values().filter(|node| node.state == NodeState::Live).count();
        if std::mem::replace(&mut self.blames_too_many, too_many) != too_many {
            changed.extend(&self.failing);
        }
        changed
    }

    /// One node.
    pub(crate) fn get(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// One node, mutable.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&node)
    }

    /// All nodes, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// A node's state. An unknown node counts as dead.
    pub(crate) fn state(&self, node: NodeId) -> NodeState {
        self.get(node).map_or(NodeState::Dead, |node| node.state)
    }

    /// How many replicas a block of this replication can have, which is limited by the number of nodes.
    pub(crate) fn attainable(&self, replication: u32) -> u32 {
        replication.min(self.len())
    }

    /// Records a registration. All that is known of the node's earlier incarnation is dropped, except its
    /// administrative state and the deletions that are queued for it.
    pub(crate) fn registered(&mut self, register: Register, incarnation: u64, now: Duration) {
        let state = state::next(self.state(register.node), Signal::Registered, self.patience);
        let known = KnownNode {
            node: register.node,
            address: register.address,
            zone: register.zone,
            incarnation,
            volumes: register.volumes,
            admin_state: self.get(register.node).map(|node| node.admin_state).unwrap_or_default(),
            version: register.version,
            deletions: self.get(register.node).map(|node| node.outgoing.parts()).unwrap_or_default(),
        };
        let id = known.node;
        let packs = register.packs;
        let node = Node { state, present: true, packs, ..Node::from_known(known, now) };
        self.nodes.insert(id, node);
        self.changed.insert(id);
    }

    /// Removes a node.
    pub(crate) fn remove(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.changed.insert(node);
    }

    /// Whether an operator wants all blocks off a node.
    pub(crate) fn is_draining(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| node.admin_state == AdminState::Draining)
    }

    /// Sets the administrative state of a node.
    pub(crate) fn set_admin_state(&mut self, id: NodeId, admin_state: AdminState) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.admin_state = admin_state;
            node.drained_announced = false;
            self.changed.insert(id);
        }
    }

    /// The nodes whose maintenance is over, each with the time of its end.
    pub(crate) fn maintenance_over(&self, now: Timestamp) -> Vec<(NodeId, Timestamp)> {
        let over = |(id, node): (NodeId, &Node)| match node.admin_state {
            AdminState::Maintenance { until } if until <= now => Some((id, until)),
            AdminState::Maintenance { .. } | AdminState::InService | AdminState::Draining => None,
        };
        self.iter().filter_map(over).collect()
    }

    /// The nodes that drain and are not dead.
    pub(crate) fn draining(&self) -> Vec<NodeId> {
        let draining = |(_, node): &(NodeId, &Node)| node.admin_state == AdminState::Draining;
        let there = |(_, node): &(NodeId, &Node)| node.state != NodeState::Dead;
        self.iter().filter(draining).filter(there).map(|(id, _)| id).collect()
    }

    /// Whether messages of this incarnation are accepted: it is the current one, registered with this process, and the
    /// node is not dead.
    pub(crate) fn accepts(&self, node: NodeId, incarnation: u64) -> bool {
        self.get(node).is_some_and(|node| {
            node.present && node.incarnation == incarnation && node.state != NodeState::Dead
        })
    }

    /// Records a heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        node: NodeId,
        volumes: Vec<VolumeUsage>,
        now: Duration,
    ) -> HeartbeatEffect {
        let patience = self.patience;
        let id = node;
        let Some(node) = self.nodes.get_mut(&id) else { return HeartbeatEffect::default() };
        let before = node.state;
        node.state = state::next(before, Signal::Heartbeat, patience);
        node.last_contact = now;
        let was_good =
            |id: VolumeId| !node.volumes.iter().any(|volume| volume.volume == id && volume.failed.is_some());
        let failed = volumes
            .iter()
            .filter(|volume| was_good(volume.volume))
            .filter_map(|volume| Some((volume.volume, volume.failed.clone()?)))
            .collect();
        if node.volumes != volumes || node.state != before {
            node.volumes = volumes;
            self.changed.insert(id);
        }
        HeartbeatEffect { revived: before == NodeState::Stale && node.state == NodeState::Live, failed }
    }

    /// Updates the nodes' states after time has passed. Returns the nodes whose state changed, with the new state. No
    /// node becomes dead during its maintenance.
    pub(crate) fn tick(&mut self, moment: Moment) -> Vec<(NodeId, NodeState)> {
        let now = moment.monotonic;
        let patience = self.patience;
        let mut changes = Vec::new();
        for (id, node) in &mut self.nodes {
            let signal = Signal::NoContactFor(now.saturating_sub(node.last_contact));
            let next = state::next(node.state, signal, patience);
            let unwarned = next == NodeState::Dead && now < node.stale_at + patience.warning;
            let excused = next == NodeState::Dead && node.may_be_down(moment.wall);
            if next == node.state || unwarned || excused {
                continue;
            }
            if next == NodeState::Stale {
                node.stale_at = now;
            }
            node.state = next;
            changes.push((*id, next));
        }
        self.changed.extend(changes.iter().map(|(node, _)| *node));
        changes
    }

    /// Records that a gateway could not reach the node. It is suspect for as long as it takes a node without contact to
    /// become stale; the third time in that period it counts as failing.
    pub(crate) fn unreachable(&mut self, id: NodeId, now: Duration) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.avoid_until = now + self.patience.stale_after;
            self.deadlines.insert((node.avoid_until, id));
        }
        self.failed(id, None, now);
    }

    /// Records a failure of the node; `other` is a node that may have caused it.
    pub(crate) fn failed(&mut self, id: NodeId, other: Option<NodeId>, now: Duration) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.failures.add(other, now, self.patience.stale_after);
            self.deadlines.insert((node.failures.until(), id));
            self.changed.insert(id);
        }
    }

    /// Records a success of the node.
    pub(crate) fn succeeded(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id)
            && node.failures.forget()
        {
            self.changed.insert(id);
        }
    }

    /// Whether other nodes are preferred: this one has not reported yet, or a gateway could not reach it a moment ago.
    pub(crate) fn is_suspect(&self, node: NodeId, now: Duration) -> bool {
        self.get(node).is_none_or(|node| !node.has_reported() || now < node.avoid_until)
    }

    /// Records a page of a node's block report. Returns the sums of the whole report if this was its last page.
    pub(crate) fn reported(
        &mut self,
        report: &BlockReport,
        unknown: Unknown,
        strange: u64,
    ) -> Option<ReportSums> {
        let node = self.nodes.get_mut(&report.node)?;
        let told = node.report.add(report, unknown, strange)?;
        self.changed.insert(report.node);
        Some(told)
    }

    /// Lets the reply to every node's next heartbeat ask for a full block report.
    pub(crate) fn ask_for_reports(&mut self) {
        for node in self.nodes.values_mut() {
            node.wants_report = true;
            node.report.forget_unknown();
        }
    }

    /// Whether to ask the node for a full block report now. Clears the flag.
    pub(crate) fn take_report_wish(&mut self, id: NodeId) -> bool {
        self.nodes.get_mut(&id).is_some_and(|node| std::mem::take(&mut node.wants_report))
    }

    /// A node as decisions see it.
    pub(crate) fn view(&self, node: NodeId, traffic: Traffic, now: Moment) -> Option<NodeView> {
        let failing = !self.blames_too_many && self.failing.contains(&node);
        self.get(node).map(|found| NodeView { failing, ..found.view(node, traffic, now) })
    }

    /// Records that a replica of `bytes` was queued for deletion at the node.
    pub(crate) fn deletion_queued(&mut self, id: NodeId, bytes: u64) {
        self.deletions_queued(id, 1, bytes);
    }

    /// Records that `replicas` replicas, of `bytes` in all, were queued for deletion at the node.
    pub(crate) fn deletions_queued(&mut self, id: NodeId, replicas: u64, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.outgoing.queued(replicas, bytes);
            node.deletions.waiting = true;
            self.changed.insert(id);
        }
    }

    /// Records that `replicas` replicas, of `bytes` in all, were deleted at the node.
    pub(crate) fn deletions_done(&mut self, id: NodeId, replicas: u64, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.outgoing.done(replicas, bytes);
            self.changed.insert(id);
        }
    }

    /// Records that the node has just stored a block; it is remembered for `kept`.
    pub(crate) fn stored(&mut self, node: NodeId, block: BlockId, now: Duration, kept: Duration) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.recent.add(block, now, kept);
        }
    }

    /// Whether the node stored the block no longer than `kept` ago.
    pub(crate) fn stored_lately(&self, node: NodeId, block: BlockId, now: Duration, kept: Duration) -> bool {
        self.get(node).is_some_and(|node| node.recent.has(block, now, kept))
    }
}

impl Node {
    fn from_known(known: KnownNode, now: Duration) -> Self {
        Self {
            address: known.address,
            zone: known.zone.map(Arc::from),
            incarnation: known.incarnation,
            state: NodeState::Live,
            admin_state: known.admin_state,
            version: known.version,
            packs: false,
            stale_at: now,
            volumes: known.volumes,
            last_contact: now,
            present: false,
            avoid_until: Duration::ZERO,
            outgoing: Outgoing::new(known.deletions),
            deletions: Deletions::unknown(),
            report: Report::default(),
            wants_report: false,
            recent: Recent::default(),
            failures: Failures::default(),
            drained_announced: false,
        }
    }
}

#[cfg(test)]
mod tests;
