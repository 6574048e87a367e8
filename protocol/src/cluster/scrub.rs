//! Scrubbing: the orders of operators, and the progress of a datanode.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;

/// The progress of a datanode's scrubbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// The current round: the [`ScrubOrder::round`] of its order, or 0 for a regular round.
    pub round: u64,
    /// Whether it is reading. If not, it is paused, or waits for its next round.
    pub running: bool,
    /// Replicas read in this round.
    pub blocks: u64,
    /// Bytes read in this round.
    pub bytes: u64,
    /// Replicas to read in this round, as counted when it began.
    pub blocks_in_all: u64,
    /// Replicas found corrupt in this round.
    pub corrupt: u64,
    /// When the last round ended.
    pub finished_at: Option<Timestamp>,
    /// The [`ScrubOrder::round`] of the last order that it has finished.
    pub finished_round: u64,
}

/// The order to the scrubbers of a datanode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubOrder {
    /// The time of the last order for a round from the beginning, in milliseconds since the Unix epoch; 0 without one. A node
    /// that has not begun this round begins it.
    pub round: u64,
    /// Whether the scrubbers are paused.
    pub paused: bool,
    /// Bytes a second for each disk of the node; `None` is the node's configuration.
    pub rate: Option<u64>,
}
