//! A connection to the database, and the transaction that is open on it. The statements that begin and end transactions and
//! savepoints are here alone, because each also says what becomes of the changes of counters that are pending.

use tokio::runtime::{Handle, RuntimeFlavor};

use super::StoreError;
use super::counters::{self, Deltas};
use super::hot::{Hot, Touched};
use super::sql::{Database, Place, Pool, Query, QueryDone, Row, query};

/// A connection to the database, inside or outside of a transaction.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` after [`close`](Self::close).
    database: Option<Database>,
    /// Where it goes when it is dropped, if it is of a pool.
    place: Option<Place>,
    /// Whether a transaction for reading is open, which ends when this is dropped.
    is_snapshot: bool,
    /// What the open transaction changes of counters. Empty outside of transactions, and on connections for reading.
    deltas: Deltas,
    /// What the open transaction has changed.
    touched: Touched,
    /// What was looked up a short while ago.
    hot: Option<Hot>,
}

impl From<Database> for Connection {
    fn from(database: Database) -> Self {
        Self {
            database: Some(database),
            place: None,
            is_snapshot: false,
            deltas: Deltas::default(),
            touched: Touched::default(),
            hot: None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (Some(mut database), Some(place)) = (self.database.take(), self.place.take()) else { return };
        // A connection whose transaction cannot be ended is closed.
        if !self.is_snapshot || database.execute(&query("ROLLBACK")).is_ok() {
            place.leave(database);
        }
    }
}

impl Connection {
    /// A connection of a pool for reading.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(super) async fn reading(pool: &Pool) -> Result<Self, StoreError> {
        let (database, place) = pool.take().await?;
        let mut connection = Self::from(database);
        connection.place = Some(place);
        Ok(connection)
    }

    /// The same, whose statements all see the same commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`] or [`StoreError::Busy`].
    pub(super) async fn snapshot(pool: &Pool) -> Result<Self, StoreError> {
        let mut connection = Self::reading(pool).await?;
        connection.run("BEGIN")?;
        connection.is_snapshot = true;
        Ok(connection)
    }

    /// The same connection, which knows what was looked up a short while ago. A reader looks there first; the writer drops there what
    /// it changes.
    pub(super) fn with(mut self, hot: &Hot) -> Self {
        self.hot = Some(hot.clone());
        self
    }

    /// Where a look-up may find what it wants without the database. A transaction must see its own changes, and a snapshot its own
    /// commit.
    pub(super) fn hot(&self) -> Option<&Hot> {
        self.hot.as_ref().filter(|_| self.place.is_some() && !self.is_snapshot)
    }

    /// What the open transaction has changed. Whoever changes rows of versions, blocks, replicas or buckets says it here.
    pub(super) fn touched(&mut self) -> &mut Touched {
        &mut self.touched
    }

    /// The connection of SQLite, for what is not a statement of the store.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(super) fn database(&mut self) -> Result<&mut Database, StoreError> {
        self.database.as_mut().ok_or(StoreError::Closed)
    }

    /// Executes a statement.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn execute(&mut self, query: &Query<'_>) -> Result<QueryDone, StoreError> {
        self.blocking(|database| database.execute(query))
    }

    /// The first `max` rows of a statement.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn rows(&mut self, query: &Query<'_>, max: usize) -> Result<Vec<Row>, StoreError> {
        self.blocking(|database| database.rows(query, max))
    }

    /// Runs a statement in this thread. The writer has a thread of its own. Readers run in threads that serve other requests
    /// too, and a statement may wait for the disk; so the runtime gives the other requests of this thread to another one.
    fn blocking<T>(
        &mut self,
        statement: impl FnOnce(&mut Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let shares_its_thread = self.place.is_some();
        let database = self.database()?;
        if shares_its_thread && can_give_way() {
            return tokio::task::block_in_place(|| statement(database));
        }
        statement(database)
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
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.deltas.clear();
        self.touched = Touched::default();
        self.run("BEGIN IMMEDIATE")
    }

    /// Sets the savepoint to which [`undo`](Self::undo) rolls back. There is one at a time.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn savepoint(&mut self) -> Result<(), StoreError> {
        self.deltas.keep();
        self.run("SAVEPOINT mutation")
    }

    /// Undoes what was changed since the savepoint, which stays.
    ///
    /// # Errors
    /// The database's: there is no savepoint any more if an earlier error rolled back the whole transaction.
    pub(super) fn undo(&mut self) -> Result<(), StoreError> {
        self.deltas.undo();
        self.run("ROLLBACK TO mutation")
    }

    /// Removes the savepoint. What was changed since is a part of the transaction.
    ///
    /// # Errors
    /// The database's.
    pub(super) fn release(&mut self) -> Result<(), StoreError> {
        self.deltas.keep();
        self.run("RELEASE mutation")
    }

    /// Writes the counters that changed, and commits.
    ///
    /// # Errors
    /// The database's. The caller rolls back then.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        counters::write(self).await?;
        let touched = std::mem::take(&mut self.touched);
        let _changing = self.hot.as_ref().map(|hot| hot.change(touched));
        self.run("COMMIT")
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// The database's: the state of the connection is not known then.
    pub(super) fn roll_back(&mut self) -> Result<(), StoreError> {
        self.deltas.clear();
        self.touched = Touched::default();
        self.run("ROLLBACK")
    }

    /// Closes the connection if it is not of a pool.
    ///
    /// # Errors
    /// The database's. Nothing that was committed is lost.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        match (self.database.take(), &self.place) {
            (Some(database), None) => database.close(),
            (database, _) => {
                self.database = database;
                Ok(())
            }
        }
    }

    fn run(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.execute(&query(sql)).map(drop)
    }
}

/// Runs a read whose statements block this thread, while other threads have its other tasks. For a read of several statements it costs
/// less than what each of them does by itself: it takes as long as a look-up of a row.
pub(crate) async fn give_way<T>(read: impl Future<Output = T>) -> T {
    let mut read = std::pin::pin!(read);
    std::future::poll_fn(|context| {
        if can_give_way() {
            return tokio::task::block_in_place(|| read.as_mut().poll(context));
        }
        read.as_mut().poll(context)
    })
    .await
}

/// Whether other tasks of this thread can go on in another one. A runtime of one thread has no other; it serves tests.
fn can_give_way() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}
