//! Time, randomness and ids, through one handle that tests can fix.
//!
//! Wall-clock time is for what people and S3 see, monotonic time for leases and deadlines within a
//! process. Time-outs of a single IO operation may use `tokio::time::timeout` directly; whatever
//! *decides* something by the passing of time uses this handle.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

/// Milliseconds since the Unix epoch, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time and `duration` more; the end of time at the most.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This time less `duration`; the epoch at the least.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As the standard library's type, for formatting.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The injected handle. Cheap to clone; clones share clock and generator.
#[derive(Clone)]
pub struct Env {
    clock: Clock,
    rng: Arc<Mutex<StdRng>>,
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
        }
    }

    /// Time that stands still until the returned clock is advanced, and randomness from `seed`.
    pub fn manual(seed: u64, start: Timestamp) -> (Self, ManualClock) {
        let clock = ManualClock { start, elapsed: Arc::new(watch::Sender::new(Duration::ZERO)) };
        (
            Self {
                clock: Clock::Manual(clock.clone()),
                rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            },
            clock,
        )
    }

    /// The wall clock.
    #[expect(clippy::disallowed_methods, reason = "the one place where the ambient clock enters")]
    pub fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::System { .. } => {
                Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map(millis).unwrap_or_default())
            }
            Clock::Manual(clock) => clock.start.after(*clock.elapsed.borrow()),
        }
    }

    /// Time since this handle was made; never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.clock {
            Clock::System { started } => started.elapsed(),
            Clock::Manual(clock) => *clock.elapsed.borrow(),
        }
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
                        // The clock was dropped: no time will ever pass again.
                        std::future::pending::<()>().await;
                    }
                })
            }
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

    /// A new UUIDv7 (RFC 9562) of now.
    pub fn uuid_v7(&self) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(self.now().0, &self.random_bytes::<10>()).into_uuid()
    }

    /// A new random UUID (version 4).
    pub fn uuid_v4(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random_bytes::<16>()).into_uuid()
    }
}

/// The hand on a manual [`Env`]'s clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Timestamp,
    elapsed: Arc<watch::Sender<Duration>>,
}

impl ManualClock {
    /// Lets `duration` pass at once and wakes every sleeper whose time has come.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
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

    #[test]
    fn the_same_seed_gives_the_same_ids_and_another_gives_others() {
        let id = |seed| Env::manual(seed, Timestamp(5)).0.uuid_v7();
        assert_eq!(id(7), id(7));
        assert_ne!(id(7), id(8));
    }
}
