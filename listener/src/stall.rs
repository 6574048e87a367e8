//! The time-out for a body without any progress.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::pace::Pace;
use cairn_protocol::env::Env;

/// Measures the time of a wait without progress, and the rate. Its timer is set once per time-out and not once per wait.
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

    /// Notes `bytes` bytes of progress. Returns whether the rate is too low.
    pub(super) fn progress(&mut self, bytes: usize) -> bool {
        let waited = self.since.take().map(|since| self.env.monotonic().saturating_sub(since));
        self.pace.add(bytes as u64, waited.unwrap_or_default())
    }

    /// Called while waiting. It is ready when there was no progress for the time-out.
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
            // The timer may be one of an earlier wait, so the rest is computed again.
            self.timer = None;
        }
    }
}
