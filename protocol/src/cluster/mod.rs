//! The messages of datanodes to the metanode, and the commands that travel back in its answers.
//!
//! | module | what is there |
//! |---|---|
//! | `register` | a datanode registers: a new incarnation |
//! | `heartbeat` | the message of every few seconds, and its answer |
//! | `replica` | a replica, and a change of one: the incremental report |
//! | `report` | the full block report, in pages |
//! | `command` | the metanode's commands, and their results |
//! | `scrub` | orders to a datanode's scrubbers, and their progress |
//! | `lineage` | the generations of the metanode's database that a datanode has seen |
//! | `error` | why a call was refused |

mod command;
mod error;
mod heartbeat;
mod lineage;
mod register;
mod replica;
mod report;
mod scrub;

pub use command::{Action, Command, CommandResult, PACK_PIECE_MAX, PackPiece};
pub use error::ClusterError;
pub use heartbeat::{Heartbeat, HeartbeatReply};
pub use lineage::{Generation, Lineage};
pub use register::{Register, Registered, VolumeUsage};
pub use replica::{ReplicaChange, ReportedReplica};
pub use report::{BlockReport, REPORT_PAGE_MAX};
pub use scrub::{ScrubOrder, ScrubProgress};

crate::rpc_service! {
    /// The block manager, as datanodes see it.
    Cluster, cluster_router, "cluster", ClusterError {
        /// Registers a datanode, or registers it again: a new incarnation.
        register(Register) -> Registered;
        /// Reports that a datanode is alive, and its changes. The answer has commands.
        heartbeat(Heartbeat) -> HeartbeatReply;
        /// Reports a page of the replicas that a datanode holds. The answer is empty when the page was merged. Otherwise it is
        /// an action that the node performs first, before it reads the page again and sends it again.
        report_blocks(BlockReport) -> Option<Action>;
    }
}
