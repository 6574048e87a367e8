//! Merging the write-ahead log into the database, beside the commits and not in them.
//!
//! SQLite by itself merges at the commit that makes the log longer than 1,000 pages, and from then on at every commit
//! for as long as a reader keeps the log from being begun anew: each of these syncs the log once more, and the database.
//! Readers that overlap may keep it so for ever
//! (<https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files>). So the writer merges nothing, and a task with a
//! connection of its own does it by the length of the log:
//!
//! | log | what is done | who waits |
//! |---|---|---|
//! | [`merge`](LogLimits::merge) bytes not merged | merged, as far as no reader needs the log | no mutation |
//! | [`restart`](LogLimits::restart) bytes long | the rest is merged, readers of the moment are waited for, and the log begins anew | the writer, for [`WAIT`] at the most |
//! | [`pay`](LogLimits::pay) bytes long | the same, longer and again and again | the writer, for half of its time |
//!
//! A reader holds up the end of the log that is newer than its snapshot. When it is still there after the wait, it is tried again
//! later. So the log's length is bounded by what is written while one reader stays; beyond `pay` the writer is slowed down,
//! and not stopped, for a reader that never ends would stop it for ever.
//!
//! The log's file does not shrink when it begins anew, and should not: to write over it is cheaper than to let it grow. So
//! what counts is how many pages are in it, which SQLite tells (`NOOP`, which looks at shared memory only). A file that has become
//! longer than `restart` is cut to that length by SQLite (`journal_size_limit`).

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::{warn_peer, warn_self};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, Row as _};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::{Connection, Fault, StoreError};

/// How long the writer waits for the readers of the moment, so that the log can begin anew: longer than nearly all reads.
const WAIT: Duration = Duration::from_millis(50);

/// The same when the log is far too long.
const WAIT_LONG: Duration = Duration::from_secs(1);

/// After a reader stayed, or an error, it is tried again so much later, and twice as much each further time.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. With [`WAIT`] it keeps what a reader that never ends costs the writer below a thousandth.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Merges one after another, each of what was written during the one before, that leave little for the writer to wait for.
const ROUNDS_MAX: u32 = 8;

/// What SQLite adds to each page in the log, in bytes (<https://www.sqlite.org/fileformat2.html#walformat>, 4.1).
const FRAME_HEADER: u64 = 24;

/// How long the write-ahead log may get, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct LogLimits {
    /// Transactions between two looks at the log.
    pub(in crate::store) transactions: u64,
    /// Above so much that is not merged, it is merged.
    pub(in crate::store) merge: u64,
    /// Above so much it is to begin anew.
    pub(in crate::store) restart: u64,
    /// Above so much the writer pays.
    pub(in crate::store) pay: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            // Some MiB at the most, for a transaction is closed by the time that it takes.
            transactions: 16,
            // A tenth of a second of a disk's time.
            merge: 16 << 20,
            // Seconds of a bulk load, and nothing on a disk that holds a metanode's database.
            restart: 64 << 20,
            // What a start after a crash reads in seconds.
            pay: 1 << 30,
        }
    }
}

/// What is in the log, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) pages: u64,
    /// How many of them are in the database too.
    pub(super) merged: u64,
}

/// What the checkpointer did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The log when it was looked at last.
    pub(super) length: Length,
    /// How often it began anew.
    pub(super) restarts: u64,
    /// How often a reader kept it from that.
    pub(super) busy: u64,
}

/// The writer's hold on the task that merges.
pub(super) struct Checkpointer {
    turns: Arc<Mutex<()>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts the task. `ended` counts transactions.
    pub(super) fn start(
        options: SqliteConnectOptions,
        limits: LogLimits,
        env: Env,
        ended: watch::Receiver<u64>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let (turns, stop) = (Arc::<Mutex<()>>::default(), CancellationToken::new());
        let task = Task {
            connection: None,
            options,
            limits,
            env,
            ended,
            turns: turns.clone(),
            page: 0,
            failures: Backoff::default(),
            readers: Backoff::default(),
            progress,
        };
        let task = tokio::spawn(task.run(stop.clone()));
        Self { turns, stop, task }
    }

    /// Held by a transaction while it is open, and by the checkpointer while it has the writer wait. SQLite's own lock
    /// would do, but who waits for it looks again and again, and hardly ever finds it free beside a busy writer.
    pub(super) fn turns(&self) -> Arc<Mutex<()>> {
        self.turns.clone()
    }

    /// Ends the task, and waits until its connection is closed.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        // An error means that it panicked, which was logged; then there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

/// When something that failed is tried again.
#[derive(Debug, Default)]
struct Backoff {
    until: Option<Duration>,
    pause: Duration,
}

impl Backoff {
    fn is_over(&self, now: Duration) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    fn extend(&mut self, now: Duration) {
        self.pause = (self.pause * 2).clamp(PAUSE, PAUSE_MAX);
        self.until = Some(now + self.pause);
    }

