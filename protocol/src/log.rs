//! Warnings that say whose fault it was.
//!
//! `fault=self`: this process broke; in tests such a warning is a failure.
//! `fault=peer`: somebody whom we talk to broke, and we coped.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::env::Env;

/// Says whether it is time for a warning that a stranger could cause as often as it likes: the log is on our disk.
#[derive(Debug)]
pub struct Seldom {
    env: Env,
    interval: Duration,
    last: Mutex<Option<Duration>>,
}

impl Seldom {
    /// Once in each `interval` at the most.
    pub fn new(env: Env, interval: Duration) -> Self {
        Self { env, interval, last: Mutex::new(None) }
    }

    /// Whether to speak now; then not again for a while.
    pub fn may_speak(&self) -> bool {
        let now = self.env.monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.saturating_sub(last) >= self.interval);
        if may {
            *last = Some(now);
        }
        may
    }
}

/// A warning about this process: it broke a promise or lost something that it should have.
#[macro_export]
macro_rules! warn_self {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "self", $($arg)+) };
}

/// A warning about a peer: a client, a node or a disk of somebody else misbehaved.
#[macro_export]
macro_rules! warn_peer {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "peer", $($arg)+) };
}
