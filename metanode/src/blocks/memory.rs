//! What is known without SQL, and dies with the process.

use std::collections::VecDeque;

use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, NodeId, OpeningId};
use tokio::sync::Notify;

use super::arrivals::Arrivals;
use super::config::BlocksConfig;
use super::copies::Copies;
use super::hints::RepairHints;
use super::hold::{Holding, KnownHold};
use super::listed::Listed;
use super::nodes::state::Patience;
use super::nodes::{KnownNode, Moment, NodeTable, Traffic};
use super::orphans::Orphans;
use super::reservations::Reservations;
use super::scrubs::Scrubs;
use super::setbacks::Setbacks;
use super::unconfirmed::Unconfirmed;
use cairn_planner::{ClusterView, NodeView};

/// Commands are numbered from the time of the start in milliseconds, shifted by this: a million
/// commands for each millisecond, so that no restart uses a number again.
const COMMANDS_PER_MS_BITS: u32 = 20;

/// After this process slept, nodes have so many heartbeats' time to be heard of: one may be lost.
const HEARTBEATS_HEARD: u32 = 2;

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) nodes: NodeTable,
    pub(super) reservations: Reservations,
    pub(super) copies: Copies,
    pub(super) arrivals: Arrivals,
    pub(super) orphans: Orphans,
    pub(super) listed: Listed,
    pub(super) unconfirmed: Unconfirmed,
    pub(super) hints: RepairHints,
    pub(super) setbacks: Setbacks,
    /// Which blocks are to be looked at for lack of copies.
    pub(super) scans: VecDeque<Scan>,
    pub(super) scrubs: Scrubs,
    pub(super) holding: Holding,
    /// How far from the mean a node may be, if an operator decided so: in thousandths of the mean.
    pub(super) balance_threshold: Option<u32>,
    /// Counts the times that nodes changed so that what was not possible before may be now.
    pub(super) changes: u64,
    /// Removed nodes of which something is left in SQL.
    pub(super) removals: VecDeque<NodeId>,
    /// The cluster as decisions see it. Built once and kept up to date: to build it anew for each
    /// decision would cost a look at every node.
    view: ClusterView,
    /// A node can be relied upon that could not before, maybe only because time passed: what was held up
    /// for lack of such nodes is to be looked at.
    pub(super) trust_gained: bool,
}

/// Blocks to be looked at, page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Those of which this node has a copy; all, without.
    pub(super) node: Option<NodeId>,
    /// How far it has come.
    pub(super) through: Option<BlockId>,
}

/// What SQL knows at the start.
#[derive(Debug)]
pub(super) struct Known {
    /// The nodes.
    pub(super) nodes: Vec<KnownNode>,
    /// Nodes that were removed, and of which something is left.
    pub(super) removals: Vec<NodeId>,
    /// How far a scan of all blocks has come, if there is one.
    pub(super) scan: Option<Option<BlockId>>,
    /// Which scrubs were asked for.
    pub(super) scrubs: Scrubs,
    /// How far from the mean a node may be, if an operator decided so.
    pub(super) balance_threshold: Option<u32>,
    /// Whether deletions are held.
    pub(super) hold: KnownHold,
    /// This start of the metanode.
    pub(super) opening: OpeningId,
}

impl Memory {
    pub(super) fn new(known: Known, config: &BlocksConfig, env: &Env) -> Self {
        let patience = Patience {
            stale_after: config.stale_after,
            dead_after: config.dead_after,
            warning: (config.heartbeat_interval * HEARTBEATS_HEARD)
                .min(config.dead_after.saturating_sub(config.stale_after)),
        };
        Self {
            nodes: NodeTable::new(known.nodes, patience, env.monotonic()),
            reservations: Reservations::default(),
            copies: Copies::new(env.now().0 << COMMANDS_PER_MS_BITS, config.repair_in_flight),
            arrivals: Arrivals::default(),
            orphans: Orphans::default(),
            listed: Listed::default(),
            unconfirmed: Unconfirmed::default(),
            hints: RepairHints::default(),
            setbacks: Setbacks::default(),
            scans: known.scan.into_iter().map(|through| Scan { node: None, through }).collect(),
            scrubs: known.scrubs,
            holding: Holding::new(
                known.hold,
                known.opening,
                env.now(),
                env.monotonic().saturating_add(config.dead_after),
            ),
            balance_threshold: known.balance_threshold,
            changes: 0,
            removals: known.removals.into(),
            view: ClusterView::default(),
            trust_gained: false,
        }
    }

    /// The cluster as decisions see it.
    pub(super) fn view(&mut self, env: &Env) -> &mut ClusterView {
        self.deciding(env).0
    }

    /// The cluster as the last decision saw it.
    pub(super) fn seen(&self) -> &ClusterView {
        &self.view
    }

    /// The cluster as decisions see it, and the copies under way. What a decision reserves in the view
    /// is seen by those after it only if it is counted in [`reservations`](Self::reservations) or
    /// [`copies`](Self::copies) too.
    pub(super) fn deciding(&mut self, env: &Env) -> (&mut ClusterView, &mut Copies) {
        let now = Moment { monotonic: env.monotonic(), wall: env.wall() };
        let mut changed = self.nodes.take_changed(now.monotonic);
        changed.extend(self.reservations.take_changed());
        changed.extend(self.copies.take_changed());
        for node in changed {
            let inbound = self.reservations.at(node).saturating_add(self.copies.inbound(node));
            let traffic = Traffic { inbound, outbound: self.copies.outbound(node) };
            match self.nodes.view(node, traffic, now) {
                Some(view) => {
                    let reliable = |node: &NodeView| node.is_sure() && !node.failing;
                    self.trust_gained |= reliable(&view) && !self.view.get(node).is_some_and(reliable);
                    self.view.set(view);
                }
                None => self.view.remove(node),
            }
        }
        (&mut self.view, &mut self.copies)
    }

    /// Blocks are to be looked at; a scan that runs already begins anew.
    pub(super) fn scan(&mut self, node: Option<NodeId>) {
        self.scans.retain(|scan| scan.node != node);
        self.scans.push_back(Scan { node, through: None });
    }
}

/// Wakes workers that wait for work.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    /// A block or a node changed in a way that may need or allow repair.
    pub(super) repair: Notify,
    /// Nodes changed, or a copy off a draining node ended.
    pub(super) drain: Notify,
    /// Nodes changed, or a move ended.
    pub(super) balance: Notify,
    /// A node was removed.
    pub(super) removal: Notify,
    /// A bucket was deleted that leaves uploads behind.
    pub(super) uploads: Notify,
}
