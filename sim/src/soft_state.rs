//! The state that the metanode loses in a restart.

use std::collections::{BTreeMap, BTreeSet};

use cairn_planner::balance::Balance;
use cairn_planner::budget::InFlight;
use cairn_types::id::NodeId;

use crate::config::Millis;

/// The purpose of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A block lacks replicas.
    Repair,
    /// A node drains.
    Drain,
    /// A block has too many replicas in a zone.
    Spread,
    /// A node is too full; the block's replica there is dropped afterwards.
    Move {
        /// The node that is too full.
        source: usize,
    },
}

/// A copy under way.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The block.
    pub block: usize,
    /// The node that makes the new replica.
    pub target: usize,
    /// The nodes to read from.
    pub sources: Vec<NodeId>,
    /// Its purpose.
    pub purpose: Purpose,
}

/// A limit of bytes per second, on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    rate: u64,
    ready_at: Millis,
}

impl Throttle {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate, ready_at: 0 }
    }

    /// The time from which on more may be copied.
    pub(crate) fn ready_at(&self) -> Millis {
        self.ready_at
    }

    pub(crate) fn take(&mut self, bytes: u64, now: Millis) {
        self.ready_at = self.ready_at.max(now) + bytes * 1_000 / self.rate.max(1);
    }
}

/// A round of balancing.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) balance: Balance,
    /// The index of the current source.
    pub(crate) at: usize,
    /// The last block of that source that was examined.
    pub(crate) through: Option<usize>,
    /// The number of moves that it has ordered.
    pub(crate) moves: u64,
}

/// The state in the metanode's memory.
#[derive(Debug)]
pub struct SoftState {
    /// Copies under way.
    pub intents: BTreeMap<u64, Intent>,
    /// The numbers of the copies under way, by block.
    pub(crate) by_block: BTreeMap<usize, Vec<u64>>,
    /// The nodes whose replicas are dropped when a move has ended, by block.
    pub leaving: BTreeMap<usize, Vec<usize>>,
    /// Bytes under way at each node.
    pub(crate) in_flight: InFlight,
    /// Blocks that lack replicas, those with the fewest first.
    pub(crate) repairs: BTreeSet<(u32, usize)>,
    /// Blocks on draining nodes.
    pub(crate) drains: BTreeSet<usize>,
    /// Blocks to examine for other reasons.
    pub(crate) others: BTreeSet<usize>,
    /// Blocks that wait until less is under way.
    pub(crate) deferred: BTreeSet<usize>,
    /// Blocks that wait for nodes.
    pub(crate) stuck: BTreeSet<usize>,
    pub(crate) round: Option<Round>,
    pub(crate) repair_throttle: Throttle,
    pub(crate) drain_throttle: Throttle,
    pub(crate) balance_throttle: Throttle,
    /// When repair runs next; `None` if it rests.
    pub(crate) work_at: Option<Millis>,
    /// When balancing runs next; `None` if it rests.
    pub(crate) balance_at: Option<Millis>,
}

impl SoftState {
    pub(crate) fn new(config: &crate::config::Config) -> Self {
        Self {
            intents: BTreeMap::new(),
            by_block: BTreeMap::new(),
            leaving: BTreeMap::new(),
            in_flight: InFlight::new(config.in_flight),
            repairs: BTreeSet::new(),
            drains: BTreeSet::new(),
            others: BTreeSet::new(),
            deferred: BTreeSet::new(),
            stuck: BTreeSet::new(),
            round: None,
            repair_throttle: Throttle::new(config.repair_rate),
            drain_throttle: Throttle::new(config.drain_rate),
            balance_throttle: Throttle::new(config.balance_rate),
            work_at: None,
            balance_at: None,
        }
    }

    /// The nodes that are about to get a replica of the block.
    pub(crate) fn targets_of(&self, block: usize) -> impl Iterator<Item = usize> + '_ {
        let intents = self.by_block.get(&block).into_iter().flatten();
        intents.filter_map(|intent| self.intents.get(intent)).map(|intent| intent.target)
    }
}
