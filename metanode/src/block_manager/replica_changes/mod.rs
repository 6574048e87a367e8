//! The one door for what changes a replica, however it was noticed: by a heartbeat, a block report, a gateway that read it, a worker
//! that looks again.
//!
//! | module | what is there |
//! |---|---|
//! | `change` | what can happen to a replica |
//! | `verdict` | what SQL says of a replica that a datanode reports |
//! | `abandon` | whether replicas of blocks to which nothing refers may be given up |
//! | `sift` | which changes need a transaction; most say nothing new |
//! | `apply` | a transaction: SQL after the changes, and the effects that follow |
//! | `publish` | after the commit: soft state, events, workers |
//!
//! Architecture invariant: of several changes of one block the last one counts, and it is applied in a transaction that looks
//! at the block anew. Effects are published by the database's writer when the transaction is committed, so that they follow even if the
//! caller hung up meanwhile.

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

/// Changes in one mutation, some milliseconds of work: it bounds how long the mutations of clients wait for it.
const CHANGES_PER_WRITE: usize = 15;

/// Mutations that wait for the writer at once, so that they can share a commit.
const WRITES_AT_ONCE: usize = 8;

/// Brings SQL and soft state up to date with what changed on a node. Changes that say nothing new cost a look-up, and no
/// changes cost nothing.
///
/// Answers the replicas of blocks to which nothing refers and nothing can refer any more. They are given up, or will be as
/// soon as that is possible.
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

/// What happened to each block last: what happened before is no longer so.
fn last_of_each(mut changes: Vec<Change>) -> Vec<Change> {
    let mut seen = HashSet::with_capacity(changes.len());
    changes.reverse();
    changes.retain(|change| seen.insert(change.block()));
    changes.reverse();
    changes
}

/// A gateway found a replica wrong. A client waits for the answer, so it does not wait behind what datanodes report.
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

/// Soft state learns of stored replicas before SQL does: a block report that is already under way does not name them, and
/// the space that their grants reserved is now counted by the node.
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
