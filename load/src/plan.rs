//! What a run does.

use std::time::Duration;

use crate::client::Target;
use crate::size::Sizes;
use crate::workload::Workload;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers. Several are measured in turns, round by round, so that what else the machine does hits all of them.
    pub targets: Vec<Target>,
    /// What clients do.
    pub workload: Workload,
    /// How large the objects are that they write.
    pub sizes: Sizes,
    /// How long the ranges are that they read, in bytes.
    pub range: u64,
    /// How long the parts of multipart uploads are, in bytes.
    pub part: u64,
    /// How many objects one request deletes.
    pub batch: usize,
    /// How many objects are there before a workload that needs some.
    pub objects: u64,
    /// How many keys have versions, for workloads with versions.
    pub keys: Option<u64>,
    /// How many clients there are on each server.
    pub concurrency: usize,
    /// How long each server is measured, all rounds together.
    pub duration: Duration,
    /// How long the workload runs before it is measured.
    pub warm_up: Duration,
    /// In how many rounds.
    pub rounds: u32,
    /// How long a request may take.
    pub timeout: Duration,
    /// What sizes, keys and bytes are drawn from.
    pub seed: u64,
    /// Whether signatures cover bodies. That costs a SHA-256 of each.
    pub sign_bodies: bool,
    /// Whether what was written stays.
    pub keep: bool,
}
