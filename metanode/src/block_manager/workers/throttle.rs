//! A rate limit for workers, in units a second.

use std::time::Duration;

/// Limits work to a number of units a second on average. A piece of work is never refused for its size: it may run, and
/// the next one waits until the rate has caught up.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Units a second; `None` for no limit.
    rate: Option<u64>,
    /// When the rate has caught up with the work so far.
    paid_at: Duration,
}

/// Unused rate is saved for this long only, so that a pause is not followed by a burst.
const SAVED: Duration = Duration::from_secs(1);

impl Throttle {
    /// A limit of `rate` units a second, at least 1.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), paid_at: Duration::ZERO }
    }

    /// The rate.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Changes the rate. Work that the old rate has not caught up with is counted at the new rate.
    pub(super) fn set_rate(&mut self, rate: Option<u64>, now: Duration) {
        let owed = self.rate.map_or(0, |rate| units(self.delay(now), rate));
        *self = Self { paid_at: now.saturating_sub(SAVED), ..Self::new(rate) };
        if owed > 0 {
            self.paid_at = now;
            self.take(owed, now);
        }
    }

    /// How long to wait before the next piece.
    pub(super) fn delay(&self, now: Duration) -> Duration {
        self.paid_at.saturating_sub(now)
    }

    /// Counts units that were let through.
    pub(super) fn take(&mut self, units: u64, now: Duration) {
        let Some(rate) = self.rate else { return };
        let micros = u128::from(units) * MICROS / u128::from(rate);
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now.saturating_sub(SAVED)).saturating_add(cost);
    }
}

const MICROS: u128 = 1_000_000;

/// The number of units that `rate` allows in a time.
fn units(time: Duration, rate: u64) -> u64 {
    let units = time.as_micros().saturating_mul(u128::from(rate)) / MICROS;
    u64::try_from(units).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_holds_on_average_and_a_large_piece_is_paid_off_before_the_next() {
        let mut throttle = Throttle::new(Some(100));
        throttle.take(1_000, 10 * SECOND);
        assert_eq!(throttle.delay(10 * SECOND), 9 * SECOND);
        assert_eq!(throttle.delay(19 * SECOND), Duration::ZERO);
        throttle.take(100, 19 * SECOND);
        assert_eq!(throttle.delay(19 * SECOND), SECOND);
    }

    #[test]
    fn a_long_rest_is_not_followed_by_a_burst() {
        let mut throttle = Throttle::new(Some(100));
        throttle.take(300, 1_000 * SECOND);
        assert_eq!(throttle.delay(1_000 * SECOND), 2 * SECOND);
    }

    #[test]
    fn a_new_rate_applies_at_once_also_to_earlier_work() {
        let mut throttle = Throttle::new(Some(1));
        throttle.take(1_001, 10 * SECOND);
        assert_eq!(throttle.delay(10 * SECOND), 1_000 * SECOND);
        throttle.set_rate(Some(100), 10 * SECOND);
        assert_eq!(throttle.delay(10 * SECOND), 10 * SECOND);
        throttle.set_rate(None, 10 * SECOND);
        throttle.take(u64::MAX, 10 * SECOND);
        assert_eq!(throttle.delay(10 * SECOND), Duration::ZERO);
    }
}
