//! Opens the database: settings that make commits durable, migrations, and the two pools of readers.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::writer::LogLimits;
use super::{StoreError, migrations};

/// How long a statement waits for a lock. Within this process the writer is alone and readers are
/// never blocked, so a wait means that a person inspects the file with another tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read may wait for a connection, before the caller is asked to try again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections for clients' reads. Each is a thread and a page cache; reads are short, so a few per core do.
const READERS_MAX: u32 = 8;

/// Connections for the reads of reports and workers, by the cores: they compete with clients for those. Two at the least,
/// for one may be in the middle of a page of the check of everything.
const BACKGROUND_READERS: RangeInclusive<u32> = 2..=4;

/// Page cache of each connection, in KiB (negative numbers mean that to SQLite): with all readers
/// and the writer well below 256 MiB.
const CACHE_SIZE: &str = "-16384";

/// Connections for reading.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) clients: SqlitePool,
    pub(super) background: SqlitePool,
}

/// Prepared statements that each connection keeps: more than there are different ones.
const STATEMENTS_MAX: usize = 256;

/// How every connection is opened.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode FULL syncs the log at every commit: what was answered survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("cache_size", CACHE_SIZE)
        // Sorting of large listings stays out of the disk that commits wait for.
        .pragma("temp_store", "memory")
        .thread_name(|id| format!("cairn-sqlite-{id}"))
        .disable_statement_logging()
}

/// How the writer's connection is opened. It merges no log: see [`checkpointer`](super::writer).
pub(super) fn writers(file: &Path, log: LogLimits) -> SqliteConnectOptions {
    options(file).pragma("wal_autocheckpoint", "0").pragma("journal_size_limit", log.restart.to_string())
}

/// How the connection is opened that merges the log. It reads no page by itself.
pub(super) fn checkpointers(file: &Path) -> SqliteConnectOptions {
    options(file).create_if_missing(false).pragma("cache_size", "-64")
}

/// Opens the writer's connection and the readers' pools.
pub(super) async fn open(file: &Path, log: LogLimits) -> Result<(SqliteConnection, Pools), StoreError> {
    let mut writer = writers(file, log).connect().await?;
    assert_durable(&mut writer).await?;
    migrations::migrator().run(&mut writer).await?;
    let clients = readers(file, READERS_MAX).await?;
    let background = readers(file, background_readers()).await?;
    Ok((writer, Pools { clients, background }))
}

/// How many connections there are for the reads of reports and workers.
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
        // A connection to a file cannot be lost, and a test would double the cost of short reads.
        .test_before_acquire(false)
        .connect_with(options(file).create_if_missing(false).pragma("query_only", "on"))
        .await?;
    Ok(readers)
}

/// Refuses a database that would lose what it commits.
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
