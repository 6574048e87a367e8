//! Datanodes: their state, and what operators want of them.

pub use cairn_types::node::{AdminState, NodeState};
use serde::{Deserialize, Serialize};

use crate::cluster::VolumeUsage;
use crate::id::NodeId;

/// A datanode at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// Its base URL.
    pub address: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Its state.
    pub state: NodeState,
    /// What the operator wants of it.
    pub admin_state: AdminState,
    /// Its incarnation.
    pub incarnation: u64,
    /// Version of its software.
    pub version: String,
    /// How long ago its last heartbeat came, in milliseconds; unknown after a restart of the metanode.
    pub last_contact_ms: Option<u64>,
    /// Replicas that it holds.
    pub replicas: u64,
    /// Bytes used, plus those on their way in (grants, copies), less those on their way out (deletions, moves).
    pub predicted_used: u64,
    /// Its volumes, as it told last.
    pub volumes: Vec<VolumeUsage>,
}

/// Wants something else of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAdminState {
    /// The node.
    pub node: NodeId,
    /// What is wanted.
    pub change: AdminStateChange,
    /// Only tell what would happen.
    pub dry_run: bool,
}

/// What can be wanted of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminStateChange {
    /// Move everything away, for good.
    Drain,
    /// Allow it to send no heartbeats for a while.
    Maintain {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Back to service.
    Return,
}

/// What a change of administrative state does, or would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdminStateReport {
    /// The administrative state before.
    pub before: AdminState,
    /// The administrative state after.
    pub after: AdminState,
    /// How the node stands with the new administrative state.
    pub progress: NodeProgress,
}

/// Asks for a node's progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeProgressRequest {
    /// The node.
    pub node: NodeId,
}

/// How far a node's drain or maintenance has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeProgress {
    /// The node.
    pub node: NodeId,
    /// Its state.
    pub state: NodeState,
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Draining, nothing is left, and no upload can bring anything more: it can be stopped and removed.
    pub drained: bool,
    /// Blocks that it still holds.
    pub blocks: u64,
    /// Bytes of those blocks; of the first million of them times their mean, if there are more.
    pub bytes: u64,
    /// Of those, blocks that are being copied elsewhere now.
    pub in_flight: u64,
    /// Grants of uploads that name the node and may still be committed: those that are known.
    #[serde(default)]
    pub grants: u64,
    /// How long such grants may last at the most, in milliseconds, unless they are renewed; 0 without any. A node that
    /// drains waits for them, also for those that the metanode has forgotten since its start.
    #[serde(default)]
    pub grants_last_ms: u64,
    /// Why blocks do not leave it, if some do not. Empty when it goes on.
    pub obstacles: Vec<Obstacle>,
}

/// Something that holds blocks up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// What it is, and what would help, in a sentence.
    pub reason: String,
    /// How many blocks it holds up, of those that were looked at.
    pub blocks: u64,
    /// One of them.
    pub example: crate::id::BlockId,
}

/// Asks whether nodes can be stopped at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanStop {
    /// The nodes.
    pub nodes: Vec<NodeId>,
}

/// Whether nodes can be stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanStopReport {
    /// Nothing becomes unreadable, and new objects can be written.
    pub safe: bool,
    /// Blocks without a live replica elsewhere: objects would be unreadable.
    pub unreadable: u64,
    /// Blocks with a single live replica elsewhere although they should have more: one more failure away from loss.
    pub at_risk: u64,
    /// Live nodes that would be left to write to, and how many writes need.
    pub writable_nodes: u32,
    /// How many nodes a write needs.
    pub needed_nodes: u32,
    /// Why not, in sentences. Empty when it is safe.
    pub reasons: Vec<String>,
}

/// Forgets a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNode {
    /// The node: it must be drained, or dead.
    pub node: NodeId,
    /// Even though blocks have their last replica there.
    pub force: bool,
    /// Only tell what would happen.
    pub dry_run: bool,
}

/// What forgetting a node does, or would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNodeReport {
    /// Replicas that are forgotten with it.
    pub replicas: u64,
    /// Of those, blocks without any other replica: with `force` their objects are lost.
    pub last_replicas: u64,
}
