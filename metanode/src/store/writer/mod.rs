//! Group commit: one task runs all waiting mutations in one transaction, with a savepoint each, commits once, and then
//! replies to all callers. Durability costs one sync of the log per commit, so the cost of each mutation falls with the
//! number that wait.
//!
//! | module | contents |
//! |---|---|
//! | `mutation` | a mutation and its caller |
//! | `lanes` | two queues, clients' before the background's, and the shares that keep the second from waiting for ever |
//! | `batch` | the mutations of one transaction, limited to some milliseconds |
//! | `task` | the task that runs transactions |
//! | `checkpointer` | merging the log into the database, in parallel to commits |
//!
//! **Invariant: within a lane mutations run in the order in which they were sent.** Between the lanes there is no
//! order: mutations that rely on an order must use the same lane.

mod batch;
mod checkpointer;
mod lane;
mod lanes;
#[cfg(test)]
mod log_tests;
mod mutation;
mod task;
#[cfg(test)]
mod tests;

pub(super) use checkpointer::LogLimits;
pub(crate) use lane::Lane;

use cairn_protocol::cluster::Generation;
use cairn_protocol::env::Env;
use cairn_protocol::id::OpeningId;
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::checkpointer::{Checkpointer, Progress};
use self::lanes::{Entrances, Lanes};
use self::mutation::Waiting;
use self::task::{Opening, Task};
use super::hot::Hot;
use super::sql::Options;
use super::{BoxFuture, Connection, StoreError};

/// How the writer's connections are opened.
pub(super) struct Files {
    /// The one that writes.
    pub(super) writers: Options,
    /// The one that merges the log.
    pub(super) checkpointers: Options,
}

/// A handle of the writer's task. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    lanes: Entrances,
    opening: Opening,
    ended: watch::Receiver<u64>,
    generation: watch::Receiver<Option<Generation>>,
    #[cfg(test)]
    log: watch::Receiver<Progress>,
}

impl Writer {
    /// Starts the writer on `connection`, in a thread of its own: statements block it. After a failure it opens another one. What it
    /// changes it drops from `hot`.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(super) fn start(
        connection: Connection,
        files: Files,
        hot: Hot,
        env: Env,
        limits: LogLimits,
    ) -> Result<Self, StoreError> {
        let (lanes, waiting) = Lanes::new();
        let (ending, ended) = watch::channel(0);
        let (advancing, generation) = watch::channel(None);
        let progress = watch::Sender::new(Progress::default());
        #[cfg(test)]
        let log = progress.subscribe();
        let checkpointer =
            Checkpointer::start(files.checkpointers, limits, env.clone(), ended.clone(), progress)?;
        let opening = Opening::default();
        let task = Task {
            connection: Some(connection),
            options: files.writers,
            hot,
            lanes: waiting,
            env,
            opening: opening.clone(),
            ended: ending,
            generation: advancing,
            checkpointer,
        };
        // What mutations and their outcomes begin runs in the runtime of the process.
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("cairn-writer".to_owned());
        thread.spawn(move || runtime.block_on(task.run())).map_err(StoreError::thread)?;
        Ok(Self {
            lanes,
            opening,
            ended,
            generation,
            #[cfg(test)]
            log,
        })
    }

    /// Begins an opening: changes from the next transaction on count as made by it.
    pub(super) fn begin_opening(&self, opening: OpeningId) {
        self.opening.begin(opening);
    }

    /// The latest generation that is on stable storage; `None` before the first transaction.
    pub(super) fn generation(&self) -> Option<Generation> {
        *self.generation.borrow()
    }

    /// The number of transactions that have ended, whether they were committed or not.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.clone()
    }

    pub(super) async fn write<T, E, F>(&self, lane: Lane, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write_then(lane, mutation, |outcome| outcome).await
    }

    pub(super) async fn write_then<T, U, E, F, G>(&self, lane: Lane, mutation: F, then: G) -> Result<U, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (waiting, answer) = Waiting::new(mutation, then);
        if !self.lanes.enter(lane, Box::new(waiting)).await {
            return Err(StoreError::Closed.into());
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Waits until the waiting mutations have run and the file is closed.
    pub(super) async fn close(&self) {
        self.lanes.close().await;
    }
}
