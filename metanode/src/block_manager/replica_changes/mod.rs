//! All changes of replicas pass through this module, whether a heartbeat, a block report, a gateway's read or a worker
//! noticed them.
//!
//! | module | contents |
//! |---|---|
//! | `change` | the kinds of changes |
//! | `verdict` | how a reported replica compares with SQL |
//! | `abandon` | whether replicas of blocks to which nothing refers may be abandoned |
//! | `sift` | which changes need a transaction; most are known already |
//! | `apply` | the transaction: SQL after the changes, and the effects that follow |
//! | `publish` | after the commit: soft state, events, workers |
//!
//! Architecture invariant: of several changes of one block the last one counts, and it is applied in a transaction that
//! looks the block up again. The database's writer publishes the effects when the transaction is committed, so that
//! they follow even if the caller hung up meanwhile.

mod abandon;
mod apply;
mod change;
mod publish;
mod sift;
mod verdict;

use std::collections::HashSet;
use std::sync::Arc;

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::id::NodeId;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

pub(super) use change::Change;

use super::Inner;
use crate::store::{Lane, StoreError};
use publish::publish;

/// Changes in one mutation: some milliseconds of work. It bounds how long clients' mutations wait.
const CHANGES_PER_WRITE: usize = 15;

/// Mutations that wait for the writer at the same time, so that they can share a commit.
const WRITES_AT_ONCE: usize = 8;

/// Applies changes on a node to SQL and soft state. A change that is known already costs a look-up, and no changes cost
/// nothing.
///
/// Returns the replicas of blocks to which nothing refers and nothing can refer any more. They are abandoned now, or as
/// soon as that is allowed.
///
/// # Errors
/// The database's. Some changes may have been applied; to report all of them again is harmless.
pub(super) async fn change_replicas(
    inner: &Arc<Inner>,
    node: NodeId,
    changes: Vec<Change>,
) -> Result<Vec<ReportedReplica>, StoreError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    note_stored(inner, node, &changes);
    let sift::Sifted { expected, to_write, unreferenced } =
        sift::sift(inner, node, last_of_each(changes)).await?;
    publish(inner, node, expected);
    let pages: Vec<Vec<Change>> = to_write.chunks(CHANGES_PER_WRITE).map(<[Change]>::to_vec).collect();
    let writes = stream::iter(pages).map(|page| write(inner, Lane::Background, node, page));
    writes.buffered(WRITES_AT_ONCE).try_collect::<()>().await?;
    Ok(unreferenced)
}

/// Keeps the last change of each block, which supersedes the earlier ones.
fn last_of_each(mut changes: Vec<Change>) -> Vec<Change> {
    let mut seen = HashSet::with_capacity(changes.len());
    changes.reverse();
    changes.retain(|change| seen.insert(change.block()));
    changes.reverse();
    changes
}

/// Applies a gateway's report of a problem. It uses the clients' lane, because a client waits for the reply and should
/// not wait behind the reports of datanodes.
///
/// # Errors
/// The database's.
pub(super) async fn suspect_replica(
    inner: &Arc<Inner>,
    node: NodeId,
    suspicion: Change,
) -> Result<(), StoreError> {
    write(inner, Lane::Client, node, vec![suspicion]).await
}

async fn write(inner: &Arc<Inner>, lane: Lane, node: NodeId, changes: Vec<Change>) -> Result<(), StoreError> {
    let (applying, publishing) = (inner.clone(), inner.clone());
    inner
        .store
        .write_then(
            lane,
            move |tx| async move { apply::apply(&applying, tx, node, changes).await }.boxed(),
            move |effects| publish(&publishing, node, effects),
        )
        .await
}

/// Records stored replicas in the soft state before SQL has them. A block report that is already under way does not
/// name them, and the node itself now counts the space that their grants reserved.
fn note_stored(inner: &Inner, node: NodeId, changes: &[Change]) {
    let now = inner.env.monotonic();
    let mut soft_state = inner.soft_state();
    let stored = changes.iter().filter(|change| matches!(change, Change::Stored(_)));
    let mut any = false;
    for block in stored.map(Change::block) {
        any = true;
        soft_state.reservations.stored(block, node);
        soft_state.nodes.stored(node, block, now, inner.config.report_age);
        soft_state.unreported.confirm(node, block);
    }
    if any {
        soft_state.nodes.succeeded(node);
    }
}
