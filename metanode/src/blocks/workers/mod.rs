//! What happens without being asked. All workers are of one shape: they do their work in short
//! steps, rest when there is none, and say what they are at.

mod garbage;
mod leases;
mod liveness;
mod repair;
mod scan;
mod throttle;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::env::Env;
use cairn_protocol::warn_self;
use tokio_util::sync::CancellationToken;

use super::Inner;
use crate::store::StoreError;

/// Whether a worker has more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Yes.
    More,
    /// Not now: it waits for its next occasion.
    Rest,
}

/// Something that is done in the background, bit by bit.
#[async_trait]
pub(super) trait Worker: Send {
    /// Its name, for logs and operators.
    fn name(&self) -> &'static str;

    /// What it is at, in a few words.
    fn status(&self) -> String;

    /// Does a bit: some tens of milliseconds at the most, so that others get their turn.
    async fn step(&mut self) -> Result<Progress, StoreError>;

    /// Waits until there may be something to do.
    async fn wait(&mut self);
}

/// All workers, ready to start.
pub(super) fn all(inner: &Arc<Inner>) -> Vec<Box<dyn Worker>> {
    vec![
        Box::new(liveness::Liveness::new(inner.clone())),
        Box::new(repair::Repair::new(inner.clone())),
        Box::new(garbage::Garbage::new(inner.clone())),
        Box::new(leases::Leases::new(inner.clone())),
        Box::new(uploads::Uploads::new(inner.clone())),
    ]
}

/// Runs all workers until `shutdown`; each ends the step that it is in.
pub(super) async fn run_all(inner: &Arc<Inner>, shutdown: CancellationToken) {
    let workers = all(inner).into_iter().map(|worker| {
        let (inner, shutdown) = (inner.clone(), shutdown.clone());
        run(worker, inner.env.clone(), inner.config.worker_interval, shutdown)
    });
    futures_util::future::join_all(workers).await;
}

async fn run(mut worker: Box<dyn Worker>, env: Env, pause: Duration, shutdown: CancellationToken) {
    let mut told = String::new();
    while !shutdown.is_cancelled() {
        let result = worker.step().await;
        let status = worker.status();
        if status != told {
            tracing::debug!(worker = worker.name(), status, "a worker goes on");
            told = status;
        }
        let rest = async {
            match result {
                // Others that are ready get their turn between two steps.
                Ok(Progress::More) => tokio::task::yield_now().await,
                Ok(Progress::Rest) => worker.wait().await,
                Err(_) if shutdown.is_cancelled() => {}
                Err(error) => {
                    warn_self!(worker = worker.name(), %error, "a worker could not go on; it tries again");
                    env.sleep(pause).await;
                }
            }
        };
        tokio::select! {
            () = rest => {}
            () = shutdown.cancelled() => {}
        }
    }
}
