//! Which versions are being read. The metanode is asked to keep those that are read for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{Metadata, MetadataError, RENEW_READS_MAX, RenewReads};

/// A read is renewed so many times within the time for which its version stays readable: two renewals may fail.
const RENEWALS_PER_PERIOD: u32 = 4;

/// How long to wait before a renewal that failed is tried again, at the most.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Versions that are being read. The gateway reports those that are read for long to the metanode, so that it keeps their
/// blocks when they are replaced or deleted meanwhile. Nearly all reads end soon and cost no report.
///
/// There are never more than there are answers under way, which connections bound.
#[derive(Clone)]
pub(super) struct Reads(Arc<Inner>);

struct Inner {
    metadata: Arc<dyn Metadata>,
    env: Env,
    state: Mutex<ReadsState>,
}

#[derive(Default)]
struct ReadsState {
    versions: HashMap<VersionId, Reading>,
    /// Whether there is a task that renews.
    renewing: bool,
}

/// One version that is being read.
struct Reading {
    readers: usize,
    /// How often to renew.
    every: Duration,
    /// When to renew next.
    due: Duration,
}

/// One read of a version. It ends when this is dropped.
pub(super) struct ReadGuard {
    reads: Reads,
    version: VersionId,
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let mut state = self.reads.lock();
        if let Some(reading) = state.versions.get_mut(&self.version) {
            reading.readers -= 1;
            if reading.readers == 0 {
                state.versions.remove(&self.version);
            }
        }
    }
}

impl Reads {
    pub(super) fn new(metadata: Arc<dyn Metadata>, env: Env) -> Self {
        Self(Arc::new(Inner { metadata, env, state: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, ReadsState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read a version that stays readable for so long without being renewed; `None` when that is not
    /// known.
    pub(super) fn begin(&self, version: VersionId, readable_ms: u64) -> Option<ReadGuard> {
        let every = Duration::from_millis(readable_ms) / RENEWALS_PER_PERIOD;
        if every.is_zero() {
            return None;
        }
        let due = self.0.env.monotonic() + every;
        let mut state = self.lock();
        let reading = state.versions.entry(version).or_insert(Reading { readers: 0, every, due });
        reading.readers += 1;
        if !state.renewing {
            state.renewing = true;
            tokio::spawn(self.clone().renew());
        }
        drop(state);
        Some(ReadGuard { reads: self.clone(), version })
    }

    /// Renews what is due, until nothing is being read.
    async fn renew(self) {
        while let Some(next) = self.next_due() {
            let now = self.0.env.monotonic();
            if next > now {
                self.0.env.sleep(next - now).await;
                continue;
            }
            let due = self.take_due(now);
            for versions in due.chunks(RENEW_READS_MAX) {
                let request = RenewReads { versions: versions.to_vec() };
                match self.0.metadata.renew_reads(request).await {
                    Ok(()) => {}
                    Err(error) => {
                        if !matches!(error, MetadataError::Unavailable { .. }) {
                            cairn_protocol::warn_peer!(%error, "reads could not be renewed");
                        }
                        self.try_again(versions);
                    }
                }
            }
        }
    }

    /// When the first renewal is due; `None` ends the task that renews.
    fn next_due(&self) -> Option<Duration> {
        let mut state = self.lock();
        let next = state.versions.values().map(|reading| reading.due).min();
        state.renewing = next.is_some();
        next
    }

    fn take_due(&self, now: Duration) -> Vec<VersionId> {
        let mut due = Vec::new();
        for (version, reading) in &mut self.lock().versions {
            if reading.due <= now {
                reading.due = now + reading.every;
                due.push(*version);
            }
        }
        due
    }

    fn try_again(&self, versions: &[VersionId]) {
        let now = self.0.env.monotonic();
        let mut state = self.lock();
        for version in versions {
            if let Some(reading) = state.versions.get_mut(version) {
                reading.due = now + RETRY_DELAY.min(reading.every);
            }
        }
    }
}
