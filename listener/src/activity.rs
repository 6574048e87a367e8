//! The state of one connection, and since when it has it. All time-outs follow from that, and whether the connection can be
//! closed without harm when another client needs its place.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::Limits;
use super::complaint::{CloseReason, Complaints};
use super::pace::Pace;
use super::waiters::Waiters;
use cairn_protocol::env::Env;

/// An HTTP/1 connection with this many unwritten bytes of answers requests no further piece. The kernel buffers what a fast link
/// needs, so this is only the size of one write.
const UNWRITTEN_MAX: usize = 64 * 1024;

/// The state of a connection, and since when it has it.
pub(super) struct Activity {
    env: Env,
    peer: SocketAddr,
    complaints: Arc<Complaints>,
    waiters: Arc<Waiters>,
    state: Mutex<ConnectionState>,
    /// A deadline may have come nearer.
    changed: Notify,
}

/// The facts from which the time-outs follow.
struct ConnectionState {
    phase: Phase,
    /// When the phase began; in [`Phase::Idle`] also when the last answer still moved.
    since: Duration,
    /// Whether the connection speaks HTTP/2, where bytes between requests are pings and window updates.
    http2: bool,
    in_flight: usize,
    /// Whether the body of a request was not read to its end.
    body_unread: bool,
    /// Whether the client has ended its half of the connection.
    client_closed: bool,
    /// The answers of which a piece waits until the client reads it, and since when.
    offered: BTreeMap<u64, Duration>,
    /// Bytes of answers that are not yet written, on HTTP/1.
    unwritten: usize,
    /// Whether the last write waits for the client.
    blocked: bool,
    /// The task that waits until hardly anything is left to write.
    writer: Option<Waker>,
    /// Whether the client reads an answer too slowly.
    too_slow: bool,
    /// Whether the connection is being closed because another client needs its place.
    evicted: bool,
    last_id: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request is being received.
    Head,
    /// No request.
    Idle,
    /// A request is being served.
    Busy,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// The head of a request did not arrive in time.
    Head,
    /// No request arrived for the idle time-out.
    Idle,
    /// It has sent no whole head of a request, and others wait for its place.
    Silent,
    /// It is idle, and others wait for its place.
    Crowded,
    /// The client does not read an answer.
    Unread,
    /// The client reads an answer too slowly.
    TooSlow,
}

/// A connection that can be closed without harm to a request, and since when. The order is the one in which they are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dispensable {
    /// It has sent no whole head of a request.
    Silent(Duration),
    /// It is kept for further requests.
    Idle(Duration),
}

impl Activity {
    /// A connection that has just begun.
    pub(super) fn new(
        env: Env,
        peer: SocketAddr,
        complaints: Arc<Complaints>,
        waiters: Arc<Waiters>,
    ) -> Arc<Self> {
        let state = ConnectionState {
            phase: Phase::Head,
            since: env.monotonic(),
            http2: false,
            in_flight: 0,
            body_unread: false,
            client_closed: false,
            offered: BTreeMap::new(),
            unwritten: 0,
            blocked: false,
            writer: None,
            too_slow: false,
            evicted: false,
            last_id: 0,
        };
        let (state, changed) = (Mutex::new(state), Notify::new());
        Arc::new(Self { env, peer, complaints, waiters, state, changed })
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that the connection is closed, and why.
    pub(super) fn log_close(&self, why: CloseReason) {
        self.complaints.note(why, self.peer);
    }

    /// The time for the first head begins now.
    pub(super) fn begin_head(&self) {
        self.state().since = self.env.monotonic();
    }

    /// Whether the connection could end without harm to a request.
    pub(super) fn dispensable(&self) -> Option<Dispensable> {
        let state = self.state();
        match state.phase {
            _ if state.evicted => None,
            Phase::Head => Some(Dispensable::Silent(state.since)),
            // The end of the last answer is not written yet.
            Phase::Idle if state.blocked || state.unwritten > 0 => None,
            Phase::Idle => Some(Dispensable::Idle(state.since)),
            Phase::Busy => None,
        }
    }

    /// Begins to close the connection so that another client gets its place. Returns false if it is already being closed.
    pub(super) fn evict(&self) -> bool {
        let evicted = std::mem::replace(&mut self.state().evicted, true);
        self.changed.notify_one();
        !evicted
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        self.state().evicted
    }

    /// Notes that the connection speaks HTTP/2.
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

    /// Notes that the client has ended its half of the connection.
    pub(super) fn client_closed(&self) {
        self.state().client_closed = true;
    }

    /// Notes that the rest of a request's body will not be read.
    pub(super) fn body_unread(&self) {
        self.state().body_unread = true;
    }

    /// Whether a request was refused while the client may still be sending it.
    pub(super) fn client_may_be_sending(&self) -> bool {
        let state = self.state();
        !state.client_closed && !state.http2 && (state.body_unread || state.phase == Phase::Head)
    }

    /// Notes that `bytes` bytes were written.
    pub(super) fn bytes_written(&self, bytes: usize) {
        let mut state = self.state();
        state.blocked = false;
        state.unwritten = state.unwritten.saturating_sub(bytes);
        if state.phase == Phase::Idle {
            state.since = self.env.monotonic();
        }
        if !state.http2 && !state.offered.is_empty() {
            let now = self.env.monotonic();
            state.offered.values_mut().for_each(|since| *since = now);
        }
        let writer = state.takes_more().then(|| state.writer.take()).flatten();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Whether no answer is being written.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.in_flight == 0 && !state.blocked
    }

    /// Notes that a write waits for the client to read.
    pub(super) fn write_blocked(&self) {
        self.state().blocked = true;
    }

    /// Notes a new request, which is in flight until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>, pace: Pace) -> InFlight {
        let mut state = self.state();
        state.phase = Phase::Busy;
        // The rest of the previous body has been read, or this request could not have been parsed.
        state.body_unread = false;
        state.in_flight += 1;
        state.last_id += 1;
        InFlight { activity: self.clone(), id: state.last_id, pace, bytes: 0 }
    }

