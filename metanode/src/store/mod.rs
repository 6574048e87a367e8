//! Everything that knows SQL.
//!
//! | module | what is there |
//! |---|---|
//! | [`open`](Store::open) | opening the database: durability asserted, migrations applied |
//! | `writer` | group commit: one task, one transaction for all waiting mutations |
//! | `column` | how values of ours are kept in columns |
//! | `error` | what can go wrong |
//! | `invariants` | what must be true after every transaction |
//! | `fsck` | what the check of everything reads |
//! | `settings`, `buckets`, `objects`, `object_parts`, `uploads`, `parts`, `extents` | the namespace's tables |
//! | `mutations` | what the latest mutations answered |
//! | `nodes`, `blocks`, `replicas`, `repairs`, `deletions`, `garbage`, `leases` | the block manager's tables |
//! | `clock` | the cluster's time |
//! | `generations` | which state of the database this is |
//! | `totals` | what is counted, kept by triggers |
//!
//! Statements are written for SQLite and PostgreSQL alike: `$1` placeholders, no functions that
//! only one of them has. Functions take a [`Connection`]; whoever calls them owns the transaction.
//!
//! Architecture invariant: outside of this module nobody names sqlx.

pub(crate) mod blocks;
pub(crate) mod buckets;
pub(crate) mod clock;
pub(crate) mod column;
pub(crate) mod deletions;
mod error;
pub(crate) mod extents;
pub(crate) mod fsck;
pub(crate) mod garbage;
pub(crate) mod generations;
mod invariants;
pub(crate) mod leases;
pub(crate) mod mutations;
pub(crate) mod nodes;
pub(crate) mod object_parts;
pub(crate) mod objects;
mod open;
pub(crate) mod parts;
pub(crate) mod repairs;
pub(crate) mod replicas;
pub(crate) mod settings;
pub(crate) mod totals;
pub(crate) mod uploads;
mod writer;

pub(crate) use error::Fault;
pub use error::StoreError;
pub(crate) use futures_util::future::BoxFuture;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use cairn_protocol::cluster::Generation;
use cairn_protocol::id::OpeningId;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use tokio::sync::watch;

use writer::{LogLimits, Writer};

/// A connection to the database, inside or outside of a transaction.
pub(crate) type Connection = sqlx::SqliteConnection;

/// A row of an answer.
pub(crate) type Row = sqlx::sqlite::SqliteRow;

/// The metanode's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: sqlx::SqlitePool,
    writer: Writer,
}

/// A connection for reading. Each statement sees the latest commit; none can write.
pub(crate) struct Reader(PoolConnection<Sqlite>);

impl Deref for Reader {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// A connection for reading in a transaction of its own, which ends when this is dropped.
pub(crate) struct Snapshot(sqlx::Transaction<'static, Sqlite>);

impl Deref for Snapshot {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Store {
    /// Opens the database in this file, or makes it, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is of a newer Cairn, or does not give the
    /// durability that we promise.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_with(file, LogLimits::default()).await
    }

    async fn open_with(file: &Path, log: LogLimits) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(file).await?;
        Ok(Self { writer: Writer::start(writer, open::options(file), log), readers })
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(Reader(self.readers.acquire().await?))
    }

    /// A connection whose statements all see the same commit. Dropped soon: until then the log grows.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(self.readers.begin().await?))
    }

    /// How many transactions have ended since the start. Whatever a mutation does can be read once the
    /// number is above what the mutation found it to be.
    pub(crate) fn transactions_ended(&self) -> watch::Receiver<u64> {
        self.writer.ended()
    }

    /// Names this start of the metanode: changes count as made by it from here on. It is written with the next
    /// transaction, so that a metanode whose disk is full can start.
    pub(crate) async fn begin_opening(&self, opening: OpeningId) {
        self.writer.begin_opening(opening).await;
    }

    /// The latest generation of the database that a transaction of this process has put on stable storage; none
    /// before the first transaction.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.writer.generation()
    }

    /// Runs a mutation in a transaction and answers when it is on stable storage. It shares the
    /// transaction with its neighbours, but not their fate: when it answers with an error (or
    /// panics), its changes and no others are undone. It must not wait for anything but the database.
    ///
    /// A mutation runs to its end even when the caller goes away.
    ///
    /// # Errors
    /// The mutation's own, or those of the commit.
    pub(crate) async fn write<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(mutation).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&mut *self.read().await?).await?;
        Ok(())
    }

    /// Ends: mutations that wait are done, the log is merged into the database, and the file closed.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
