//! The least rate at which a body has to move.

use std::time::Duration;

/// Finds out whether a client moves bytes too slowly.
///
/// Only the time counts in which we wait for the client, so that no client is blamed for waiting for us; and all bytes
/// count, so that a client which was fast and pauses is judged by both.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes a second; 0 for any.
    rate_min: u64,
    window: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// Judges whenever the client was waited for that long in all.
    pub(super) fn new(rate_min: u64, window: Duration) -> Self {
        Self { rate_min, window, waited: Duration::ZERO, moved: 0 }
    }

    /// The client moved so many bytes, and was waited for so long. Whether that is too slow.
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
        // The client was not waited for: a slow server must not blame it.
        assert!((0..1000).all(|_| !pace.add(0, Duration::ZERO)));
        assert!((0..9).all(|_| !pace.add(99, SECOND)));
        assert!(pace.add(99, SECOND), "990 bytes in 10 s");
        // The next window begins.
        assert!((0..10).all(|_| !pace.add(100, SECOND)));
        // Bytes that came fast count for the pause after them.
        assert!(!pace.add(1000, Duration::ZERO) && !pace.add(0, 10 * SECOND));
        assert!(pace.add(0, 10 * SECOND));
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(!Pace::new(0, SECOND).add(0, 3600 * SECOND));
    }
}
