//! The metanode's database: all SQL is here.
//!
//! | module | contents |
//! |---|---|
//! | [`open`](Store::open) | opening the database: durability asserted, migrations applied |
//! | `migrations` | the files of `migrations/sqlite`, which the binary contains |
//! | `connection` | a connection, and the transaction that is open on it |
//! | `writer` | group commit: one task, one transaction for mutations that wait; and the log that it writes |
//! | `sql` | statements, rows, and connections to the database |
//! | `sql_values` | how values of ours are kept in columns |
//! | `error` | what can go wrong |
//! | `invariants` | what must be true after every transaction |
//! | `fsck` | what fsck reads |
//! | `upgrade` | moves the rows that an earlier release wrote, step by step, when the database is opened |
//! | `listings` | listings of objects and of versions |
//! | `settings`, `buckets`, `objects`, `uploads`, `parts` | the namespace's tables |
//! | `lists`, `list_parts` | extent lists, and the parts that objects were completed from |
//! | `retired` | versions and parts that were retired, until their grace period is over |
//! | `attributes`, `etags` | how attributes and ETags are kept in columns |
//! | `configurations` | what buckets are configured to do |
//! | `mutations` | the outcomes of the latest mutations |
//! | `expiry` | what ends without a client's request: versions, abandoned uploads, uploads of deleted buckets |
//! | `nodes`, `blocks`, `replicas`, `repairs`, `deletions`, `leases` | the block manager's tables |
//! | `hot` | what was looked up a short while ago |
//! | `iam` | the tables of accounts, users, groups, roles, access keys and policies |
//! | `lifecycle` | when lifecycle rules want to look at versions and uploads, and the walks that set it anew |
//! | `locks` | the locks of versions, and the one way to a version's removal |
//! | `rows` | what rows of several tables are read as |
//! | `clock` | the cluster's time, and the time by which locks end |
//! | `generations` | the generation of the database, and its history |
//! | `counters` | counts that the writer maintains |
//! | `usage` | what buckets and users use, and their quotas |
//! | `totals` | the counts, as operators and workers ask for them |
//!
//! Statements are written for SQLite and PostgreSQL alike: `$1` placeholders, and no functions that only one of them
//! has. Functions take a [`Connection`]; the caller owns the transaction.
//!
//! Architecture invariant: no other module names rusqlite or sqlx.

mod attributes;
pub(crate) mod blocks;
pub(crate) mod buckets;
pub(crate) mod clock;
pub(crate) mod configurations;
mod connection;
pub(crate) mod counters;
pub(crate) mod deletions;
mod error;
mod etags;
pub(crate) mod expiry;
pub(crate) mod fsck;
pub(crate) mod generations;
mod hot;
pub(crate) mod iam;
mod invariants;
pub(crate) mod leases;
pub(crate) mod lifecycle;
pub(crate) mod list_parts;
pub(crate) mod listings;
pub(crate) mod lists;
pub(crate) mod locks;
mod migrations;
pub(crate) mod mutations;
pub(crate) mod nodes;
pub(crate) mod objects;
mod open;
pub(crate) mod packs;
pub(crate) mod parts;
pub(crate) mod repairs;
pub(crate) mod replicas;
pub(crate) mod retired;
mod rows;
pub(crate) mod settings;
pub(crate) mod sql;
pub(crate) mod sql_values;
pub(crate) mod totals;
mod upgrade;
pub(crate) mod uploads;
pub(crate) mod usage;
mod writer;

pub(crate) use connection::{Connection, give_way};
pub(crate) use error::Fault;
pub use error::StoreError;
pub(crate) use futures_util::future::BoxFuture;
pub(crate) use sql::Row;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use cairn_protocol::cluster::Generation;
use cairn_protocol::env::Env;
use cairn_protocol::id::OpeningId;
use tokio::sync::watch;

use hot::Hot;
use open::Pools;
pub(crate) use writer::Lane;
use writer::{Files, LogLimits, Writer};

/// The metanode's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: Pools,
    writer: Writer,
    hot: Hot,
}

