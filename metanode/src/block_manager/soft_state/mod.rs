//! Soft state: what is held in memory only. A restart loses no data with it: datanodes report again, and workers plan
//! again.
//!
//! | module | contents |
//! |---|---|
//! | [`nodes`] | the datanodes: liveness, utilisation, failures, reports, deletions under way |
//! | [`reservations`] | space that grants have reserved on nodes |
//! | [`copies`] | copies of blocks under way |
//! | [`finished_moves`] | moves whose new replica is there, and whose old one has yet to go |
//! | [`copy_backoff`] | blocks whose copies failed, and when the next attempt is due |
//! | [`repair_hints`] | blocks that the repair worker examines next |
//! | [`orphans`] | replicas of blocks to which nothing refers yet |
//! | [`recent_commits`] | blocks that were committed a moment ago, so that block reports may not name them |
//! | [`unreported_replicas`] | young replicas that a block report lacked, until a heartbeat reports them |
//! | [`scrubs`] | the progress of scrubs |
//! | [`holding`] | the state of the hold on deletions |

mod amount;
pub(super) mod copies;
pub(super) mod copy_backoff;
pub(super) mod finished_moves;
mod holding;
pub(super) mod nodes;
pub(super) mod orphans;
mod recent_commits;
pub(super) mod repair_hints;
pub(super) mod reservations;
mod scrubs;
mod unreported_replicas;

use std::collections::VecDeque;

use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, NodeId, OpeningId};
use tokio::sync::Notify;

pub(super) use self::amount::Amount;
pub(super) use self::holding::{Consent, Gate, Hold, KnownHold};
pub(super) use self::scrubs::Scrubs;

use self::copies::{Copies, Purpose};
use self::copy_backoff::CopyBackoff;
use self::finished_moves::FinishedMoves;
use self::holding::Holding;
use self::nodes::state::Patience;
use self::nodes::{Moment, NodeTable, Traffic};
use self::orphans::Orphans;
use self::recent_commits::RecentCommits;
use self::repair_hints::RepairHints;
use self::reservations::Reservations;
use self::unreported_replicas::UnreportedReplicas;
use super::config::BlockManagerConfig;
use crate::store::nodes::KnownNode;
use cairn_planner::{ClusterView, NodeView};

/// Commands are numbered from the time of the start in milliseconds, shifted by this: a million
/// commands for each millisecond, so that no restart uses a number again.
const COMMANDS_PER_MS_BITS: u32 = 20;

/// After this process was suspended, nodes have the time of this many heartbeats to send one. Two, because one may be
/// lost.
const HEARTBEATS_HEARD: u32 = 2;

#[derive(Debug)]
pub(in crate::block_manager) struct SoftState {
    pub(in crate::block_manager) nodes: NodeTable,
    pub(in crate::block_manager) reservations: Reservations,
    pub(in crate::block_manager) copies: Copies,
    pub(in crate::block_manager) finished_moves: FinishedMoves,
    pub(in crate::block_manager) orphans: Orphans,
    pub(in crate::block_manager) recent_commits: RecentCommits,
    pub(in crate::block_manager) unreported: UnreportedReplicas,
    pub(in crate::block_manager) hints: RepairHints,
    pub(in crate::block_manager) copy_backoff: CopyBackoff,
    /// Scans for under-replicated blocks that are due or under way.
    pub(in crate::block_manager) scans: VecDeque<Scan>,
    pub(in crate::block_manager) scrubs: Scrubs,
    pub(in crate::block_manager) holding: Holding,
    /// How far a node's utilisation may differ from the mean before it is balanced, in thousandths of the mean; `None`
    /// if no operator decided.
    pub(in crate::block_manager) balance_threshold: Option<u32>,
    /// Rises when nodes change in a way that may give a block a source or target that it did not have.
    pub(in crate::block_manager) changes: u64,
    /// Removed nodes whose rows are not all deleted from SQL yet.
    pub(in crate::block_manager) removals: VecDeque<NodeId>,
    /// The number and bytes of the small blocks that were committed since the pack worker's last walk began.
    pub(in crate::block_manager) new_small: Amount,
    /// An operator wants the pack worker to begin a walk.
    pub(in crate::block_manager) is_pack_asked: bool,
    /// The cluster as decisions see it. It is updated node by node, because building it for each decision would read
    /// all nodes.
    view: ClusterView,
    /// A node has become reliable, perhaps only because time passed. Blocks that waited for a reliable node must be
    /// examined again.
    pub(in crate::block_manager) trust_gained: bool,
}

