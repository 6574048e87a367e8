//! The check of the least rate of a body.

use std::time::Duration;

/// Finds out whether a client moves bytes too slowly.
///
/// Only the time counts in which the server waits for the client, so that a slow server does not make a client look slow. All
/// bytes count, so that a fast client may pause.
#[derive(Debug)]
pub(super) struct Pace {
    /// The least rate in bytes a second; 0 is no limit.
    rate_min: u64,
    window: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// A check after each `window` of waiting for the client.
    pub(super) fn new(rate_min: u64, window: Duration) -> Self {
        Self { rate_min, window, waited: Duration::ZERO, moved: 0 }
    }

    /// Adds bytes that the client moved, and the time of waiting for it. Returns whether the client is too slow.
    pub(super) fn add(&mut self, moved: u64, waited: Duration) -> bool {
        self.moved = self.moved.saturating_add(moved);
        self.waited += waited;
        if self.waited < self.window {
            return false;
        }
        let owed = u128::from(self.rate_min) * self.waited.as_millis() / 1000;
        let too_slow = u128::from(self.moved) < owed;
        (self.moved, self.waited) = (0, Duration::ZERO);
        too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_client_is_judged_by_the_time_in_which_it_was_waited_for() {
        let mut pace = Pace::new(100, 10 * SECOND);
        // The server did not wait for the client, so the client is not too slow.
        assert!((0..1000).all(|_| !pace.add(0, Duration::ZERO)));
        assert!((0..9).all(|_| !pace.add(99, SECOND)));
        assert!(pace.add(99, SECOND), "990 bytes in 10 s");
        // The next window begins without bytes or time of the last one.
        assert!((0..10).all(|_| !pace.add(100, SECOND)));
        // Bytes that moved fast count for the pause after them.
        assert!(!pace.add(1000, Duration::ZERO) && !pace.add(0, 10 * SECOND));
        assert!(pace.add(0, 10 * SECOND));
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(!Pace::new(0, SECOND).add(0, 3600 * SECOND));
    }
}
