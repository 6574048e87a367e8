//! The leases worker: when a lease has ended without a commit, it deletes the block. (Gateways renew leases while they
//! write: `grants.rs`.)

use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::block_manager::replica_changes::{Change, change_replicas};
use crate::block_manager::soft_state::Gate;
use crate::block_manager::soft_state::SoftState;
use crate::block_manager::soft_state::orphans::{Due, Held};
use crate::store::{StoreError, leases};

/// Blocks that are examined in one step.
const BLOCKS_PER_STEP: usize = 500;

/// The leases worker: deletes blocks that were not committed before their lease ended, and removes old leases from SQL.
pub(super) struct Leases {
    inner: Arc<Inner>,
}

impl Leases {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl Worker for Leases {
    fn name(&self) -> WorkerName {
        WorkerName::Leases
    }

    fn doing(&self) -> String {
        let soft_state = self.inner.soft_state();
        let (grants, uncounted) = soft_state.reservations.counts();
        let mut doing = format!(
            "{} stored blocks wait for their commit, {grants} grants are out",
            soft_state.orphans.len()
        );
        for (many, what) in [
            (soft_state.orphans.beyond(), "stored replicas were left to reports"),
            (uncounted, "grants were not counted"),
        ] {
            if many > 0 {
                doing += &format!("; {many} {what}, for there were too many to remember");
            }
        }
        doing
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let now = self.inner.env.now();
        let ended = *self.inner.store.transactions_ended().borrow();
        let due = {
            let mut soft_state = self.inner.soft_state();
            soft_state.reservations.ripen(ended);
            soft_state.reservations.expire(now);
            let waits = soft_state.gate(self.inner.env.monotonic()) == Gate::Waiting;
            let SoftState { nodes, orphans, .. } = &mut *soft_state;
            let current = |node, incarnation| nodes.accepts(node, incarnation);
            if waits { Due::new() } else { orphans.take_due(now, BLOCKS_PER_STEP, current) }
        };
        if due.is_empty() {
            return self.forget_ended().await;
        }
        let replicas: u64 = due.values().map(|replicas| replicas.len() as u64).sum();
        let mut due = due.into_iter();
        while let Some((node, held)) = due.next() {
            if let Err(error) = self.look_at(node, &held).await {
                // They are added again, because otherwise only their nodes' next block reports would name them.
                let mut soft_state = self.inner.soft_state();
                for (node, held) in due.chain([(node, held)]) {
                    for held in held {
                        soft_state.orphans.add(node, held, now);
                    }
                }
                return Err(error);
            }
        }
        self.inner.count(WorkerName::Leases, replicas, 0);
        self.inner.pay(WorkerName::Leases, replicas);
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}

impl Leases {
    async fn look_at(&self, node: NodeId, held: &[Held]) -> Result<(), StoreError> {
        let change = |held: &Held| match held.good {
            true => Change::Held(held.replica),
            false => Change::Corrupt(held.replica.block),
        };
        change_replicas(&self.inner, node, held.iter().map(change).collect()).await.map(drop)
    }

    async fn forget_ended(&self) -> Result<Progress, StoreError> {
        let before = self.inner.env.now().before(self.inner.config.lease_slack);
        let mut reader = self.inner.store.read_in_background().await?;
        let any = leases::any_ended(&mut reader, before).await?;
        drop(reader);
        if any {
            self.inner.store.write_in_background(move |tx| leases::forget_ended(tx, before).boxed()).await?;
        }
        Ok(Progress::Rest)
    }
}
