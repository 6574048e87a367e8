//! The metanode's database: all SQL is here.
//!
//! | module | contents |
//! |---|---|
//! | [`open`](Store::open) | opens the database: asserts durability, applies migrations |
//! | `writer` | group commit: one task runs the waiting mutations in one transaction; and the write-ahead log |
//! | `sql_values` | conversion between our types and columns |
//! | `error` | errors of the database, and what services return for them |
//! | `invariants` | what must be true after every transaction |
//! | `fsck` | what fsck reads |
//! | `settings`, `buckets`, `objects`, `object_parts`, `uploads`, `parts`, `extents` | the namespace's tables |
//! | `mutations` | the outcomes of the latest mutations |
//! | `expiry` | what ends without a client's request: versions, abandoned uploads, uploads of deleted buckets |
//! | `nodes`, `blocks`, `replicas`, `repairs`, `deletions`, `garbage`, `leases` | the block manager's tables |
//! | `clock` | the cluster's time |
//! | `generations` | the generation of the database, and its history |
//! | `totals` | counts that triggers maintain |
//!
//! Statements are written for SQLite and PostgreSQL alike: `$1` placeholders, and no functions that only one of them
//! has. Functions take a [`Connection`]; the caller owns the transaction.
//!
//! Architecture invariant: no other module names sqlx.

pub(crate) mod blocks;
pub(crate) mod buckets;
pub(crate) mod clock;
pub(crate) mod deletions;
mod error;
pub(crate) mod expiry;
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
pub(crate) mod sql_values;
pub(crate) mod totals;
pub(crate) mod uploads;
mod writer;

pub(crate) use error::Fault;
pub use error::StoreError;
pub(crate) use futures_util::future::BoxFuture;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use cairn_protocol::cluster::Generation;
use cairn_protocol::env::Env;
use cairn_protocol::id::OpeningId;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use tokio::sync::watch;

use open::Pools;
pub(crate) use writer::Lane;
use writer::{LogLimits, Writer};

/// A connection to the database, inside or outside of a transaction.
pub(crate) type Connection = sqlx::SqliteConnection;

/// A row of a query's result.
pub(crate) type Row = sqlx::sqlite::SqliteRow;

/// The metanode's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: Pools,
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

/// A connection with an open read transaction, which ends when this is dropped.
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
    /// Opens the database in this file, creates it if it does not exist, and applies migrations.
    ///
    /// # Errors
    /// When the file cannot be opened or written, was written by a newer Cairn, or lacks the settings that make commits
    /// durable.
    pub async fn open(file: &Path, env: &Env) -> Result<Self, StoreError> {
        Self::open_with(file, env, LogLimits::default()).await
    }

    async fn open_with(file: &Path, env: &Env, log: LogLimits) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(file, log).await?;
        let writer =
            Writer::start(writer, open::writers(file, log), open::checkpointers(file), env.clone(), log);
        Ok(Self { writer, readers })
    }

    /// A connection for reads that a client or an operator waits for.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(Reader(self.readers.clients.acquire().await?))
    }

    /// A connection for reads that no client waits for: those of workers, reports, heartbeats and walks. They have a
    /// pool of their own, because a thousand datanodes that report at once would otherwise take every connection.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn read_in_background(&self) -> Result<Reader, StoreError> {
        Ok(Reader(self.readers.background.acquire().await?))
    }

    /// A connection whose statements all see the same commit. It must be dropped soon, because the log cannot be merged
    /// beyond this commit until then.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(self.readers.clients.begin().await?))
    }

    /// A [`snapshot`](Self::snapshot) from the pool for the [background](Self::read_in_background).
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn snapshot_in_background(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(self.readers.background.begin().await?))
    }

    /// The number of transactions that have ended since the start. What a mutation writes can be read once the number
    /// is above the one that the mutation itself saw.
    pub(crate) fn transactions_ended(&self) -> watch::Receiver<u64> {
        self.writer.ended()
    }

    /// Begins an opening: later changes count as made by it. Its id is written with the next transaction, so that a
    /// metanode can start while its disk is full.
    pub(crate) fn begin_opening(&self, opening: OpeningId) {
        self.writer.begin_opening(opening);
    }

    /// The latest generation that a transaction of this process has put on stable storage; `None` before the first
    /// transaction.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.writer.generation()
    }

    /// Runs a mutation in a transaction and returns when the transaction is on stable storage. Other mutations share
    /// the transaction, but each has a savepoint: when this one returns an error or panics, only its own changes are
    /// rolled back. It must wait for nothing but the database, because all other mutations wait for it.
    ///
    /// A mutation runs to its end even when the caller is dropped. Mutations run in the order in which they were sent,
    /// and before those of the [background](Self::write_in_background).
    ///
    /// # Errors
    /// The mutation's own, or those of the commit.
    pub(crate) async fn write<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(Lane::Client, mutation).await
    }

    /// Runs a mutation that no client waits for. Clients' mutations run before it, but the background keeps a share of
    /// the writer's time. Mutations of the background run in the order in which they were sent.
    ///
    /// # Errors
    /// The mutation's own, or those of the commit.
    pub(crate) async fn write_in_background<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(Lane::Background, mutation).await
    }

    /// Like [`write`](Self::write), and calls `then` with the outcome as soon as it is committed, even if the caller is
    /// gone by then. It is for changes in memory that must follow a commit. `then` must not block.
    ///
    /// # Errors
    /// The mutation's own, or those of the commit. In both cases `then` is not called.
    pub(crate) async fn write_then<T, U, F, G>(
        &self,
        lane: Lane,
        mutation: F,
        then: G,
    ) -> Result<U, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
    {
        self.writer.write_then(lane, mutation, then).await
    }

    /// Checks that the database runs a query.
    ///
    /// # Errors
    /// When it fails to.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&mut *self.read().await?).await?;
        Ok(())
    }

    /// Closes the store: runs the mutations that wait, merges the log into the database, and closes the file.
    pub async fn close(&self) {
        self.readers.clients.close().await;
        self.readers.background.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
