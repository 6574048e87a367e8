//! Group commit: one task takes all mutations that wait, runs them in one transaction with a
//! savepoint each, commits once, and then answers all. Durability costs one sync of the log per
//! commit, so the more wait, the less each pays.

use std::panic::AssertUnwindSafe;

use cairn_protocol::cluster::Generation;
use cairn_protocol::id::OpeningId;
use cairn_protocol::{warn_peer, warn_self};
use futures_util::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument;

use super::{BoxFuture, Connection, Fault, StoreError, generations};

/// Mutations that may wait. Further callers wait for a place, which holds back who sends to them.
const QUEUE_MAX: usize = 1024;

/// Mutations in one transaction. It bounds how long the first one waits for the last one.
const BATCH_MAX: usize = 256;

/// How long the write-ahead log may get. SQLite starts it again from the beginning when no reader
/// needs it, and with readers coming and going all the time that moment may never come by itself
/// (<https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files>).
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// Transactions between two looks at the log.
    pub(super) transactions: u32,
    /// Pages (4 KiB) above which the writer waits for the readers of the moment and empties it.
    pub(super) pages: i64,
}

impl Default for LogLimits {
    fn default() -> Self {
        // 64 MiB: seconds of a bulk load, and nothing on a disk that holds a metanode's database.
        Self { transactions: 1000, pages: 16_384 }
    }
}

/// The way to the writer's task. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    ended: watch::Receiver<u64>,
    generation: watch::Receiver<Option<Generation>>,
}

enum Message {
    Begin(OpeningId),
    Mutate(Box<dyn Mutation>),
    Close(oneshot::Sender<()>),
}

/// A mutation whose caller waits.
trait Mutation: Send {
    /// Runs it, keeps its outcome, and says whether its changes are to be kept.
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool>;

    /// Answers the caller, after the transaction ended so.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);

    /// Answers the caller with the mutation's own error, which made the transaction fail.
    fn answer_own(self: Box<Self>);
}

struct Waiting<F, T, E> {
    mutation: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    /// The caller's span, so that what is logged here carries its request's id.
    span: tracing::Span,
}

impl<T, E, F> Mutation for Waiting<F, T, E>
where
    F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run<'t>(&'t mut self, transaction: &'t mut Connection) -> BoxFuture<'t, bool> {
        let span = self.span.clone();
        async move {
            let Some(mutation) = self.mutation.take() else { return false };
            // A panic ends one mutation and not the writer: its savepoint is rolled back.
            let run = AssertUnwindSafe(async move { mutation(transaction).await }).catch_unwind();
            let outcome = run.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        }
        .instrument(span)
        .boxed()
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let answer = match (commit, self.outcome) {
            // A refusal may rest on what a neighbour changed, so it too stands and falls with the commit.
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::TransactionLost.into()),
            (Err(error), _) => self.span.in_scope(|| Err(error.into())),
        };
        // A caller that went away does not want the answer.
        let _ = self.reply.send(answer);
    }

    fn answer_own(self: Box<Self>) {
        self.answer(Ok(()));
    }
}

/// Why a transaction failed.
#[derive(Debug)]
struct Failure {
    error: StoreError,
    /// Whose error took the whole transaction with it: its place in the batch.
    culprit: Option<usize>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, culprit: None }
    }
}

impl Writer {
    /// Starts the writer's task on `connection`; after a failure it opens another one by `options`.
    pub(super) fn start(connection: Connection, options: SqliteConnectOptions, log: LogLimits) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let (ending, ended) = watch::channel(0);
        let (advancing, generation) = watch::channel(None);
        let task = Task {
            connection: Some(connection),
            options,
            queue: waiting,
            log,
            transactions: 0,
            ended: ending,
            opening: None,
            generation: advancing,
        };
        tokio::spawn(task.run());
        Self { queue, ended, generation }
    }

    /// Changes count as made by this start of the metanode from the next transaction on.
    pub(super) async fn begin_opening(&self, opening: OpeningId) {
        // An error means that the writer is closed, and then nothing changes any more.
        let _ = self.queue.send(Message::Begin(opening)).await;
    }

    /// The latest generation that is on stable storage; none before the first transaction.
    pub(super) fn generation(&self) -> Option<Generation> {
        *self.generation.borrow()
    }

    /// How many transactions have ended, well or not.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.clone()
    }

    pub(super) async fn write<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let span = tracing::Span::current();
        let waiting = Waiting { mutation: Some(mutation), outcome: None, reply, span };
        self.queue.send(Message::Mutate(Box::new(waiting))).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Waits until everything that waited is done and the file is closed.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            // An error means that the task ended, which is what was wanted.
            let _ = closed.await;
        }
    }
}

