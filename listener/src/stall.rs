//! How long a body has not moved at all.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::pace::Pace;
use cairn_protocol::env::Env;

/// Measures how long something has been waited for without a break, and how much came of it. The timer behind it
/// is set once per time-out, not once per wait.
pub(super) struct Stall {
    env: Env,
    timeout: Duration,
    since: Option<Duration>,
    pace: Pace,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Stall {
    pub(super) fn new(env: Env, timeout: Duration, pace: Pace) -> Self {
        Self { env, timeout, since: None, pace, timer: None }
    }

    /// `bytes` bytes came. Returns whether they come too slowly.
    pub(super) fn progress(&mut self, bytes: usize) -> bool {
        let waited = self.since.take().map(|since| self.env.monotonic().saturating_sub(since));
        self.pace.add(bytes as u64, waited.unwrap_or_default())
    }

    /// Called while waiting: ready when there was no progress for too long.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(|| self.env.monotonic());
        loop {
            let left = self.timeout.saturating_sub(self.env.monotonic().saturating_sub(since));
            if left.is_zero() {
                return Poll::Ready(());
            }
            let timer = self.timer.get_or_insert_with(|| self.env.sleep(left));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // The timer may have been set for an earlier wait, so the rest is computed again.
            self.timer = None;
        }
    }
}
