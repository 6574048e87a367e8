//! The state of the hold on deletions. The module `hold` changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cairn_protocol::admin::{HoldCause, HoldReason};
use cairn_protocol::cluster::Generation;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId, OpeningId};
use serde::{Deserialize, Serialize};

use super::SoftState;
use crate::store::generations::{self, Past};
use crate::store::settings::{self, Decision};
use crate::store::{Connection, StoreError};

/// Upper limit of reasons that are kept; further ones are only counted.
const REASONS_MAX: usize = 16;

/// A hold: deletions wait for an operator. Stored in SQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::block_manager) struct Hold {
    pub(in crate::block_manager) since: Timestamp,
    /// The number of reasons so far.
    pub(in crate::block_manager) revision: u64,
    /// The first reasons, up to [`REASONS_MAX`].
    pub(in crate::block_manager) reasons: Vec<HoldReason>,
    /// Openings whose changes this database lacks.
    pub(in crate::block_manager) openings: BTreeSet<OpeningId>,
    /// Nodes that hold too many unknown blocks.
    nodes: BTreeSet<NodeId>,
}

/// The losses that operators accepted. Stored in SQL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::block_manager) struct Consent {
    /// Openings whose changes may be lost.
    pub(in crate::block_manager) openings: BTreeSet<OpeningId>,
    /// Nodes whose unknown blocks may be deleted if they were made before this time.
    pub(in crate::block_manager) nodes: BTreeMap<NodeId, Timestamp>,
}

/// The state in SQL at the start.
#[derive(Debug)]
pub(in crate::block_manager) struct KnownHold {
    hold: Option<Hold>,
    consent: Consent,
    past: Past,
    latest: Option<Generation>,
}

impl KnownHold {
    pub(in crate::block_manager) async fn read(connection: &mut Connection) -> Result<Self, StoreError> {
        Ok(Self {
            hold: settings::decided(connection, Decision::Hold).await?,
            consent: settings::decided(connection, Decision::Consent).await?.unwrap_or_default(),
            past: generations::past(connection).await?,
            latest: generations::latest(connection).await?,
        })
    }
}

/// Whether replicas may be deleted, and why not.
#[derive(Debug)]
pub(in crate::block_manager) struct Holding {
    pub(in crate::block_manager) hold: Option<Hold>,
    pub(in crate::block_manager) consent: Consent,
    past: Past,
    /// The latest generation before this process changed anything.
    pub(in crate::block_manager) latest: Option<Generation>,
    /// The opening of this process.
    opening: OpeningId,
    opened_at: Timestamp,
    /// Nodes whose unknown blocks an operator agreed to delete since this start, whatever the age of the blocks.
    pub(in crate::block_manager) agreed: BTreeSet<NodeId>,
    /// The monotonic time after which deletions no longer wait for nodes that have not reported.
    patient_until: Duration,
    /// Whether every node has reported, or the wait is over.
    settled: bool,
}

/// Whether replicas may be deleted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block_manager) enum Gate {
    /// They may.
    Open,
    /// Some nodes have not reported since the start.
    Waiting,
    /// Deletions are held until an operator agrees.
    Held,
}

impl Holding {
    pub(in crate::block_manager) fn new(
        known: KnownHold,
        opening: OpeningId,
        opened_at: Timestamp,
        patient_until: Duration,
    ) -> Self {
        let KnownHold { hold, consent, past, latest } = known;
        Self {
            hold,
            consent,
            past,
            latest,
            opening,
            opened_at,
            agreed: BTreeSet::new(),
            patient_until,
            settled: false,
        }
    }

    /// Whether a node has seen a generation that this database never had, and whose loss no operator accepted.
    pub(in crate::block_manager) fn is_foreign(&self, seen: Generation, latest: Option<Generation>) -> bool {
        let own = seen.opening == self.opening
            && latest
                .is_some_and(|latest| latest.opening == seen.opening && seen.sequence <= latest.sequence);
        !own && !self.past.knows(seen) && !self.consent.openings.contains(&seen.opening)
    }

    /// Adds a reason. If it is new, returns the hold to be written to SQL.
    pub(in crate::block_manager) fn add(&mut self, reason: HoldReason) -> Option<Hold> {
        let hold = self.hold.get_or_insert_with(|| Hold {
            since: reason.at,
            revision: 0,
            reasons: Vec::new(),
            openings: BTreeSet::new(),
            nodes: BTreeSet::new(),
        });
        let is_new = match reason.cause {
            HoldCause::UnknownGeneration { seen } => hold.openings.insert(seen.opening),
            HoldCause::UnknownBlocks { .. } => hold.nodes.insert(reason.node),
        };
        if !is_new {
            return None;
        }
        hold.revision += 1;
        if hold.reasons.len() < REASONS_MAX {
            hold.reasons.push(reason);
        }
        Some(hold.clone())
    }

    /// Whether an unknown block is no sign of an old database: an operator accepted its loss, or this process granted
    /// it.
    fn is_excused(&self, node: NodeId, block: BlockId, now: Timestamp) -> bool {
        let before = self.consent.nodes.get(&node).copied().unwrap_or_default();
        // Cluster time continues from the mark in the database, so blocks that were written after a backup was made may
        // have ids in the future.
        self.agreed.contains(&node)
            || block
                .created_at_ms()
                .map(Timestamp)
                .is_none_or(|at| at <= before || (self.opened_at..=now).contains(&at))
    }
}

impl SoftState {
    /// Whether replicas may be deleted now.
    pub(in crate::block_manager) fn gate(&mut self, now: Duration) -> Gate {
        if self.holding.hold.is_some() {
            return Gate::Held;
        }
        if !self.holding.settled {
            self.holding.settled = now >= self.holding.patient_until || self.awaited().is_empty();
        }
        if self.holding.settled { Gate::Open } else { Gate::Waiting }
    }

    /// Whether deletions wait for an operator.
    pub(in crate::block_manager) fn is_held(&self) -> bool {
        self.holding.hold.is_some()
    }

    /// Nodes that have not reported since the start, and are not dead.
    pub(in crate::block_manager) fn awaited(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_awaited()).map(|(id, _)| id).collect()
    }

    /// The number of these blocks that this database should know, though nothing in it refers to them.
    pub(in crate::block_manager) fn count_strange(
        &self,
        node: NodeId,
        blocks: impl Iterator<Item = BlockId>,
        now: Timestamp,
    ) -> u64 {
        blocks.filter(|block| !self.holding.is_excused(node, *block, now)).count() as u64
    }
}
