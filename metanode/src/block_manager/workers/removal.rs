//! Deletes the rows of removed nodes in small steps: first their replicas, whose blocks are then examined, and then
//! their queued deletions. The node's own row stays, so that a restart continues.

use std::sync::Arc;

use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use super::Progress;
use crate::block_manager::{Inner, repair_queue};
use crate::store::{Connection, StoreError, deletions, nodes, replicas};

/// Rows that one mutation deletes, in some milliseconds. It bounds how long other mutations wait.
const ROWS_PER_STEP: u32 = 50;

/// Continues with the first removed node.
pub(super) async fn step(inner: &Arc<Inner>) -> Result<Progress, StoreError> {
    let Some(node) = inner.soft_state().removals.front().copied() else { return Ok(Progress::Rest) };
    let shared = inner.clone();
    let outcome = inner
        .store
        .write_in_background(move |tx| async move { forget(&shared, tx, node).await }.boxed())
        .await?;
    if outcome != Forgotten::Some {
        let mut soft_state = inner.soft_state();
        soft_state.removals.retain(|other| *other != node);
    }
    if outcome == Forgotten::All {
        tracing::info!(%node, "a datanode was removed");
        inner.events.publish(EventKind::NodeRemoved { node });
    }
    Ok(Progress::More)
}

/// The progress of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgotten {
    /// There are more rows.
    Some,
    /// No row is left.
    All,
    /// The node registered again.
    Returned,
}

async fn forget(inner: &Inner, tx: &mut Connection, node: NodeId) -> Result<Forgotten, StoreError> {
    if !nodes::is_removed(tx, node).await? {
        return Ok(Forgotten::Returned);
    }
    let page = replicas::blocks_of(tx, node, None, ROWS_PER_STEP).await?;
    for block in &page {
        repair_queue::remove_replica(inner, tx, *block, node).await?;
    }
    if !page.is_empty() {
        return Ok(Forgotten::Some);
    }
    let deletions = deletions::forget(tx, node, ROWS_PER_STEP).await?;
    Ok(if deletions > 0 { Forgotten::Some } else { Forgotten::All })
}
