//! A connection to the database, and the transaction that is open on it. The statements that begin and end transactions and
//! savepoints are here alone, because each also says what becomes of the changes of counters that are pending.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult, SqliteStatement, SqliteTypeInfo};
use sqlx::{Connection as _, Either, Execute, Executor, SqlStr, Sqlite};

use super::counters::{self, Deltas};
use super::{Row, StoreError};

/// A connection to the database, inside or outside of a transaction.
#[derive(Debug)]
pub(crate) struct Connection {
    sqlite: Owned,
    /// What the open transaction changes of counters. Empty outside of transactions, and on connections for reading.
    deltas: Deltas,
}

/// Where a connection comes from, and goes when it is dropped.
#[derive(Debug)]
enum Owned {
    /// It is closed.
    Alone(Box<SqliteConnection>),
    /// It goes back to its pool.
    Pooled(PoolConnection<Sqlite>),
    /// Its transaction is rolled back, and it goes back to its pool.
    Reading(sqlx::Transaction<'static, Sqlite>),
}

impl From<SqliteConnection> for Connection {
    fn from(connection: SqliteConnection) -> Self {
        Self::new(Owned::Alone(Box::new(connection)))
    }
}

impl From<PoolConnection<Sqlite>> for Connection {
    fn from(connection: PoolConnection<Sqlite>) -> Self {
        Self::new(Owned::Pooled(connection))
    }
}

impl From<sqlx::Transaction<'static, Sqlite>> for Connection {
    fn from(transaction: sqlx::Transaction<'static, Sqlite>) -> Self {
        Self::new(Owned::Reading(transaction))
    }
}

impl Connection {
    fn new(sqlite: Owned) -> Self {
        Self { sqlite, deltas: Deltas::default() }
    }

    /// The connection of sqlx, for what is not a statement of the store.
    pub(super) fn sqlite(&mut self) -> &mut SqliteConnection {
        match &mut self.sqlite {
            Owned::Alone(connection) => connection,
            Owned::Pooled(connection) => connection,
            Owned::Reading(transaction) => transaction,
        }
    }

    /// The changes of counters that the open transaction has not written yet. Whoever inserts or deletes rows that a counter
    /// counts adds the change here.
    pub(super) fn deltas(&mut self) -> &mut Deltas {
        &mut self.deltas
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The database's. No transaction is open then.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.deltas.clear();
        self.run("BEGIN IMMEDIATE").await
    }

    /// Sets the savepoint to which [`undo`](Self::undo) rolls back. There is one at a time.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn savepoint(&mut self) -> Result<(), StoreError> {
        self.deltas.keep();
        self.run("SAVEPOINT mutation").await
    }

    /// Undoes what was changed since the savepoint, which stays.
    ///
    /// # Errors
    /// The database's: there is no savepoint any more if an earlier error rolled back the whole transaction.
    pub(super) async fn undo(&mut self) -> Result<(), StoreError> {
        self.deltas.undo();
        self.run("ROLLBACK TO mutation").await
    }

    /// Removes the savepoint. What was changed since is a part of the transaction.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        self.deltas.keep();
        self.run("RELEASE mutation").await
    }

    /// Writes the counters that changed, and commits.
    ///
    /// # Errors
    /// The database's. The caller rolls back then.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        counters::write(self).await?;
        self.run("COMMIT").await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// The database's: the state of the connection is not known then.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.deltas.clear();
        self.run("ROLLBACK").await
    }

    /// Closes the connection if it is not of a pool.
    ///
    /// # Errors
    /// The database's. Nothing that was committed is lost.
    pub(super) async fn close(self) -> Result<(), StoreError> {
        match self.sqlite {
            Owned::Alone(connection) => Ok(connection.close().await?),
            Owned::Pooled(_) | Owned::Reading(_) => Ok(()),
        }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), StoreError> {
        sqlx::query(sql).execute(self).await?;
        Ok(())
    }
}

/// Statements run on the connection of sqlx.
impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<SqliteQueryResult, Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        self.sqlite().fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        self.sqlite().fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.sqlite().prepare_with(sql, parameters)
    }
}
