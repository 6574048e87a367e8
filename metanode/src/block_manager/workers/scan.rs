//! Scans for under-replicated blocks: over the blocks of a node that died, or over all blocks when a new node allows more
//! replicas than before.

use std::sync::Arc;

use cairn_protocol::admin::NodeState;
use futures_util::FutureExt;

use crate::block_manager::soft_state::Scan;
use crate::block_manager::{Inner, repair_queue};
use crate::store::{Connection, StoreError, blocks, repairs, replicas};

/// Blocks that one mutation examines, in some milliseconds. It bounds how long other mutations wait.
const BLOCKS_PER_STEP: u32 = 50;

/// Continues with the first scan. Returns whether there was one.
pub(super) async fn step(inner: &Arc<Inner>) -> Result<bool, StoreError> {
    let Some(scan) = inner.soft_state().scans.front().copied() else { return Ok(false) };
    let is_back = scan.node.is_some_and(|node| inner.soft_state().nodes.state(node) != NodeState::Dead);
    let rest = if is_back {
        None
    } else {
        let shared = inner.clone();
        inner
            .store
            .write_in_background(move |tx| async move { page(&shared, tx, scan).await }.boxed())
            .await?
    };
    let mut soft_state = inner.soft_state();
    // A new order may have started the scan again meanwhile; then this result is dropped.
    if let Some(place) = soft_state.scans.iter().position(|other| *other == scan) {
        match rest {
            Some(rest) => soft_state.scans[place] = rest,
            None => drop(soft_state.scans.remove(place)),
        }
    }
    Ok(true)
}

/// Examines one page. Returns the rest of the scan; `None` at its end.
async fn page(inner: &Inner, tx: &mut Connection, scan: Scan) -> Result<Option<Scan>, StoreError> {
    let page = match scan.node {
        Some(node) => replicas::blocks_of(tx, node, scan.through, BLOCKS_PER_STEP).await?,
        None => blocks::page(tx, scan.through, BLOCKS_PER_STEP).await?,
    };
    for block in &page {
        repair_queue::recheck(inner, tx, *block).await?;
    }
    let ended = page.len() < BLOCKS_PER_STEP as usize;
    if scan.node.is_none() {
        if ended {
            repairs::end_scan(tx).await?;
        } else {
            repairs::set_scan(tx, page.last().copied()).await?;
        }
    }
    Ok(if ended { None } else { Some(Scan { through: page.last().copied(), ..scan }) })
}
