//! The background workers: they all can be shown, paused and throttled in the same way.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::NodeId;

/// The background workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerName {
    /// Notices nodes that send no heartbeats, and the end of maintenance. Cannot be paused.
    Liveness,
    /// Copies under-replicated blocks, and deletes replicas of over-replicated ones.
    Repair,
    /// Moves blocks off draining nodes.
    Drain,
    /// Moves blocks from full nodes to empty ones.
    Balance,
    /// Checks the replicas of every block once in a period, to find problems without an event: above all, zones with more
    /// replicas of a block than necessary.
    Placement,
    /// Deletes the blocks of deleted and overwritten versions when their grace period is over.
    Garbage,
    /// Ends leases: deletes blocks that were not committed.
    Leases,
    /// Drops the kept outcomes of uploads that were completed long ago, and aborts abandoned uploads and those of deleted
    /// buckets.
    Uploads,
    /// Moves small objects together into packs.
    Pack,
    /// Does what lifecycle rules want: expires versions, changes storage classes, aborts uploads.
    Lifecycle,
    /// Reads every block, on the datanodes.
    Scrub,
}

impl WorkerName {
    /// All workers.
    pub const ALL: [Self; 11] = [
        Self::Liveness,
        Self::Repair,
        Self::Drain,
        Self::Balance,
        Self::Placement,
        Self::Garbage,
        Self::Leases,
        Self::Uploads,
        Self::Pack,
        Self::Lifecycle,
        Self::Scrub,
    ];

    /// Its name, as operators write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Repair => "repair",
            Self::Drain => "drain",
            Self::Balance => "balance",
            Self::Placement => "placement",
            Self::Garbage => "garbage",
            Self::Leases => "leases",
            Self::Uploads => "uploads",
            Self::Pack => "pack",
            Self::Lifecycle => "lifecycle",
            Self::Scrub => "scrub",
        }
    }
}

impl std::fmt::Display for WorkerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The worker control of a worker, which operators decide. Kept in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Whether the worker is paused until an operator resumes it.
    pub paused: bool,
    /// The rate, if not the configured one: bytes a second for workers that move or read bytes (repair, drain, balance, and
    /// scrub on each node), items a second for the others.
    pub rate: Option<u64>,
}

/// The activity of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerActivity {
    /// It works.
    Working,
    /// There is nothing to do.
    Resting,
    /// There is work to do, and it waits because of its rate.
    Throttled,
    /// An operator paused it.
    Paused,
    /// Its last step failed; it tries again.
    Failing,
}

/// The status of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// The worker.
    pub worker: WorkerName,
    /// Its settings.
    pub settings: WorkerSettings,
    /// The effective rate in bytes or items a second; `None` is no limit.
    pub rate: Option<u64>,
    /// Its activity.
    pub activity: WorkerActivity,
    /// The activity in a few words, with numbers.
    pub doing: String,
    /// Blocks, owners, uploads or nodes that it has processed since the metanode's start.
    pub done: u64,
    /// Bytes that it has moved or freed since the metanode's start.
    pub bytes: u64,
    /// Why its last step failed, if it did.
    pub error: Option<String>,
}

/// Requests the status of all workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkersRequest {}

/// Changes the settings of a worker. `None` leaves a setting unchanged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetWorker {
    /// The worker.
    pub worker: WorkerName,
    /// Whether to pause or resume it.
    pub paused: Option<bool>,
    /// The rate; `Some(None)` returns to the configured one.
    #[serde(default, with = "double_option")]
    pub rate: Option<Option<u64>>,
}

/// Distinguishes a missing field from one that is `null`.
mod double_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::option_option, reason = "not said, said to be nothing, said")]
    pub(super) fn serialize<S: Serializer>(rate: &Option<Option<u64>>, to: S) -> Result<S::Ok, S::Error> {
        rate.map(|rate| rate.map_or([None], |rate| [Some(rate)])).serialize(to)
    }

    #[expect(clippy::option_option, reason = "not said, said to be nothing, said")]
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
        Ok(Option::<[Option<u64>; 1]>::deserialize(from)?.map(|[rate]| rate))
    }
}

/// Requests the state of the balancer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BalanceRequest {}

/// Changes the settings of the balancer. `None` leaves a setting unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SetBalance {
    /// Whether to start or stop it.
    pub running: Option<bool>,
    /// Bytes a second in the whole cluster.
    pub rate: Option<u64>,
    /// How far from the mean utilisation a node may be, in thousandths of the mean: 100 is 10 %.
    pub threshold_permille: Option<u32>,
    /// Only report what would happen.
    pub dry_run: bool,
}

/// The distribution of utilisation, which is predicted used bytes by capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BalanceStatus {
    /// Whether balancing is on. It rests while all nodes are within the threshold.
    pub running: bool,
    /// Its activity.
    pub activity: WorkerActivity,
    /// Bytes a second in the whole cluster.
    pub rate: u64,
    /// How far from the mean a node may be, in thousandths of the mean.
    pub threshold_permille: u32,
    /// Mean utilisation of the nodes in service: all their used bytes by all their capacity.
    pub mean: f64,
    /// Utilisation of the emptiest node.
    pub lowest: f64,
    /// Utilisation of the fullest node.
    pub highest: f64,
    /// Nodes beyond the threshold.
    pub nodes_outside: u32,
    /// The least number of bytes that have to move to bring all nodes within the threshold.
    pub bytes_to_move: u64,
    /// Moves in progress.
    pub moves_in_flight: u64,
    /// Bytes moved since the metanode started.
    pub bytes_moved: u64,
}

/// Requests the progress of the scrubbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScrubRequest {}

/// Orders nodes to read and check all their replicas from the beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartScrub {
    /// The node; `None` is all nodes.
    pub node: Option<NodeId>,
}

/// The progress of a node's scrubber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// The node.
    pub node: NodeId,
    /// The progress in its last heartbeat; `None` before the first one.
    pub progress: Option<crate::cluster::ScrubProgress>,
    /// When an operator last ordered a scrub.
    pub asked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_not_spoken_of_is_not_a_rate_that_is_taken_back() {
        for rate in [None, Some(None), Some(Some(7))] {
            let said = SetWorker { worker: WorkerName::Repair, paused: None, rate };
            let json = serde_json::to_string(&said).unwrap();
            assert_eq!(serde_json::from_str::<SetWorker>(&json).unwrap().rate, rate);
        }
    }
}
