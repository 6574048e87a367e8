//! What operators ask of the metanode.

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, VolumeUsage};
use crate::id::{ClusterId, NodeId};

crate::rpc_service! {
    /// The cluster, as operators see it.
    Admin, admin_router, "admin", ClusterError {
        /// The cluster at a glance.
        status(StatusRequest) -> ClusterStatus;
    }
}

/// Asks for the cluster's status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusRequest {}

/// The cluster at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its datanodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// Blocks that objects and parts refer to.
    pub blocks: u64,
    /// Blocks below their replication factor, counting replicas on dead nodes as lost.
    pub under_replicated: u64,
    /// Blocks without any replica on a node that is not dead.
    pub missing: u64,
    /// Copies of blocks under way.
    pub repairs_in_flight: u64,
    /// Replicas that wait to be deleted.
    pub deletions_queued: u64,
}

/// A datanode's state of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Heard of.
    Live,
    /// Not heard of for the stale time.
    Stale,
    /// Not heard of for the dead time.
    Dead,
}

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
    /// Its incarnation.
    pub incarnation: u64,
    /// How long ago it was heard of, in milliseconds; unknown after a restart of the metanode.
    pub silent_ms: Option<u64>,
    /// Replicas that it holds.
    pub replicas: u64,
    /// Its volumes, as it told last.
    pub volumes: Vec<VolumeUsage>,
}