    /// It is tried again soon, however often it failed.
    fn extend_a_little(&mut self, now: Duration) {
        self.until = Some(now + PAUSE);
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

struct Task {
    connection: Option<Connection>,
    options: SqliteConnectOptions,
    limits: LogLimits,
    env: Env,
    ended: watch::Receiver<u64>,
    turns: Arc<Mutex<()>>,
    /// Bytes of a page in the log; 0 while they are not known.
    page: u64,
    /// The database could not be written.
    failures: Backoff,
    /// A reader stayed.
    readers: Backoff,
    progress: watch::Sender<Progress>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        // A metanode that ended at once may have left a long log.
        while !stop.is_cancelled() {
            let seen = *self.ended.borrow();
            self.look_unless_failing().await;
            if !self.wait(&stop, seen + self.limits.transactions).await {
                break;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::info!(%error, "the checkpointer's connection was not closed cleanly");
        }
    }

    /// Waits for so many transactions, or until something is to be tried again. `false` when there is nothing to wait for.
    async fn wait(&mut self, stop: &CancellationToken, transactions: u64) -> bool {
        let now = self.env.monotonic();
        let (env, until) = (self.env.clone(), self.failures.until.or(self.readers.until));
        let again = async move {
            match until {
                Some(until) => env.sleep(until.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => false,
            ended = self.ended.wait_for(|ended| *ended >= transactions) => ended.is_ok(),
            () = again => true,
        }
    }

    async fn look_unless_failing(&mut self) {
        if !self.failures.is_over(self.env.monotonic()) {
            return;
        }
        match self.look().await {
            Ok(()) => self.failures.end(),
            Err(error) => {
                match error.fault() {
                    Fault::Shortage => warn_peer!(%error, "the log could not be merged into the database"),
                    Fault::Own => warn_self!(%error, "the log could not be merged into the database"),
                }
                self.connection = None;
                self.failures.extend(self.env.monotonic());
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut length = checkpoint(&mut connection, "PRAGMA wal_checkpoint(NOOP)").await?.length;
        if self.bytes(length.pages.saturating_sub(length.merged)) > self.limits.merge {
            length = checkpoint(&mut connection, "PRAGMA wal_checkpoint(PASSIVE)").await?.length;
        }
        self.progress.send_modify(|progress| progress.length = length);
        if self.bytes(length.pages) <= self.limits.restart {
            self.readers.end();
        } else if self.readers.is_over(self.env.monotonic()) {
            self.restart(&mut connection, length).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self) -> Result<Connection, StoreError> {
        let mut connection = self.options.connect().await?;
        let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await?;
        self.page = u64::try_from(page).unwrap_or_default() + FRAME_HEADER;
        Ok(connection)
    }

    fn bytes(&self, pages: u64) -> u64 {
        pages.saturating_mul(self.page)
    }

    /// Has the log begin anew with the next commit, if readers let it.
    async fn restart(&mut self, connection: &mut Connection, mut length: Length) -> Result<(), StoreError> {
        // What is merged beside the commits, the writer need not wait for; nor for the sync of the database, which SQLite
        // leaves out unless everything is merged.
        for _ in 0..ROUNDS_MAX {
            if length.merged >= length.pages {
                break;
            }
            checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
            let before = std::mem::replace(
                &mut length,
                checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?.length,
            );
            if length.merged <= before.merged {
                break;
            }
        }
        let pays = self.bytes(length.pages) > self.limits.pay;
        set_timeout(connection, if pays { WAIT_LONG } else { WAIT }).await?;
        let done = {
            let _turn = self.turns.lock().await;
            checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)").await?
        };
        let now = self.env.monotonic();
        if !done.busy {
            self.readers.end();
            self.progress.send_modify(|progress| progress.restarts += 1);
            return Ok(());
        }
        let (pages, merged) = (done.length.pages, done.length.merged);
        if pays {
            self.readers.extend_a_little(now);
            warn_peer!(
                pages,
                merged,
                "the log is far too long, for somebody has been reading for a long time"
            );
        } else {
            self.readers.extend(now);
            tracing::info!(pages, merged, "the log goes on, for somebody reads; it is tried again later");
        }
        self.progress.send_modify(|progress| progress.busy += 1);
        Ok(())
    }
}

/// What a checkpoint answers.
struct Answer {
    /// Readers, or another program, kept it from being complete.
    busy: bool,
    length: Length,
}

/// Runs one of SQLite's checkpoints.
async fn checkpoint(connection: &mut Connection, sql: &'static str) -> Result<Answer, StoreError> {
    let row = sqlx::query(sql).fetch_one(connection).await?;
    // Columns: whether it was blocked, pages in the log, pages merged; -1 for what is not known
    // (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
    let count = |column: i64| u64::try_from(column).unwrap_or_default();
    let length = Length { pages: count(row.try_get(1)?), merged: count(row.try_get(2)?) };
    Ok(Answer { busy: row.try_get::<i64, _>(0)? != 0, length })
}

async fn set_timeout(connection: &mut Connection, timeout: Duration) -> Result<(), StoreError> {
    let sql = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {}", timeout.as_millis()));
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// Merges the whole log, at the end, when there are no readers any more.
pub(super) async fn merge_all(connection: &mut Connection) {
    match checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await {
        Ok(Answer { busy: false, .. }) => {}
        Ok(Answer { busy: true, length }) => {
            tracing::info!(
                ?length,
                "the log was not merged into the database, for somebody reads; the next start does it"
            );
        }
        Err(error) => {
            tracing::info!(%error, "the log was not merged into the database; the next start does it");
        }
    }
}
