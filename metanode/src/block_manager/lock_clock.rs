//! The clock by which locks of versions end.
//!
//! A lock that ends early cannot be made good, and one that lasts a little longer does no harm. So this clock never goes back, is
//! never ahead of the wall clock by its own doing, and does not follow the wall clock when that leaps forward:
//!
//! * While the metanode runs, it follows the wall clock, but no faster than the monotonic clock. When the wall clock is set back, it
//!   stops until the wall clock has caught up.
//! * Its highest time is written to SQL. What passed while no metanode ran can only be told from the wall clock. A start believes it
//!   up to an allowance, at most a day. The allowance grows again by a thirtieth of the time that the metanode runs, so that a
//!   wrong clock with many restarts gains one day in thirty and no more.
//! * What is beyond that is made up when an operator says so (`cairn admin lock-clock`).
//! * Clocks of gateways and clients have no part in it.
//!
//! Lifecycle rules are due by this clock too: what they delete cannot be brought back either.
//!
//! While no version is locked and no bucket has lifecycle rules, nothing depends on the clock, and a start sets it to the wall clock,
//! even back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::admin::LockClockStatus;
use cairn_protocol::env::{Env, Timestamp};
use serde::{Deserialize, Serialize};

use crate::store::clock::{self, StoredClock};
use crate::store::{Connection, StoreError};

/// The longest time without a metanode that a start believes: a maintenance with a night in it.
const ALLOWANCE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The allowance grows by the running time divided by this.
const ALLOWANCE_GROWS: u32 = 30;

/// The time between two writes to SQL. After a crash the clock is behind by as much, which the allowance makes up.
const KEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How far the clock may be behind before the log says so. Less is left to the next start.
const BEHIND_WORTH_SAYING: Duration = Duration::from_secs(60);

/// The row in SQL from which the next process continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The highest time that the clock had.
    time: Timestamp,
    /// The allowance in milliseconds.
    allowance_ms: u64,
}

/// The clock. Cheap to clone; clones are the same clock.
#[derive(Clone, Debug)]
pub(crate) struct LockClock {
    env: Env,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    time: Timestamp,
    /// The monotonic clock at that time.
    at: Duration,
    allowance: Duration,
    kept: Option<Timestamp>,
    said: bool,
}

