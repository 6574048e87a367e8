//! The full block report of a datanode.

use serde::{Deserialize, Serialize};

use super::ReportedReplica;
use crate::id::{BlockId, NodeId};

/// Upper limit of replicas on a page of a block report: a page merges in one short transaction.
pub const REPORT_PAGE_MAX: usize = 5_000;

/// A page of a block report: everything that the node holds in a range of block ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockReport {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: u64,
    /// The range begins behind this block; at the beginning without.
    pub after: Option<BlockId>,
    /// The range ends with this block, included; at the end without: the last page.
    pub through: Option<BlockId>,
    /// What the node holds of the range, in order.
    pub replicas: Vec<ReportedReplica>,
    /// The node can bring back deleted replicas from its trash, and is to be asked to before what it lacks counts as lost.
    #[serde(default)]
    pub can_restore: bool,
    /// It has tried to bring back what it lacks, up to this block.
    #[serde(default)]
    pub restored_through: Option<BlockId>,
}

impl BlockReport {
    /// A page of a node that can bring nothing back.
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
