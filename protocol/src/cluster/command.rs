//! The commands of the metanode to a datanode, and their results.

use serde::{Deserialize, Serialize};

use super::ReportedReplica;
use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};

/// A command to a datanode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Names the command in its [`CommandResult`].
    pub id: u64,
    /// When the metanode gave the command, by the metanode's clock; 0 from metanodes that do not send it.
    ///
    /// A delete must not remove a replica that was stored after the command was given: the node may have been ordered to make
    /// it since. The clock of a datanode may differ, so the datanode uses the moment at which it sent the heartbeat that the
    /// command answers, which is earlier. It does not report a replica that it skipped as deleted, so the deletion stays
    /// queued.
    #[serde(default)]
    pub issued_at: Timestamp,
    /// The node must not start the command after this time, because the metanode has then planned the work again.
    pub deadline: Timestamp,
    /// The action.
    pub action: Action,
}

/// The actions of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Copy a block from one of `sources`, and verify it.
    Replicate {
        /// The block, with the length and CRC32C that the copy must have.
        replica: ReportedReplica,
        /// The nodes that hold it, with base URLs, in the order in which to try them.
        sources: Vec<(NodeId, String)>,
    },
    /// Make a block of pieces of other blocks, one after the other, and verify each. Only for nodes that registered with
    /// [`Register::packs`](super::Register::packs).
    Pack {
        /// The block, with the length and CRC32C that it must have.
        replica: ReportedReplica,
        /// Its pieces.
        pieces: Vec<PackPiece>,
        /// The nodes that hold their blocks, with base URLs.
        nodes: Vec<(NodeId, String)>,
    },
    /// Delete replicas. It is no error if the node does not hold one.
    Delete {
        /// The blocks.
        blocks: Vec<BlockId>,
    },
    /// Restore deleted replicas from the node's trash, and report those of these blocks that the node then holds as stored. It
    /// is no error if one is not in the trash any more or does not match its checksum: the node does not report it.
    Restore {
        /// The blocks.
        blocks: Vec<BlockId>,
    },
}

/// The longest piece of a pack, in bytes. A datanode has a piece in memory as a whole.
pub const PACK_PIECE_MAX: u64 = 1 << 20;

/// A piece of a pack that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackPiece {
    /// The block that has it now.
    pub block: BlockId,
    /// The offset in that block at which it begins.
    pub offset: u64,
    /// Its length in bytes, at most [`PACK_PIECE_MAX`].
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
    /// The nodes that hold the block, in the order in which to try them: indices in the list of nodes.
    pub sources: Vec<u32>,
}

/// The result of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command.
    pub command: u64,
    /// The error, if it failed.
    pub error: Option<String>,
}
