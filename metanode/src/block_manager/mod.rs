//! The block manager: where blocks are put, whether they are still there, and when they are deleted.
//!
//! | module | contents |
//! |---|---|
//! | [`cairn_planner`] | decisions: pure functions from a view of the cluster to commands; placement by zones is one |
//! | [`grants`] | permissions to store a block, with leases: gateways get them, renew them while they write, and give them back |
//! | [`commit`], [`locate`] | making blocks the bytes of an object, and finding them again |
//! | [`cluster`] | the calls of datanodes: registration, heartbeats, block reports |
//! | [`gateway_report`] | problems that gateways find with replicas |
//! | [`replica_changes`] | all changes of replicas: stored, deleted, corrupt or missing ones |
//! | [`repair_queue`] | the blocks in SQL whose replicas need work |
//! | [`soft_state`] | state in memory that a restart forgets: nodes, reservations, copies under way, hints |
//! | [`hold`] | the hold on deletions |
//! | [`clock`] | cluster time: when a lease has ended, and when a deleted version has been retired for its grace period |
//! | [`lifecycle`] | what the lifecycle worker does, which the namespace knows |
//! | [`lock_clock`] | the clock by which locks of versions end |
//! | [`workers`] | background work: liveness, repair, drain, balance, placement, garbage (deletes whose grace period is over), leases (those that ended without a commit), uploads |
//! | [`admin`] | the queries and decisions of operators |
//! | [`config`] | the configuration, with units and reasons |
//!
//! The namespace uses only what this file declares, and calls it inside its own transactions. Versions and parts refer to
//! blocks and extent lists; the block manager knows of them only what was retired, and removes their references.
//!
//! Architecture invariant: losing the soft state loses no block. Everything that must survive is in SQL, or
//! is reported again by the datanodes.

mod admin;
mod clock;
mod cluster;
mod commit;
mod config;
mod gateway_report;
mod grants;
mod hold;
mod lifecycle;
mod locate;
mod lock_clock;
mod repair_queue;
mod replica_changes;
mod soft_state;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, OpeningId};
use cairn_protocol::metadata::{
    AllocateBlocks, BlockLocation, Content, Grant, MetadataError, NewExtent, ReleaseGrants, RenewGrants,
    ReplicaReport,
};
use cairn_protocol::secret::ClusterSecret;
use tokio_util::sync::CancellationToken;

use self::clock::Clock;
pub use self::config::{BlockManagerConfig, ConfigError};
pub(crate) use self::lifecycle::{LifecycleActions, LifecycleStep, LifecycleWalk};
pub(crate) use self::lock_clock::LockClock;
use self::soft_state::reservations::Naming;
use self::soft_state::{Known, KnownHold, Scrubs, SoftState, Wakes};
use self::workers::WorkerControl;
use crate::access::AccessState;
use crate::store::clock::StoredClock;
use crate::store::settings::{self, Decision};
use crate::store::{
    Connection, Store, StoreError, blocks, clock as stored_clock, lifecycle as stored_lifecycle, locks,
    nodes as stored_nodes, repairs,
};

/// The block manager. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BlockManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    config: BlockManagerConfig,
    secret: ClusterSecret,
    cluster: ClusterId,
    /// Its time is cluster time. Its wall clock is for times that people and other machines see.
    env: Env,
    clock: Clock,
    lock_clock: LockClock,
    /// What gateways remember of buckets is good for one state. Operators' changes of buckets begin another.
    access: AccessState,
    events: EventBus,
    soft_state: std::sync::Mutex<SoftState>,
    wakes: Wakes,
    workers: WorkerControl,
    /// The lock that orders the decisions of operators. A decision is written to SQL first and to the soft state
    /// second, under the write lock: without it, two decisions at once could leave SQL with the one and the soft
    /// state with the other. A registration writes the node in the same two steps, under the read lock, so that no
    /// operator removes the node between them.
    decisions: tokio::sync::RwLock<()>,
    /// Held while fsck compares counters and corrects them.
    recounting: tokio::sync::Mutex<()>,
    /// What the lifecycle worker does; set when the namespace is there.
    lifecycle: OnceLock<Arc<dyn LifecycleActions>>,
}

impl Inner {
    /// The soft state. The guard must not be held over an await.
    fn soft_state(&self) -> MutexGuard<'_, SoftState> {
        self.soft_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called inside a transaction that queues a block for repair or changes its replicas: the repair worker examines
    /// the block after the transaction has ended.
    fn hint(&self, block: BlockId) {
        let ended = *self.store.transactions_ended().borrow();
        self.soft_state().hints.add_unripe(block, ended);
        self.wakes.repair.notify_one();
    }

