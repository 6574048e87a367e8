//! Datanodes: their state, and their administrative state, which operators decide.

pub use cairn_types::node::{AdminState, NodeState};
use serde::{Deserialize, Serialize};

use crate::cluster::VolumeUsage;
use crate::id::NodeId;

/// The status of a datanode.
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
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Its incarnation.
    pub incarnation: u64,
    /// Version of its software.
    pub version: String,
    /// The time since its last heartbeat or registration, in milliseconds; `None` before the first one after the metanode's start.
    pub last_contact_ms: Option<u64>,
    /// Replicas that it holds.
    pub replicas: u64,
    /// Bytes used, plus those that grants and copies will add, less those that deletions and moves will free.
    pub predicted_used: u64,
    /// Its volumes, as its last message reported them.
    pub volumes: Vec<VolumeUsage>,
}

/// Changes the administrative state of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAdminState {
    /// The node.
    pub node: NodeId,
    /// The change.
    pub change: AdminStateChange,
    /// Only report what would happen.
    pub dry_run: bool,
}

/// The changes of a node's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminStateChange {
    /// Drain: move all blocks off the node.
    Drain,
    /// Maintenance: the node may send no heartbeats for a while.
    Maintain {
        /// The duration in milliseconds.
        for_ms: u64,
    },
    /// Return to service.
    Return,
}

/// The effect of a change of administrative state, done or planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdminStateReport {
    /// The administrative state before.
    pub before: AdminState,
    /// The administrative state after.
    pub after: AdminState,
    /// The progress of the node in the new administrative state.
    pub progress: NodeProgress,
}

/// Requests a node's progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeProgressRequest {
    /// The node.
    pub node: NodeId,
}

/// The progress of a node's drain or maintenance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeProgress {
    /// The node.
    pub node: NodeId,
    /// Its state.
    pub state: NodeState,
    /// Its administrative state.
    pub admin_state: AdminState,
    /// Whether the node is draining, has no block left, and no upload can add one: it can be stopped and removed.
    pub drained: bool,
    /// Blocks that it still holds.
    pub blocks: u64,
    /// Bytes of those blocks; beyond a million blocks, an estimate from the mean of the first million.
    pub bytes: u64,
    /// How many of those blocks are being copied to other nodes now.
    pub in_flight: u64,
    /// The known grants that name the node and may still be committed.
    #[serde(default)]
    pub grants: u64,
    /// The longest time in milliseconds that such grants may last unless they are renewed; 0 without any. A drain waits for
    /// them, also for those that an earlier start of the metanode gave.
    #[serde(default)]
    pub grants_last_ms: u64,
    /// Why some blocks do not leave the node. Empty while the drain makes progress.
    pub obstacles: Vec<Obstacle>,
}

/// An obstacle: a reason why blocks do not leave a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// A sentence with the reason and the remedy.
    pub reason: String,
    /// How many of the examined blocks it holds up.
    pub blocks: u64,
    /// One of them.
    pub example: crate::id::BlockId,
}

/// Requests whether nodes can be stopped at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanStop {
    /// The nodes.
    pub nodes: Vec<NodeId>,
}

/// Whether nodes can be stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanStopReport {
    /// Whether every object stays readable and new objects can be written.
    pub safe: bool,
    /// Blocks without a live replica on other nodes: their objects would become unreadable.
    pub unreadable: u64,
    /// Blocks with a replication above one that would have a single live replica: another failure would make them missing.
    pub at_risk: u64,
    /// Live nodes that would remain for writes.
    pub writable_nodes: u32,
    /// Nodes that a write needs.
    pub needed_nodes: u32,
    /// The reasons against it, as sentences. Empty when it is safe.
    pub reasons: Vec<String>,
}

/// Removes the records of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNode {
    /// The node, which must be drained or dead.
    pub node: NodeId,
    /// Remove it even if it has the last replica of some blocks.
    pub force: bool,
    /// Only report what would happen.
    pub dry_run: bool,
}

/// The effect of removing a node, done or planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNodeReport {
    /// Replicas whose records are removed with it.
    pub replicas: u64,
    /// Blocks whose only replica is among those. With `force` their objects are lost.
    pub last_replicas: u64,
}
