//! Background workers. All work in short steps, rest when there is nothing to do, and have a status. One loop runs each
//! of them, and pauses and throttles it as operators decide.
//!
//! | module | contents |
//! |---|---|
//! | `runner` | the loop |
//! | `control`, `throttle` | the decisions of operators, the rate of each worker, and its status |
//! | `liveness` | nodes without contact, maintenance that has ended, copies that are late; writes cluster time |
//! | `removal` | deletes the rows of removed nodes |
//! | `examining` | examining a block and ordering its copies: used by repair and drain |
//! | `repair`, `scan` | make replicas of under-replicated blocks, and drop those of over-replicated ones |
//! | `drain` | copies all blocks off draining nodes |
//! | `balance` | moves replicas from full nodes to empty ones |
//! | `pack` | moves small objects together into packs |
//! | `placement` | examines every block once in a period |
//! | `lifecycle` | does what lifecycle rules want |
//! | `garbage`, `leases`, `uploads` | delete retired versions after the grace period, blocks whose lease ended without a commit, and old uploads |

mod balance;
mod control;
mod drain;
mod examining;
mod garbage;
mod leases;
mod lifecycle;
mod liveness;
pub(super) mod pack;
mod placement;
mod removal;
mod repair;
mod runner;
mod scan;
mod throttle;
mod uploads;

pub(super) use self::control::WorkerControl;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_protocol::admin::WorkerName;
use tokio_util::sync::CancellationToken;

pub(super) use self::runner::Runner;
use super::Inner;
use crate::store::StoreError;

/// The result of a step: whether the worker has more to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has more to do.
    More,
    /// It has more to do, but has used up its rate.
    Throttled,
    /// It has nothing to do, and waits until there may be work.
    Rest,
}

/// A background worker.
#[async_trait]
pub(super) trait Worker: Send {
    /// The worker's name.
    fn name(&self) -> WorkerName;

    /// Its status for operators: a few words with numbers.
    fn doing(&self) -> String;

    /// A step of work that its rate does not limit, such as a scan for work.
    async fn survey(&mut self) -> Result<Progress, StoreError> {
        Ok(Progress::Rest)
    }

    /// A step of work: at most some tens of milliseconds, so that other workers get their turn. The worker passes what
    /// counts for its rate to [`Inner::pay`].
    async fn step(&mut self) -> Result<Progress, StoreError>;

    /// Waits until there may be work.
    async fn wait(&mut self);
}

impl Inner {
    /// Counts bytes or items of a worker for its rate.
    pub(super) fn pay(&self, worker: WorkerName, units: u64) {
        self.workers.pay(worker, units, self.env.monotonic());
    }

    /// Counts items that a worker has finished, and their bytes, for its status.
    pub(super) fn count(&self, worker: WorkerName, items: u64, bytes: u64) {
        self.workers.count(worker, items, bytes);
    }

    /// Whether a worker has used up its rate.
    fn is_throttled(&self, worker: WorkerName) -> bool {
        !self.workers.delay(worker, self.env.monotonic()).is_zero()
    }
}

/// All workers, ready to start.
pub(super) fn all(inner: &Arc<Inner>) -> Vec<Runner> {
    let workers: [Box<dyn Worker>; 10] = [
        Box::new(liveness::Liveness::new(inner.clone())),
        Box::new(repair::Repair::new(inner.clone())),
        Box::new(drain::Drain::new(inner.clone())),
        Box::new(balance::Balance::new(inner.clone())),
        Box::new(pack::Pack::new(inner.clone())),
        Box::new(placement::Placement::new(inner.clone())),
        Box::new(garbage::Garbage::new(inner.clone())),
        Box::new(leases::Leases::new(inner.clone())),
        Box::new(uploads::Uploads::new(inner.clone())),
        Box::new(lifecycle::Lifecycle::new(inner.clone())),
    ];
    workers.into_iter().map(|worker| Runner::new(inner, worker)).collect()
}

/// Runs all workers until `shutdown`. Each completes its current step.
pub(super) async fn run_all(inner: &Arc<Inner>, shutdown: CancellationToken) {
    let workers = all(inner).into_iter().map(|worker| worker.run(shutdown.clone()));
    futures_util::future::join_all(workers).await;
}
