//! Merging the write-ahead log into the database, in parallel to commits.
//!
//! By default SQLite merges in the commit that makes the log longer than 1,000 pages. While a reader keeps the log from
//! restarting, it then merges in every commit, and each of these syncs the log once more, and the database. Readers
//! that overlap can keep it so for ever (<https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files>). The
//! writer therefore never merges. A thread with its own connection does, depending on the length of the log:
//!
//! | log | action | who waits |
//! |---|---|---|
//! | [`merge`](LogLimits::merge) bytes not merged | merge as far as no reader needs the log | no mutation |
//! | [`restart`](LogLimits::restart) bytes long | merge the rest, wait for current readers, restart the log | the writer, for [`WAIT`] at most |
//! | [`pay`](LogLimits::pay) bytes long | the same with a longer wait, and without growing pauses | the writer, for half of its time |
//!
//! A reader holds up the part of the log that is newer than its snapshot. If it is still there after the wait, the thread
//! tries again later. The log's length is thus bounded by what is written while one reader stays. Beyond `pay` the
//! writer is slowed down but not stopped, because a reader that never ends would stop it for ever.
//!
//! The log's file does not shrink when the log restarts, and should not: overwriting a file is cheaper than letting it
//! grow. What counts is therefore the number of pages in the log, which the `NOOP` checkpoint returns from shared
//! memory. SQLite truncates a file that is longer than `restart` to that length (`journal_size_limit`).

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::{warn_peer, warn_self};
use tokio::sync::{Mutex, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::store::sql::Options;
use crate::store::{Connection, Fault, StoreError, sql};

/// How long the writer waits for current readers, so that the log can restart. Nearly all reads are shorter.
const WAIT: Duration = Duration::from_millis(50);

/// The wait when the log is longer than [`pay`](LogLimits::pay).
const WAIT_LONG: Duration = Duration::from_secs(1);

/// The pause after a reader held up the log, or after an error. It doubles with each further failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. With [`WAIT`] it keeps the writer's loss to a reader that never ends below a thousandth of its
/// time.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Upper limit of merges that run before the writer has to wait. Each merges what was written during the one before.
const ROUNDS_MAX: u32 = 8;

/// The size of the header of each page in the log, in bytes (<https://www.sqlite.org/fileformat2.html#walformat>, 4.1).
const FRAME_HEADER: u64 = 24;

/// Limits of the write-ahead log's length, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct LogLimits {
    /// Transactions between two checks of the log's length.
    pub(in crate::store) transactions: u64,
    /// The log is merged when more than this is not merged.
    pub(in crate::store) merge: u64,
    /// The log restarts when it is longer than this.
    pub(in crate::store) restart: u64,
    /// The writer is slowed down when the log is longer than this.
    pub(in crate::store) pay: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            // At most some MiB of log, because the time of a transaction is limited.
            transactions: 16,
            // A disk merges this in a tenth of a second.
            merge: 16 << 20,
            // A bulk load writes this in seconds, and it is little space beside a metanode's database.
            restart: 64 << 20,
            // A start after a crash reads this in seconds.
            pay: 1 << 30,
        }
    }
}

/// The length of the log, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) pages: u64,
    /// How many of them are merged into the database.
    pub(super) merged: u64,
}

/// Counters of the checkpointer, for tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The log's length at the last check.
    pub(super) length: Length,
    /// How often the log restarted.
    pub(super) restarts: u64,
    /// How often a reader prevented that.
    pub(super) busy: u64,
}

/// The writer's handle of the thread that merges.
pub(super) struct Checkpointer {
    turns: Arc<Mutex<()>>,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Checkpointer {
    /// Starts the thread. `ended` is the number of transactions that have ended.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(super) fn start(
        options: Options,
        limits: LogLimits,
        env: Env,
        ended: watch::Receiver<u64>,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, StoreError> {
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
            ready: None,
            progress,
        };
        // Its timers must work until it ends, which may be after the runtime of the process was shut down.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(StoreError::thread)?;
        let (ending, ended) = oneshot::channel();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("cairn-checkpoints".to_owned()).spawn(move || {
            runtime.block_on(task.run(stopped));
            // Nobody may wait for it.
            let _ = ending.send(());
        });
        thread.map_err(StoreError::thread)?;
        Ok(Self { turns, stop, ended })
    }

    /// The lock that a transaction holds while it is open, and the checkpointer while it makes the writer wait.
    /// SQLite's own lock would not do: its waiters poll, and beside a busy writer a poll hardly ever finds the lock
    /// free.
    pub(super) fn turns(&self) -> Arc<Mutex<()>> {
        self.turns.clone()
    }

