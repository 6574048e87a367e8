//! When to try again: later each time, and not all nodes at once.

use std::time::Duration;

use cairn_protocol::env::Env;
use rand::RngExt;

/// Attempts that have failed so far.
pub(crate) struct Retry<'a> {
    env: &'a Env,
    next: Duration,
    delay_max: Duration,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(env: &'a Env, (delay_min, delay_max): (Duration, Duration)) -> Self {
        Self { env, next: delay_min, delay_max }
    }

    /// Waits before the next attempt: a random half to whole of a time that doubles up to its limit. Without the
    /// random part all datanodes would knock at once when a metanode returns.
    pub(crate) async fn wait(&mut self) {
        let delay = self.delay();
        self.env.sleep(delay).await;
    }

    fn delay(&mut self) -> Duration {
        let whole = self.next.min(self.delay_max);
        self.next = whole.saturating_mul(2);
        whole.mul_f64(self.env.with_rng(|rng| rng.random_range(0.5..=1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn delays_double_up_to_their_limit_and_are_spread() {
        let (env, _clock) = Env::manual(1, Timestamp(0));
        let mut retry = Retry::new(&env, (Duration::from_millis(100), Duration::from_millis(350)));
        let delays: Vec<u128> = (0..5).map(|_| retry.delay().as_millis()).collect();
        for (delay, whole) in delays.iter().zip([100, 200, 350, 350, 350]) {
            assert!((whole / 2..=whole).contains(delay), "{delays:?}");
        }
        assert_ne!(delays[3], delays[4]);
    }
}
