//! Opens the database: settings for durable commits, migrations, and the two pools of readers.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use cairn_protocol::env::Env;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::sql::{self, Options, Pool};
use super::writer::LogLimits;
use super::{Connection, StoreError, migrations, upgrade, usage};

/// How long a statement waits for a lock. Within this process there is one writer, and readers are never blocked. So a
/// statement waits only while an operator inspects the file with another tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections for clients' reads. Each has a page cache. Reads are short, so a few per core are enough.
const READERS_MAX: u32 = 8;

/// Connections for the reads of reports and workers, depending on the number of cores, because they compete with
/// clients for those. There are at least two, because one may be busy with a page of `fsck`.
const BACKGROUND_READERS: RangeInclusive<u32> = 2..=4;

/// The page cache of each reader, in KiB (SQLite's meaning of a negative number): the inner pages of large tables. Other pages are
/// in the system's memory, and hot rows are kept besides.
const CACHE_SIZE: &str = "-4096";

/// That of the writer. A transaction writes to pages all over the tables.
const WRITER_CACHE_SIZE: &str = "-16384";

/// The pools of connections for reading.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) clients: Pool,
    pub(super) background: Pool,
}

/// The options of every connection.
pub(super) fn options(file: &Path) -> Options {
    Options::new(file, BUSY_TIMEOUT)
        .pragma("journal_mode", "wal")
        // In WAL mode, FULL syncs the log at every commit. So a commit that was answered survives a power failure.
        .pragma("synchronous", "full")
        .pragma("foreign_keys", "on")
        .pragma("cache_size", CACHE_SIZE)
        // Large listings are sorted in memory, to keep the disk free for commits.
        .pragma("temp_store", "memory")
}

/// The options of the writer's connection. It does not merge the log: see [`checkpointer`](super::writer).
pub(super) fn writers(file: &Path, log: LogLimits) -> Options {
    options(file)
        .create()
        .pragma("cache_size", WRITER_CACHE_SIZE)
        .pragma("wal_autocheckpoint", "0")
        // What is deleted or replaced in a page is overwritten, such as sealed secrets, and secrets that an earlier release
        // stored as they are. It writes no page that is not written anyway.
        .pragma("secure_delete", "fast")
        .pragma("journal_size_limit", log.restart.to_string())
}

/// The options of the connection that merges the log. It reads no pages itself.
pub(super) fn checkpointers(file: &Path) -> Options {
    options(file).pragma("cache_size", "-64")
}

/// The options of the connection that applies migrations.
pub(super) fn migrating(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Opens the writer's connection and the readers' pools.
pub(super) async fn open(file: &Path, log: LogLimits, env: &Env) -> Result<(Connection, Pools), StoreError> {
    let mut writer = Connection::from(writers(file, log).open()?);
    assert_durable(&mut writer).await?;
    migrate(file, &migrations::migrator()).await?;
    upgrade::run(&mut writer, env).await?;
    usage::forget_deleted(&mut writer).await?;
    let reading = options(file).pragma("query_only", "on");
    let clients = Pool::new(reading.clone(), READERS_MAX, env.clone());
    let background = Pool::new(reading, background_readers(), env.clone());
    Ok((writer, Pools { clients, background }))
}

/// Applies the migrations that the database lacks. The writer's connection is open: the last connection to be closed would merge
/// the whole log.
pub(super) async fn migrate(file: &Path, migrations: &Migrator) -> Result<(), StoreError> {
    let mut connection = migrating(file).connect().await?;
    migrations.run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The number of connections for the reads of reports and workers.
pub(super) fn background_readers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (least, most) = BACKGROUND_READERS.into_inner();
    u32::try_from(cores).unwrap_or(most).clamp(least, most)
}

/// Refuses a database whose settings would lose commits.
async fn assert_durable(connection: &mut Connection) -> Result<(), StoreError> {
    let journal: String = sql::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 = sql::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let foreign_keys: i64 = sql::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
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
