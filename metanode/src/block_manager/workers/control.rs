//! Worker control: the decisions of operators about each worker, its rate, and its status.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::admin::{WorkerActivity, WorkerName, WorkerSettings, WorkerStatus};
use tokio::sync::Notify;

use super::throttle::Throttle;
use crate::block_manager::BlockManagerConfig;

/// The settings and status of all workers.
#[derive(Debug)]
pub(in crate::block_manager) struct WorkerControl {
    controls: Mutex<BTreeMap<WorkerName, Control>>,
    changed: BTreeMap<WorkerName, Notify>,
}

/// The settings and status of one worker.
#[derive(Debug)]
struct Control {
    settings: WorkerSettings,
    throttle: Throttle,
    activity: WorkerActivity,
    doing: String,
    done: u64,
    bytes: u64,
    error: Option<String>,
}

/// The rate of a worker for which no operator chose one; `None` for no limit.
fn configured(worker: WorkerName, config: &BlockManagerConfig) -> Option<u64> {
    match worker {
        WorkerName::Repair => Some(config.repair_rate),
        WorkerName::Drain => Some(config.drain_rate),
        WorkerName::Balance => Some(config.balance_rate),
        WorkerName::Pack => Some(config.pack_rate),
        // Garbage that is not deleted in time fills the disks, so there is no limit unless an operator sets one. Scrubs
        // have a rate on each datanode.
        WorkerName::Liveness
        | WorkerName::Placement
        | WorkerName::Garbage
        | WorkerName::Leases
        | WorkerName::Uploads
        // Its steps are small, and clients' writes overtake them.
        | WorkerName::Lifecycle
        | WorkerName::Scrub => None,
    }
}

impl WorkerControl {
    /// All workers, with the settings that SQL has at the start.
    pub(in crate::block_manager) fn new(
        decided: Vec<(WorkerName, WorkerSettings)>,
        config: &BlockManagerConfig,
    ) -> Self {
        let mut settings: BTreeMap<_, _> = decided.into_iter().collect();
        let control = |worker: WorkerName| {
            let settings = settings.remove(&worker).unwrap_or_default();
            let throttle = Throttle::new(settings.rate.or(configured(worker, config)));
            let activity = WorkerActivity::Resting;
            (
                worker,
                Control {
                    settings,
                    throttle,
                    activity,
                    doing: String::new(),
                    done: 0,
                    bytes: 0,
                    error: None,
                },
            )
        };
        let controls = Mutex::new(WorkerName::ALL.into_iter().map(control).collect());
        Self { controls, changed: WorkerName::ALL.map(|worker| (worker, Notify::new())).into() }
    }

    fn controls(&self) -> MutexGuard<'_, BTreeMap<WorkerName, Control>> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of a worker.
    pub(in crate::block_manager) fn settings(&self, worker: WorkerName) -> WorkerSettings {
        self.controls().get(&worker).map(|control| control.settings).unwrap_or_default()
    }

    /// Changes the settings of a worker. They take effect at once, even while it waits.
    pub(in crate::block_manager) fn decide(
        &self,
        worker: WorkerName,
        settings: WorkerSettings,
        config: &BlockManagerConfig,
        now: Duration,
    ) {
        if let Some(control) = self.controls().get_mut(&worker) {
            control.settings = settings;
            control.throttle.set_rate(settings.rate.or(configured(worker, config)), now);
        }
        if let Some(changed) = self.changed.get(&worker) {
            changed.notify_one();
        }
    }

    /// Waits until the settings of a worker are changed.
    pub(super) async fn changed(&self, worker: WorkerName) {
        match self.changed.get(&worker) {
            Some(changed) => changed.notified().await,
            None => std::future::pending().await,
        }
    }

    /// How long a worker has to wait for its rate.
    pub(super) fn delay(&self, worker: WorkerName, now: Duration) -> Duration {
        self.controls().get(&worker).map(|control| control.throttle.delay(now)).unwrap_or_default()
    }

    /// Counts bytes or items of a worker for its rate.
    pub(super) fn pay(&self, worker: WorkerName, units: u64, now: Duration) {
        if let Some(control) = self.controls().get_mut(&worker) {
            control.throttle.take(units, now);
        }
    }

    /// Counts items that a worker has finished, and their bytes.
    pub(super) fn count(&self, worker: WorkerName, items: u64, bytes: u64) {
        if let Some(control) = self.controls().get_mut(&worker) {
            control.done = control.done.saturating_add(items);
            control.bytes = control.bytes.saturating_add(bytes);
        }
    }

    /// Records the status of a worker.
    pub(super) fn record(
        &self,
        worker: WorkerName,
        activity: WorkerActivity,
        doing: String,
        error: Option<String>,
    ) {
        if let Some(control) = self.controls().get_mut(&worker) {
            control.activity = activity;
            control.doing = doing;
            control.error = error;
        }
    }

    /// The status of a worker.
    pub(in crate::block_manager) fn status(&self, worker: WorkerName) -> Option<WorkerStatus> {
        self.controls().get(&worker).map(|control| control.status(worker))
    }
}

impl Control {
    fn status(&self, worker: WorkerName) -> WorkerStatus {
        WorkerStatus {
            worker,
            settings: self.settings,
            rate: self.throttle.rate(),
            activity: if self.settings.paused { WorkerActivity::Paused } else { self.activity },
            doing: self.doing.clone(),
            done: self.done,
            bytes: self.bytes,
            error: self.error.clone(),
        }
    }
}
