//! The registration of a datanode.

use serde::{Deserialize, Serialize};

use super::{Generation, Lineage};
use crate::id::{ClusterId, NodeId, VolumeId};

/// Registers a datanode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The node.
    pub node: NodeId,
    /// The cluster that its data belongs to; none before the first registration.
    pub cluster: Option<ClusterId>,
    /// The base URL under which others reach it.
    pub address: String,
    /// Its zone, such as a rack or a site.
    pub zone: Option<String>,
    /// Its volumes.
    pub volumes: Vec<VolumeUsage>,
    /// Version of the software.
    pub version: String,
    /// The highest incarnation that it ever had; 0 for none. No other one is given to it again, though the metanode's
    /// database may be older than that.
    #[serde(default)]
    pub incarnation: u64,
    /// The latest generations of the metanode's database that it has seen: one, or more where the database went two ways.
    #[serde(default)]
    pub seen: Vec<Generation>,
}

/// How full a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: VolumeId,
    /// Bytes that may be used in all.
    pub capacity: u64,
    /// Bytes that blocks use, without the trash that is emptied when its space is needed.
    pub used: u64,
    /// Bytes that can still be written: the real disk's, less what is kept in reserve, and the trash that is emptied for them.
    pub free: u64,
    /// Bytes of deleted blocks that can still be brought back.
    #[serde(default)]
    pub trash: u64,
    /// Why it was taken out, if it was.
    pub failed: Option<String>,
}

/// A registration was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The cluster; the node keeps it.
    pub cluster: ClusterId,
    /// The node's incarnation: every further message carries it.
    pub incarnation: u64,
    /// How often to send heartbeats, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// The time within which a node reports all its replicas again, in milliseconds; 0 for never.
    #[serde(default)]
    pub report_interval_ms: u64,
    /// The state of the metanode's database.
    #[serde(default)]
    pub lineage: Lineage,
}
