//! Opens the database with the settings that make commits durable, applies migrations, and opens two pools of readers.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::StoreError;
use super::writer::LogLimits;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// How long a statement waits for a lock. Within this process there is one writer, and readers never block. A wait
/// means that another program, such as the sqlite3 shell, has the file open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection. Then it fails with [`StoreError::Busy`], and the caller may try again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections for clients' reads. Each has a thread and a page cache. Reads are short, so a few per core suffice.
const READERS_MAX: u32 = 8;

/// Connections for the reads of reports and workers, by the number of cores, which they compete with clients for. There
/// are two at least, because a page of fsck may occupy one for long.
const BACKGROUND_READERS: RangeInclusive<u32> = 2..=4;

/// Page cache of each connection; SQLite reads a negative number as KiB. With all readers and the writer this stays
/// well below 256 MiB.
const CACHE_SIZE: &str = "-16384";

/// The pools of connections for reading.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) clients: SqlitePool,
    pub(super) background: SqlitePool,
}

/// Prepared statements that each connection keeps. There are fewer different statements than this.
const STATEMENTS_MAX: usize = 256;

/// The options of every connection.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode FULL syncs the log at every commit, so that a commit survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("cache_size", CACHE_SIZE)
        // Keeps sorting for large listings off the disk whose syncs commits wait for.
        .pragma("temp_store", "memory")
        .thread_name(|id| format!("cairn-sqlite-{id}"))
        .disable_statement_logging()
}

/// The options of the writer's connection. It does not merge the log: see [`checkpointer`](super::writer).
pub(super) fn writers(file: &Path, log: LogLimits) -> SqliteConnectOptions {
    options(file).pragma("wal_autocheckpoint", "0").pragma("journal_size_limit", log.restart.to_string())
}

/// The options of the connection that merges the log. It runs no queries that read pages, so its cache is small.
pub(super) fn checkpointers(file: &Path) -> SqliteConnectOptions {
    options(file).create_if_missing(false).pragma("cache_size", "-64")
}

/// Opens the writer's connection and the readers' pools.
pub(super) async fn open(file: &Path, log: LogLimits) -> Result<(SqliteConnection, Pools), StoreError> {
    let mut writer = writers(file, log).connect().await?;
    assert_durable(&mut writer).await?;
    MIGRATIONS.run(&mut writer).await?;
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
        // A connection to a file does not break, and the test would double the cost of a short read.
        .test_before_acquire(false)
        .connect_with(options(file).create_if_missing(false).pragma("query_only", "on"))
        .await?;
    Ok(readers)
}

/// Returns an error if commits would not survive a power cut, or if foreign keys were not checked.
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
