//! Heartbeats and their answers.

use serde::{Deserialize, Serialize};

use super::{
    Command, CommandResult, Generation, Lineage, ReplicaChange, ReportedReplica, ScrubOrder, ScrubProgress,
    VolumeUsage,
};
use crate::id::{BlockId, NodeId};

/// A message every few seconds, which shows that the datanode is alive and reports its changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "WireHeartbeat")]
pub struct Heartbeat {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its volumes.
    pub volumes: Vec<VolumeUsage>,
    /// The changes of its replicas since the last heartbeat that was answered, in order: the last change of each block.
    pub changes: Vec<ReplicaChange>,
    /// The results of commands that have ended.
    pub finished: Vec<CommandResult>,
    /// The progress of its scrubber.
    pub scrub: Option<ScrubProgress>,
    /// The same as in [`Register`](super::Register).
    pub seen: Vec<Generation>,
}

/// A heartbeat on the wire. Earlier releases sent the changes by their kind. Datanodes are upgraded one after another, and no
/// change that one of them reports may be lost during that time.
#[derive(Deserialize)]
struct WireHeartbeat {
    node: NodeId,
    incarnation: u64,
    volumes: Vec<VolumeUsage>,
    #[serde(default)]
    changes: Vec<ReplicaChange>,
    finished: Vec<CommandResult>,
    #[serde(default)]
    scrub: Option<ScrubProgress>,
    #[serde(default)]
    seen: Vec<Generation>,
    // Datanodes of earlier releases send these instead of `changes`.
    #[serde(default)]
    stored: Vec<ReportedReplica>,
    #[serde(default)]
    corrupt: Vec<BlockId>,
    #[serde(default)]
    deleted: Vec<BlockId>,
}

impl From<WireHeartbeat> for Heartbeat {
    fn from(wire: WireHeartbeat) -> Self {
        let WireHeartbeat { node, incarnation, volumes, mut changes, finished, scrub, seen, .. } = wire;
        changes.extend(wire.stored.into_iter().map(ReplicaChange::Stored));
        changes.extend(wire.corrupt.into_iter().map(ReplicaChange::Corrupt));
        changes.extend(wire.deleted.into_iter().map(ReplicaChange::Deleted));
        Self { node, incarnation, volumes, changes, finished, scrub, seen }
    }
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Commands, which are idempotent.
    pub commands: Vec<Command>,
    /// The order for the scrubbers. Every answer has it, so that datanodes need not keep it.
    #[serde(default)]
    pub scrub: ScrubOrder,
    /// The lineage of the metanode's database.
    #[serde(default)]
    pub lineage: Lineage,
    /// Whether the node must send a block report at once.
    #[serde(default)]
    pub report: bool,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// During a rolling upgrade, a new metanode must not lose the changes that a datanode of an earlier release reports.
    #[test]
    fn a_heartbeat_of_an_earlier_release_says_the_same_by_kinds() {
        let (stored, bad, gone) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let earlier = serde_json::json!({
            "node": Uuid::from_u128(9), "incarnation": 4, "volumes": [], "finished": [],
            "stored": [{ "block": stored, "length": 5, "crc32c": 6 }], "corrupt": [bad], "deleted": [gone],
        });
        let heartbeat: Heartbeat = serde_json::from_value(earlier).unwrap();
        let replica = ReportedReplica { block: BlockId(stored), length: 5, crc32c: 6 };
        let changes = [
            ReplicaChange::Stored(replica),
            ReplicaChange::Corrupt(BlockId(bad)),
            ReplicaChange::Deleted(BlockId(gone)),
        ];
        assert_eq!(heartbeat.changes, changes);
        let again: Heartbeat = serde_json::from_str(&serde_json::to_string(&heartbeat).unwrap()).unwrap();
        assert_eq!(again.changes, changes);
    }
}
