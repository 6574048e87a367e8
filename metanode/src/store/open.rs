//! Opens the database: settings for durable commits, migrations, and the two pools of readers.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use cairn_protocol::env::Env;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::writer::LogLimits;
use super::{Connection, StoreError, migrations, upgrade, usage};

/// How long a statement waits for a lock. Within this process there is one writer, and readers are never blocked. So a
/// statement waits only while an operator inspects the file with another tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read may wait for a connection before it fails with an error that tells the caller to retry.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections for clients' reads. Each is a thread with a page cache. Reads are short, so a few per core are enough.
const READERS_MAX: u32 = 8;

/// Connections for the reads of reports and workers, depending on the number of cores, because they compete with
/// clients for those. There are at least two, because one may be busy with a page of `fsck`.
const BACKGROUND_READERS: RangeInclusive<u32> = 2..=4;

/// The page cache of each connection, in KiB (SQLite's meaning of a negative number). With all readers and the writer
/// it stays well below 256 MiB.
const CACHE_SIZE: &str = "-16384";

/// The pools of connections for reading.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) clients: SqlitePool,
    pub(super) background: SqlitePool,
}

/// Upper limit of prepared statements per connection: more than there are different ones.
const STATEMENTS_MAX: usize = 256;

/// The options of every connection.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode, FULL syncs the log at every commit. So a commit that was answered survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("cache_size", CACHE_SIZE)
        // Large listings are sorted in memory, to keep the disk free for commits.
        .pragma("temp_store", "memory")
        .thread_name(|id| format!("cairn-sqlite-{id}"))
        .disable_statement_logging()
}

/// The options of the writer's connection. It does not merge the log: see [`checkpointer`](super::writer).
pub(super) fn writers(file: &Path, log: LogLimits) -> SqliteConnectOptions {
    options(file)
        .pragma("wal_autocheckpoint", "0")
        // What is deleted or replaced in a page is overwritten, such as sealed secrets, and secrets that an earlier release
        // stored as they are. It writes no page that is not written anyway.
        .pragma("secure_delete", "fast")
        .pragma("journal_size_limit", log.restart.to_string())
}

/// The options of the connection that merges the log. It reads no pages itself.
pub(super) fn checkpointers(file: &Path) -> SqliteConnectOptions {
    options(file).create_if_missing(false).pragma("cache_size", "-64")
}

/// Opens the writer's connection and the readers' pools.
pub(super) async fn open(file: &Path, log: LogLimits, env: &Env) -> Result<(Connection, Pools), StoreError> {
    let mut writer = writers(file, log).connect().await?;
    assert_durable(&mut writer).await?;
    migrations::migrator().run(&mut writer).await?;
    let mut writer = Connection::from(writer);
    upgrade::run(&mut writer, env).await?;
    usage::forget_deleted(&mut writer).await?;
    let clients = readers(file, READERS_MAX).await?;
    let background = readers(file, background_readers()).await?;
    Ok((writer, Pools { clients, background }))
}

/// The number of connections for the reads of reports and workers.
pub(super) fn background_readers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (least, most) = BACKGROUND_READERS.into_inner();
    u32::try_from(cores).unwrap_or(most).clamp(least, most)
}

async fn readers(file: &Path, max: u32) -> Result<SqlitePool, StoreError> {
    let readers = SqlitePoolOptions::new()
        .max_connections(max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // The connection to a file cannot be lost, and a test before each use would double the cost of short reads.
        .test_before_acquire(false)
        .connect_with(options(file).create_if_missing(false).pragma("query_only", "on"))
        .await?;
    Ok(readers)
}

/// Refuses a database whose settings would lose commits.
async fn assert_durable(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
    let settings = [
        ("journal_mode", "wal", journal),
        ("synchronous", "2", synchronous.to_string()),
        ("foreign_keys", "1", foreign_keys.to_string()),
    ];
    for (pragma, wanted, found) in settings {
        if found != wanted {
            return Err(StoreError::NotDurable { pragma, wanted, found });
        }
    }
    Ok(())
}
