//! What the check mends when it is asked to. Each is looked at again in the transaction that mends it,
//! and none deletes data.

use cairn_protocol::id::{BlockId, NodeId};
use futures_util::FutureExt;

use crate::block_manager::{Inner, repair_queue};
use crate::store::{Connection, StoreError, blocks, fsck};

/// Something to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mend {
    /// A block whose copies are not as they should be is queued.
    Queue(BlockId),
    /// A block's references are counted anew.
    Recount(BlockId),
    /// What a node is said to hold is forgotten, if it does not exist.
    Forget(BlockId, NodeId),
}

/// Does it all in one transaction.
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
            Mend::Recount(block) => {
                if fsck::recount(tx, block).await? {
                    tracing::info!(%block, "its references were counted anew");
                }
            }
            Mend::Forget(block, node) => {
                if fsck::forget_replica(tx, block, node).await? {
                    repair_queue::recheck(inner, tx, block).await?;
                }
            }
        }
    }
    Ok(())
}
