//! Warnings that say whose fault it was.
//!
//! `fault=self`: this process broke; in tests such a warning is a failure.
//! `fault=peer`: a client, a node or a disk failed, and this process could go on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::env::Env;

/// Limits a warning that an unauthenticated client could cause as often as it likes, so that it cannot fill the disk with
/// our log.
#[derive(Debug)]
pub struct Seldom {
    env: Env,
    interval: Duration,
    last: Mutex<Option<Duration>>,
}

impl Seldom {
    /// Allows one warning in each `interval`.
    pub fn new(env: Env, interval: Duration) -> Self {
        Self { env, interval, last: Mutex::new(None) }
    }

    /// Whether to log the warning now. After `true` the answer is `false` for one interval.
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

/// A warning about a peer: a client, another node or its disk misbehaved.
#[macro_export]
macro_rules! warn_peer {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "peer", $($arg)+) };
}
