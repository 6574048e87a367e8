//! What a run is doing, for who watches it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a run is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Starting,
    /// It writes the objects that the workload needs.
    Preparing {
        /// The server's name.
        target: String,
        /// Objects to write.
        objects: u64,
    },
    /// The workload runs, and is not measured yet.
    WarmUp {
        /// The server's name.
        target: String,
    },
    /// The workload is measured.
    Measuring {
        /// The server's name.
        target: String,
        /// The round, from 1 on.
        round: u32,
        /// How many rounds there are.
        rounds: u32,
        /// When it began, on the monotonic clock.
        began: Duration,
        /// How long it is to last.
        lasts: Duration,
    },
    /// It deletes what it wrote.
    CleaningUp {
        /// The server's name.
        target: String,
    },
}

/// What a run is doing. It is read while the run goes on.
#[derive(Debug, Default)]
pub struct Status {
    phase: Mutex<Phase>,
    requests: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

impl Status {
    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests that succeeded, bytes that they moved, and failures, all since the phase began.
    pub fn counts(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.requests), read(&self.bytes), read(&self.failures))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        for counter in [&self.requests, &self.bytes, &self.failures] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn success(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
