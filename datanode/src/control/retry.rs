//! When a call to the metanode is repeated: later each time, and at a random time, so that not all datanodes call at once
//! when a metanode returns. The delays are computed by `backon`; the waiting is done by the injected clock.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use cairn_protocol::env::Env;
use rand::RngExt;

/// The delays between attempts, without end: a random half to whole of a time that doubles from `delay_min` up to
/// `delay_max`.
pub(crate) fn delays(env: &Env, (delay_min, delay_max): (Duration, Duration)) -> ExponentialBuilder {
    // With jitter, backon adds a random part of a delay to it. So half of each bound is the least that is waited.
    ExponentialBuilder::new()
        .with_min_delay(delay_min.min(delay_max) / 2)
        .with_max_delay(delay_max / 2)
        .with_factor(2.0)
        .with_jitter()
        .with_jitter_seed(env.with_rng(|rng| rng.random()))
        .without_max_times()
}

/// The waits of a loop that does more between two attempts than to wait.
pub(crate) struct Retry<'a> {
    env: &'a Env,
    delays: ExponentialBackoff,
    delay_max: Duration,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(env: &'a Env, bounds: (Duration, Duration)) -> Self {
        Self { env, delays: delays(env, bounds).build(), delay_max: bounds.1 }
    }

    /// Waits before the next attempt.
    pub(crate) async fn wait(&mut self) {
        // The delays have no end.
        let delay = self.delays.next().unwrap_or(self.delay_max);
        self.env.sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn delays_double_up_to_their_limit_and_are_spread() {
        let (env, _clock) = Env::manual(1, Timestamp(0));
        let bounds = (Duration::from_millis(100), Duration::from_millis(350));
        let delays: Vec<u128> = delays(&env, bounds).build().take(5).map(|delay| delay.as_millis()).collect();
        for (delay, whole) in delays.iter().zip([100, 200, 350, 350, 350]) {
            assert!((whole / 2..=whole).contains(delay), "{delays:?}");
        }
        assert_eq!(delays.len(), 5);
        assert_ne!(delays[3], delays[4]);
    }

    #[tokio::test]
    async fn a_retry_waits_by_the_injected_clock_only() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let mut retry = Retry::new(&env, (Duration::from_secs(100), Duration::from_secs(100)));
        let mut wait = std::pin::pin!(retry.wait());
        assert!(futures_util::poll!(&mut wait).is_pending());
        clock.advance(Duration::from_secs(49));
        assert!(futures_util::poll!(&mut wait).is_pending());
        clock.advance(Duration::from_secs(51));
        wait.await;
    }
}