    /// Whether a grant of this block may still be valid. After a restart this is true of every block for a lease,
    /// because grants of an earlier process may have been renewed.
    fn may_be_granted(&self, block: BlockId) -> bool {
        let now = self.env.now();
        let given = block.created_at_ms().map(Timestamp);
        let is_young = given.is_none_or(|given| self.clock.lease_end(given) >= now);
        is_young || self.clock.forgotten_grants_end() >= now
    }

    /// The grants that name a node and may still be committed; `None` if there are none. For one lease after a start,
    /// grants of the earlier process may exist that this one does not know: then the answer is never `None`.
    fn grants_naming(&self, node: NodeId) -> Option<Naming> {
        let now = self.env.now();
        let forgotten = self.clock.forgotten_grants_end();
        let ended = *self.store.transactions_ended().borrow();
        let known = {
            let mut soft_state = self.soft_state();
            soft_state.reservations.ripen(ended);
            soft_state.reservations.naming(node, now)
        };
        match known {
            Some(known) => Some(Naming { until: known.until.max(forgotten), ..known }),
            None => (forgotten >= now).then_some(Naming { grants: 0, until: forgotten }),
        }
    }

    /// The nodes changed: a block that could not be copied before may have a source and a target now.
    fn nodes_changed(&self) {
        {
            let mut soft_state = self.soft_state();
            // This sweep covers the nodes that are reliable now, so the liveness worker need not order a second one.
            soft_state.view(&self.env);
            soft_state.trust_gained = false;
            soft_state.hints.sweep();
            soft_state.changes += 1;
        }
        self.wake_copiers();
    }

    /// Wakes the workers that copy blocks.
    fn wake_copiers(&self) {
        for worker in [&self.wakes.repair, &self.wakes.drain, &self.wakes.balance] {
            worker.notify_one();
        }
    }
}

