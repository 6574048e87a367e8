//! Which generation of the metanode's database this node has seen last. The metanode compares it with its own, to notice that it was
//! started on an older backup of its database.
//!
//! In memory the generation is as of the last heartbeat. On disk it may be [`WRITE_INTERVAL`] older, because each write syncs every
//! volume. So when metanode and datanodes lose power together, a backup that is older by less than this interval is not noticed. A
//! new opening of the database is written at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::cluster::Lineage;
use cairn_protocol::env::Env;

use crate::volume::SeenDatabase;
use crate::volume::volumes::Volumes;

/// How long a new generation may wait until it is written to disk.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps what this node has seen of the metanode's database, in memory and on its volumes.
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
    /// When `seen` may be written, by the monotonic clock; none while it is on disk already.
    due: Option<Duration>,
    written_at: Duration,
}

impl SeenDatabaseKeeper {
    pub(crate) fn new(volumes: Arc<Volumes>, env: Env) -> Self {
        let state = SeenState { seen: volumes.seen(), due: None, written_at: Duration::ZERO };
        Self { volumes, env, state: Mutex::new(state), writing: Arc::default() }
    }

    /// What the node has seen, to be sent to the metanode.
    pub(crate) fn seen(&self) -> SeenDatabase {
        self.lock().seen.clone()
    }

    /// Notes a new incarnation, and the lineage that the metanode sent with it.
    pub(crate) fn registered(&self, incarnation: u64, lineage: Lineage) {
        {
            let mut state = self.lock();
            state.seen.incarnation = state.seen.incarnation.max(incarnation);
            state.seen.learn(lineage);
            state.due = Some(Duration::ZERO);
        }
        self.write_if_due();
    }

    /// Merges the lineage that the metanode sent in the reply to a heartbeat.
    pub(crate) fn learn(&self, lineage: Lineage) {
        {
            let mut state = self.lock();
            if state.seen.learn(lineage) && state.due.is_none() {
                state.due = Some(state.written_at + WRITE_INTERVAL);
            }
        }
        self.write_if_due();
    }

    /// Writes in the background, because a disk that hangs must not hold up heartbeats.
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

    /// Writes what is not on disk yet, at shutdown.
    pub(crate) async fn flush(&self) {
        let seen = {
            let mut state = self.lock();
            if state.due.take().is_none() {
                return;
            }
            state.seen.clone()
        };
        let volumes = self.volumes.clone();
        // This fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(move || volumes.set_seen(seen)).await;
    }

    fn lock(&self) -> MutexGuard<'_, SeenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
