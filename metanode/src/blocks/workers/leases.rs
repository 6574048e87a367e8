use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::blocks::Inner;
use crate::blocks::hold::Gate;
use crate::blocks::memory::Memory;
use crate::blocks::orphans::{Due, Held};
use crate::blocks::replica_changes::{Change, change_replicas};
use crate::store::{StoreError, leases};

/// Blocks that are looked at in one step.
const BLOCKS_PER_STEP: usize = 500;

/// Ends leases: deletes blocks that nobody committed in time, and forgets what was known of their leases.
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
        let memory = self.inner.memory();
        let (grants, uncounted) = memory.reservations.counts();
        let mut doing =
            format!("{} stored blocks wait for their commit, {grants} grants are out", memory.orphans.len());
        for (many, what) in [
            (memory.orphans.beyond(), "stored replicas were left to reports"),
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
            let mut memory = self.inner.memory();
            memory.reservations.ripen(ended);
            memory.reservations.expire(now);
            let waits = memory.gate(self.inner.env.monotonic()) == Gate::Waiting;
            let Memory { nodes, orphans, .. } = &mut *memory;
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
                // They are looked at again, rather than at their nodes' next registration.
                let mut memory = self.inner.memory();
                for (node, held) in due.chain([(node, held)]) {
                    for held in held {
                        memory.orphans.add(node, held, now);
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
