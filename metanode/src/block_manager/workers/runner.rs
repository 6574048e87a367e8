//! The loop in which every worker runs. It pauses and throttles the worker, and records its status.

use std::sync::Arc;

use cairn_protocol::admin::{WorkerActivity, WorkerName};
use cairn_protocol::{warn_peer, warn_self};
use tokio_util::sync::CancellationToken;

use super::{Progress, Worker};
use crate::block_manager::Inner;
use crate::store::{Fault, StoreError};

/// A worker in its loop.
pub(in crate::block_manager) struct Runner {
    worker: Box<dyn Worker>,
    inner: Arc<Inner>,
    last_logged: String,
}

impl Runner {
    pub(super) fn new(inner: &Arc<Inner>, worker: Box<dyn Worker>) -> Self {
        Self { worker, inner: inner.clone(), last_logged: String::new() }
    }

    pub(in crate::block_manager) fn name(&self) -> WorkerName {
        self.worker.name()
    }

    fn is_paused(&self) -> bool {
        self.inner.workers.settings(self.name()).paused
    }

    /// Runs a step of the worker, unless it is paused or has used up its rate.
    pub(in crate::block_manager) async fn step(&mut self) -> Result<Progress, StoreError> {
        if self.is_paused() {
            return Ok(Progress::Rest);
        }
        let result = self.turn().await;
        let (activity, error) = match &result {
            Ok(Progress::More) => (WorkerActivity::Working, None),
            Ok(Progress::Throttled) => (WorkerActivity::Throttled, None),
            Ok(Progress::Rest) => (WorkerActivity::Resting, None),
            Err(error) => (WorkerActivity::Failing, Some(error.to_string())),
        };
        let doing = self.worker.doing();
        if doing != self.last_logged {
            tracing::debug!(worker = %self.name(), doing, "a worker goes on");
            self.last_logged.clone_from(&doing);
        }
        self.inner.workers.record(self.name(), activity, doing, error);
        result
    }

    async fn turn(&mut self) -> Result<Progress, StoreError> {
        if self.worker.survey().await? == Progress::More {
            return Ok(Progress::More);
        }
        if !self.inner.workers.delay(self.name(), self.inner.env.monotonic()).is_zero() {
            return Ok(Progress::Throttled);
        }
        self.worker.step().await
    }

    /// Waits until the worker has something to do, its rate allows more, or an operator changes its settings.
    pub(in crate::block_manager) async fn wait(&mut self) {
        let name = self.name();
        if self.is_paused() {
            return self.inner.workers.changed(name).await;
        }
        let delay = self.inner.workers.delay(name, self.inner.env.monotonic());
        tokio::select! {
            () = self.worker.wait() => {}
            () = self.inner.workers.changed(name) => {}
            () = self.inner.env.sleep(delay), if !delay.is_zero() => {}
        }
    }

    /// Runs until `shutdown`, and completes the current step.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let inner = self.inner.clone();
        while !shutdown.is_cancelled() {
            let result = self.step().await;
            let name = self.name();
            let rest = async {
                match result {
                    // Other tasks that are ready get their turn between two steps.
                    Ok(Progress::More) => tokio::task::yield_now().await,
                    Ok(Progress::Rest | Progress::Throttled) => self.wait().await,
                    Err(_) if shutdown.is_cancelled() => {}
                    Err(error) => {
                        match error.fault() {
                            Fault::Shortage => {
                                warn_peer!(worker = %name, %error, "a worker waits until it can go on");
                            }
                            Fault::Own => {
                                warn_self!(worker = %name, %error, "a worker could not go on; it tries again");
                            }
                        }
                        inner.env.sleep(inner.config.worker_interval).await;
                    }
                }
            };
            tokio::select! {
                () = rest => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}
