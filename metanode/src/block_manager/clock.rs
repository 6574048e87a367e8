//! Cluster time: the clock by which leases, ages and grace periods are judged.
//!
//! It begins with the wall clock at the cluster's first start, and advances with the monotonic clock of the running
//! process. It stops while no metanode runs, so it may be behind the time of day. That does no harm, because all that
//! is compared with it (ids of blocks, grants, leases, marks) was stamped by it. A change of the wall clock, or a start
//! with a wrong one, therefore changes nothing: a leap forward ends no lease early, and a leap back keeps no block for
//! ever.
//!
//! A mark is written to SQL every few seconds, a little ahead of cluster time. The next process starts at the mark, so that
//! cluster time never goes back. A restart shortens a lease by less than two of these intervals.
//!
//! The namespace stamps what it retires by the wall clock, because users see those times. [`Clock::retired_before`] decides
//! which stamps are a grace period old, even if the wall clock was changed since.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::{Env, Timestamp};
use serde::{Deserialize, Serialize};

use super::config::BlockManagerConfig;

/// Marks that are written during one lease. There are many, so that a restart shortens a lease by little.
const MARKS_PER_LEASE: u32 = 64;

/// The longest time between two marks.
const MARK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Samples of the wall clock that are kept for a grace period.
const SAMPLES_PER_GRACE: u32 = 32;

/// How far wall and cluster time may diverge between two samples without counting as a change of the wall clock: clocks
/// are slewed by at most half a thousandth (adjtimex(2)), and taking a sample needs some time.
const LEAP: Duration = Duration::from_millis(100);

/// The row in SQL from which the next process continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Cluster time was never later than this, unless the next mark was late.
    mark: Timestamp,
    /// The longest lease, in milliseconds, that an earlier process may have granted.
    lease_ms: u64,
    /// When the last of the grants that were given before the mark ends.
    grants_end: Timestamp,
    /// Samples of the wall clock.
    samples: VecDeque<Sample>,
}

/// The wall clock and cluster time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    time: Timestamp,
    wall: Timestamp,
}

/// The state that judges leases and ages by cluster time. The time itself comes from the block manager's [`Env`].
#[derive(Debug)]
pub(super) struct Clock {
    lease: Duration,
    grace: Duration,
    /// Cluster time when this process began.
    began: Timestamp,
    /// The grants of earlier processes; `None` if there can be none.
    before: Option<Before>,
    state: Mutex<ClockState>,
}

/// The grants of earlier processes.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// The longest of their leases.
    lease: Duration,
    /// When the last of them ends.
    end: Timestamp,
}

#[derive(Debug)]
struct ClockState {
    mark: Timestamp,
    samples: VecDeque<Sample>,
}

