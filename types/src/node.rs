//! The states of a datanode: what is known of its life, and what an operator wants of it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A datanode's liveness, as its heartbeats tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It sent a heartbeat lately.
    Live,
    /// It sent none for the stale time: it gets no new blocks and is read last.
    Stale,
    /// It sent none for the dead time: its replicas do not count.
    Dead,
}

/// What an operator wants of a datanode. HDFS calls it so too (`AdminStates` of `DatanodeInfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AdminState {
    /// It takes part in everything.
    #[default]
    InService,
    /// It gets nothing, and what it has is copied to other nodes. When it has nothing left, it is drained.
    Draining,
    /// It gets nothing and may send no heartbeats: until the end of the maintenance its replicas count, and are not made
    /// again elsewhere, as long as a block has another live replica.
    Maintenance {
        /// When the maintenance ends by itself.
        until: Timestamp,
    },
}