    /// Waits until the connection has to end.
    pub(super) async fn expired(&self, limits: &Limits) -> Expiry {
        loop {
            let (left, expiry) = self.time_left(limits);
            if left.is_zero() {
                self.explain(expiry);
                return expiry;
            }
            tokio::select! {
                () = self.env.sleep(left) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn explain(&self, expiry: Expiry) {
        match expiry {
            Expiry::Silent => self.log_close(CloseReason::Silent),
            Expiry::Crowded => self.log_close(CloseReason::Idle),
            Expiry::Unread => self.log_close(CloseReason::StalledReader),
            Expiry::TooSlow => self.log_close(CloseReason::SlowReader),
            // This is not logged, because clients leave pooled connections idle as a rule.
            Expiry::Head | Expiry::Idle => {}
        }
    }

    /// The time until the connection has to end if nothing happens, and the reason.
    fn time_left(&self, limits: &Limits) -> (Duration, Expiry) {
        let state = self.state();
        let now = self.env.monotonic();
        if state.too_slow {
            return (Duration::ZERO, Expiry::TooSlow);
        }
        if state.evicted {
            match state.phase {
                Phase::Head => return (Duration::ZERO, Expiry::Silent),
                Phase::Idle => return (Duration::ZERO, Expiry::Crowded),
                // A request arrived at the last moment.
                Phase::Busy => {}
            }
        }
        let (since, timeout, expiry) = match state.phase {
            Phase::Head => (state.since, limits.header_timeout, Expiry::Head),
            Phase::Idle => (state.since, limits.idle_timeout, Expiry::Idle),
            // Without an unread piece, a later one will have the whole time.
            Phase::Busy => {
                let since = state.offered.values().min().copied().unwrap_or(now);
                (since, limits.write_stall_timeout, Expiry::Unread)
            }
        };
        (timeout.saturating_sub(now.saturating_sub(since)), expiry)
    }
}

impl ConnectionState {
    /// Whether an HTTP/1 connection requests the next piece of an answer. HTTP/2 requests it when the client's window and the
    /// stream's buffer have space.
    fn takes_more(&self) -> bool {
        self.http2 || self.unwritten == 0 || (!self.blocked && self.unwritten < UNWRITTEN_MAX)
    }
}

/// A request in flight.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    id: u64,
    /// The rate at which the client reads the answer, if several answers share the connection.
    pace: Pace,
    /// The length of the piece that waits to be read.
    bytes: usize,
}

impl InFlight {
    /// Notes that a piece of the answer waits until the client reads it.
    pub(super) fn offered(&mut self, bytes: usize) {
        let now = self.activity.env.monotonic();
        let mut state = self.activity.state();
        state.offered.insert(self.id, now);
        if !state.http2 {
            state.unwritten += bytes;
        }
        self.bytes = bytes;
    }

    /// Waits until the client has read the piece, or nearly all of it.
    pub(super) fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.activity.state();
        if !state.takes_more() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(since) = state.offered.remove(&self.id)
            && state.http2
        {
            let waited = self.activity.env.monotonic().saturating_sub(since);
            if self.pace.add(self.bytes as u64, waited) {
                state.too_slow = true;
                self.activity.changed.notify_one();
            }
        }
        Poll::Ready(())
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
            drop(state);
            self.activity.waiters.one_is_dispensable();
        }
    }
}
