//! What the scrubber is told, and what it tells: the seam between it and the talk with the metanode.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::cluster::{ScrubOrder, ScrubProgress};
use tokio::sync::watch;

use crate::volume::Scrubbed;

/// The latest order, and how far the scrubber is.
#[derive(Debug)]
pub(crate) struct ScrubControl {
    order: watch::Sender<ScrubOrder>,
    progress: Mutex<ScrubProgress>,
}

impl ScrubControl {
    /// Nothing is ordered; `finished` is what the node remembers.
    pub(crate) fn new(finished: Scrubbed) -> Self {
        let Scrubbed { round: finished_round, at: finished_at } = finished;
        let progress = ScrubProgress { finished_round, finished_at, ..ScrubProgress::default() };
        Self { order: watch::Sender::new(ScrubOrder::default()), progress: Mutex::new(progress) }
    }

    /// The metanode says how to scrub.
    pub(crate) fn obey(&self, order: ScrubOrder) {
        self.order.send_if_modified(|current| {
            let changed = *current != order;
            *current = order;
            changed
        });
    }

    pub(crate) fn orders(&self) -> watch::Receiver<ScrubOrder> {
        self.order.subscribe()
    }

    pub(crate) fn progress(&self) -> ScrubProgress {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut ScrubProgress)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, ScrubProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
