//! The settings and the status of the background workers.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, SetWorker, WorkerName, WorkerSettings, WorkerStatus};
use cairn_protocol::event::EventKind;
use futures_util::FutureExt;

use super::scrub;
use crate::block_manager::Inner;
use crate::store::settings::{self, Decision};

pub(super) async fn set(inner: &Arc<Inner>, request: SetWorker) -> Result<WorkerStatus, AdminError> {
    check(&request)?;
    let worker = request.worker;
    let _decisions = inner.decisions.write().await;
    let before = inner.workers.settings(worker);
    let settings = WorkerSettings {
        paused: request.paused.unwrap_or(before.paused),
        rate: request.rate.unwrap_or(before.rate),
    };
    decide(inner, worker, settings).await?;
    status(inner, worker)
}

fn check(request: &SetWorker) -> Result<(), AdminError> {
    let refused = |reason: &str| Err(AdminError::Refused { reason: reason.to_owned() });
    if request.worker == WorkerName::Liveness {
        return refused("liveness is what all others rely on: it has no rate, and cannot be paused");
    }
    if request.rate == Some(Some(0)) {
        return refused("with a rate of 0 the worker would never end anything; pause it instead");
    }
    Ok(())
}

/// Writes the settings of a worker to SQL, and applies them at once.
pub(super) async fn decide(
    inner: &Inner,
    worker: WorkerName,
    settings: WorkerSettings,
) -> Result<(), AdminError> {
    let decision = Decision::Worker(worker);
    inner.store.write(move |tx| settings::decide(tx, decision, settings).boxed()).await?;
    inner.workers.decide(worker, settings, &inner.config, inner.env.monotonic());
    tracing::info!(%worker, paused = settings.paused, rate = settings.rate, "an operator decided about a worker");
    inner.events.publish(EventKind::WorkerChanged { worker, settings });
    Ok(())
}

pub(super) fn status(inner: &Inner, worker: WorkerName) -> Result<WorkerStatus, AdminError> {
    let status = inner.workers.status(worker).ok_or(AdminError::Internal)?;
    Ok(if worker == WorkerName::Scrub { scrub::sum_up(inner, status) } else { status })
}

/// The status of all workers.
pub(super) fn all(inner: &Inner) -> Vec<WorkerStatus> {
    WorkerName::ALL.into_iter().filter_map(|worker| status(inner, worker).ok()).collect()
}
