//! Whether nodes can be stopped without making a block unreadable.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_planner::ClusterView;
use cairn_planner::stopping::{Risk, risk};
use cairn_protocol::admin::{AdminError, CanStop, CanStopReport, NodeState};
use cairn_protocol::id::NodeId;

use super::{BLOCKS_PER_READ, find};
use crate::block_manager::Inner;
use crate::store::replicas;

pub(in crate::block_manager::admin) async fn can_stop(
    inner: &Arc<Inner>,
    request: CanStop,
) -> Result<CanStopReport, AdminError> {
    if request.nodes.is_empty() {
        return Err(AdminError::Refused { reason: "name the nodes that you want to stop".to_owned() });
    }
    let mut stopped: BTreeSet<NodeId> = BTreeSet::new();
    for node in request.nodes {
        // Stopping a dead node changes nothing.
        if find(inner, node)?.0 != NodeState::Dead {
            stopped.insert(node);
        }
    }
    let stopped: Vec<NodeId> = stopped.into_iter().collect();
    let view = inner.soft_state().view(&inner.env).clone();
    let (mut unreadable, mut at_risk) = (0, 0);
    for node in &stopped {
        let found = look_at(inner, &view, *node, &stopped).await?;
        unreadable += found.0;
        at_risk += found.1;
    }
    Ok(report(inner, &view, &stopped, unreadable, at_risk))
}

/// The number of blocks of `node` that become unreadable, and the number that are at risk, when all of `stopped` are
/// stopped. A block that several of them have counts for the first one.
async fn look_at(
    inner: &Inner,
    view: &ClusterView,
    node: NodeId,
    stopped: &[NodeId],
) -> Result<(u64, u64), AdminError> {
    let (mut unreadable, mut at_risk) = (0, 0);
    let mut after = None;
    loop {
        let mut reader = inner.store.read_in_background().await?;
        let page = replicas::replicas_of(&mut reader, node, after, BLOCKS_PER_READ).await?;
        drop(reader);
        for (block, copies) in &page {
            let good = |of: NodeId| copies.holders.contains(&(of, true));
            let first = stopped.iter().copied().find(|stopped| good(*stopped));
            if first != Some(node) {
                continue;
            }
            let seen = inner.soft_state().block_view(*block, copies);
            match risk(view, &seen, stopped) {
                Risk::Unreadable => unreadable += 1,
                Risk::AtRisk => at_risk += 1,
                Risk::None => {}
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == BLOCKS_PER_READ as usize => after = Some(*last),
            Some(_) | None => return Ok((unreadable, at_risk)),
        }
    }
}

fn report(
    inner: &Inner,
    view: &ClusterView,
    stopped: &[NodeId],
    unreadable: u64,
    at_risk: u64,
) -> CanStopReport {
    let writable = |nodes: &[NodeId]| {
        let takes = view.nodes().iter().filter(|node| node.takes(1) && !nodes.contains(&node.node));
        u32::try_from(takes.count()).unwrap_or(u32::MAX)
    };
    let writable_nodes = writable(stopped);
    let needed_nodes = view.attainable(inner.config.min_replicas);
    let mut reasons = Vec::new();
    if unreadable > 0 {
        reasons.push(format!(
            "{unreadable} blocks have no live copy on another node: their objects could not be read"
        ));
    }
    if writable_nodes < needed_nodes {
        reasons.push(format!(
            "{writable_nodes} nodes would be left that can be written to, and a write needs {needed_nodes}"
        ));
    }
    CanStopReport { safe: reasons.is_empty(), unreadable, at_risk, writable_nodes, needed_nodes, reasons }
}
