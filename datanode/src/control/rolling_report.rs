//! The rolling block report: all replicas are reported once per interval (a day), in pages that are spread evenly over it, so that
//! the load is low at every moment. This module computes when the next page is due.

use std::time::Duration;

use cairn_protocol::cluster::REPORT_PAGE_MAX;
use cairn_protocol::env::Env;
use cairn_protocol::id::BlockId;
use rand::RngExt;

/// The position of the rolling report, and the time of its next page.
#[derive(Debug)]
pub(crate) struct RollingReport {
    /// Within this time all replicas are reported once; zero for never.
    interval: Duration,
    after: Option<BlockId>,
    due: Duration,
    /// Replicas in the last complete round, and in this one so far.
    in_all: u64,
    so_far: u64,
    /// Whether the pages of this round are sent without pauses.
    hurries: bool,
}

impl RollingReport {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, after: None, due: Duration::MAX, in_all: 0, so_far: 0, hurries: false }
    }

    /// Notes that all `in_all` replicas were just reported. The next round begins at a random time, so that nodes which registered at
    /// the same time do not report at the same time.
    pub(crate) fn begin_later(&mut self, in_all: u64, env: &Env) {
        (self.after, self.in_all, self.so_far) = (None, in_all, 0);
        // The metanode has requested a report in the meantime, so its first page is due already.
        if self.hurries || self.interval.is_zero() {
            return;
        }
        let rest = self.interval.mul_f64(env.with_rng(|rng| rng.random_range(0.0..=1.0)));
        self.due = env.monotonic().saturating_add(rest);
    }

    /// Starts a round whose pages are sent without pauses.
    pub(crate) fn at_once(&mut self) {
        (self.after, self.so_far, self.due, self.hurries) = (None, 0, Duration::ZERO, true);
    }

    /// When the next page is to be sent, by the monotonic clock.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// The block after which the next page begins; none for the first page.
    pub(crate) fn after(&self) -> Option<BlockId> {
        self.after
    }

    /// Notes that the metanode has merged a page of `replicas` replicas that ends with `through`; `None` for the last page.
    pub(crate) fn sent(&mut self, through: Option<BlockId>, replicas: u64, env: &Env) {
        self.after = through;
        self.so_far += replicas;
        if through.is_none() {
            (self.in_all, self.so_far) = (self.so_far, 0);
        }
        let pages = self.in_all.max(self.so_far).div_ceil(REPORT_PAGE_MAX as u64).max(1);
        let pause = self.interval / u32::try_from(pages).unwrap_or(u32::MAX);
        self.due = match (self.hurries && through.is_some(), self.interval.is_zero()) {
            (true, _) => env.monotonic(),
            (false, true) => Duration::MAX,
            (false, false) => env.monotonic().saturating_add(pause),
        };
        self.hurries &= through.is_some();
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Timestamp;
    use uuid::Uuid;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn all_replicas_are_reported_once_within_the_interval_in_pages_that_are_evenly_spread() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let mut roll = RollingReport::new(DAY);
        let page = REPORT_PAGE_MAX as u64;
        roll.begin_later(4 * page, &env);
        assert!(roll.due() <= DAY);
        clock.advance(roll.due());
        let (block, began) = (BlockId(Uuid::from_u128(1)), env.monotonic());
        for _ in 0..3 {
            roll.sent(Some(block), page, &env);
            assert_eq!((roll.due() - env.monotonic(), roll.after()), (DAY / 4, Some(block)));
            clock.advance(DAY / 4);
        }
        roll.sent(None, page, &env);
        assert_eq!((roll.due() - began, roll.after()), (DAY, None));
    }

    #[test]
    fn a_requested_report_is_sent_at_once_and_later_rounds_are_spread_again() {
        let (env, _clock) = Env::manual(1, Timestamp(0));
        let mut roll = RollingReport::new(DAY);
        roll.at_once();
        assert!(roll.due() <= env.monotonic());
        roll.sent(Some(BlockId(Uuid::from_u128(1))), 10_000, &env);
        assert!(roll.due() <= env.monotonic());
        roll.sent(None, 10_000, &env);
        assert!(roll.due() > env.monotonic());
        let mut never = RollingReport::new(Duration::ZERO);
        never.begin_later(10, &env);
        assert_eq!(never.due(), Duration::MAX);
    }
}
