//! The calls of operators to the metanode.
//!
//! Destructive calls have a dry run: with `dry_run` they return what would happen, and change nothing.

mod bucket;
mod error;
mod fsck;
mod hold;
mod lifecycle;
mod location;
mod lock_clock;
mod node;
mod pack;
mod worker;

use serde::{Deserialize, Serialize};

pub use self::bucket::{
    BucketSettings, BucketUsage, BucketUsagePage, GetBucketSettings, ListBucketUsage, SetBucketSettings,
};
pub use self::error::AdminError;
pub use self::fsck::{
    BucketHealth, FsckCursor, FsckPage, FsckRequest, FsckSummary, FsckTotals, Problem, ProblemKind,
};
pub use self::hold::{HeldReplicas, HoldCause, HoldReason, HoldRequest, HoldStatus, ReleaseHold};
pub use self::lifecycle::{
    ExplainLifecycle, ExplainedAction, ExplainedRule, ExplainedUpload, ExplainedVersion, LifecycleAction,
    LifecycleBucket, LifecycleExplanation, LifecycleRequest, LifecycleStatus,
};
pub use self::location::{ExtentPlace, ObjectPlace, ReplicaPlace, WhereRequest};
pub use self::lock_clock::{AdvanceLockClock, LockClockRequest, LockClockStatus};
pub use self::node::{
    AdminState, AdminStateChange, AdminStateReport, CanStop, CanStopReport, NodeProgress,
    NodeProgressRequest, NodeState, NodeStatus, Obstacle, RemoveNode, RemoveNodeReport, SetAdminState,
};
pub use self::pack::{PackCursor, PackPreview, PackableGroup, PreviewPack, StartPack};
pub use self::worker::{
    BalanceRequest, BalanceStatus, ScrubRequest, ScrubStatus, SetBalance, SetWorker, StartScrub,
    WorkerActivity, WorkerName, WorkerSettings, WorkerStatus, WorkersRequest,
};
use crate::id::ClusterId;

crate::rpc_service! {
    /// The cluster, as operators see it.
    Admin, admin_router, "admin", AdminError {
        /// The cluster's status: nodes, counts, and the activity of each worker.
        status(StatusRequest) -> ClusterStatus;
        /// Drains a node, puts it into maintenance, or returns it to service.
        set_admin_state(SetAdminState) -> AdminStateReport;
        /// The progress of a node's drain, and its obstacles.
        node_progress(NodeProgressRequest) -> NodeProgress;
        /// Whether nodes can be stopped now without making anything unreadable or unwritable.
        can_stop(CanStop) -> CanStopReport;
        /// Removes the records of a node that will not return.
        remove_node(RemoveNode) -> RemoveNodeReport;
        /// The workers, each with its settings and its activity.
        workers(WorkersRequest) -> Vec<WorkerStatus>;
        /// Pauses, resumes or throttles a worker. Survives restarts.
        set_worker(SetWorker) -> WorkerStatus;
        /// The distribution of the nodes' utilisation, and the state of the balancer.
        balance(BalanceRequest) -> BalanceStatus;
        /// Starts or stops balancing, and sets its threshold and rate. Survives restarts.
        set_balance(SetBalance) -> BalanceStatus;
        /// Makes the pack worker walk over all versions now.
        start_pack(StartPack) -> WorkerStatus;
        /// A page of what a walk of the pack worker would do.
        preview_pack(PreviewPack) -> PackPreview;
        /// The progress of each node's scrubber.
        scrub(ScrubRequest) -> Vec<ScrubStatus>;
        /// Orders nodes to read and check all their replicas from the beginning.
        start_scrub(StartScrub) -> Vec<ScrubStatus>;
        /// Whether deletions are held, why, and what they would delete.
        hold(HoldRequest) -> HoldStatus;
        /// Ends the hold. Returns the status with the replicas that are now deleted.
        release_hold(ReleaseHold) -> HoldStatus;
        /// The state of the clock by which locks of versions end.
        lock_clock(LockClockRequest) -> LockClockStatus;
        /// Sets that clock forward to the wall clock.
        advance_lock_clock(AdvanceLockClock) -> LockClockStatus;
        /// A page of the check of all blocks and replicas.
        fsck(FsckRequest) -> FsckPage;
        /// The blocks and replicas of an object.
        locate_object(WhereRequest) -> ObjectPlace;
        /// Buckets, each with what it uses and may use.
        list_bucket_usage(ListBucketUsage) -> BucketUsagePage;
        /// A bucket's own replication and block size, its quota, and what it uses.
        bucket_settings(GetBucketSettings) -> BucketSettings;
        /// Sets a bucket's own replication and block size for objects that are written from then on, and its quota.
        set_bucket_settings(SetBucketSettings) -> BucketSettings;
        /// What the lifecycle rules of a bucket want of a key, and what would be done now. Nothing is done.
        explain_lifecycle(ExplainLifecycle) -> LifecycleExplanation;
        /// The buckets with lifecycle rules, and what is due.
        lifecycle(LifecycleRequest) -> LifecycleStatus;
    }
}

/// Requests the cluster's status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusRequest {}

/// The status of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its datanodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// Blocks that objects and parts refer to.
    pub blocks: u64,
    /// Under-replicated blocks. Replicas on dead nodes count as lost.
    pub under_replicated: u64,
    /// Blocks without any replica on a node that is not dead.
    pub missing: u64,
    /// Copies of blocks in progress.
    pub repairs_in_flight: u64,
    /// Replicas that wait to be deleted.
    pub deletions_queued: u64,
    /// The buckets that use most bytes, the largest first; at most 20.
    #[serde(default)]
    pub buckets: Vec<BucketUsage>,
    /// The background workers.
    pub workers: Vec<WorkerStatus>,
    /// The state of the hold.
    #[serde(default)]
    pub hold: HoldStatus,
}
