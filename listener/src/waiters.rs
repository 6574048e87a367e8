//! New connections that wait for a place in a full listener. The connections that have one share this, so that each can
//! report that it became dispensable without knowing the listener.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of new connections that wait for a place, and the notification that wakes them.
#[derive(Default)]
pub(super) struct Waiters {
    count: AtomicUsize,
    /// A connection became dispensable while another waited for a place.
    dispensable: Notify,
}

impl Waiters {
    /// Counts one more waiter until the returned value is dropped.
    pub(super) fn begin(&self) -> Waiting<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Wakes a waiter, if there is one: a connection has become dispensable.
    pub(super) fn one_is_dispensable(&self) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.dispensable.notify_one();
        }
    }
}

/// A waiter. It is counted until it is dropped, which also happens when its task is cancelled.
pub(super) struct Waiting<'a>(&'a Waiters);

impl Waiting<'_> {
    /// Waits until a connection becomes dispensable.
    pub(super) async fn dispensable(&self) {
        self.0.dispensable.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
