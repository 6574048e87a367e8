use std::time::Duration;

/// Lets through so many bytes a second on average. A piece that is larger than what is left is let
/// through all the same, and the next one waits until it is paid off.
#[derive(Debug)]
pub(super) struct Throttle {
    rate: u64,
    /// Until when what was let through takes.
    paid_at: Duration,
}

/// What was not used is saved for so long: a pause of the work is not made up for by a burst.
const SAVED: Duration = Duration::from_secs(1);

impl Throttle {
    /// Lets through `rate` bytes a second, 1 at the least.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid_at: Duration::ZERO }
    }

    /// How long to wait before the next piece.
    pub(super) fn delay(&self, now: Duration) -> Duration {
        self.paid_at.saturating_sub(now)
    }

    /// `bytes` were let through.
    pub(super) fn take(&mut self, bytes: u64, now: Duration) {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.rate);
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now.saturating_sub(SAVED)).saturating_add(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_on_average_and_a_large_piece_is_paid_off_before_the_next() {
        let second = Duration::from_secs(1);
        let mut throttle = Throttle::new(100);
        throttle.take(1_000, 10 * second);
        assert_eq!(throttle.delay(10 * second), 9 * second);
        assert_eq!(throttle.delay(19 * second), Duration::ZERO);
        throttle.take(100, 19 * second);
        assert_eq!(throttle.delay(19 * second), second);
    }

    #[test]
    fn a_long_rest_is_not_made_up_for_by_a_burst() {
        let second = Duration::from_secs(1);
        let mut throttle = Throttle::new(100);
        throttle.take(300, 1_000 * second);
        assert_eq!(throttle.delay(1_000 * second), 2 * second);
    }
}