    /// Stops the thread, and waits until its connection is closed.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        // An error means that the thread panicked, which was logged.
        let _ = (&mut self.ended).await;
    }
}

/// When a failed attempt is repeated.
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

    /// Sets the shortest pause, however often the attempt failed.
    fn extend_a_little(&mut self, now: Duration) {
        self.until = Some(now + PAUSE);
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

struct Task {
    connection: Option<Connection>,
    options: Options,
    limits: LogLimits,
    env: Env,
    ended: watch::Receiver<u64>,
    turns: Arc<Mutex<()>>,
    /// Bytes of a page in the log; 0 while unknown.
    page: u64,
    /// The pause after the database could not be written.
    failures: Backoff,
    /// The pause after a reader kept the log from restarting.
    readers: Backoff,
    /// The log's length when it was made ready to restart. It looks the same until the next commit, which restarts it.
    ready: Option<Length>,
    progress: watch::Sender<Progress>,
}

impl Task {
    async fn run(mut self, stop: CancellationToken) {
        // The first check comes before any transaction, because a metanode that was killed may have left a long log.
        while !stop.is_cancelled() {
            let seen = *self.ended.borrow();
            self.look_unless_failing().await;
            if !self.wait(&stop, seen + self.limits.transactions).await {
                break;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close()
        {
            tracing::info!(%error, "the checkpointer's connection was not closed cleanly");
        }
    }

    /// Waits until `transactions` have ended, or until a pause is over. Returns `false` when the task should stop.
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
        if self.bytes(length.pages) <= self.limits.restart || self.ready == Some(length) {
            self.readers.end();
        } else if self.readers.is_over(self.env.monotonic()) {
            self.restart(&mut connection, length).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self) -> Result<Connection, StoreError> {
        let mut connection = Connection::from(self.options.open()?);
        let page: i64 = sql::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await?;
        self.page = u64::try_from(page).unwrap_or_default() + FRAME_HEADER;
        Ok(connection)
    }

    fn bytes(&self, pages: u64) -> u64 {
        pages.saturating_mul(self.page)
    }

    /// Lets the next commit restart the log, unless readers prevent it.
    async fn restart(&mut self, connection: &mut Connection, mut length: Length) -> Result<(), StoreError> {
        // Merges as much as possible while commits go on, so that the writer does not wait for it. It does not wait for
        // the sync of the database either, which SQLite omits unless everything is merged.
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
        set_timeout(connection, if pays { WAIT_LONG } else { WAIT })?;
        let done = {
            let _turn = self.turns.lock().await;
            checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)").await?
        };
        let now = self.env.monotonic();
        if !done.busy {
            self.readers.end();
            self.ready = Some(done.length);
            self.progress.send_modify(|progress| progress.restarts += 1);
            return Ok(());
        }
        let (pages, merged) = (done.length.pages, done.length.merged);
        if pays {
            self.readers.extend_a_little(now);
            warn_peer!(
                pages,
                merged,
                "the log is far too long, because a reader has kept it for a long time"
            );
        } else {
            self.readers.extend(now);
            tracing::info!(
                pages,
                merged,
                "the log goes on, because a reader needs it; it is tried again later"
            );
        }
        self.progress.send_modify(|progress| progress.busy += 1);
        Ok(())
    }
}

/// The result of a checkpoint.
struct Answer {
    /// Whether readers, or another program, kept it from completing.
    busy: bool,
    length: Length,
}

/// Runs a checkpoint of SQLite.
async fn checkpoint(connection: &mut Connection, sql: &'static str) -> Result<Answer, StoreError> {
    let row = sql::query(sql).fetch_one(connection).await?;
    // Columns: whether it was blocked, pages in the log, pages merged; -1 for an unknown number
    // (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
    let count = |column: i64| u64::try_from(column).unwrap_or_default();
    let length = Length { pages: count(row.try_get(1)?), merged: count(row.try_get(2)?) };
    Ok(Answer { busy: row.try_get::<i64, _>(0)? != 0, length })
}

fn set_timeout(connection: &mut Connection, timeout: Duration) -> Result<(), StoreError> {
    connection.database()?.set_busy_timeout(timeout)
}

/// Merges the whole log when the store closes and has no readers any more.
pub(super) async fn merge_all(connection: &mut Connection) {
    match checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await {
        Ok(Answer { busy: false, .. }) => {}
        Ok(Answer { busy: true, length }) => {
            tracing::info!(
                ?length,
                "the log was not merged into the database, because a reader needs it; the next start does it"
            );
        }
        Err(error) => {
            tracing::info!(%error, "the log was not merged into the database; the next start does it");
        }
    }
}