/// A connection for reading. Each statement sees the latest commit; none can write.
pub(crate) struct Reader(Connection);

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
pub(crate) struct Snapshot(Connection);

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
    /// Opens the database in this file, or creates it, and applies the migrations that it lacks.
    ///
    /// # Errors
    /// If the file cannot be opened or written, was written by a newer release, or does not make commits durable.
    pub async fn open(file: &Path, env: &Env) -> Result<Self, StoreError> {
        Self::open_with(file, env, LogLimits::default()).await
    }

    async fn open_with(file: &Path, env: &Env, log: LogLimits) -> Result<Self, StoreError> {
        let (writer, readers) = open::open(file, log, env).await?;
        let hot = Hot::default();
        let files = Files { writers: open::writers(file, log), checkpointers: open::checkpointers(file) };
        let writer = Writer::start(writer.with(&hot), files, hot.clone(), env.clone(), log)?;
        Ok(Self { writer, readers, hot })
    }

    /// A connection for a read that a client or an operator waits for. What was looked up a short while ago is not read again.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn read(&self) -> Result<Reader, StoreError> {
        Ok(Reader(Connection::reading(&self.readers.clients).await?.with(&self.hot)))
    }

    /// Whether a look-up of the newest version of a key would not read the database.
    pub(crate) fn is_hot(&self, bucket: &str, key: &str) -> bool {
        self.hot.has(bucket, key)
    }

    /// A connection for reads that no client waits for: workers, reports, heartbeats, walks over all rows. They have a
    /// pool of their own, because a thousand datanodes that report at once would take every connection.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn read_in_background(&self) -> Result<Reader, StoreError> {
        Ok(Reader(Connection::reading(&self.readers.background).await?))
    }

    /// A connection whose statements all see the same commit. Drop it soon, because the log grows until then.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(Connection::snapshot(&self.readers.clients).await?))
    }

    /// The same, from the [background](Self::read_in_background) pool.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(crate) async fn snapshot_in_background(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(Connection::snapshot(&self.readers.background).await?))
    }

    /// The number of transactions that have ended since the start. When it exceeds the number that a mutation saw, the
    /// mutation's changes can be read.
    pub(crate) fn transactions_ended(&self) -> watch::Receiver<u64> {
        self.writer.ended()
    }

    /// Sets the id of this start of the metanode, to which changes are attributed. It is written with the next
    /// transaction, so that a metanode whose disk is full can start.
    pub(crate) fn begin_opening(&self, opening: OpeningId) {
        self.writer.begin_opening(opening);
    }

    /// The latest generation of the database that a transaction of this process has made durable; `None` before the
    /// first transaction.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.writer.generation()
    }

    /// Runs a mutation in a transaction, and returns when it is durable. Several mutations share a transaction. If one
    /// returns an error or panics, its changes are rolled back and no others. A mutation must wait for nothing but the
    /// database.
    ///
    /// A mutation runs to its end even if the caller goes away. Mutations run in the order in which they were sent, and
    /// before those of the [background](Self::write_in_background).
    ///
    /// # Errors
    /// The mutation's own, or that of the commit.
    pub(crate) async fn write<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(Lane::Client, mutation).await
    }

    /// Runs a mutation that no client waits for. Clients' mutations overtake it, but cannot delay it for ever.
    /// Background mutations run in the order in which they were sent.
    ///
    /// # Errors
    /// The mutation's own, or that of the commit.
    pub(crate) async fn write_in_background<T, E, F>(&self, mutation: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write(Lane::Background, mutation).await
    }

    /// Like [`write`](Self::write), and runs `then` with the outcome after the commit, even if the caller went away:
    /// for changes in memory that must follow the commit. `then` must not block.
    ///
    /// # Errors
    /// The mutation's own, or that of the commit. `then` does not run after an error.
    pub(crate) async fn write_then<T, U, E, F, G>(&self, lane: Lane, mutation: F, then: G) -> Result<U, E>
    where
        F: for<'t> FnOnce(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        G: FnOnce(T) -> U + Send + 'static,
        T: Send + 'static,
        U: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.write_then(lane, mutation, then).await
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        sql::query("SELECT 1").execute(&mut *self.read().await?).await?;
        Ok(())
    }

    /// Closes the store: mutations that wait are run, the log is merged into the database, and the file is closed.
    pub async fn close(&self) {
        self.readers.clients.close().await;
        self.readers.background.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
