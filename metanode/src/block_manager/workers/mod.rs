//! What happens without being asked. All workers are of one shape: they do their work in short steps,
//! rest when there is none, and say what they are at. They all run in one loop, which pauses and
//! throttles them as operators decide.
//!
//! | module | what is there |
//! |---|---|
//! | `runner` | the loop |
//! | `board`, `throttle` | what operators decided, how fast each may be, and what each is at |
//! | `liveness` | notices what is late: silent nodes, maintenance that is over, copies that were not made |
//! | `removal` | what is left of removed nodes |
//! | `examining` | what those have in common that copy blocks |
//! | `repair`, `scan` | the copies that blocks lack or have too many |
//! | `drain` | the blocks of nodes that are to be emptied |
//! | `balance` | blocks move from full nodes to empty ones |
//! | `placement` | the copies of every block are looked at once in a period |
//! | `garbage`, `leases`, `uploads` | what is given up, and when |

mod balance;
mod control;
mod drain;
mod examining;
mod garbage;
mod leases;
mod liveness;
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

/// Whether a worker has more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Yes.
    More,
    /// Yes, and its rate holds it back.
    Throttled,
    /// Not now: it waits for its next occasion.
    Rest,
}

/// Something that is done in the background, bit by bit.
#[async_trait]
pub(super) trait Worker: Send {
    /// Which one.
    fn name(&self) -> WorkerName;

    /// What it is at, in a few words with numbers.
    fn doing(&self) -> String;

    /// A bit of the work that its rate is not for, such as finding out what there is to do.
    async fn survey(&mut self) -> Result<Progress, StoreError> {
        Ok(Progress::Rest)
    }

    /// Does a bit: some tens of milliseconds at the most, so that others get their turn. It tells
    /// [`Inner::pay`] what counts for its rate.
    async fn step(&mut self) -> Result<Progress, StoreError>;

    /// Waits until there may be something to do.
    async fn wait(&mut self);
}

impl Inner {
    /// A worker did something that counts for its rate: so many bytes, or items.
    pub(super) fn pay(&self, worker: WorkerName, units: u64) {
        self.workers.pay(worker, units, self.env.monotonic());
    }

    /// A worker brought so many items to their end, of so many bytes in all.
    pub(super) fn count(&self, worker: WorkerName, items: u64, bytes: u64) {
        self.workers.count(worker, items, bytes);
    }

    /// Whether a worker has to wait to keep its rate.
    fn is_throttled(&self, worker: WorkerName) -> bool {
        !self.workers.delay(worker, self.env.monotonic()).is_zero()
    }
}

/// All workers, ready to start.
pub(super) fn all(inner: &Arc<Inner>) -> Vec<Runner> {
    let workers: [Box<dyn Worker>; 8] = [
        Box::new(liveness::Liveness::new(inner.clone())),
        Box::new(repair::Repair::new(inner.clone())),
        Box::new(drain::Drain::new(inner.clone())),
        Box::new(balance::Balance::new(inner.clone())),
        Box::new(placement::Placement::new(inner.clone())),
        Box::new(garbage::Garbage::new(inner.clone())),
        Box::new(leases::Leases::new(inner.clone())),
        Box::new(uploads::Uploads::new(inner.clone())),
    ];
    workers.into_iter().map(|worker| Runner::new(inner, worker)).collect()
}

/// Runs all workers until `shutdown`; each ends the step that it is in.
pub(super) async fn run_all(inner: &Arc<Inner>, shutdown: CancellationToken) {
    let workers = all(inner).into_iter().map(|worker| worker.run(shutdown.clone()));
    futures_util::future::join_all(workers).await;
}
