//! The states of a datanode: its liveness, and its administrative state.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A datanode's liveness, by the time since its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It has sent a heartbeat within the stale time.
    Live,
    /// It has sent none for the stale time. It gets no new blocks and is read last.
    Stale,
    /// It has sent none for the dead time. Its replicas do not count.
    Dead,
}

/// The administrative state of a datanode, which an operator decides. HDFS uses the same term (`AdminStates` of
/// `DatanodeInfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AdminState {
    /// It stores and serves blocks.
    #[default]
    InService,
    /// It gets no new blocks, and its blocks are moved to other nodes. When it has none left, it is drained.
    Draining,
    /// It gets no new blocks and may send no heartbeats. Until the end of the maintenance its replicas count, and repair does
    /// not copy a block because of it as long as the block has another live replica.
    Maintenance {
        /// When the maintenance ends by itself.
        until: Timestamp,
    },
}
