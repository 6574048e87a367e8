//! What happens in the background: all of one shape, to be paused, throttled and looked at.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::NodeId;

/// The background workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerName {
    /// Notices nodes that send no heartbeats, and the end of maintenance. Cannot be paused.
    Liveness,
    /// Makes the replicas that blocks lack, and drops those that are too many.
    Repair,
    /// Moves blocks off draining nodes.
    Drain,
    /// Moves blocks from full nodes to empty ones.
    Balance,
    /// Looks at the replicas of every block once in a period, for what no event announced: above all
    /// zones with more of them than
    /// need be.
    Placement,
    /// Gives up the blocks of what was deleted and overwritten.
    Garbage,
    /// Ends leases: deletes blocks that were not committed.
    Leases,
    /// Forgets the answers to uploads that were completed long ago, and gives up abandoned ones, and those of deleted
    /// buckets.
    Uploads,
    /// Reads every block, on the datanodes.
    Scrub,
}

impl WorkerName {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Liveness,
        Self::Repair,
        Self::Drain,
        Self::Balance,
        Self::Placement,
        Self::Garbage,
        Self::Leases,
        Self::Uploads,
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
            Self::Scrub => "scrub",
        }
    }
}

impl std::fmt::Display for WorkerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator decided about a worker. Kept in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// It does nothing until it is resumed.
    pub paused: bool,
    /// Its rate, if not the configured one: bytes a second for those that move or read bytes (repair, drain,
    /// balance, scrub: on each node), items a second for the others.
    pub rate: Option<u64>,
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerActivity {
    /// There is something to do, and it does it.
    Working,
    /// There is nothing to do.
    Resting,
    /// There is something to do, and its rate holds it back.
    Throttled,
    /// An operator paused it.
    Paused,
    /// Its last step failed; it tries again.
    Failing,
}

/// A worker at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Which one.
    pub worker: WorkerName,
    /// What was decided about it.
    pub settings: WorkerSettings,
    /// The rate that holds: bytes or items a second; none if it has no limit.
    pub rate: Option<u64>,
    /// What it is at.
    pub activity: WorkerActivity,
    /// The same in a few words, with numbers.
    pub doing: String,
    /// Blocks, owners, uploads or nodes that it dealt with since the metanode started.
    pub done: u64,
    /// Bytes that it had moved, or gave free.
    pub bytes: u64,
    /// Why its last step failed, if it did.
    pub error: Option<String>,
}

/// Asks for all workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkersRequest {}

/// Decides about a worker; what is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetWorker {
    /// Which one.
    pub worker: WorkerName,
    /// Pause it, or have it go on.
    pub paused: Option<bool>,
    /// Its rate: `Some(None)` is the configured one again.
    #[serde(default, with = "double_option")]
    pub rate: Option<Option<u64>>,
}

/// Keeps "not said" apart from "said to be nothing".
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

/// Asks for the balance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BalanceRequest {}

/// Decides about balancing; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SetBalance {
    /// Start (`true`) or stop it.
    pub running: Option<bool>,
    /// Bytes a second in the whole cluster.
    pub rate: Option<u64>,
    /// How far from the mean utilisation a node may be, in thousandths of the mean: 100 is 10 %.
    pub threshold_permille: Option<u32>,
    /// Only tell what would happen.
    pub dry_run: bool,
}

/// How even utilisation is. Utilisation is predicted used bytes by capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BalanceStatus {
    /// Whether it runs; it rests by itself when all nodes are within the threshold.
    pub running: bool,
    /// What it is at.
    pub activity: WorkerActivity,
    /// Bytes a second in the whole cluster.
    pub rate: u64,
    /// How far from the mean a node may be, in thousandths of the mean.
    pub threshold_permille: u32,
    /// Mean utilisation of the nodes in service: all their used bytes by all their capacity.
    pub mean: f64,
    /// The emptiest node's.
    pub lowest: f64,
    /// The fullest node's.
    pub highest: f64,
    /// Nodes beyond the threshold.
    pub nodes_outside: u32,
    /// Bytes that have to move to bring all nodes within the threshold: a lower bound.
    pub bytes_to_move: u64,
    /// Moves under way.
    pub moves_in_flight: u64,
    /// Bytes moved since the metanode started.
    pub bytes_moved: u64,
}

/// Asks how far the scrubbers are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScrubRequest {}

/// Has nodes read all of their blocks from the beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartScrub {
    /// One node; all, without.
    pub node: Option<NodeId>,
}

/// How far a node's scrubber is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// The node.
    pub node: NodeId,
    /// As it told with its last heartbeat; unknown before.
    pub progress: Option<crate::cluster::ScrubProgress>,
    /// When an operator last ordered a scrub from the beginning.
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
