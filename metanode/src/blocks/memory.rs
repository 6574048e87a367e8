//! What is known without SQL, and dies with the process.

use std::collections::VecDeque;

use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, NodeId};
use tokio::sync::Notify;

use super::config::BlocksConfig;
use super::copies::Copies;
use super::hints::RepairHints;
use super::nodes::state::Patience;
use super::nodes::{KnownNode, NodeTable};
use super::orphans::Orphans;
use super::reservations::Reservations;
use super::setbacks::Setbacks;
use cairn_planner::ClusterView;

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
    pub(super) orphans: Orphans,
    pub(super) hints: RepairHints,
    pub(super) setbacks: Setbacks,
    /// Which blocks are to be looked at for lack of copies.
    pub(super) scans: VecDeque<Scan>,
}

/// Blocks to be looked at, page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Those of which this node has a copy; all, without.
    pub(super) node: Option<NodeId>,
    /// How far it has come.
    pub(super) through: Option<BlockId>,
}

impl Memory {
    pub(super) fn new(
        known: Vec<KnownNode>,
        scan: Option<Option<BlockId>>,
        config: &BlocksConfig,
        env: &Env,
    ) -> Self {
        let patience = Patience {
            stale_after: config.stale_after,
            dead_after: config.dead_after,
            warning: (config.heartbeat_interval * HEARTBEATS_HEARD)
                .min(config.dead_after.saturating_sub(config.stale_after)),
        };
        Self {
            nodes: NodeTable::new(known, patience, env.monotonic()),
            reservations: Reservations::default(),
            copies: Copies::new(env.now().0 << COMMANDS_PER_MS_BITS, config.repair_in_flight),
            orphans: Orphans::default(),
            hints: RepairHints::default(),
            setbacks: Setbacks::default(),
            scans: scan.into_iter().map(|through| Scan { node: None, through }).collect(),
        }
    }

    /// The cluster as decisions see it.
    pub(super) fn view(&self, env: &Env) -> ClusterView {
        let inbound = |node| self.reservations.at(node).saturating_add(self.copies.inbound(node));
        self.nodes.view(env.monotonic(), inbound)
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
}
