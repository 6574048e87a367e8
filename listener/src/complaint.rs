//! Log messages about clients whose connections were closed: one line per reason and interval, with counts.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use cairn_protocol::env::Env;

/// Why a connection was closed, or not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CloseReason {
    /// Its address has as many connections as it may have.
    TooMany,
    /// It sent no request, and others waited for its place.
    Silent,
    /// It was idle, and others waited for its place.
    Idle,
    /// Two parsers could understand its message differently.
    Ambiguous(&'static str),
    /// It sent no byte of a body for too long.
    StalledBody,
    /// It sent a body too slowly.
    SlowBody,
    /// It read no byte of an answer for too long.
    StalledReader,
    /// It read an answer too slowly.
    SlowReader,
}

/// A reason is logged at most once in this time, so that thousands of clients do not fill the disk with log lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Logs which connections were closed: one of each reason in an interval, and how many there were.
pub(super) struct Complaints {
    env: Env,
    said: Mutex<Vec<Said>>,
}

struct Said {
    what: CloseReason,
    at: Duration,
    since: u64,
    in_all: u64,
}

impl Complaints {
    pub(super) fn new(env: Env) -> Self {
        Self { env, said: Mutex::default() }
    }

    /// Counts a connection that was closed, and logs it unless another one of the same reason was logged just now.
    pub(super) fn note(&self, what: CloseReason, address: SocketAddr) {
        if let Some((since_last, in_all)) = self.count(what) {
            cairn_protocol::warn_peer!(%address, reason = ?what, since_last, in_all, "a client was let go");
        }
    }

    /// Counts a connection. If it is to be logged, returns the numbers since the last log line and in total.
    fn count(&self, what: CloseReason) -> Option<(u64, u64)> {
        let now = self.env.monotonic();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.iter_mut().find(|said| said.what == what) {
            Some(said) => {
                said.since += 1;
                said.in_all += 1;
                if now.saturating_sub(said.at) < INTERVAL {
                    return None;
                }
                said.at = now;
                Some((std::mem::take(&mut said.since), said.in_all))
            }
            None => {
                said.push(Said { what, at: now, since: 0, in_all: 1 });
                Some((1, 1))
            }
        }
    }

    #[cfg(test)]
    pub(super) fn in_all(&self, what: CloseReason) -> u64 {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().find(|said| said.what == what).map_or(0, |said| said.in_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn each_reason_is_logged_once_per_interval_and_all_are_counted() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let complaints = Complaints::new(env);
        assert_eq!(complaints.count(CloseReason::Silent), Some((1, 1)));
        assert!((0..10).all(|_| complaints.count(CloseReason::Silent).is_none()));
        assert_eq!(complaints.count(CloseReason::SlowBody), Some((1, 1)));
        clock.advance(INTERVAL);
        assert_eq!(complaints.count(CloseReason::Silent), Some((11, 12)));
        assert_eq!(complaints.in_all(CloseReason::Silent), 12);
    }
}
