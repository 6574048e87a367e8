//! Merges the write-ahead log into the database, outside of commits.
//!
//! By default SQLite merges at the commit that makes the log longer than 1,000 pages, and then at every commit for as
//! long as a reader prevents the log from being restarted. Each merge syncs the log once more, and the database.
//! Overlapping readers may prevent the restart for ever
//! (<https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files>). So the writer does not merge. A task with
//! a connection of its own does, depending on the length of the log:
//!
//! | log | what is done | who waits |
//! |---|---|---|
//! | [`merge`](LogLimits::merge) bytes not merged | merged, as far as no reader needs the log | no mutation |
//! | [`restart`](LogLimits::restart) bytes long | the rest is merged, readers of the moment are waited for, and the log begins anew | the writer, for [`WAIT`] at the most |
//! | [`pay`](LogLimits::pay) bytes long | the same, longer and again and again | the writer, for half of its time |
//!
//! A reader prevents merging beyond its snapshot. If it is still there after the wait, the checkpointer tries again
//! later. So the length of the log is limited by what is written while one reader stays. Beyond `pay` the writer is
//! slowed down and not stopped, because a reader that never ends would stop it for ever.
//!
//! The log's file does not shrink at a restart, because overwriting is cheaper than growing. So the number of pages in
//! the log counts, which SQLite returns (`NOOP`, which reads shared memory only). SQLite cuts a file that is longer
//! than `restart` to that length (`journal_size_limit`).

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

/// How long the writer waits for present readers so that the log can restart. It is longer than nearly all reads.
const WAIT: Duration = Duration::from_millis(50);

/// The same when the log is far too long.
const WAIT_LONG: Duration = Duration::from_secs(1);

/// The first pause after a reader prevented a restart, or an error. Each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. With [`WAIT`] it limits the writer's time for a reader that never ends to a thousandth.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Merges in sequence before a restart. Each merges what was written during the one before, so that little is left for
/// the writer to wait for.
const ROUNDS_MAX: u32 = 8;

/// The size of the header of each page in the log, in bytes (<https://www.sqlite.org/fileformat2.html#walformat>, 4.1).
const FRAME_HEADER: u64 = 24;

/// Limits on the length of the write-ahead log, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct LogLimits {
    /// The number of transactions between two looks at the log.
    pub(in crate::store) transactions: u64,
    /// The log is merged when more than this is not merged.
    pub(in crate::store) merge: u64,
    /// The log is restarted when it is longer than this.
    pub(in crate::store) restart: u64,
    /// The writer is slowed down when the log is longer than this.
    pub(in crate::store) pay: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            // Some MiB at most, because a transaction is limited in time.
            transactions: 16,
            // A tenth of a second of a disk's time.
            merge: 16 << 20,
            // Some seconds of a bulk load, and a small part of a disk for a metanode's database.
            restart: 64 << 20,
            // What a start after a crash reads within seconds.
            pay: 1 << 30,
        }
    }
}

/// The content of the log, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) pages: u64,
    /// The number of pages that are also in the database.
    pub(super) merged: u64,
}

/// Counters of the checkpointer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The content of the log at the last look.
    pub(super) length: Length,
    /// The number of restarts.
    pub(super) restarts: u64,
    /// How often a reader prevented a restart.
    pub(super) busy: u64,
}

/// The writer's handle of the checkpointer's task.
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

    /// The lock that a transaction holds while it is open, and the checkpointer while the writer waits for it. SQLite's
    /// own lock would do, but a waiter polls it, and rarely finds it free beside a busy writer.
    pub(super) fn turns(&self) -> Arc<Mutex<()>> {
        self.turns.clone()
    }

    /// Ends the task, and waits until its connection is closed.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        // An error means that the task panicked, which was logged. Then there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

/// When a failed step is tried again.
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

    /// Sets the shortest pause, independent of the number of failures.
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
    /// The size of a page in the log, in bytes; 0 while it is not known.
    page: u64,
    /// Pauses after errors of the database.
    failures: Backoff,
    /// Pauses after readers that stayed.
    readers: Backoff,
    progress: watch::Sender<Progress>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        // A metanode that was killed may have left a long log.
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

    /// Waits for this many transactions, or until a step is to be tried again. Returns `false` when the writer has
    /// ended.
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

    /// Makes the log restart with the next commit, if readers allow it.
    async fn restart(&mut self, connection: &mut Connection, mut length: Length) -> Result<(), StoreError> {
        // The writer need not wait for what is merged outside of commits, nor for the sync of the database, which
        // SQLite does only when everything is merged.
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

/// The result of a checkpoint.
struct Answer {
    /// Whether readers, or another program, prevented a complete one.
    busy: bool,
    length: Length,
}

/// Runs a checkpoint of SQLite.
async fn checkpoint(connection: &mut Connection, sql: &'static str) -> Result<Answer, StoreError> {
    let row = sqlx::query(sql).fetch_one(connection).await?;
    // The columns: whether it was blocked, pages in the log, pages merged; -1 if not known
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

/// Merges the whole log at the end, when there are no readers any more.
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
