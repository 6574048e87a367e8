//! Connections for reading, a bounded number of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cairn_protocol::env::Env;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::database::{Database, Options};
use crate::store::StoreError;

/// How long a read may wait for a connection before it fails with an error that tells the caller to retry.
const WAIT: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody uses. Its page cache has megabytes, and another one is opened in a fraction of a
/// millisecond.
const KEPT: Duration = Duration::from_secs(20);

/// Connections for reading. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::store) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    max: u32,
    places: Arc<Semaphore>,
    /// Those that nobody uses, and since when. The one that was used last comes first: its cache is warm.
    idle: Mutex<Vec<(Database, Duration)>>,
    env: Env,
}

/// The right to a connection of a pool, until it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Place {
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Leaves a connection for the next one who has this place.
    pub(in crate::store) fn leave(self, database: Database) {
        if !self.pool.0.places.is_closed() {
            let now = self.pool.0.env.monotonic();
            self.pool.0.idle().push((database, now));
        }
    }
}

impl Pool {
    /// A pool of up to `max` connections, which are opened when they are needed.
    pub(in crate::store) fn new(options: Options, max: u32, env: Env) -> Self {
        let places = Arc::new(Semaphore::new(max as usize));
        let inner = Arc::new(Inner { options, max, places, idle: Mutex::default(), env: env.clone() });
        tokio::spawn(close_unused(Arc::downgrade(&inner), env));
        Self(inner)
    }

    /// A connection that no other caller uses.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::Busy`] if all are in use for too long, or that of opening the file.
    pub(in crate::store) async fn take(&self) -> Result<(Database, Place), StoreError> {
        let permit = match self.0.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(StoreError::Closed),
            Err(TryAcquireError::NoPermits) => self.wait().await?,
        };
        let place = Place { pool: self.clone(), _permit: permit };
        let idle = self.0.idle().pop();
        let database = match idle {
            Some((database, _)) => database,
            // It takes a fraction of a millisecond, once for each connection.
            None => self.0.options.open()?,
        };
        Ok((database, place))
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        tokio::select! {
            permit = self.0.places.clone().acquire_owned() => permit.map_err(|_| StoreError::Closed),
            () = self.0.env.sleep(WAIT) => Err(StoreError::Busy),
        }
    }

    /// Waits until all connections are back, and closes them.
    pub(in crate::store) async fn close(&self) {
        // An error means that the pool is closed already.
        if let Ok(all) = self.0.places.acquire_many(self.0.max).await {
            self.0.places.close();
            drop(all);
        }
        self.0.idle().clear();
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<(Database, Duration)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the connections that nobody has used for long.
    fn unused(&self) -> Vec<(Database, Duration)> {
        let now = self.env.monotonic();
        self.idle().extract_if(.., |(_, since)| *since + KEPT <= now).collect()
    }
}

/// Closes connections that nobody uses any more, as long as there is the pool.
async fn close_unused(pool: Weak<Inner>, env: Env) {
    loop {
        env.sleep(KEPT).await;
        let Some(pool) = pool.upgrade() else { return };
        drop(pool.unused());
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Timestamp;

    use super::*;

    /// After a load each of the readers kept its page cache for good, a hundred megabytes in all.
    #[tokio::test]
    async fn connections_that_nobody_uses_are_closed() {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, Timestamp(0));
        let options = Options::new(directory.path().join("file.db"), Duration::from_secs(1)).create();
        let pool = Pool::new(options, 3, env);
        let [first, second] = [pool.take().await.unwrap(), pool.take().await.unwrap()];
        for (database, place) in [first, second] {
            place.leave(database);
        }
        clock.advance(KEPT / 2);
        let (database, place) = pool.take().await.unwrap();
        place.leave(database);
        clock.advance(KEPT / 2);
        assert_eq!(pool.0.unused().len(), 1, "the other one was used a moment ago");
        assert_eq!(pool.0.idle().len(), 1);
        while !pool.0.idle().is_empty() {
            clock.advance(KEPT);
            tokio::task::yield_now().await;
        }
        assert!(pool.take().await.is_ok());
    }
}
