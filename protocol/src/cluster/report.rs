//! The full block report of a datanode.

use serde::{Deserialize, Serialize};

use super::ReportedReplica;
use crate::id::{BlockId, NodeId};

/// Upper limit of replicas in a page of a block report, so that the metanode merges it in one short transaction.
pub const REPORT_PAGE_MAX: usize = 5_000;

/// A page of a block report: all replicas that the node holds in a range of block ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockReport {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: u64,
    /// The range begins after this block; `None` is the beginning.
    pub after: Option<BlockId>,
    /// The range ends with this block, included; `None` is the end, on the last page.
    pub through: Option<BlockId>,
    /// The replicas in the range, in order.
    pub replicas: Vec<ReportedReplica>,
    /// Whether the node can restore deleted replicas from its trash. If so, the metanode orders it to restore missing replicas
    /// before they count as lost.
    #[serde(default)]
    pub can_restore: bool,
    /// The node has tried to restore missing replicas up to this block.
    #[serde(default)]
    pub restored_through: Option<BlockId>,
}

impl BlockReport {
    /// A page of a node without a trash.
    pub fn new(
        node: NodeId,
        incarnation: u64,
        after: Option<BlockId>,
        through: Option<BlockId>,
        replicas: Vec<ReportedReplica>,
    ) -> Self {
        Self { node, incarnation, after, through, replicas, can_restore: false, restored_through: None }
    }
}
