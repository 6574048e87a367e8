//! The block manager: where blocks are put, whether they are still there, and when they go.
//!
//! | module | what is there |
//! |---|---|
//! | [`cairn_planner`] | decisions: pure functions from a view of the cluster to commands; placement by zones is one |
//! | [`grants`] | permissions to store a block: given, renewed (a gateway renews its leases), given back |
//! | [`commit`], [`locate`] | blocks become an object's bytes, and are found again |
//! | [`cluster`] | what datanodes ask: registration, heartbeats, block reports |
//! | [`gateway_report`] | what gateways find wrong with replicas |
//! | [`replica_changes`] | the one door for what changes a replica: a stored, deleted, corrupt or missing one |
//! | [`repair_queue`] | which blocks need work on their replicas, in SQL |
//! | [`soft_state`] | what memory holds and a restart forgets: nodes, reservations, copies under way, hints |
//! | [`hold`] | whether anything may be deleted |
//! | [`clock`] | cluster time, by which leases, ages and the grace period of deletes are judged |
//! | [`workers`] | what happens without being asked: liveness, repair, drain, balance, placement, garbage, leases, uploads |
//! | [`admin`] | what operators ask |
//! | [`config`] | what an operator configures, with units and reasons |
//!
//! This file is the whole of what the namespace knows of it. The namespace calls it inside of its
//! own transactions; owners of extents are versions and parts, named by the bytes of their ids.
//!
//! Architecture invariant: a lost memory loses no block. Everything that must survive is in SQL, or
//! is told anew by the datanodes.

mod admin;
mod clock;
mod cluster;
mod commit;
mod config;
mod gateway_report;
mod grants;
mod hold;
mod locate;
mod repair_queue;
mod replica_changes;
mod soft_state;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard, PoisonError};

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, OpeningId};
use cairn_protocol::metadata::{
    AllocateBlocks, BlockLocation, Grant, MetadataError, NewExtent, ReleaseGrants, RenewGrants, ReplicaReport,
};
use cairn_protocol::secret::ClusterSecret;
use tokio_util::sync::CancellationToken;

use self::clock::Clock;
pub use self::config::{BlockManagerConfig, ConfigError};
use self::soft_state::reservations::Naming;
use self::soft_state::{Known, KnownHold, Scrubs, SoftState, Wakes};
use self::workers::WorkerControl;
use crate::store::settings::{self, Decision};
use crate::store::{
    Connection, Store, StoreError, blocks, clock as stored_clock, extents, nodes as stored_nodes, repairs,
};

/// An owner of extents: the bytes of a version's or a part's id.
pub(crate) type OwnerId = [u8; 16];

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
    /// Its time is the cluster's; what people and other machines see is its wall clock.
    env: Env,
    clock: Clock,
    events: EventBus,
    soft_state: std::sync::Mutex<SoftState>,
    wakes: Wakes,
    workers: WorkerControl,
    /// Held for writing by whoever changes what operators decide, in SQL and then in memory, and for reading by
    /// nodes that register: two decisions must not
    /// end up in different orders.
    decisions: tokio::sync::RwLock<()>,
}

impl Inner {
    /// What is known without SQL. Never held over an await.
    fn soft_state(&self) -> MutexGuard<'_, SoftState> {
        self.soft_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From inside of a transaction: a block was queued for repair, or what is known of its copies changed.
    fn hint(&self, block: BlockId) {
        let ended = *self.store.transactions_ended().borrow();
        self.soft_state().hints.add_unripe(block, ended);
        self.wakes.repair.notify_one();
    }

    /// Whether a grant of this block may still be valid. (Grants of earlier processes may have been renewed often.)
    fn may_be_granted(&self, block: BlockId) -> bool {
        let now = self.env.now();
        let given = block.created_at_ms().map(Timestamp);
        let is_young = given.is_none_or(|given| self.clock.lease_end(given) >= now);
        is_young || self.clock.forgotten_grants_end() >= now
    }

    /// The grants that name a node and may still be committed, as far as this process knows; for a lease after its start
    /// there may be such that it does not know. `None` if there are none.
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

    /// Nodes changed: what could not be repaired before may be possible now.
    fn nodes_changed(&self) {
        {
            let mut soft_state = self.soft_state();
            // This sweep finds what nodes can be relied upon now, so that the liveness worker asks for no second one.
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
    /// Takes up the work where the database says that it was left.
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
        let kept = stored_clock::find(&mut reader).await?;
        drop(reader);
        store.begin_opening(opening);
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
            events,
            soft_state,
            wakes,
            workers,
            decisions,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs the workers until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        workers::run_all(&self.inner, shutdown).await;
    }

    /// Makes the blocks that were stored under grants the bytes of `owner`, from `base_offset` on:
    /// verifies the grants, inserts blocks (with one reference each), replicas and extents, and
    /// queues for repair what has fewer copies than it should.
    ///
    /// # Errors
    /// [`MetadataError::InvalidGrant`], [`MetadataError::GrantExpired`], [`MetadataError::BlockLost`], or the
    /// database's.
    pub(crate) async fn commit_extents(
        &self,
        tx: &mut Connection,
        owner: &OwnerId,
        base_offset: u64,
        extents: &[NewExtent],
    ) -> Result<(), MetadataError> {
        commit::commit_extents(&self.inner, tx, owner, base_offset, extents).await
    }

    /// Where these blocks are, in the order in which they were asked for; those that do not exist
    /// are left out.
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

    /// How long what was retired stays readable.
    pub(crate) fn garbage_grace(&self) -> std::time::Duration {
        self.inner.config.garbage_grace
    }

    /// A bucket was deleted that leaves uploads behind: a worker gives them up.
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

    /// Has the blocks of an owner that was given another's bytes have as many copies as an object of this
    /// storage class in this bucket has, if they have less; those are queued for repair. They keep that
    /// many as long as they exist: what is shared has the most that any of its owners wants.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn raise_replication(
        &self,
        tx: &mut Connection,
        owner: &OwnerId,
        bucket: &str,
        storage_class: Option<&str>,
    ) -> Result<(), StoreError> {
        let layout = blocks::bucket_layout(tx, bucket).await?.unwrap_or_default();
        let wanted = self.inner.config.replication_of(storage_class, layout.replication);
        for block in repairs::raise_replication(tx, owner, wanted, self.inner.env.now()).await? {
            self.inner.hint(block);
        }
        Ok(())
    }
}

/// Gives `to` the bytes `start..end` of `from`, from `base_offset` on, without copying them: the
/// blocks get a reference more for each extent. Refused when `from` does not have all of these bytes.
///
/// # Errors
/// The database's.
pub(crate) async fn share_extents(
    tx: &mut Connection,
    from: &OwnerId,
    start: u64,
    end: u64,
    to: &OwnerId,
    base_offset: u64,
) -> Result<(), StoreError> {
    let to_end = base_offset.saturating_add(end.saturating_sub(start));
    extents::copy_range(tx, from, start, end, to, base_offset).await?;
    extents::check(tx, to, base_offset, to_end).await?;
    extents::add_references(tx, to, base_offset, to_end).await
}

/// Gives up an owner: the sweep drops its extents when its grace period is over, counted from
/// `now`. The sweep also calls [`crate::namespace::forget`].
///
/// # Errors
/// The database's.
pub(crate) async fn retire(tx: &mut Connection, owner: &OwnerId, now: Timestamp) -> Result<(), StoreError> {
    extents::retire(tx, owner, now).await
}
