//! What the metanode orders a datanode to do, and how it ended.

use serde::{Deserialize, Serialize};

use super::ReportedReplica;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};

/// Something for a datanode to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Names the command in its [`CommandResult`].
    pub id: u64,
    /// When the metanode gave it, by the metanode's clock; 0 from a metanode that does not say.
    ///
    /// A delete does not concern what was stored after it was given: a command that is late may meet a
    /// replica that the node was told to make since. A datanode whose clock may differ is on the safe
    /// side when it takes the moment at which it sent the heartbeat that the command answers, which is
    /// earlier. A replica that was skipped is not told as deleted, so it stays queued.
    #[serde(default)]
    pub issued_at: Timestamp,
    /// After this time it is not to be started: it will have been planned again.
    pub deadline: Timestamp,
    /// What to do.
    pub action: Action,
}

/// The orders that a datanode can get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Copy a block from one of `sources`, and verify it.
    Replicate {
        /// The block, as it must be.
        replica: ReportedReplica,
        /// The nodes that hold it, with base URLs, in the order in which to try them.
        sources: Vec<(NodeId, String)>,
    },
    /// Delete replicas; those that are not there are no error.
    Delete {
        /// The blocks.
        blocks: Vec<BlockId>,
    },
    /// Bring deleted replicas back from the node's trash, and tell as stored whatever is then held of these blocks.
    /// Those that are not in the trash any more, or do not match their checksum, are no error: they are not told.
    Restore {
        /// The blocks.
        blocks: Vec<BlockId>,
    },
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command.
    pub command: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}