impl Clock {
    /// Continues from the row in SQL. With `is_new`, no earlier process can have given a grant. Also returns the handle
    /// whose time is cluster time.
    pub(super) fn begin(
        kept: Option<Kept>,
        is_new: bool,
        config: &BlockManagerConfig,
        env: &Env,
    ) -> (Self, Env) {
        let began = kept.as_ref().map_or_else(|| env.wall(), |kept| kept.mark);
        let before = match &kept {
            Some(kept) => Some(Before { lease: Duration::from_millis(kept.lease_ms), end: kept.grants_end }),
            None if is_new => None,
            // An earlier version did not write this row, and may have given grants until a moment ago.
            None => Some(Before { lease: config.lease, end: began.after(config.lease) }),
        };
        let state =
            ClockState { mark: Timestamp(0), samples: kept.map(|kept| kept.samples).unwrap_or_default() };
        let env = env.steady(began);
        let (lease, grace) = (config.lease, config.garbage_grace);
        let clock = Self { lease, grace, began, before, state: state.into() };
        clock.look(&env);
        (clock, env)
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a grant that was given at this time and never renewed.
    pub(super) fn lease_end(&self, given: Timestamp) -> Timestamp {
        let earlier =
            self.before.filter(|_| given <= self.began).map_or(Duration::ZERO, |before| before.lease);
        given.after(self.lease.max(earlier))
    }

    /// When the last of the grants that may exist now ends.
    pub(super) fn grants_end(&self, now: Timestamp) -> Timestamp {
        now.after(self.lease).max(self.before.map_or(Timestamp(0), |before| before.end))
    }

    /// When the last grant of an earlier process ends. This process has no reservations for those grants.
    pub(super) fn forgotten_grants_end(&self) -> Timestamp {
        self.before.map_or(Timestamp(0), |before| before.end)
    }

    /// Takes a sample of the wall clock, if one is due.
    pub(super) fn look(&self, env: &Env) {
        let now = Sample { time: env.now(), wall: env.wall() };
        let interval = self.grace / SAMPLES_PER_GRACE;
        let window = now.time.before(self.grace);
        let mut state = self.state();
        let is_due = |last: &Sample| now.time.since(last.time) >= interval || leapt(*last, now);
        if state.samples.back().is_none_or(is_due) {
            state.samples.push_back(now);
        }
        // One sample from before the window is kept: it shows what the wall clock was at the window's beginning.
        while state.samples.get(1).is_some_and(|second| second.time <= window) {
            state.samples.pop_front();
        }
    }

    /// The latest stamp that is certainly a grace period old: the time of the wall clock a grace period ago, or an
    /// earlier time if the wall clock was set back since. `None` while the samples do not reach back that far.
    pub(super) fn retired_before(&self, env: &Env) -> Option<Timestamp> {
        self.look(env);
        let now = Sample { time: env.now(), wall: env.wall() };
        let window = now.time.before(self.grace);
        let state = self.state();
        let first = *state.samples.front().filter(|first| first.time <= window)?;
        let second = state.samples.get(1).copied().unwrap_or(now);
        let begin = match least(first, second) {
            Some(least) => least,
            None => first.wall.after(window.since(first.time)),
        };
        let later = state.samples.iter().skip(1).copied().chain([now]);
        let pairs = later.clone().zip(later.skip(1));
        Some(pairs.fold(begin, |all, (earlier, later)| {
            all.min(later.wall).min(least(earlier, later).unwrap_or(later.wall))
        }))
    }

    /// The row to write to SQL now, if one is due.
    pub(super) fn due(&self, now: Timestamp) -> Option<Kept> {
        let interval = (self.lease / MARKS_PER_LEASE).min(MARK_INTERVAL_MAX);
        let state = self.state();
        if state.mark > now.after(interval) {
            return None;
        }
        let mark = now.after(interval * 2);
        let before = self.before.filter(|before| before.end >= now);
        let lease = before.map_or(self.lease, |before| before.lease.max(self.lease));
        Some(Kept {
            mark,
            lease_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            grants_end: self.grants_end(mark),
            samples: state.samples.clone(),
        })
    }

    /// Records that the row was written.
    pub(super) fn kept(&self, kept: &Kept) {
        self.state().mark = kept.mark;
    }
}

/// The lowest time that the wall clock may have shown between two samples; `None` if it was not set between them.
fn least(earlier: Sample, later: Sample) -> Option<Timestamp> {
    let passed = later.time.since(earlier.time);
    leapt(earlier, later).then(|| earlier.wall.min(later.wall.before(passed)))
}

/// Whether the wall clock was set between two samples.
fn leapt(earlier: Sample, later: Sample) -> bool {
    let passed = later.time.since(earlier.time);
    let expected = earlier.wall.after(passed);
    let off = expected.since(later.wall).max(later.wall.since(expected));
    off > LEAP.max(passed / 100)
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::ManualClock;

    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn begin(kept: Option<Kept>) -> (Clock, Env, ManualClock) {
        let (env, hand) = Env::manual(1, START);
        let (clock, env) = Clock::begin(kept, true, &BlockManagerConfig::default(), &env);
        (clock, env, hand)
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    /// Lets time pass in steps of a second, each with a look at the clock, as the worker does.
    fn pass(clock: &Clock, env: &Env, hand: &ManualClock, time: Duration) {
        for _ in 0..time.as_secs() {
            hand.advance(Duration::from_secs(1));
            clock.look(env);
        }
    }

    #[test]
    fn cluster_time_continues_after_a_restart_whatever_the_wall_clock_shows() {
        let (clock, env, hand) = begin(None);
        hand.advance(minutes(5));
        let kept = clock.due(env.now()).unwrap();
        clock.kept(&kept);
        assert_eq!(clock.due(env.now()), None, "it is not kept again at once");
        for leap in [-86_400_000, 0, 86_400_000] {
            let (env, hand) = Env::manual(1, START);
            hand.set_wall(leap);
            let (_, next) = Clock::begin(Some(kept.clone()), false, &BlockManagerConfig::default(), &env);
            let ahead = next.now().since(START.after(minutes(5)));
            assert!(next.now() >= START.after(minutes(5)) && ahead <= Duration::from_secs(20), "{ahead:?}");
        }
    }

    /// A restart with a shorter lease gave up blocks whose grants were still valid, and their uploads failed.
    #[test]
    fn grants_of_an_earlier_process_hold_as_long_as_it_said() {
        let (clock, env, _) = begin(None);
        let kept = clock.due(env.now()).unwrap();
        let (env, _hand) = Env::manual(1, START);
        let config = BlockManagerConfig { lease: minutes(1), ..BlockManagerConfig::default() };
        let (clock, env) = Clock::begin(Some(kept), false, &config, &env);
        assert_eq!(clock.lease_end(START), START.after(minutes(10)));
        let later = env.now().after(Duration::from_secs(1));
        assert_eq!(clock.lease_end(later), later.after(minutes(1)));
        assert!(clock.forgotten_grants_end() >= START.after(minutes(10)));
        assert_eq!(clock.grants_end(later), clock.forgotten_grants_end());
    }

    /// Databases of earlier versions have no mark.
    #[test]
    fn a_database_without_a_mark_begins_at_the_wall_clock_and_with_unknown_grants() {
        let (env, _hand) = Env::manual(1, START);
        let (clock, steady) = Clock::begin(None, false, &BlockManagerConfig::default(), &env);
        assert_eq!((steady.now(), clock.forgotten_grants_end()), (START, START.after(minutes(10))));
        let (clock, _) = Clock::begin(None, true, &BlockManagerConfig::default(), &env);
        assert_eq!(clock.forgotten_grants_end(), Timestamp(0));
    }

    #[test]
    fn a_grace_period_has_its_length_while_the_wall_clock_is_not_set() {
        let (clock, env, hand) = begin(None);
        assert_eq!(clock.retired_before(&env), None, "nothing is known of the time before");
        hand.advance(minutes(10));
        assert_eq!(clock.retired_before(&env), Some(START));
        pass(&clock, &env, &hand, minutes(7));
        assert_eq!(clock.retired_before(&env), Some(START.after(minutes(7))));
        assert!(clock.state().samples.len() < 40);
    }

    /// A wall clock that was 11 minutes ahead for a moment ended every grace period at once, and reads in progress
    /// failed.
    #[test]
    fn a_leap_forward_ends_no_grace_period_early_and_a_leap_back_makes_none_endless() {
        for leap in [660_000i64, -660_000] {
            let (clock, env, hand) = begin(None);
            pass(&clock, &env, &hand, minutes(20));
            let due = START.after(minutes(10));
            hand.set_wall(leap);
            assert!(clock.retired_before(&env).unwrap() <= due);
            let retired_in_leap = env.wall();
            pass(&clock, &env, &hand, Duration::from_secs(10));
            assert!(clock.retired_before(&env).unwrap() <= due.after(Duration::from_secs(10)));
            hand.set_wall(-leap);
            assert!(clock.retired_before(&env).unwrap() <= due.after(Duration::from_secs(10)));
            pass(&clock, &env, &hand, minutes(11));
            let later = clock.retired_before(&env).unwrap();
            assert_eq!(later, START.after(minutes(21) + Duration::from_secs(10)));
            assert!(leap > 0 || retired_in_leap < later, "it is kept no longer than before");
        }
    }

    #[test]
    fn samples_of_the_wall_clock_survive_a_restart() {
        let (clock, env, hand) = begin(None);
        pass(&clock, &env, &hand, minutes(8));
        let retired = env.wall();
        pass(&clock, &env, &hand, Duration::from_secs(20));
        let kept = clock.due(env.now()).unwrap();
        // The next process starts an hour later by the wall clock.
        let (env, hand) = Env::manual(1, retired.after(minutes(60)));
        let (clock, env) = Clock::begin(Some(kept), false, &BlockManagerConfig::default(), &env);
        pass(&clock, &env, &hand, minutes(9));
        assert!(clock.retired_before(&env).unwrap() <= retired, "the hour does not count");
        pass(&clock, &env, &hand, minutes(2));
        assert!(clock.retired_before(&env).unwrap() > retired);
    }
}
