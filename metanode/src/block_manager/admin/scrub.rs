//! The scrubs of all nodes: ordering them, and their progress.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, ScrubStatus, StartScrub, WorkerActivity, WorkerStatus};
use cairn_protocol::cluster::ScrubProgress;
use cairn_protocol::id::NodeId;
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::block_manager::soft_state::SoftState;
use crate::store::settings::{self, Decision};

pub(super) async fn start(inner: &Arc<Inner>, request: StartScrub) -> Result<Vec<ScrubStatus>, AdminError> {
    let _decisions = inner.decisions.write().await;
    let node = request.node;
    if let Some(node) = node.filter(|node| inner.soft_state().nodes.get(*node).is_none()) {
        return Err(AdminError::UnknownNode { node });
    }
    let now = inner.env.wall();
    let decision = node.map_or(Decision::ScrubAll, Decision::Scrub);
    inner.store.write(move |tx| settings::decide(tx, decision, now).boxed()).await?;
    let mut soft_state = inner.soft_state();
    soft_state.scrubs.ask(node, now);
    Ok(statuses(&soft_state, |other| node.is_none_or(|node| node == other)))
}

pub(super) fn all(inner: &Arc<Inner>) -> Vec<ScrubStatus> {
    statuses(&inner.soft_state(), |_| true)
}

fn statuses(soft_state: &SoftState, wanted: impl Fn(NodeId) -> bool) -> Vec<ScrubStatus> {
    let nodes = soft_state.nodes.iter().map(|(node, _)| node).filter(|node| wanted(*node));
    let status = |node| ScrubStatus {
        node,
        progress: soft_state.scrubs.progress(node).cloned(),
        asked_at: soft_state.scrubs.asked_at(node),
    };
    nodes.map(status).collect()
}

/// The status of all nodes' scrubs, as if they were one worker.
pub(super) fn sum_up(inner: &Inner, control: WorkerStatus) -> WorkerStatus {
    let soft_state = inner.soft_state();
    let told: Vec<&ScrubProgress> =
        soft_state.nodes.iter().filter_map(|(node, _)| soft_state.scrubs.progress(node)).collect();
    let sum = |of: fn(&ScrubProgress) -> u64| told.iter().map(|told| of(told)).fold(0, u64::saturating_add);
    let running = told.iter().filter(|told| told.running).count();
    let (blocks, bytes) = (sum(|told| told.blocks), sum(|told| told.bytes));
    let doing = format!(
        "{running} of {} nodes read; {blocks} of {} replicas read in their rounds, {} corrupt",
        told.len(),
        sum(|told| told.blocks_in_all),
        sum(|told| told.corrupt)
    );
    let activity = match control.activity {
        WorkerActivity::Paused => WorkerActivity::Paused,
        _ if running > 0 => WorkerActivity::Working,
        _ => WorkerActivity::Resting,
    };
    WorkerStatus { activity, doing, done: blocks, bytes, ..control }
}
