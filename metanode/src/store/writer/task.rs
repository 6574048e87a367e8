//! The task that owns the writing connection: it takes mutations from the lanes, runs them in a transaction, commits,
//! and replies to the callers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_protocol::cluster::Generation;
use cairn_protocol::env::Env;
use cairn_protocol::id::OpeningId;
use cairn_protocol::{warn_peer, warn_self};
use tokio::sync::watch;

use super::batch::Batch;
use super::checkpointer::{self, Checkpointer};
use super::lane::Lane;
use super::lanes::Lanes;
use crate::store::hot::Hot;
use crate::store::sql::Options;
use crate::store::{Connection, Fault, StoreError, generations};

/// The id of an opening that no transaction has written yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening(Arc<Mutex<Option<OpeningId>>>);

impl Opening {
    pub(super) fn begin(&self, opening: OpeningId) {
        *self.lock() = Some(opening);
    }

    fn pending(&self) -> Option<OpeningId> {
        *self.lock()
    }

    /// Records that the opening is on stable storage.
    fn written(&self, opening: OpeningId) {
        let mut pending = self.lock();
        if *pending == Some(opening) {
            *pending = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<OpeningId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only task that writes to the database.
pub(super) struct Task {
    pub(super) connection: Option<Connection>,
    pub(super) options: Options,
    pub(super) hot: Hot,
    pub(super) lanes: Lanes,
    pub(super) env: Env,
    pub(super) opening: Opening,
    pub(super) ended: watch::Sender<u64>,
    pub(super) generation: watch::Sender<Option<Generation>>,
    pub(super) checkpointer: Checkpointer,
}

/// The outcome of a committed transaction.
struct Left {
    /// The generation that it wrote.
    generation: Option<Generation>,
    /// The opening that it wrote, if any.
    opening: Option<OpeningId>,
}

/// The state of the transaction after a mutation.
enum Ran {
    /// The mutation's changes are kept, or rolled back to its savepoint.
    Done,
    /// The mutation's error rolled back the whole transaction.
    Lost,
}

impl Task {
    pub(super) async fn run(mut self) {
        while let Some((lane, first)) = self.lanes.first().await {
            let batch = Batch::begin(lane, first, self.env.monotonic());
            self.do_batch(lane, batch).await;
        }
        self.finish().await;
    }

    async fn do_batch(&mut self, first: Lane, mut batch: Batch) {
        let result = {
            let turns = self.checkpointer.turns();
            let _turn = turns.lock().await;
            self.commit(first, &mut batch).await
        };
        self.lanes.ended(&batch);
        self.ended.send_modify(|ended| *ended += 1);
        batch.answer(&result);
    }

    /// Runs the waiting mutations in one transaction and commits it.
    async fn commit(&mut self, first: Lane, batch: &mut Batch) -> Result<(), StoreError> {
        let mut connection = match self.begin() {
            Ok(connection) => connection,
            Err(error) => {
                // The failure may have taken seconds, and each waiting mutation would take as long. They all fail now.
                while batch.places() > 0
                    && let Some((lane, mutation)) = self.lanes.waiting()
                {
                    batch.add(lane, mutation);
                }
                tell(&error, batch.len());
                return Err(error);
            }
        };
        let result = self.transaction(&mut connection, first, batch).await;
        match &result {
            Ok(Left { generation, opening }) => {
                opening.inspect(|opening| self.opening.written(*opening));
                self.generation.send_replace(*generation);
            }
            Err(error) => {
                tell(error, batch.len());
                // If even the rollback fails (SQLite may have rolled back by itself), the connection's state is
                // unknown. Dropping the connection rolls back what is open.
                if connection.roll_back().is_err() {
                    return result.map(drop);
                }
            }
        }
        self.connection = Some(connection);
        result.map(drop)
    }

    /// Returns a connection with an open transaction.
    fn begin(&mut self) -> Result<Connection, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::from(self.options.open()?).with(&self.hot),
        };
        if let Err(error) = connection.begin() {
            self.connection = Some(connection);
            return Err(error);
        }
        Ok(connection)
    }

    /// Runs mutations while some wait and the batch has room, and commits them.
    async fn transaction(
        &mut self,
        connection: &mut Connection,
        first: Lane,
        batch: &mut Batch,
    ) -> Result<Left, StoreError> {
        let (mut lane, mut opening) = (first, None);
        loop {
            // The opening may have begun while the transaction was open.
            let pending = self.opening.pending().filter(|pending| opening != Some(*pending));
            if let Some(pending) = pending {
                generations::open(connection, pending).await?;
                opening = Some(pending);
            }
            let began = self.env.monotonic();
            if let Ran::Lost = run_last(connection, batch).await? {
                batch.blame_last();
                return Err(StoreError::TransactionLost);
            }
            let now = self.env.monotonic();
            if lane == Lane::Background {
                self.lanes.background_ran(now.saturating_sub(began), now);
            }
            let Some((next, mutation)) = self.lanes.next(batch, now) else { break };
            batch.add(next, mutation);
            lane = next;
        }
        let generation = generations::latest(connection).await?;
        connection.commit().await?;
        #[cfg(test)]
        crate::store::tests::hot::check(&self.hot, connection).await;
        Ok(Left { generation, opening })
    }

    async fn finish(mut self) {
        // SQLite merges the log and removes it when the last connection is closed.
        self.checkpointer.stop().await;
        if let Some(mut connection) = self.connection.take() {
            checkpointer::merge_all(&mut connection).await;
            if let Err(error) = connection.close() {
                tracing::info!(%error, "the database was not closed cleanly; nothing is lost by it");
            }
        }
        for reply in self.lanes.into_closing() {
            let _ = reply.send(());
        }
    }
}

/// Runs the mutation that was added last.
async fn run_last(connection: &mut Connection, batch: &mut Batch) -> Result<Ran, StoreError> {
    let Some(mutation) = batch.last() else { return Ok(Ran::Done) };
    connection.savepoint()?;
    if !mutation.run(connection).await {
        // Some errors (a full disk, an IO error) make SQLite roll back the whole transaction
        // (https://www.sqlite.org/lang_transaction.html, 3.1). Then the savepoint is gone too.
        if connection.undo().is_err() {
            return Ok(Ran::Lost);
        }
    }
    connection.release()?;
    Ok(Ran::Done)
}

/// Logs that a transaction was rolled back.
fn tell(error: &StoreError, mutations: usize) {
    match error.fault() {
        Fault::Shortage => warn_peer!(%error, mutations, "a transaction failed"),
        Fault::Own => warn_self!(%error, mutations, "a transaction failed"),
    }
}
