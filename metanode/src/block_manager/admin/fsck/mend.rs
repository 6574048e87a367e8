//! The repairs that fsck makes if the operator asks for them. Each problem is checked again in the transaction that
//! repairs it, except errors of counters, which stay the same whatever is changed in between. No repair deletes data.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::ListId;
use futures_util::FutureExt;

use crate::block_manager::{Inner, repair_queue};
use crate::store::counters::{self, Comparison};
use crate::store::nodes::NodeOrdinal;
use crate::store::{Connection, StoreError, blocks, fsck, replicas};

/// A repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mend {
    /// Queue a block for repair that has too few, too many or corrupt replicas.
    Queue(BlockId),
    /// Count the references of a block again.
    RecountBlock(BlockId),
    /// Count the references of a list again.
    RecountList(ListId),
    /// Make a counter right.
    Recount(Comparison),
    /// Remove a replica from SQL whose node does not exist.
    Forget(BlockId, NodeOrdinal),
}

/// Makes all repairs in one transaction.
pub(super) async fn mend(inner: &std::sync::Arc<Inner>, mends: Vec<Mend>) -> Result<(), StoreError> {
    if mends.is_empty() {
        return Ok(());
    }
    let shared = inner.clone();
    inner.store.write_in_background(move |tx| async move { mend_all(&shared, tx, mends).await }.boxed()).await
}

async fn mend_all(inner: &Inner, tx: &mut Connection, mends: Vec<Mend>) -> Result<(), StoreError> {
    for mend in mends {
        match mend {
            Mend::Queue(block) => {
                if let Some(copies) = blocks::find(tx, block).await? {
                    let live = repair_queue::live_replicas(inner, &copies);
                    repair_queue::queue(inner, tx, block, live, copies.block.replication).await?;
                }
            }
            Mend::RecountBlock(block) => {
                if fsck::recount_block(tx, block).await? {
                    tracing::info!(%block, "its references were counted anew");
                }
            }
            Mend::RecountList(list) => {
                if fsck::recount_list(tx, list).await? {
                    tracing::info!(?list, "its references were counted anew");
                }
            }
            Mend::Recount(compared) => {
                counters::correct(tx, &compared);
                tracing::info!(counter = %compared.counter, "it was counted anew");
            }
            Mend::Forget(block, node) => {
                if replicas::remove_without_node(tx, block, node).await? {
                    repair_queue::recheck(inner, tx, block).await?;
                }
            }
        }
    }
    Ok(())
}
