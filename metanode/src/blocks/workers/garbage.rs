use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use super::{Progress, Worker};
use crate::blocks::{Inner, OwnerId};
use crate::namespace;
use crate::store::{Connection, StoreError, blocks, deletions, garbage, leases};

/// Owners in one step.
const OWNERS_PER_STEP: u32 = 64;

/// Extents in one step: it bounds how long others wait for its transaction.
const EXTENTS_PER_STEP: u32 = 200;

/// Drops the extents of owners whose grace period is over, and the blocks that nobody refers to then.
pub(super) struct Garbage {
    inner: Arc<Inner>,
    /// Owners in the last step.
    last: usize,
}

/// What one step gave free.
#[derive(Default)]
struct Collected {
    /// Extents that were dropped.
    extents: u64,
    /// Blocks that nobody refers to any more.
    blocks: u64,
    /// Their replicas: where, and how many bytes.
    replicas: Vec<(NodeId, u64)>,
}

impl Garbage {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, last: 0 }
    }
}

#[async_trait]
impl Worker for Garbage {
    fn name(&self) -> WorkerName {
        WorkerName::Garbage
    }

    fn doing(&self) -> String {
        match self.last {
            0 => "nothing is due".to_owned(),
            owners => format!("gives up the extents of {owners} objects and parts"),
        }
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let now = self.inner.env.now();
        let mut reader = self.inner.store.read().await?;
        // While it is not known what the wall clock did, nothing is due.
        let retired_before = self.inner.clock.retired_before(&self.inner.env).unwrap_or_default();
        let owners = garbage::due(&mut reader, retired_before, OWNERS_PER_STEP).await?;
        drop(reader);
        self.last = owners.len();
        if owners.is_empty() {
            return self.end_time_travel().await;
        }
        let shared = self.inner.clone();
        let collected = self
            .inner
            .store
            .write(move |tx| async move { collect(&shared, tx, owners, retired_before, now).await }.boxed())
            .await?;
        let bytes = collected.replicas.iter().map(|(_, bytes)| bytes).sum();
        self.inner.count(WorkerName::Garbage, collected.blocks, bytes);
        self.inner.pay(WorkerName::Garbage, collected.extents);
        {
            let mut memory = self.inner.memory();
            for (node, bytes) in collected.replicas {
                memory.nodes.deletion_queued(node, bytes);
            }
        }
        if collected.blocks > 0 {
            self.inner.events.publish(EventKind::GarbageCollected { blocks: collected.blocks });
        }
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}

impl Garbage {
    /// What was retired while the wall clock was far ahead waits no longer than what is retired now.
    async fn end_time_travel(&self) -> Result<Progress, StoreError> {
        let now = self.inner.env.wall();
        let beyond = now.after(self.inner.config.garbage_grace);
        let latest = garbage::latest(&mut *self.inner.store.read().await?).await?;
        if latest.is_none_or(|latest| latest <= beyond) {
            return Ok(Progress::Rest);
        }
        self.inner
            .store
            .write(move |tx| garbage::retire_again(tx, beyond, now, OWNERS_PER_STEP).boxed())
            .await?;
        Ok(Progress::More)
    }
}

async fn collect(
    inner: &Inner,
    tx: &mut Connection,
    owners: Vec<OwnerId>,
    retired_before: Timestamp,
    now: Timestamp,
) -> Result<Collected, StoreError> {
    let mut collected = Collected::default();
    let mut budget = EXTENTS_PER_STEP;
    for owner in owners {
        if budget == 0 {
            break;
        }
        // A reader that is still there may have had it kept for longer meanwhile.
        if !garbage::is_due(tx, &owner, retired_before).await? {
            continue;
        }
        // At the first extent that goes, nobody must find the version any more.
        namespace::forget(tx, &[owner], inner.env.wall()).await?;
        let dropped = garbage::drop_extents(tx, &owner, budget).await?;
        collected.extents += dropped.len() as u64;
        for block in &dropped {
            let Some((length, holders)) = blocks::drop_reference(tx, *block).await? else { continue };
            collected.blocks += 1;
            // A commit that is repeated so late must not find a block whose replicas go.
            if inner.may_be_granted(*block) {
                leases::give_up(tx, *block, inner.clock.grants_end(now)).await?;
            }
            for node in holders {
                deletions::queue(tx, node, *block, length, now).await?;
                collected.replicas.push((node, length));
            }
        }
        budget = budget.saturating_sub(u32::try_from(dropped.len()).unwrap_or(u32::MAX));
        if budget > 0 {
            garbage::remove(tx, &owner).await?;
        }
    }
    Ok(collected)
}