/// A scan over blocks, page by page, for those that are under-replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block_manager) struct Scan {
    /// Only blocks of which this node has a replica; `None` for all blocks.
    pub(in crate::block_manager) node: Option<NodeId>,
    /// The last block that was scanned.
    pub(in crate::block_manager) through: Option<BlockId>,
}

/// The state in SQL at the start.
#[derive(Debug)]
pub(in crate::block_manager) struct Known {
    /// The nodes.
    pub(in crate::block_manager) nodes: Vec<KnownNode>,
    /// Removed nodes whose rows are not all deleted yet.
    pub(in crate::block_manager) removals: Vec<NodeId>,
    /// The position of the scan of all blocks, if one is due.
    pub(in crate::block_manager) scan: Option<Option<BlockId>>,
    /// The scrubs that operators ordered.
    pub(in crate::block_manager) scrubs: Scrubs,
    /// See [`SoftState::balance_threshold`].
    pub(in crate::block_manager) balance_threshold: Option<u32>,
    /// The state of the hold on deletions.
    pub(in crate::block_manager) hold: KnownHold,
    /// The opening of this process.
    pub(in crate::block_manager) opening: OpeningId,
}

impl SoftState {
    pub(in crate::block_manager) fn new(known: Known, config: &BlockManagerConfig, env: &Env) -> Self {
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
            finished_moves: FinishedMoves::default(),
            orphans: Orphans::default(),
            recent_commits: RecentCommits::default(),
            unreported: UnreportedReplicas::default(),
            hints: RepairHints::default(),
            copy_backoff: CopyBackoff::default(),
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
            new_small: Amount::default(),
            is_pack_asked: false,
            view: ClusterView::default(),
            trust_gained: false,
        }
    }

    /// The moves of the balancer that are not done. A move is done when its old replica is queued for deletion, and is counted then.
    pub(in crate::block_manager) fn moves_in_flight(&self) -> u64 {
        let copies = self.copies.count(Purpose::is_balance);
        copies + self.finished_moves.count_from(|node| !self.nodes.is_draining(node))
    }

    /// The cluster as decisions see it.
    pub(in crate::block_manager) fn view(&mut self, env: &Env) -> &mut ClusterView {
        self.deciding(env).0
    }

    /// The cluster as the last decision saw it.
    pub(in crate::block_manager) fn seen(&self) -> &ClusterView {
        &self.view
    }

    /// The cluster as decisions see it, and the copies under way. What a decision reserves in the view
    /// is seen by those after it only if it is counted in [`reservations`](Self::reservations) or
    /// [`copies`](Self::copies) too.
    pub(in crate::block_manager) fn deciding(&mut self, env: &Env) -> (&mut ClusterView, &mut Copies) {
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

    /// Orders a scan. If one of the same kind is under way, it starts again.
    pub(in crate::block_manager) fn scan(&mut self, node: Option<NodeId>) {
        self.scans.retain(|scan| scan.node != node);
        self.scans.push_back(Scan { node, through: None });
    }
}

/// Signals that wake workers when there is work.
#[derive(Debug, Default)]
pub(in crate::block_manager) struct Wakes {
    /// A block or a node changed so that a repair may be needed or has become possible.
    pub(in crate::block_manager) repair: Notify,
    /// Nodes changed, or a copy off a draining node ended.
    pub(in crate::block_manager) drain: Notify,
    /// Nodes changed, or a move ended.
    pub(in crate::block_manager) balance: Notify,
    /// A node was removed.
    pub(in crate::block_manager) removal: Notify,
    /// A bucket was deleted that still has uploads.
    pub(in crate::block_manager) uploads: Notify,
}
