//! A metanode for tests: it records the calls of a datanode, and answers as a test sets it up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::cluster::{
    Action, BlockReport, Cluster, ClusterError, Command, Heartbeat, HeartbeatReply, Lineage, Register,
    Registered, ReplicaChange, ReportedReplica, ScrubOrder,
};
use cairn_protocol::id::{BlockId, ClusterId};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedCalls {
    pub(crate) registrations: Vec<Register>,
    pub(crate) heartbeats: Vec<Heartbeat>,
    pub(crate) reports: Vec<BlockReport>,
    /// The replicas that the node has reported.
    pub(crate) replicas: BTreeMap<BlockId, ReportedReplica>,
    /// Errors to answer instead of the usual answers, first to last.
    pub(crate) errors: VecDeque<ClusterError>,
    pub(crate) orders: Vec<Command>,
    /// The order to the scrubbers.
    pub(crate) scrub: ScrubOrder,
    /// The lineage in its answers.
    pub(crate) lineage: Lineage,
    /// Whether the reply to the next heartbeat requests a block report.
    pub(crate) wants_report: bool,
    /// The actions to order before a page of a block report is merged.
    pub(crate) first: VecDeque<Action>,
    /// The interval of the rolling report in its answers.
    pub(crate) report_interval_ms: u64,
    /// While it is set, reports are not answered.
    pub(crate) holds_reports: bool,
    /// While it is set, heartbeats are not answered.
    pub(crate) holds_heartbeats: bool,
    /// Heartbeats that are not answered yet.
    pub(crate) heartbeats_held: u64,
    /// All calls, in order.
    pub(crate) calls: Vec<&'static str>,
    incarnation: u64,
}

pub(crate) struct Metanode {
    pub(crate) cluster: ClusterId,
    state: watch::Sender<RecordedCalls>,
}

impl Metanode {
    pub(crate) fn new() -> Arc<Self> {
        Self::of_cluster(ClusterId(Uuid::from_u128(77)))
    }

    pub(crate) fn of_cluster(cluster: ClusterId) -> Arc<Self> {
        Arc::new(Self { cluster, state: watch::Sender::new(RecordedCalls::default()) })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut RecordedCalls)) {
        self.state.send_modify(change);
    }

    /// Waits until the recorded calls satisfy `wanted`.
    pub(crate) async fn wait(&self, wanted: impl FnMut(&RecordedCalls) -> bool) -> RecordedCalls {
        self.state.subscribe().wait_for(wanted).await.unwrap().clone()
    }

    fn error(&self) -> Result<(), ClusterError> {
        let mut error = None;
        self.state.send_if_modified(|state| {
            error = state.errors.pop_front();
            error.is_some()
        });
        error.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Cluster for Metanode {
    async fn register(&self, request: Register) -> Result<Registered, ClusterError> {
        self.error()?;
        if let Some(theirs) = request.cluster.filter(|theirs| *theirs != self.cluster) {
            return Err(ClusterError::OtherCluster { theirs, ours: self.cluster });
        }
        let mut incarnation = 0;
        self.change(|state| {
            state.calls.push("register");
            state.incarnation += 1;
            incarnation = state.incarnation;
            state.registrations.push(request);
        });
        let state = self.state.borrow().clone();
        Ok(Registered {
            cluster: self.cluster,
            incarnation,
            heartbeat_interval_ms: 10,
            report_interval_ms: state.report_interval_ms,
            lineage: state.lineage,
        })
    }

    async fn heartbeat(&self, request: Heartbeat) -> Result<HeartbeatReply, ClusterError> {
        self.error()?;
        self.change(|state| state.heartbeats_held += 1);
        self.wait(|state| !state.holds_heartbeats).await;
        let mut reply = Err(ClusterError::Reregister);
        self.change(|state| {
            state.heartbeats_held -= 1;
            if request.incarnation == state.incarnation {
                for change in &request.changes {
                    match change {
                        ReplicaChange::Stored(replica) => {
                            state.replicas.insert(replica.block, *replica);
                        }
                        ReplicaChange::Deleted(block) | ReplicaChange::Corrupt(block) => {
                            state.replicas.remove(block);
                        }
                    }
                }
                let commands = std::mem::take(&mut state.orders);
                let report = std::mem::take(&mut state.wants_report);
                reply = Ok(HeartbeatReply { commands, scrub: state.scrub, lineage: state.lineage, report });
                state.heartbeats.push(request);
            }
        });
        reply
    }

    async fn report_blocks(&self, request: BlockReport) -> Result<Option<Action>, ClusterError> {
        self.error()?;
        self.change(|state| state.calls.push("report"));
        self.wait(|state| !state.holds_reports).await;
        let mut first = None;
        self.change(|state| first = state.first.pop_front());
        if first.is_some() {
            self.change(|state| state.reports.push(request));
            return Ok(first);
        }
        self.change(|state| {
            let before = |id: &BlockId| request.after.is_some_and(|after| *id <= after);
            let behind = |id: &BlockId| request.through.is_some_and(|through| *id > through);
            state.replicas.retain(|id, _| before(id) || behind(id));
            state.replicas.extend(request.replicas.iter().map(|replica| (replica.block, *replica)));
            state.reports.push(request);
        });
        Ok(None)
    }
}