impl BlockManager {
    /// Opens the block manager with the state that the database has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(
        store: Store,
        config: BlockManagerConfig,
        cluster: ClusterId,
        secret: ClusterSecret,
        env: Env,
        events: EventBus,
    ) -> Result<Self, StoreError> {
        let opening = OpeningId(env.uuid_v4());
        let mut reader = store.read().await?;
        let known = Known {
            hold: KnownHold::read(&mut reader).await?,
            opening,
            nodes: stored_nodes::all(&mut reader).await?,
            removals: stored_nodes::half_removed(&mut reader).await?,
            scan: repairs::scan(&mut reader).await?,
            scrubs: Scrubs::new(
                settings::decided(&mut reader, Decision::ScrubAll).await?,
                settings::scrubs_asked(&mut reader).await?,
            ),
            balance_threshold: settings::decided(&mut reader, Decision::BalanceThreshold).await?,
        };
        let workers = WorkerControl::new(settings::workers(&mut reader).await?, &config);
        let kept = stored_clock::find(&mut reader, StoredClock::Cluster).await?;
        let kept_for_locks = stored_clock::find(&mut reader, StoredClock::Locks).await?;
        // Both end what cannot be made good, if the clock is ahead.
        let is_needed = locks::any(&mut reader).await? || stored_lifecycle::any(&mut reader).await?;
        drop(reader);
        store.begin_opening(opening);
        let lock_clock = LockClock::begin(kept_for_locks, is_needed, &env);
        let access = AccessState::new(&env);
        let (clock, env) = Clock::begin(kept, known.nodes.is_empty(), &config, &env);
        let soft_state = SoftState::new(known, &config, &env).into();
        let (wakes, decisions) = (Wakes::default(), tokio::sync::RwLock::default());
        let inner = Inner {
            store,
            config,
            secret,
            cluster,
            env,
            clock,
            lock_clock,
            access,
            events,
            soft_state,
            wakes,
            workers,
            decisions,
            recounting: tokio::sync::Mutex::default(),
            lifecycle: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs the workers until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        workers::run_all(&self.inner, shutdown).await;
    }

    /// Makes the blocks that were stored under grants the bytes of a version or part, which the caller inserts: verifies the
    /// grants, inserts blocks (with one reference each), replicas and a list if there are several, and queues for repair what is
    /// under-replicated.
    ///
    /// # Errors
    /// [`MetadataError::InvalidGrant`], [`MetadataError::GrantExpired`], [`MetadataError::BlockLost`], or the
    /// database's.
    pub(crate) async fn commit_extents(
        &self,
        tx: &mut Connection,
        extents: &[NewExtent],
    ) -> Result<Content, MetadataError> {
        commit::commit_extents(&self.inner, tx, extents).await
    }

    /// The locations of these blocks, in the order of the request. Blocks that do not exist are left out.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn locate(
        &self,
        connection: &mut Connection,
        blocks: &[BlockId],
    ) -> Result<Vec<BlockLocation>, MetadataError> {
        locate::locate(&self.inner, connection, blocks).await
    }

    /// The state of access control, which changes of buckets and of access to them advance.
    pub(crate) fn access(&self) -> &AccessState {
        &self.inner.access
    }

    /// The clock by which locks of versions end.
    pub(crate) fn lock_clock(&self) -> &LockClock {
        &self.inner.lock_clock
    }

    /// The grace period: how long a retired version stays readable.
    pub(crate) fn garbage_grace(&self) -> std::time::Duration {
        self.inner.config.garbage_grace
    }

    /// The length of a day of lifecycle rules.
    pub(crate) fn lifecycle_day(&self) -> std::time::Duration {
        self.inner.config.lifecycle_day
    }

    /// Says what the lifecycle worker does. The first one that is set stays.
    pub(crate) fn set_lifecycle(&self, actions: Arc<dyn LifecycleActions>) {
        // A second namespace on the same block manager would do the same.
        let _ = self.inner.lifecycle.set(actions);
    }

    /// Wakes the worker that removes the uploads of a deleted bucket.
    pub(crate) fn uploads_left(&self) {
        self.inner.wakes.uploads.notify_one();
    }

    /// See [`Metadata::check_storage_class`](cairn_protocol::metadata::Metadata::check_storage_class).
    pub(crate) fn check_storage_class(&self, class: String) -> Result<(), MetadataError> {
        let known = self.inner.config.storage_classes.contains_key(&class);
        if known { Ok(()) } else { Err(MetadataError::UnknownStorageClass { class }) }
    }

    /// See [`Metadata::allocate_blocks`](cairn_protocol::metadata::Metadata::allocate_blocks).
    pub(crate) async fn allocate(&self, request: AllocateBlocks) -> Result<Vec<Grant>, MetadataError> {
        grants::allocate(&self.inner, request).await
    }

    /// See [`Metadata::renew_grants`](cairn_protocol::metadata::Metadata::renew_grants).
    pub(crate) async fn renew(&self, request: RenewGrants) -> Result<Vec<Grant>, MetadataError> {
        grants::renew(&self.inner, request).await
    }

    /// See [`Metadata::release_grants`](cairn_protocol::metadata::Metadata::release_grants).
    pub(crate) async fn release(&self, request: ReleaseGrants) -> Result<(), MetadataError> {
        grants::release(&self.inner, request).await
    }

    /// See [`Metadata::report_replica`](cairn_protocol::metadata::Metadata::report_replica).
    pub(crate) async fn report_replica(&self, report: ReplicaReport) -> Result<(), MetadataError> {
        gateway_report::report_replica(&self.inner, report).await
    }

    /// Raises the replication of the blocks of a version or part to that of an object of this storage class in this bucket, and
    /// queues for repair the blocks that it raised. Called when it shares the blocks of another one. The
    /// replication of a block never falls: a shared block has the highest that any of its owners wants.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn raise_replication(
        &self,
        tx: &mut Connection,
        content: Content,
        bucket: &str,
        storage_class: Option<&str>,
    ) -> Result<(), StoreError> {
        let layout = blocks::bucket_layout(tx, bucket).await?.unwrap_or_default();
        let wanted = self.inner.config.replication_of(storage_class, layout.replication);
        for block in repairs::raise_replication(tx, content, wanted, self.inner.env.now()).await? {
            self.inner.hint(block);
        }
        Ok(())
    }

    /// Gives the blocks of a version the replication of a new storage class, and queues for repair the blocks whose replication
    /// changed. It rises for all blocks; it falls for those that nothing else refers to.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn set_replication(
        &self,
        tx: &mut Connection,
        content: Content,
        bucket: &str,
        storage_class: Option<&str>,
    ) -> Result<(), StoreError> {
        let layout = blocks::bucket_layout(tx, bucket).await?.unwrap_or_default();
        let wanted = self.inner.config.replication_of(storage_class, layout.replication);
        let now = self.inner.env.now();
        let mut changed = repairs::raise_replication(tx, content, wanted, now).await?;
        changed.extend(repairs::lower_replication(tx, content, wanted, now).await?);
        for block in changed {
            self.inner.hint(block);
        }
        Ok(())
    }
}
