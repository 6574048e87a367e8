use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Limits;
use crate::env::Env;

/// What a connection is doing, and since when.
pub(super) struct Activity {
    env: Env,
    state: Mutex<State>,
    /// A deadline may have come nearer.
    changed: Notify,
}

struct State {
    phase: Phase,
    /// When the phase began; in [`Phase::Idle`] also when the last answer still moved.
    since: Duration,
    /// On HTTP/2 bytes between requests are pings and window updates, no beginning of a request.
    http2: bool,
    in_flight: usize,
    /// The body of a request was given up before its end.
    body_unread: bool,
    /// The client will send no more.
    client_closed: bool,
    /// Answers a piece of which waits for the client to read it, and since when.
    offered: BTreeMap<u64, Duration>,
    last_id: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The headers of a request are on their way.
    Head,
    /// No request.
    Idle,
    /// A request is served.
    Busy,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// The headers did not come in time.
    Head,
    /// No request came for long.
    Idle,
    /// It is idle, and others wait for its place.
    Crowded,
    /// The client does not read an answer.
    Unread,
}

impl Activity {
    /// A connection that has just begun.
    pub(super) fn new(env: Env) -> Arc<Self> {
        let state = State {
            phase: Phase::Head,
            since: env.monotonic(),
            http2: false,
            in_flight: 0,
            body_unread: false,
            client_closed: false,
            offered: BTreeMap::new(),
            last_id: 0,
        };
        Arc::new(Self { env, state: Mutex::new(state), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It speaks HTTP/2.
    pub(super) fn is_http2(&self) {
        self.state().http2 = true;
    }

    pub(super) fn bytes_read(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle && !state.http2 {
            state.phase = Phase::Head;
            state.since = self.env.monotonic();
            self.changed.notify_one();
        }
    }

    /// The client ended its half of the connection.
    pub(super) fn client_closed(&self) {
        self.state().client_closed = true;
    }

    /// Nobody will read the rest of a request's body.
    pub(super) fn body_unread(&self) {
        self.state().body_unread = true;
    }

    /// Whether a request was refused while the client may still be sending it.
    pub(super) fn client_may_be_sending(&self) -> bool {
        let state = self.state();
        !state.client_closed && !state.http2 && (state.body_unread || state.phase == Phase::Head)
    }

    pub(super) fn bytes_written(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.since = self.env.monotonic();
        }
    }

    /// A request has come; it is in flight until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.state();
        state.phase = Phase::Busy;
        // What was left of the body before it has been read: else this request would not be here.
        state.body_unread = false;
        state.in_flight += 1;
        state.last_id += 1;
        InFlight { activity: self.clone(), id: state.last_id }
    }

    /// Waits until the connection has to end.
    pub(super) async fn expired(&self, limits: &Limits, crowded: &Notify) -> Expiry {
        loop {
            let (left, expiry) = self.time_left(limits);
            if left.is_zero() {
                return expiry;
            }
            tokio::select! {
                () = self.env.sleep(left) => {}
                () = self.changed.notified() => {}
                () = crowded.notified(), if expiry == Expiry::Idle => return Expiry::Crowded,
            }
        }
    }

    /// How long until it would have to end if nothing happened, and why.
    fn time_left(&self, limits: &Limits) -> (Duration, Expiry) {
        let state = self.state();
        let now = self.env.monotonic();
        let (since, timeout, expiry) = match state.phase {
            Phase::Head => (state.since, limits.header_timeout, Expiry::Head),
            Phase::Idle => (state.since, limits.idle_timeout, Expiry::Idle),
            // With nothing unread, whatever comes to be unread later will be so for the whole time.
            Phase::Busy => {
                let since = state.offered.values().min().copied().unwrap_or(now);
                (since, limits.write_stall_timeout, Expiry::Unread)
            }
        };
        (timeout.saturating_sub(now.saturating_sub(since)), expiry)
    }
}

/// A request in flight.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    id: u64,
}

impl InFlight {
    /// A piece of the answer waits for the client to read it.
    pub(super) fn offered(&self) {
        let now = self.activity.env.monotonic();
        self.activity.state().offered.insert(self.id, now);
    }

    /// The client read it.
    pub(super) fn taken(&self) {
        self.activity.state().offered.remove(&self.id);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.offered.remove(&self.id);
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.phase = Phase::Idle;
            state.since = self.activity.env.monotonic();
            self.activity.changed.notify_one();
        }
    }
}