struct Task {
    connection: Option<Connection>,
    options: SqliteConnectOptions,
    queue: mpsc::Receiver<Message>,
    log: LogLimits,
    /// Since the last look at the log.
    transactions: u32,
    ended: watch::Sender<u64>,
    /// A start of the metanode that is not written down yet.
    opening: Option<OpeningId>,
    generation: watch::Sender<Option<Generation>>,
}

impl Task {
    async fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        let mut close = None;
        while close.is_none() && self.queue.recv_many(&mut messages, BATCH_MAX).await > 0 {
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    // What comes behind a close is dropped, which tells its callers.
                    Message::Mutate(mutation) if close.is_none() => batch.push(mutation),
                    Message::Mutate(_) => {}
                    Message::Begin(opening) => self.opening = Some(opening),
                    Message::Close(reply) => close = close.or(Some(reply)),
                }
            }
            self.do_batch(batch).await;
        }
        self.finish().await;
        if let Some(reply) = close {
            let _ = reply.send(());
        }
    }

    async fn do_batch(&mut self, mut batch: Vec<Box<dyn Mutation>>) {
        if batch.is_empty() {
            return;
        }
        let (result, culprit) = match self.commit(&mut batch).await {
            Ok(()) => (Ok(()), None),
            Err(Failure { error, culprit }) => (Err(error), culprit),
        };
        self.ended.send_modify(|ended| *ended += 1);
        for (place, mutation) in batch.into_iter().enumerate() {
            if culprit == Some(place) {
                mutation.answer_own();
            } else {
                mutation.answer(result.clone());
            }
        }
        self.bound_log().await;
    }

    /// Empties the log when it has become too long. Nobody waits for this but those who come next.
    async fn bound_log(&mut self) {
        self.transactions += 1;
        let Some(connection) = &mut self.connection else { return };
        if self.transactions < self.log.transactions {
            return;
        }
        self.transactions = 0;
        let pages = match log_pages(connection).await {
            Ok(pages) => pages,
            Err(error) => return warn_self!(%error, "the log's length is not known"),
        };
        if pages > self.log.pages
            && let Err(error) = execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await
        {
            tracing::info!(%error, pages, "the log could not be emptied; tried again later");
        }
    }

    /// Runs all in one transaction and commits it.
    async fn commit(&mut self, batch: &mut [Box<dyn Mutation>]) -> Result<(), Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(StoreError::from)?,
        };
        let result = transaction(&mut connection, self.opening, batch).await;
        let result = result.map(|generation| {
            self.opening = None;
            self.generation.send_replace(generation);
        });
        if let Err(Failure { error, .. }) = &result {
            match error.fault() {
                // Nothing was done, and everybody is told so.
                Fault::Shortage => warn_peer!(%error, mutations = batch.len(), "a transaction failed"),
                Fault::Own => warn_self!(%error, mutations = batch.len(), "a transaction failed"),
            }
            // When even the rollback fails (SQLite may have done it by itself), the connection's
            // state is not known: dropping it rolls back whatever is open.
            if execute(&mut connection, "ROLLBACK").await.is_err() {
                return result;
            }
        }
        self.connection = Some(connection);
        result
    }

    async fn finish(self) {
        let Some(mut connection) = self.connection else { return };
        if let Err(error) = execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await {
            tracing::info!(%error, "the log was not merged into the database; the next start does it");
        }
        if let Err(error) = connection.close().await {
            tracing::info!(%error, "the database was not closed cleanly; nothing is lost by it");
        }
    }
}

/// Answers the generation of the database that the transaction leaves.
async fn transaction(
    connection: &mut Connection,
    opening: Option<OpeningId>,
    batch: &mut [Box<dyn Mutation>],
) -> Result<Option<Generation>, Failure> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    if let Some(opening) = opening {
        generations::open(connection, opening).await?;
    }
    for (place, mutation) in batch.iter_mut().enumerate() {
        execute(connection, "SAVEPOINT mutation").await?;
        if !mutation.run(connection).await {
            // Some errors (a full disk, an IO error) make SQLite roll back everything at once
            // (https://www.sqlite.org/lang_transaction.html, 3.1): then there is no savepoint any more.
            execute(connection, "ROLLBACK TO mutation")
                .await
                .map_err(|_| Failure { error: StoreError::TransactionLost, culprit: Some(place) })?;
        }
        execute(connection, "RELEASE mutation").await?;
    }
    let generation = generations::latest(connection).await?;
    execute(connection, "COMMIT").await?;
    Ok(generation)
}

/// How many pages the log has, after everything that can be was merged into the database.
async fn log_pages(connection: &mut Connection) -> Result<i64, StoreError> {
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?;
    // Columns: whether it was blocked, pages in the log, pages merged
    // (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
    Ok(row.try_get(1)?)
}

async fn execute(connection: &mut Connection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}
