//! The `Admin` service: the queries and decisions of operators.
//!
//! | module | contents |
//! |---|---|
//! | `node` | draining, maintaining, returning, stopping and removing nodes |
//! | `worker`, `scrub`, `balance` | settings and status of background work |
//! | `bucket` | replication and block size of a bucket |
//! | `location` | where the blocks of an object are |
//! | `lifecycle` | what lifecycle rules want, and what is due |
//! | `lock_clock` | the clock by which locks of versions end |
//! | `pack` | starting the pack worker, and what it would do |
//! | `fsck` | the check of all that SQL has |

mod balance;
mod bucket;
pub(super) mod fsck;
mod lifecycle;
pub(super) mod location;
mod lock_clock;
mod node;
mod pack;
mod scrub;
mod worker;

use std::collections::HashMap;

use async_trait::async_trait;
use cairn_protocol::admin::{
    Admin, AdminError, AdminStateReport, AdvanceLockClock, BalanceRequest, BalanceStatus, BucketSettings,
    BucketUsagePage, CanStop, CanStopReport, ClusterStatus, ExplainLifecycle, FsckPage, FsckRequest,
    GetBucketSettings, HoldRequest, HoldStatus, LifecycleExplanation, LifecycleRequest, LifecycleStatus,
    ListBucketUsage, LockClockRequest, LockClockStatus, NodeProgress, NodeProgressRequest, NodeStatus,
    ObjectPlace, PackPreview, PreviewPack, ReleaseHold, RemoveNode, RemoveNodeReport, ScrubRequest,
    ScrubStatus, SetAdminState, SetBalance, SetBucketSettings, SetWorker, StartPack, StartScrub,
    StatusRequest, WhereRequest, WorkerStatus, WorkersRequest,
};
use cairn_protocol::id::NodeId;

use super::soft_state::copies::Purpose;
use super::{BlockManager, Inner};
use crate::store::totals::{self, NodeTotals};
use crate::store::{Connection, StoreError, replicas, usage};

/// Upper limit of the buckets in a status: a screen.
const BUCKETS_SHOWN: u32 = 20;

#[async_trait]
impl Admin for BlockManager {
    async fn status(&self, _request: StatusRequest) -> Result<ClusterStatus, AdminError> {
        let mut reader = self.inner.store.read().await?;
        let nodes = self.inner.node_statuses(&totals::nodes(&mut reader).await?);
        let repairs_in_flight = self.inner.soft_state().copies.count(|purpose| purpose == Purpose::Repair);
        let registered = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let counted = totals::all(&mut reader, registered).await?;
        let unseen = unseen(&self.inner, &mut reader).await?;
        let buckets = usage::largest(&mut reader, BUCKETS_SHOWN).await?;
        drop(reader);
        Ok(ClusterStatus {
            cluster: self.inner.cluster,
            nodes,
            blocks: counted.blocks,
            under_replicated: counted.lacking.saturating_add(unseen),
            missing: counted.missing,
            repairs_in_flight,
            deletions_queued: counted.deletions,
            buckets,
            workers: worker::all(&self.inner),
            hold: self.inner.hold_status().await?,
        })
    }

    async fn hold(&self, _request: HoldRequest) -> Result<HoldStatus, AdminError> {
        Ok(self.inner.hold_status().await?)
    }

    async fn release_hold(&self, request: ReleaseHold) -> Result<HoldStatus, AdminError> {
        self.inner.release_hold(request).await
    }

    async fn set_admin_state(&self, request: SetAdminState) -> Result<AdminStateReport, AdminError> {
        node::set_admin_state(&self.inner, request).await
    }

    async fn node_progress(&self, request: NodeProgressRequest) -> Result<NodeProgress, AdminError> {
        node::progress(&self.inner, request).await
    }

    async fn can_stop(&self, request: CanStop) -> Result<CanStopReport, AdminError> {
        node::can_stop(&self.inner, request).await
    }

    async fn remove_node(&self, request: RemoveNode) -> Result<RemoveNodeReport, AdminError> {
        node::remove(&self.inner, request).await
    }

