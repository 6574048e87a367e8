//! The progress of a drain, and what keeps the remaining blocks on the node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_planner::obstacle::{NoTarget, Obstacle as Hindrance, obstacle};
use cairn_protocol::admin::{
    AdminError, AdminState, NodeProgress, NodeProgressRequest, NodeState, Obstacle, WorkerName,
};
use cairn_protocol::id::{BlockId, NodeId};

use super::find;
use crate::block_manager::Inner;
use crate::store::blocks::BlockReplicas;
use crate::store::{replicas, totals};

/// Blocks that are examined to find what holds a drain up. Blocks that can be copied leave the node, so in the end the
/// first blocks are those that are stuck.
const SAMPLE: u32 = 200;

pub(in crate::block_manager::admin) async fn progress(
    inner: &Arc<Inner>,
    request: NodeProgressRequest,
) -> Result<NodeProgress, AdminError> {
    let (_, admin_state) = find(inner, request.node)?;
    progress_with(inner, request.node, admin_state).await
}

/// The progress of a node, as if it had this administrative state.
pub(super) async fn progress_with(
    inner: &Inner,
    node: NodeId,
    admin_state: AdminState,
) -> Result<NodeProgress, AdminError> {
    let (state, _) = find(inner, node)?;
    let mut reader = inner.store.read().await?;
    let held = totals::node(&mut reader, node).await?;
    let draining = admin_state == AdminState::Draining;
    let sample = if draining && held.replicas > 0 {
        replicas::replicas_of(&mut reader, node, None, SAMPLE).await?
    } else {
        Vec::new()
    };
    drop(reader);
    // `obstacles` takes the lock itself, so it must not be held here.
    let in_flight = inner.soft_state().copies.count(|purpose| purpose.leaves() == Some(node));
    let naming = inner.grants_naming(node);
    let now = inner.env.now();
    // A grant can be committed during the whole of its last millisecond.
    let last = naming.map_or(Duration::ZERO, |naming| naming.until.since(now) + Duration::from_millis(1));
    Ok(NodeProgress {
        node,
        state,
        admin_state,
        drained: draining && held.replicas == 0 && naming.is_none(),
        blocks: held.replicas,
        bytes: held.bytes,
        in_flight,
        grants: naming.map_or(0, |naming| naming.grants),
        grants_last_ms: u64::try_from(last.as_millis()).unwrap_or(u64::MAX),
        obstacles: obstacles(inner, node, state, admin_state, &sample),
    })
}

fn obstacles(
    inner: &Inner,
    node: NodeId,
    state: NodeState,
    admin_state: AdminState,
    sample: &[(BlockId, BlockReplicas)],
) -> Vec<Obstacle> {
    let Some((first, _)) = sample.first() else { return Vec::new() };
    let of_all = |reason: &str| {
        vec![Obstacle { reason: reason.to_owned(), blocks: sample.len() as u64, example: *first }]
    };
    if state == NodeState::Dead {
        return of_all(
            "the node is dead: its blocks are repaired from their other replicas; when nothing is \
             under-replicated any more, remove the node",
        );
    }
    if inner.workers.settings(WorkerName::Drain).paused {
        return of_all("draining is paused; resume the worker `drain`");
    }
    let mut found: BTreeMap<Hindrance, (u64, BlockId)> = BTreeMap::new();
    let mut soft_state = inner.soft_state();
    let mut view = soft_state.view(&inner.env).clone();
    if let Some(seen) = view.get(node).cloned() {
        view.set(cairn_planner::NodeView { admin_state, ..seen });
    }
    for (block, copies) in sample {
        let seen = soft_state.block_view(*block, copies);
        match obstacle(&view, &seen, &soft_state.copies.in_flight) {
            // These blocks are copied in time, and an operator has nothing to do.
            None | Some(Hindrance::Busy) => {}
            Some(hindrance) => found.entry(hindrance).or_insert((0, *block)).0 += 1,
        }
    }
    found
        .into_iter()
        .map(|(hindrance, (blocks, example))| Obstacle { reason: sentence(&hindrance), blocks, example })
        .collect()
}

fn sentence(hindrance: &Hindrance) -> String {
    match hindrance {
        Hindrance::NoSource => "all nodes that have a replica are dead or stale: bring one of them back".to_owned(),
        Hindrance::OnlyBadSources => {
            "all replicas that can be read are corrupt: bring back a node that has a good one".to_owned()
        }
        Hindrance::NoTarget(none) => no_target(none),
        Hindrance::Busy => "as much as may be is under way at the nodes that could take part".to_owned(),
        Hindrance::Unsure => {
            "there are replicas enough on other nodes, but some of those are stale or in maintenance: it goes on \
             when they are heard of"
                .to_owned()
        }
    }
}

fn no_target(none: &NoTarget) -> String {
    let reasons = [
        (none.holding, "have a replica already"),
        (none.holding_bad, "have a bad replica that must go first"),
        (none.deleting, "are deleting an older copy"),
        (none.dead, "are dead"),
        (none.draining, "are draining"),
        (none.maintenance, "are in maintenance"),
        (none.stale, "are stale"),
        (none.failing, "fail again and again"),
        (none.full, "are full"),
    ];
    let nodes: u32 = reasons.iter().map(|(nodes, _)| nodes).sum();
    let said: Vec<String> = reasons
        .iter()
        .filter(|(nodes, _)| *nodes > 0)
        .map(|(nodes, reason)| format!("{nodes} {reason}"))
        .collect();
    format!(
        "no node can take a further copy: of {nodes} nodes {}; add a node, or return one to service",
        said.join(", ")
    )
}
