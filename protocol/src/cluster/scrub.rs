//! Scrubbing: what an operator orders through the metanode, and how far a datanode is.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;

/// How far a datanode's scrubber is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// The round that it is in: [`ScrubOrder::round`] of the order that began it, or 0 for one of its own.
    pub round: u64,
    /// Whether it reads; if not, it is paused, or rests until its next round.
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
    /// Which order it followed last to its end: its [`ScrubOrder::round`].
    pub finished_round: u64,
}

/// How datanodes are to scrub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubOrder {
    /// Rises when an operator wants a round from the beginning: the time of asking in milliseconds since
    /// the Unix epoch. A node that has not begun this round begins it. 0: none was asked for.
    pub round: u64,
    /// Read nothing until told otherwise.
    pub paused: bool,
    /// Bytes a second for each of the node's disks; the node's own configuration without.
    pub rate: Option<u64>,
}
