//! Releases the resources of downloads whose clients do not read.
//!
//! hyper polls a body for its next piece when the client has taken the one before. A body whose client does not read is
//! not polled, so it cannot release anything itself. Therefore it parks its memory and its connection to a datanode
//! here between two pieces. They are released after [`PARK_AFTER`], or sooner when other downloads wait for memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;

use super::budget::Budget;
use super::download_resources::DownloadResources;

/// A client that takes nothing for this long is slow. It is less than the time for which datanodes and networks keep an
/// idle connection.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(1);

/// The same while other downloads wait for memory.
pub(super) const PARK_AFTER_WHEN_CROWDED: Duration = Duration::from_millis(100);

/// All downloads that have resources to release.
pub(super) struct Parking {
    env: Env,
    budget: Budget,
    state: Mutex<ParkedDownloads>,
}

#[derive(Default)]
struct ParkedDownloads {
    last_id: u64,
    spaces: HashMap<u64, Arc<Mutex<Parked>>>,
    /// Whether the releasing task runs.
    attended: bool,
}

#[derive(Default)]
struct Parked {
    held: Option<DownloadResources>,
    since: Duration,
}

/// The place where one download parks its resources.
pub(super) struct ParkingSpace {
    parking: Arc<Parking>,
    id: u64,
    parked: Arc<Mutex<Parked>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parking {
    pub(super) fn new(env: Env, budget: Budget) -> Arc<Self> {
        Arc::new(Self { env, budget, state: Mutex::default() })
    }

    /// Makes a place for a download.
    pub(super) fn space(self: &Arc<Self>) -> ParkingSpace {
        let parked: Arc<Mutex<Parked>> = Arc::default();
        let mut state = lock(&self.state);
        state.last_id += 1;
        let id = state.last_id;
        state.spaces.insert(id, parked.clone());
        if !std::mem::replace(&mut state.attended, true) {
            tokio::spawn(self.clone().attend());
        }
        ParkingSpace { parking: self.clone(), id, parked }
    }

    /// Releases the resources of slow downloads, until there are no downloads.
    async fn attend(self: Arc<Self>) {
        let mut waiting = self.budget.downloads_waiting();
        loop {
            let is_crowded = *waiting.borrow_and_update() > 0;
            let patience = if is_crowded { PARK_AFTER_WHEN_CROWDED } else { PARK_AFTER };
            // The sender lives as long as the budget, so this never fails.
            let crowded = async { waiting.wait_for(|waiting| *waiting > 0).await.is_ok() };
            tokio::select! {
                () = self.env.sleep(patience / 2) => {}
                _ = crowded, if !is_crowded => continue,
            }
            let spaces: Vec<_> = {
                let mut state = lock(&self.state);
                if state.spaces.is_empty() {
                    state.attended = false;
                    return;
                }
                state.spaces.values().cloned().collect()
            };
            let now = self.env.monotonic();
            for space in spaces {
                let given_up = {
                    let mut parked = lock(&space);
                    if now.saturating_sub(parked.since) >= patience { parked.held.take() } else { None }
                };
                // Dropping it wakes downloads that wait for memory, so the lock is released first.
                drop(given_up);
            }
        }
    }
}

impl ParkingSpace {
    /// Parks `held` until the client has taken a piece.
    pub(super) fn rest(&self, held: DownloadResources) {
        let mut parked = lock(&self.parked);
        parked.since = self.parking.env.monotonic();
        parked.held = Some(held);
    }

    /// Takes back what was parked, unless it was released meanwhile.
    pub(super) fn resume(&self) -> Option<DownloadResources> {
        lock(&self.parked).held.take()
    }
}

impl Drop for ParkingSpace {
    fn drop(&mut self) {
        lock(&self.parking.state).spaces.remove(&self.id);
    }
}
