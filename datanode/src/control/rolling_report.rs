//! When the next page of the report is due that goes on and on: within an interval it tells all that the node holds once,
//! in pages that are evenly spread, so that neither the metanode nor the node notices it.

use std::time::Duration;

use cairn_protocol::cluster::REPORT_PAGE_MAX;
use cairn_protocol::env::Env;
use cairn_protocol::id::BlockId;
use rand::RngExt;

/// Where the report is.
#[derive(Debug)]
pub(crate) struct RollingReport {
    /// Within which time all is told; zero for never.
    interval: Duration,
    after: Option<BlockId>,
    due: Duration,
    /// Replicas that the last whole round told, and this one so far.
    in_all: u64,
    so_far: u64,
    /// The pages of this round follow each other at once.
    hurries: bool,
}

impl RollingReport {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, after: None, due: Duration::MAX, in_all: 0, so_far: 0, hurries: false }
    }

    /// All was told just now, so many replicas. The next round begins at a random time, so that nodes which registered together do not
    /// report together.
    pub(crate) fn begin_later(&mut self, in_all: u64, env: &Env) {
        (self.after, self.in_all, self.so_far) = (None, in_all, 0);
        // Asked for meanwhile.
        if self.hurries || self.interval.is_zero() {
            return;
        }
        let rest = self.interval.mul_f64(env.with_rng(|rng| rng.random_range(0.0..=1.0)));
        self.due = env.monotonic().saturating_add(rest);
    }

    /// All is to be told at once.
    pub(crate) fn at_once(&mut self) {
        (self.after, self.so_far, self.due, self.hurries) = (None, 0, Duration::ZERO, true);
    }

    /// When the next page is to be sent, by the monotonic clock.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// Behind which block it begins.
    pub(crate) fn after(&self) -> Option<BlockId> {
        self.after
    }

    /// A page of so many replicas was worked in, up to `through`, or up to the end.
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
    fn all_is_told_once_within_the_interval_in_pages_that_are_evenly_spread() {
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
    fn a_report_that_is_asked_for_does_not_wait_and_then_the_usual_pace_goes_on() {
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
