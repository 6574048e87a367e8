//! What datanodes tell the metanode, and the commands that travel back in its answers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checksum::Crc32c;
use crate::env::Timestamp;
use crate::id::{BlockId, ClusterId, NodeId, OpeningId, VolumeId};
use crate::rpc::WireError;

crate::rpc_service! {
    /// The block manager, as datanodes see it.
    Cluster, cluster_router, "cluster", ClusterError {
        /// A datanode comes, or comes again: a new incarnation.
        register(Register) -> Registered;
        /// A datanode lives; the answer brings commands.
        heartbeat(Heartbeat) -> HeartbeatReply;
        /// A page of the blocks that a datanode holds. Answers nothing when it was worked in; or else what to do first,
        /// before the page is read and sent again.
        report_blocks(BlockReport) -> Option<Action>;
    }
}

/// Why a datanode was not heard.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code")]
#[expect(missing_docs, reason = "fields are what the error's own words name")]
pub enum ClusterError {
    /// The node carries another cluster's id. It must not try again.
    #[error("this data directory belongs to cluster {theirs}, and this is cluster {ours}")]
    OtherCluster { theirs: ClusterId, ours: ClusterId },
    /// The incarnation is not the latest, or the metanode does not know the node: register.
    #[error("register again")]
    Reregister,
    /// The metanode cannot be reached, or cannot write now. Try again.
    #[error("the metanode is unavailable: {reason}")]
    Unavailable { reason: String },
    /// The request was not authentic.
    #[error("not authorised: {reason}")]
    Unauthorized { reason: String },
    /// The request breaks the contract between the parts.
    #[error("malformed request: {reason}")]
    Malformed { reason: String },
    /// Something broke inside the metanode; its log tells more.
    #[error("internal error")]
    Internal,
}

impl WireError for ClusterError {
    fn status(&self) -> u16 {
        match self {
            Self::OtherCluster { .. } | Self::Reregister => 409,
            Self::Unavailable { .. } => 503,
            Self::Unauthorized { .. } => 403,
            Self::Malformed { .. } => 400,
            Self::Internal => 500,
        }
    }

    crate::rpc::common_errors!();
}

/// A state of the metanode's database: it rises with every change that could be missed.
///
/// A database knows all generations that it went through. One that does not know a generation that a datanode has
/// seen is a copy from before it, or went another way since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// The start of a metanode that made the change.
    pub opening: OpeningId,
    /// How many changes there were before and with it, over all starts.
    pub sequence: u64,
}

/// What the metanode says of its database with every answer, for datanodes to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Its latest generation that is on stable storage; none before the first change.
    pub latest: Option<Generation>,
    /// No other generation counts any more: the database knows all that were told, or an operator agreed to give up
    /// what it does not know. Without it the node keeps those that it has seen.
    pub sole: bool,
}

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
    /// Bytes that blocks use, without the trash that is emptied when its room is needed.
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
    /// Within which time a node reports all that it holds once more, in milliseconds; 0 for never.
    #[serde(default)]
    pub report_interval_ms: u64,
    /// The state of the metanode's database.
    #[serde(default)]
    pub lineage: Lineage,
}

/// A sign of life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its volumes.
    pub volumes: Vec<VolumeUsage>,
    /// Replicas that it stored since the last heartbeat that was answered.
    pub stored: Vec<ReportedReplica>,
    /// Replicas that it deleted.
    pub deleted: Vec<BlockId>,
    /// Replicas that it found wrong and quarantined, or lost with a volume.
    pub corrupt: Vec<BlockId>,
    /// Commands that it finished, well or not.
    pub finished: Vec<CommandResult>,
    /// How far its scrubber is.
    #[serde(default)]
    pub scrub: Option<ScrubProgress>,
    /// As in [`Register`].
    #[serde(default)]
    pub seen: Vec<Generation>,
}

/// How far a datanode's scrubber is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// The round that it is in: [`ScrubOrder::round`] of the order that began it, or 0 for one of its own.
    pub round: u64,
    /// Whether it reads; if not, it is paused, or rests until its next round.
    pub running: bool,
    /// Replicas read in this round.
    pub blocks: u64,
    /// Bytes read in this round.
    pub bytes: u64,
    /// Replicas to read in this round, as counted when it began.
    pub blocks_in_all: u64,
    /// Replicas found corrupt in this round.
    pub corrupt: u64,
    /// When the last round ended.
    pub finished_at: Option<Timestamp>,
    /// Which order it followed last to its end: its [`ScrubOrder::round`].
    pub finished_round: u64,
}

/// A replica that a datanode holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedReplica {
    /// The block.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Its CRC32C.
    pub crc32c: Crc32c,
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command.
    pub command: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// What to do. Commands are idempotent.
    pub commands: Vec<Command>,
    /// How to scrub: said with every answer, so that nothing need be remembered.
    #[serde(default)]
    pub scrub: ScrubOrder,
    /// The state of the metanode's database.
    #[serde(default)]
    pub lineage: Lineage,
    /// Report at once all that the node holds.
    #[serde(default)]
    pub report: bool,
}

/// How datanodes are to scrub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubOrder {
    /// Rises when an operator wants a round from the beginning: the time of asking in milliseconds since
    /// the Unix epoch. A node that has not begun this round begins it. 0: nobody asked.
    pub round: u64,
    /// Read nothing until told otherwise.
    pub paused: bool,
    /// Bytes a second for each of the node's disks; the node's own configuration without.
    pub rate: Option<u64>,
}

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

/// What a datanode can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Pull a copy of a block from one of `sources`, verifying it.
    Replicate {
        /// The block, as it must be.
        replica: ReportedReplica,
        /// Who holds it: node and base URL, in the order in which to try.
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

/// How many replicas a page of a block report has at the most: a page merges in one short transaction.
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