    async fn workers(&self, _request: WorkersRequest) -> Result<Vec<WorkerStatus>, AdminError> {
        Ok(worker::all(&self.inner))
    }

    async fn set_worker(&self, request: SetWorker) -> Result<WorkerStatus, AdminError> {
        worker::set(&self.inner, request).await
    }

    async fn balance(&self, _request: BalanceRequest) -> Result<BalanceStatus, AdminError> {
        balance::status(&self.inner)
    }

    async fn set_balance(&self, request: SetBalance) -> Result<BalanceStatus, AdminError> {
        balance::set(&self.inner, request).await
    }

    async fn start_pack(&self, _request: StartPack) -> Result<WorkerStatus, AdminError> {
        pack::start(&self.inner)
    }

    async fn preview_pack(&self, request: PreviewPack) -> Result<PackPreview, AdminError> {
        pack::preview(&self.inner, request).await
    }

    async fn scrub(&self, _request: ScrubRequest) -> Result<Vec<ScrubStatus>, AdminError> {
        Ok(scrub::all(&self.inner))
    }

    async fn start_scrub(&self, request: StartScrub) -> Result<Vec<ScrubStatus>, AdminError> {
        scrub::start(&self.inner, request).await
    }

    async fn lock_clock(&self, _request: LockClockRequest) -> Result<LockClockStatus, AdminError> {
        Ok(self.inner.lock_clock.status())
    }

    async fn advance_lock_clock(&self, request: AdvanceLockClock) -> Result<LockClockStatus, AdminError> {
        lock_clock::advance(&self.inner, request).await
    }

    async fn fsck(&self, request: FsckRequest) -> Result<FsckPage, AdminError> {
        fsck::page(&self.inner, request).await
    }

    async fn locate_object(&self, request: WhereRequest) -> Result<ObjectPlace, AdminError> {
        location::locate(&self.inner, request).await
    }

    async fn list_bucket_usage(&self, request: ListBucketUsage) -> Result<BucketUsagePage, AdminError> {
        bucket::list(&self.inner, request).await
    }

    async fn bucket_settings(&self, request: GetBucketSettings) -> Result<BucketSettings, AdminError> {
        bucket::get(&self.inner, request).await
    }

    async fn set_bucket_settings(&self, request: SetBucketSettings) -> Result<BucketSettings, AdminError> {
        bucket::set(&self.inner, request).await
    }

    async fn explain_lifecycle(&self, request: ExplainLifecycle) -> Result<LifecycleExplanation, AdminError> {
        lifecycle::explain(&self.inner, request).await
    }

    async fn lifecycle(&self, _request: LifecycleRequest) -> Result<LifecycleStatus, AdminError> {
        lifecycle::status(&self.inner).await
    }
}

/// The number of replicas on dead nodes whose blocks were not examined yet. Each may make its block under-replicated,
/// and is counted so: the number may be too high for a while, and is never too low.
async fn unseen(inner: &Inner, reader: &mut Connection) -> Result<u64, StoreError> {
    let scans = inner.soft_state().scans.clone();
    let mut unseen = 0;
    for scan in scans {
        if let Some(node) = scan.node {
            unseen += replicas::count_after(reader, node, scan.through).await?;
        }
    }
    Ok(unseen)
}

impl Inner {
    fn node_statuses(&self, totals: &HashMap<NodeId, NodeTotals>) -> Vec<NodeStatus> {
        let now = self.env.monotonic();
        let last_contact_ms = |at| u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX);
        let mut soft_state = self.soft_state();
        soft_state.view(&self.env);
        let statuses = soft_state.nodes.iter().map(|(id, node)| NodeStatus {
            node: id,
            address: node.address.clone(),
            zone: node.zone.as_deref().map(str::to_owned),
            state: node.state,
            admin_state: node.admin_state,
            version: node.version.clone(),
            predicted_used: soft_state.seen().get(id).map_or(0, |node| node.predicted_used),
            incarnation: node.incarnation,
            last_contact_ms: node.present.then(|| last_contact_ms(node.last_contact)),
            replicas: totals.get(&id).map_or(0, |totals| totals.replicas),
            volumes: node.volumes.clone(),
        });
        statuses.collect()
    }
}
