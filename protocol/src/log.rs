//! Warnings that name the side at fault.
//!
//! `fault=self`: something went wrong in this process. Tests fail on such a warning.
//! `fault=peer`: a client, a node or a disk failed, and this process continued.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::env::Env;

/// Limits the rate of a warning that an unauthenticated client can cause at will, so that the client cannot fill the disk
/// with log lines.
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

/// A warning about this process: it broke a promise, or lost something.
#[macro_export]
macro_rules! warn_self {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "self", $($arg)+) };
}

/// A warning about a peer: a client, another node or its disk misbehaved.
#[macro_export]
macro_rules! warn_peer {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "peer", $($arg)+) };
}
