//! The liveness worker: notices nodes without contact, maintenance that has ended, and copies that are late. It also
//! writes cluster time and the time for locks to SQL, and removes the rows of removed nodes step by step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::admin::{AdminState, NodeState, WorkerName};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::{warn_peer, warn_self};
use futures_util::FutureExt;

use super::{Progress, Worker, removal};
use crate::block_manager::Inner;
use crate::block_manager::cluster::end_waits;
use crate::block_manager::soft_state::nodes::Moment;
use crate::store::clock::{self, StoredClock};
use crate::store::{StoreError, nodes};

/// The liveness worker. It cannot be paused, because all other workers rely on it.
pub(super) struct Liveness {
    inner: Arc<Inner>,
}

/// Checks of the nodes within `stale_after`. A node becomes stale at most a tenth of that time late.
const LOOKS_PER_STALE: u32 = 10;

impl Liveness {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn changed(&self, node: NodeId, state: NodeState) {
        match state {
            NodeState::Live => {}
            NodeState::Stale => {
                warn_peer!(%node, "a datanode sends no heartbeats: it gets no new blocks");
                self.inner.events.publish(EventKind::NodeStale { node });
            }
            NodeState::Dead => {
                warn_peer!(%node, "a datanode is dead: its blocks are repaired from their other replicas");
                {
                    let mut soft_state = self.inner.soft_state();
                    soft_state.copies.forget(node);
                    soft_state.hints.forget(node);
                    soft_state.scan(Some(node));
                }
                self.inner.nodes_changed();
                self.inner.events.publish(EventKind::NodeDead { node });
            }
        }
    }

    async fn end_maintenances(&self, now: Timestamp) -> Result<(), StoreError> {
        let over = self.inner.soft_state().nodes.maintenance_over(now);
        for (node, until) in over {
            self.end_maintenance(node, until).await?;
        }
        Ok(())
    }

    /// Ends maintenance whose time is over, unless an operator changed the node's state a moment ago.
    async fn end_maintenance(&self, node: NodeId, until: Timestamp) -> Result<(), StoreError> {
        let _decisions = self.inner.decisions.write().await;
        let over = AdminState::Maintenance { until };
        if self.inner.soft_state().nodes.get(node).is_none_or(|node| node.admin_state != over) {
            return Ok(());
        }
        self.inner
            .store
            .write(move |tx| nodes::set_admin_state(tx, node, AdminState::InService).boxed())
            .await?;
        self.inner.admin_state_changed(node, AdminState::InService);
        self.inner.count(WorkerName::Liveness, 1, 0);
        self.inner.events.publish(EventKind::MaintenanceExpired { node });
        Ok(())
    }

    fn give_up_late_copies(&self) {
        let now = self.inner.env.now();
        let monotonic = self.inner.env.monotonic();
        let mut soft_state = self.inner.soft_state();
        let late = soft_state.copies.expire(now);
        if late.is_empty() {
            return;
        }
        for late in late {
            tracing::info!(block = %late.replica.block, node = %late.target, "a copy was not made in time");
            soft_state.copy_backoff.add(late.replica.block, monotonic);
            soft_state.hints.add(late.replica.block);
        }
        drop(soft_state);
        self.inner.wake_copiers();
    }
}

impl Inner {
    /// Updates the soft state after SQL has a new administrative state of a node.
    pub(in crate::block_manager) fn admin_state_changed(&self, node: NodeId, admin_state: AdminState) {
        {
            let mut soft_state = self.soft_state();
            soft_state.nodes.set_admin_state(node, admin_state);
            // In maintenance, the replicas of a dead node count. With the new state they may not.
            if soft_state.nodes.state(node) == NodeState::Dead {
                soft_state.scan(Some(node));
            }
        }
        self.nodes_changed();
    }
}

impl Liveness {
    /// Whether a node has become reliable since the last call.
    fn trust_was_gained(&self) -> bool {
        let mut soft_state = self.inner.soft_state();
        soft_state.view(&self.inner.env);
        std::mem::take(&mut soft_state.trust_gained)
    }
}

/// Writes cluster time to SQL every few seconds, and the time for locks every minute.
async fn keep_time(inner: &Inner) -> Result<(), StoreError> {
    inner.clock.look(&inner.env);
    if let Some(kept) = inner.clock.due(inner.env.now()) {
        let written = kept.clone();
        inner
            .store
            .write(move |tx| async move { clock::keep(tx, StoredClock::Cluster, &written).await }.boxed())
            .await?;
        inner.clock.kept(&kept);
    }
    if inner.lock_clock.is_behind_news() {
        warn_self!(
            "the clock for locks is behind the wall clock, so that locks last longer: see `cairn admin lock-clock`"
        );
    }
    if let Some(kept) = inner.lock_clock.due() {
        let written = kept.clone();
        inner
            .store
            .write(move |tx| async move { clock::keep(tx, StoredClock::Locks, &written).await }.boxed())
            .await?;
        inner.lock_clock.kept(&kept);
    }
    Ok(())
}

#[async_trait]
impl Worker for Liveness {
    fn name(&self) -> WorkerName {
        WorkerName::Liveness
    }

    fn doing(&self) -> String {
        let soft_state = self.inner.soft_state();
        let count = |state| soft_state.nodes.iter().filter(|(_, node)| node.state == state).count();
        let (live, stale, dead) = (count(NodeState::Live), count(NodeState::Stale), count(NodeState::Dead));
        let removals = soft_state.removals.len();
        let removed = if removals > 0 { format!(", {removals} being removed") } else { String::new() };
        format!("{live} nodes live, {stale} stale, {dead} dead{removed}")
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let now = Moment { monotonic: self.inner.env.monotonic(), wall: self.inner.env.wall() };
        // An error must not stop the step here: nodes become stale even while the database cannot be written.
        let ended = self.end_maintenances(now.wall).await;
        let changes = self.inner.soft_state().nodes.tick(now);
        self.inner.count(WorkerName::Liveness, changes.len() as u64, 0);
        for (node, state) in changes {
            self.changed(node, state);
        }
        self.give_up_late_copies();
        ended?;
        keep_time(&self.inner).await?;
        if self.trust_was_gained() {
            self.inner.nodes_changed();
        }
        end_waits(&self.inner).await?;
        removal::step(&self.inner).await
    }

    async fn wait(&mut self) {
        let interval = self.inner.config.stale_after / LOOKS_PER_STALE;
        tokio::select! {
            () = self.inner.env.sleep(interval.max(Duration::from_millis(1))) => {}
            () = self.inner.wakes.removal.notified() => {}
        }
    }
}
