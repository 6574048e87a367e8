//! What operators ask of the metanode.
//!
//! Everything that changes something has a dry run: `dry_run` answers what would happen, and does nothing.

mod bucket;
mod error;
mod fsck;
mod hold;
mod location;
mod node;
mod worker;

use serde::{Deserialize, Serialize};

pub use self::bucket::{BucketSettings, GetBucketSettings, SetBucketSettings};
pub use self::error::AdminError;
pub use self::fsck::{
    BucketHealth, FsckCursor, FsckPage, FsckRequest, FsckSummary, FsckTotals, Problem, ProblemKind,
};
pub use self::hold::{HeldReplicas, HoldCause, HoldReason, HoldRequest, HoldStatus, ReleaseHold};
pub use self::location::{ExtentPlace, ObjectPlace, ReplicaPlace, WhereRequest};
pub use self::node::{
    AdminState, AdminStateChange, AdminStateReport, CanStop, CanStopReport, NodeProgress,
    NodeProgressRequest, NodeState, NodeStatus, Obstacle, RemoveNode, RemoveNodeReport, SetAdminState,
};
pub use self::worker::{
    BalanceRequest, BalanceStatus, ScrubRequest, ScrubStatus, SetBalance, SetWorker, StartScrub,
    WorkerActivity, WorkerName, WorkerSettings, WorkerStatus, WorkersRequest,
};
use crate::id::ClusterId;

crate::rpc_service! {
    /// The cluster, as operators see it.
    Admin, admin_router, "admin", AdminError {
        /// The cluster at a glance: nodes, counts, and what every worker is at.
        status(StatusRequest) -> ClusterStatus;
        /// Drains a node, puts it into maintenance, or returns it to service.
        set_admin_state(SetAdminState) -> AdminStateReport;
        /// How far a node's drain has come, and what holds it up.
        node_progress(NodeProgressRequest) -> NodeProgress;
        /// Whether nodes can be stopped now without making anything unreadable or unwritable.
        can_stop(CanStop) -> CanStopReport;
        /// Forgets a node that will not come back.
        remove_node(RemoveNode) -> RemoveNodeReport;
        /// The workers, each with its settings and its activity.
        workers(WorkersRequest) -> Vec<WorkerStatus>;
        /// Pauses, resumes or throttles a worker. Survives restarts.
        set_worker(SetWorker) -> WorkerStatus;
        /// How even the nodes' utilisation is, and what balancing does about it.
        balance(BalanceRequest) -> BalanceStatus;
        /// Starts or stops balancing, and sets its threshold and rate. Survives restarts.
        set_balance(SetBalance) -> BalanceStatus;
        /// How far every node's scrubber is.
        scrub(ScrubRequest) -> Vec<ScrubStatus>;
        /// Has nodes read all of their blocks from the beginning.
        start_scrub(StartScrub) -> Vec<ScrubStatus>;
        /// Whether deletions wait for an operator, why, and what they would delete.
        hold(HoldRequest) -> HoldStatus;
        /// Has deletions go on that wait for an operator. Answers what was given up.
        release_hold(ReleaseHold) -> HoldStatus;
        /// A page of the check of everything.
        fsck(FsckRequest) -> FsckPage;
        /// Where an object's bytes are.
        locate_object(WhereRequest) -> ObjectPlace;
        /// A bucket's own replication and block size.
        bucket_settings(GetBucketSettings) -> BucketSettings;
        /// Sets a bucket's own replication and block size, for what is written from then on.
        set_bucket_settings(SetBucketSettings) -> BucketSettings;
    }
}

/// Asks for the cluster's status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusRequest {}

/// The cluster at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its datanodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// Blocks that objects and parts refer to.
    pub blocks: u64,
    /// Blocks below their replication factor, counting replicas on dead nodes as lost.
    pub under_replicated: u64,
    /// Blocks without any replica on a node that is not dead.
    pub missing: u64,
    /// Copies of blocks under way.
    pub repairs_in_flight: u64,
    /// Replicas that wait to be deleted.
    pub deletions_queued: u64,
    /// What happens in the background.
    pub workers: Vec<WorkerStatus>,
    /// Whether deletions wait for an operator.
    #[serde(default)]
    pub hold: HoldStatus,
}