impl LockClock {
    /// Continues from the row in SQL. `env` has the wall clock. Unless something depends on the clock, it begins at the wall clock.
    pub(super) fn begin(kept: Option<Kept>, is_needed: bool, env: &Env) -> Self {
        let wall = env.wall();
        let (time, allowance) = match kept.filter(|_| is_needed) {
            None => (wall, ALLOWANCE_MAX),
            Some(Kept { time, allowance_ms }) => {
                let allowance = Duration::from_millis(allowance_ms).min(ALLOWANCE_MAX);
                let believed = wall.since(time).min(allowance);
                (time.after(believed), allowance.saturating_sub(believed))
            }
        };
        let state = State { time, at: env.monotonic(), allowance, kept: None, said: false };
        Self { env: env.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// The state, moved to this moment.
    fn state(&self) -> MutexGuard<'_, State> {
        let (wall, monotonic) = (self.env.wall(), self.env.monotonic());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Whole milliseconds, so that the rest counts next time.
        let whole = u64::try_from(monotonic.saturating_sub(state.at).as_millis()).unwrap_or(u64::MAX);
        let passed = Duration::from_millis(whole);
        state.at += passed;
        state.time = state.time.max(wall.min(state.time.after(passed)));
        state.allowance = (state.allowance + passed / ALLOWANCE_GROWS).min(ALLOWANCE_MAX);
        state
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.state().time
    }

    /// The state for operators.
    pub(super) fn status(&self) -> LockClockStatus {
        let state = self.state();
        let wall = self.env.wall();
        LockClockStatus {
            time: state.time,
            wall,
            behind_ms: wall.0.saturating_sub(state.time.0),
            allowance_ms: u64::try_from(state.allowance.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The row that says that the clock is set forward to the wall clock, and not beyond `until`.
    pub(super) fn advanced(&self, until: Timestamp) -> Kept {
        let mut kept = self.to_keep();
        kept.time = kept.time.max(self.env.wall().min(until));
        kept
    }

    /// The row to write to SQL now, if one is due.
    pub(super) fn due(&self) -> Option<Kept> {
        let kept = self.to_keep();
        let last = self.state().kept;
        last.is_none_or(|last| kept.time.since(last) >= KEEP_INTERVAL).then_some(kept)
    }

    /// Writes the row with a mutation of a bucket with Object Lock, if one is due: no lock is in SQL without a time from which a
    /// start continues. The worker that writes it otherwise may not have come to it yet.
    pub(crate) async fn keep_if_due(&self, tx: &mut Connection) -> Result<(), StoreError> {
        match self.due() {
            Some(kept) => clock::keep(tx, StoredClock::Locks, &kept).await,
            None => Ok(()),
        }
    }

    /// Records that the row was written.
    pub(super) fn kept(&self, kept: &Kept) {
        let mut state = self.state();
        state.kept = Some(kept.time);
        state.time = state.time.max(kept.time);
    }

    /// Whether the log should say that the clock is behind: once, until it is not behind any more.
    pub(super) fn is_behind_news(&self) -> bool {
        let behind = Duration::from_millis(self.status().behind_ms) > BEHIND_WORTH_SAYING;
        let mut state = self.state();
        !std::mem::replace(&mut state.said, behind) && behind
    }

    fn to_keep(&self) -> Kept {
        let state = self.state();
        let allowance_ms = u64::try_from(state.allowance.as_millis()).unwrap_or(u64::MAX);
        Kept { time: state.time, allowance_ms }
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: i64 = 3_600_000;

    fn begin(kept: Option<Kept>, at: Timestamp) -> (LockClock, ManualClock) {
        let (env, hand) = Env::manual(1, at);
        (LockClock::begin(kept, true, &env), hand)
    }

    #[test]
    fn it_follows_the_wall_clock_while_that_is_not_set() {
        let (clock, hand) = begin(None, START);
        for _ in 0..5_000 {
            hand.advance(Duration::from_micros(700));
            clock.now();
        }
        assert_eq!(clock.now(), START.after(Duration::from_micros(3_500_000)));
    }

    #[test]
    fn a_wall_clock_that_leaps_forward_ends_no_lock_early() {
        let (clock, hand) = begin(None, START);
        hand.set_wall(1000 * 24 * HOUR_MS);
        hand.advance(HOUR);
        assert_eq!(clock.now(), START.after(HOUR));
        assert_eq!(clock.status().behind_ms, 1000 * 24 * 3_600_000);
        assert!(clock.is_behind_news() && !clock.is_behind_news(), "it is said once");
    }

    #[test]
    fn a_wall_clock_that_is_set_back_stops_it_and_does_not_turn_it_back() {
        let (clock, hand) = begin(None, START);
        hand.set_wall(-2 * HOUR_MS);
        hand.advance(HOUR);
        assert_eq!(clock.now(), START);
        hand.advance(2 * HOUR);
        assert_eq!(clock.now(), START.after(HOUR));
    }

    #[test]
    fn a_start_believes_a_day_and_the_rest_needs_an_operator() {
        let (clock, _) = begin(None, START);
        let kept = clock.due().unwrap();
        clock.kept(&kept);
        assert_eq!(clock.due(), None, "it is not written again at once");
        let (clock, _) = begin(Some(kept.clone()), START.after(5 * HOUR));
        assert_eq!(clock.now(), START.after(5 * HOUR));
        let (clock, hand) = begin(Some(kept), START.after(100 * HOUR));
        assert_eq!(clock.now(), START.after(24 * HOUR));
        assert_eq!((clock.status().behind_ms, clock.status().allowance_ms), (76 * 3_600_000, 0));
        // The wall clock has moved on since the operator looked: not beyond what was agreed to.
        hand.advance(HOUR);
        let kept = clock.advanced(START.after(100 * HOUR));
        clock.kept(&kept);
        assert_eq!(clock.now(), START.after(100 * HOUR));
        // A time in the future cannot be agreed to.
        clock.kept(&clock.advanced(START.after(1000 * HOUR)));
        assert_eq!(clock.now(), START.after(101 * HOUR));
    }

    #[test]
    fn restarts_do_not_add_up_to_more_than_the_allowance() {
        let mut kept = Some(begin(None, START).0.due().unwrap());
        for day in 1..=100 {
            let (clock, _) = begin(kept, START.after(24 * HOUR * day));
            kept = clock.due();
        }
        assert_eq!(kept.unwrap().time, START.after(24 * HOUR));
    }

    #[test]
    fn without_locks_a_start_sets_it_to_the_wall_clock() {
        let (clock, _) = begin(None, START);
        let kept = clock.due();
        let (env, _hand) = Env::manual(1, START.before(9 * HOUR));
        assert_eq!(LockClock::begin(kept, false, &env).now(), START.before(9 * HOUR));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u32),
        Set(i32),
        Restart { off_s: u32, set_s: i32 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..200_000u32).prop_map(Step::Pass),
            any::<i32>().prop_map(Step::Set),
            (0..200_000u32, any::<i32>()).prop_map(|(off_s, set_s)| Step::Restart { off_s, set_s }),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        /// Whatever the wall clock does, and however often the metanode starts: the clock never goes back, and is ahead of the
        /// time that really passed by no more than what the allowance gives.
        #[test]
        fn it_never_goes_back_and_gains_no_more_than_the_allowance(steps in steps()) {
            let (mut env, mut hand) = Env::manual(1, START);
            let mut clock = LockClock::begin(None, true, &env);
            let (mut passed, mut ran, mut last) = (Duration::ZERO, Duration::ZERO, clock.now());
            for step in steps {
                match step {
                    Step::Pass(seconds) => {
                        let time = Duration::from_secs(u64::from(seconds));
                        hand.advance(time);
                        passed += time;
                        ran += time;
                    }
                    Step::Set(seconds) => hand.set_wall(i64::from(seconds) * 1000),
                    Step::Restart { off_s, set_s } => {
                        let off = Duration::from_secs(u64::from(off_s));
                        let kept = clock.to_keep();
                        let wall = env.wall().after(off);
                        let wall = Timestamp(wall.0.saturating_add_signed(i64::from(set_s) * 1000));
                        (env, hand) = Env::manual(1, wall);
                        clock = LockClock::begin(Some(kept), true, &env);
                        passed += off;
                    }
                }
                let now = clock.now();
                prop_assert!(now >= last);
                last = now;
                let gained = now.since(START.after(passed));
                prop_assert!(gained <= ALLOWANCE_MAX + ran / ALLOWANCE_GROWS, "{gained:?} after {ran:?}");
            }
        }
    }
}
