//! Time, randomness and ids, through one handle that tests control.
//!
//! Wall-clock time is for times that people and S3 clients see, monotonic time for leases and deadlines within a process. All
//! code that *decides* by time uses this handle, also for time-outs ([`Env::timeout`]). A time-out that only ends one IO
//! operation may be tokio's; clippy requires the reason there.
//!
//! A wall clock can be set forward and back, while leases and ages are kept in a database. Code that decides by them has its
//! own handle, whose time is [steady](Env::steady).

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use cairn_types::time::Timestamp;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use uuid::Uuid;

/// The injected handle. Cheap to clone; clones share clock and generator.
#[derive(Clone)]
pub struct Env {
    clock: Clock,
    rng: Arc<Mutex<StdRng>>,
    steady: Option<Epoch>,
}

/// The beginning of a steady handle's time.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    time: Timestamp,
    at: Duration,
}

#[derive(Clone)]
enum Clock {
    System { started: Instant },
    Manual(ManualClock),
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.clock {
            Clock::System { .. } => "Env(system)",
            Clock::Manual(_) => "Env(manual)",
        })
    }
}

impl Env {
    /// The machine's clock, and randomness from the operating system.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the ambient clock and randomness enter"
    )]
    pub fn system() -> Self {
        Self {
            clock: Clock::System { started: Instant::now() },
            rng: Arc::new(Mutex::new(StdRng::from_rng(&mut rand::rng()))),
            steady: None,
        }
    }

    /// Time that does not move until the returned clock is advanced, and randomness from `seed`.
    pub fn manual(seed: u64, start: Timestamp) -> (Self, ManualClock) {
        let elapsed = Arc::new(watch::Sender::new(Duration::ZERO));
        let clock = ManualClock { wall: Arc::new(AtomicI64::new(0)), start, elapsed };
        (
            Self {
                clock: Clock::Manual(clock.clone()),
                rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
                steady: None,
            },
            clock,
        )
    }

    /// A handle whose [`now`](Self::now) is `time` at this moment and then follows the monotonic clock. Setting the wall clock
    /// does not change it.
    pub fn steady(&self, time: Timestamp) -> Self {
        Self { steady: Some(Epoch { time, at: self.monotonic() }), ..self.clone() }
    }

    /// The time for decisions: the wall clock, unless the handle is [steady](Self::steady).
    pub fn now(&self) -> Timestamp {
        match self.steady {
            Some(Epoch { time, at }) => time.after(self.monotonic().saturating_sub(at)),
            None => self.wall(),
        }
    }

    /// The wall clock, for times that people see or other machines compare with their clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place where the ambient clock enters")]
    pub fn wall(&self) -> Timestamp {
        match &self.clock {
            Clock::System { .. } => {
                SystemTime::now().duration_since(UNIX_EPOCH).map(Timestamp::since_epoch).unwrap_or_default()
            }
            Clock::Manual(clock) => clock.wall(),
        }
    }

    /// Time since this handle was made; never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.clock {
            Clock::System { started } => started.elapsed(),
            Clock::Manual(clock) => *clock.elapsed.borrow(),
        }
    }

    /// A function that [sleeps](Self::sleep), for libraries that take one. It keeps the clock alive.
    pub fn sleeper(
        &self,
    ) -> impl Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
        let env = self.clone();
        move |duration| env.sleep(duration)
    }

    /// Waits until `duration` has passed by this handle's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place where real sleep enters")]
    pub fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match &self.clock {
            Clock::System { .. } => Box::pin(tokio::time::sleep(duration)),
            Clock::Manual(clock) => {
                let mut elapsed = clock.elapsed.subscribe();
                let deadline = *elapsed.borrow() + duration;
                Box::pin(async move {
                    if elapsed.wait_for(|now| *now >= deadline).await.is_err() {
                        // The clock was dropped, so the time will never come.
                        std::future::pending::<()>().await;
                    }
                })
            }
        }
    }

    /// The output of `future`, or [`Elapsed`] if `duration` passes before by this handle's clock. If both happen at the same
    /// moment, it is the output.
    ///
    /// # Errors
    /// When the time is over. `future` is then dropped.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            // Made only when `future` is not ready at once, because it costs more than many a future.
            () = async { self.sleep(duration).await } => Err(Elapsed),
        }
    }

    /// Runs `use_rng` with the generator.
    pub fn with_rng<T>(&self, use_rng: impl FnOnce(&mut StdRng) -> T) -> T {
        use_rng(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fresh random bytes, fit for secrets when this is [`Env::system`].
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        self.with_rng(|rng| {
            let mut bytes = [0u8; N];
            rng.fill(&mut bytes[..]);
            bytes
        })
    }

    /// A new UUIDv7 (RFC 9562) of [`now`](Self::now).
    pub fn uuid_v7(&self) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(self.now().0, &self.random_bytes::<10>()).into_uuid()
    }

    /// A new random UUID (version 4).
    pub fn uuid_v4(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random_bytes::<16>()).into_uuid()
    }
}

/// The time of an [`Env::timeout`] was over before its future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

/// Moves the time of a manual [`Env`].
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Timestamp,
    elapsed: Arc<watch::Sender<Duration>>,
    /// The difference between the wall clock and the time that has passed, in milliseconds.
    wall: Arc<AtomicI64>,
}

impl ManualClock {
    /// Moves the time forward by `duration` and wakes every sleeper that is due.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
    }

    /// Sets the wall clock forward by `by_ms` milliseconds, or back by a negative number. The monotonic clock stays.
    pub fn set_wall(&self, by_ms: i64) {
        self.wall.fetch_add(by_ms, Ordering::SeqCst);
    }

    fn wall(&self) -> Timestamp {
        let passed = self.start.after(*self.elapsed.borrow());
        Timestamp(passed.0.saturating_add_signed(self.wall.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let (env, clock) = Env::manual(1, Timestamp(1_000));
        let mut sleep = env.sleep(Duration::from_millis(10));
        clock.advance(Duration::from_millis(9));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_millis(1));
        sleep.await;
        assert_eq!(env.now(), Timestamp(1_010));
        assert_eq!(env.monotonic(), Duration::from_millis(10));
    }

    #[tokio::test]
    async fn a_timeout_ends_by_the_injected_clock_and_an_output_that_is_ready_comes_first() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let second = Duration::from_secs(1);
        let mut waiting = Box::pin(env.timeout(second, std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        clock.advance(second);
        assert_eq!(waiting.await, Err(Elapsed));
        assert_eq!(env.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    }

    /// Leases must neither end nor last for ever because the wall clock was set.
    #[test]
    fn a_steady_handle_does_not_notice_that_the_wall_clock_is_set() {
        let (env, clock) = Env::manual(1, Timestamp(10_000));
        let steady = env.steady(Timestamp(7_000));
        clock.set_wall(660_000);
        clock.advance(Duration::from_millis(5));
        assert_eq!((env.now(), env.wall()), (Timestamp(670_005), Timestamp(670_005)));
        assert_eq!((steady.now(), steady.wall()), (Timestamp(7_005), Timestamp(670_005)));
        clock.set_wall(-1_000_000);
        clock.advance(Duration::from_millis(5));
        assert_eq!((steady.now(), steady.wall()), (Timestamp(7_010), Timestamp(0)));
        assert_eq!(steady.monotonic(), env.monotonic());
    }

    #[test]
    fn the_same_seed_gives_the_same_ids_and_another_gives_others() {
        let id = |seed| Env::manual(seed, Timestamp(5)).0.uuid_v7();
        assert_eq!(id(7), id(7));
        assert_ne!(id(7), id(8));
    }
}
