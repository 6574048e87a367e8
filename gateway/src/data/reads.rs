//! Tracks the versions that are being read, and asks the metanode to keep those that are read for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{Metadata, MetadataError, RENEW_READS_MAX, RenewReads};

/// How often a read is renewed within the time for which its version stays readable. Two renewals may fail.
const RENEWALS_PER_PERIOD: u32 = 4;

/// The longest pause before a failed renewal is retried.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The versions that are being read. The gateway reports long reads to the metanode, so that it keeps their blocks if
/// they are replaced or deleted meanwhile. Nearly all reads end soon and cause no report.
///
/// The number of reads is limited by the number of connections.
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
    /// Whether the renewing task runs.
    renewing: bool,
}

/// A version that is being read.
struct Reading {
    readers: usize,
    /// The interval between renewals.
    every: Duration,
    /// The time of the next renewal.
    due: Duration,
}

/// One read of a version, until it is dropped.
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

    /// Registers a read of a version that stays readable for this time without renewals; `None` if the time is not
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

    /// Renews reads when they are due, until there are none.
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

    /// When the first renewal is due; `None` ends the renewing task.
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
