//! Cluster time: the clock by which leases, ages and grace periods are judged.
//!
//! It is the wall clock of the cluster's first start, and goes on with the monotonic clock of whichever process runs. It
//! stands still while no metanode runs, so it may lag behind the time of day; that does no harm, for everything that is
//! judged by it (ids of blocks, grants, leases, marks) is stamped by it. Setting the wall clock, or starting with a wrong
//! one, changes nothing: a leap forward gives up no block that is on its way, a leap back keeps none for ever.
//!
//! A mark is kept in SQL every few seconds, a little ahead of the time that was told, and the next process begins there:
//! so the time does not go back. A process that ends at once loses less than two intervals of a lease by that.
//!
//! The namespace stamps what it retires by the wall clock, which users see. [`Clock::retired_before`] says which of those
//! stamps are as old as a grace period, whatever was done to the wall clock meanwhile.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::{Env, Timestamp};
use serde::{Deserialize, Serialize};

use super::config::BlockManagerConfig;

/// Marks in the time of a lease: what a restart costs must be little of it.
const MARKS_PER_LEASE: u32 = 64;

/// The longest time between two marks.
const MARK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Looks at the wall clock that are remembered of each grace period.
const SAMPLES_PER_GRACE: u32 = 32;

/// How far wall and cluster time may go apart between two looks without counting as a leap: clocks are slewed by at most
/// half a thousandth (adjtimex(2)), and a look takes its time.
const LEAP: Duration = Duration::from_millis(100);

/// What SQL keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// No later time was told, unless the next mark was late.
    mark: Timestamp,
    /// The longest lease of a grant that may still be valid, in milliseconds.
    lease_ms: u64,
    /// No grant that was given before this was kept is valid after that.
    grants_end: Timestamp,
    /// Looks at the wall clock.
    samples: VecDeque<Sample>,
}

/// What the wall clock showed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sample {
    time: Timestamp,
    wall: Timestamp,
}

/// Cluster time. The time itself is told by the block manager's [`Env`].
#[derive(Debug)]
pub(super) struct Clock {
    lease: Duration,
    grace: Duration,
    /// When this process began.
    began: Timestamp,
    /// What grants of earlier processes may still do.
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
    /// Goes on from what was kept. `is_new`: there was no process before that could have given a grant. Answers the
    /// handle whose time is the cluster's.
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
            // An earlier version, which kept nothing, may have given grants until just now.
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

    /// Until when a grant of a block can be valid that was given at this time and never renewed.
    pub(super) fn lease_end(&self, given: Timestamp) -> Timestamp {
        let earlier =
            self.before.filter(|_| given <= self.began).map_or(Duration::ZERO, |before| before.lease);
        given.after(self.lease.max(earlier))
    }

    /// No grant that exists now is valid after that.
    pub(super) fn grants_end(&self, now: Timestamp) -> Timestamp {
        now.after(self.lease).max(self.before.map_or(Timestamp(0), |before| before.end))
    }

    /// No grant of an earlier process, which this one has forgotten, is valid after that.
    pub(super) fn forgotten_grants_end(&self) -> Timestamp {
        self.before.map_or(Timestamp(0), |before| before.end)
    }

    /// Remembers what the wall clock shows, if it is time to.
    pub(super) fn look(&self, env: &Env) {
        let now = Sample { time: env.now(), wall: env.wall() };
        let interval = self.grace / SAMPLES_PER_GRACE;
        let window = now.time.before(self.grace);
        let mut state = self.state();
        let is_due = |last: &Sample| now.time.since(last.time) >= interval || leapt(*last, now);
        if state.samples.back().is_none_or(is_due) {
            state.samples.push_back(now);
        }
        // The last one before the window tells what the clock showed at its beginning.
        while state.samples.get(1).is_some_and(|second| second.time <= window) {
            state.samples.pop_front();
        }
    }

    /// What the wall clock showed a grace period ago, or less if it showed less at any time since: what was stamped
    /// before has been retired for longer than that. `None` while that is not known.
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

    /// What is to be kept now, if it is time to.
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

    /// It was kept.
    pub(super) fn kept(&self, kept: &Kept) {
        self.state().mark = kept.mark;
    }
}

/// If the wall clock was set between two looks: the least that it may have shown between them.
fn least(earlier: Sample, later: Sample) -> Option<Timestamp> {
    let passed = later.time.since(earlier.time);
    leapt(earlier, later).then(|| earlier.wall.min(later.wall.before(passed)))
}

/// Whether the wall clock was set between two looks.
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

    /// Lets time pass as the worker does that looks at the clock.
    fn pass(clock: &Clock, env: &Env, hand: &ManualClock, time: Duration) {
        for _ in 0..time.as_secs() {
            hand.advance(Duration::from_secs(1));
            clock.look(env);
        }
    }

    #[test]
    fn the_time_goes_on_where_it_was_whatever_the_wall_clock_of_the_next_start_shows() {
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

    /// A restart with a shorter lease once gave up blocks whose grants were still valid.
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
    fn a_database_that_kept_no_time_begins_with_the_wall_clock_and_with_grants_that_nobody_remembers() {
        let (env, _hand) = Env::manual(1, START);
        let (clock, steady) = Clock::begin(None, false, &BlockManagerConfig::default(), &env);
        assert_eq!((steady.now(), clock.forgotten_grants_end()), (START, START.after(minutes(10))));
        let (clock, _) = Clock::begin(None, true, &BlockManagerConfig::default(), &env);
        assert_eq!(clock.forgotten_grants_end(), Timestamp(0));
    }

    #[test]
    fn a_grace_period_is_as_long_as_it_should_be_while_nobody_sets_the_clock() {
        let (clock, env, hand) = begin(None);
        assert_eq!(clock.retired_before(&env), None, "nothing is known of the time before");
        hand.advance(minutes(10));
        assert_eq!(clock.retired_before(&env), Some(START));
        pass(&clock, &env, &hand, minutes(7));
        assert_eq!(clock.retired_before(&env), Some(START.after(minutes(7))));
        assert!(clock.state().samples.len() < 40);
    }

    /// A wall clock that is 11 minutes ahead for a moment ended every grace period at once.
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
    fn what_the_wall_clock_showed_before_a_restart_is_known_after_it() {
        let (clock, env, hand) = begin(None);
        pass(&clock, &env, &hand, minutes(8));
        let retired = env.wall();
        pass(&clock, &env, &hand, Duration::from_secs(20));
        let kept = clock.due(env.now()).unwrap();
        // An hour later, by the wall.
        let (env, hand) = Env::manual(1, retired.after(minutes(60)));
        let (clock, env) = Clock::begin(Some(kept), false, &BlockManagerConfig::default(), &env);
        pass(&clock, &env, &hand, minutes(9));
        assert!(clock.retired_before(&env).unwrap() <= retired, "the hour does not count");
        pass(&clock, &env, &hand, minutes(2));
        assert!(clock.retired_before(&env).unwrap() > retired);
    }
}
