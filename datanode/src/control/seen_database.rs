//! What this node has seen of the metanode's database, so that an older copy of it is told from the newest.
//!
//! In memory it is as of the last heartbeat. On disk it may be [`WRITE_INTERVAL`] older, for each write syncs every volume:
//! when metanode and datanodes are cut off together, a copy of the database that is so much older than the last write
//! is not recognised. A database that was opened anew is written down at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::cluster::Lineage;
use cairn_protocol::env::Env;

use crate::volume::SeenDatabase;
use crate::volume::volumes::Volumes;

/// How long a new generation may wait until it is written down.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// What this node has seen.
#[derive(Debug)]
pub(crate) struct SeenDatabaseKeeper {
    volumes: Arc<Volumes>,
    env: Env,
    state: Mutex<SeenState>,
    writing: Arc<AtomicBool>,
}

#[derive(Debug)]
struct SeenState {
    seen: SeenDatabase,
    /// It is not on disk, and may be written from then on.
    due: Option<Duration>,
    written_at: Duration,
}

impl SeenDatabaseKeeper {
    pub(crate) fn new(volumes: Arc<Volumes>, env: Env) -> Self {
        let state = SeenState { seen: volumes.seen(), due: None, written_at: Duration::ZERO };
        Self { volumes, env, state: Mutex::new(state), writing: Arc::default() }
    }

    /// What to tell the metanode.
    pub(crate) fn seen(&self) -> SeenDatabase {
        self.lock().seen.clone()
    }

    /// The node got an incarnation.
    pub(crate) fn registered(&self, incarnation: u64, lineage: Lineage) {
        {
            let mut state = self.lock();
            state.seen.incarnation = state.seen.incarnation.max(incarnation);
            state.seen.learn(lineage);
            state.due = Some(Duration::ZERO);
        }
        self.write_if_due();
    }

    /// The metanode says something of its database.
    pub(crate) fn learn(&self, lineage: Lineage) {
        {
            let mut state = self.lock();
            if state.seen.learn(lineage) && state.due.is_none() {
                state.due = Some(state.written_at + WRITE_INTERVAL);
            }
        }
        self.write_if_due();
    }

    /// Writes in the background: a disk that hangs must not hold up heartbeats.
    fn write_if_due(&self) {
        let now = self.env.monotonic();
        let seen = {
            let mut state = self.lock();
            if state.due.is_none_or(|due| now < due) || self.writing.swap(true, Ordering::AcqRel) {
                return;
            }
            (state.due, state.written_at) = (None, now);
            state.seen.clone()
        };
        let (volumes, writing) = (self.volumes.clone(), self.writing.clone());
        drop(tokio::task::spawn_blocking(move || {
            volumes.set_seen(seen);
            writing.store(false, Ordering::Release);
        }));
    }

    /// Writes what is not on disk yet, because the node shuts down.
    pub(crate) async fn flush(&self) {
        let seen = {
            let mut state = self.lock();
            if state.due.take().is_none() {
                return;
            }
            state.seen.clone()
        };
        let volumes = self.volumes.clone();
        // It fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(move || volumes.set_seen(seen)).await;
    }

    fn lock(&self) -> MutexGuard<'_, SeenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
