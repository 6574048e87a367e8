//! The registration of a datanode.

use serde::{Deserialize, Serialize};

use super::{Generation, Lineage};
use crate::id::{ClusterId, NodeId, VolumeId};

/// Registers a datanode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The node.
    pub node: NodeId,
    /// The cluster that its data belongs to; `None` before the first registration.
    pub cluster: Option<ClusterId>,
    /// The base URL under which others reach it.
    pub address: String,
    /// Its zone, such as a rack or a site.
    pub zone: Option<String>,
    /// Its volumes.
    pub volumes: Vec<VolumeUsage>,
    /// Version of the software.
    pub version: String,
    /// The highest incarnation that it ever had; 0 for none. The metanode gives it a higher one, even if the metanode's database
    /// is older than that incarnation.
    #[serde(default)]
    pub incarnation: u64,
    /// The latest generations of the metanode's database that it has seen: several if the database was replaced by a copy that
    /// had other changes.
    #[serde(default)]
    pub seen: Vec<Generation>,
    /// Whether it knows the command to make a pack. Nodes of earlier versions do not.
    #[serde(default)]
    pub packs: bool,
}

/// How full a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: VolumeId,
    /// Bytes that may be used in total.
    pub capacity: u64,
    /// Bytes that blocks use, without the trash, which is emptied when its space is needed.
    pub used: u64,
    /// Bytes that can still be written: the disk's free bytes without the reserve, plus the trash, which is emptied for them.
    pub free: u64,
    /// Bytes of deleted blocks that can still be restored.
    #[serde(default)]
    pub trash: u64,
    /// Why the volume failed, if it did.
    pub failed: Option<String>,
}

/// The answer to a registration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The cluster, whose id the node keeps.
    pub cluster: ClusterId,
    /// The node's incarnation, which all its further messages carry.
    pub incarnation: u64,
    /// The interval of heartbeats in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// The interval of the rolling report in milliseconds; 0 is never.
    #[serde(default)]
    pub report_interval_ms: u64,
    /// The lineage of the metanode's database.
    #[serde(default)]
    pub lineage: Lineage,
}
