//! What one connection is doing, and since when. All of its time-outs follow from that, and so does whether it can be closed
//! without harm when another client needs its place.

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

/// How many bytes of answers an HTTP/1 connection has to write before no further piece is asked for. The kernel
/// buffers what a fast link needs; this is only what one call hands to it.
const UNWRITTEN_MAX: usize = 64 * 1024;

/// What a connection is doing, and since when.
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
    /// On HTTP/2 bytes between requests are pings and window updates, no beginning of a request.
    http2: bool,
    in_flight: usize,
    /// The body of a request was given up before its end.
    body_unread: bool,
    /// The client will send no more.
    client_closed: bool,
    /// Answers a piece of which waits for the client to read it, and since when.
    offered: BTreeMap<u64, Duration>,
    /// Bytes of answers that wait to be written, on HTTP/1.
    unwritten: usize,
    /// The last write had to wait for the client.
    blocked: bool,
    /// The task that waits until hardly anything is left to write.
    writer: Option<Waker>,
    /// The client reads an answer too slowly.
    too_slow: bool,
    /// It is to be closed because another client needs its place.
    evicted: bool,
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
    /// It has sent no whole head of a request, and others wait for its place.
    Silent,
    /// It is idle, and others wait for its place.
    Crowded,
    /// The client does not read an answer.
    Unread,
    /// The client reads an answer too slowly.
    TooSlow,
}

/// A connection that can end without harm to a request, and since when it is so. In the order in which they go.
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
            // The end of the last answer is still on its way.
            Phase::Idle if state.blocked || state.unwritten > 0 => None,
            Phase::Idle => Some(Dispensable::Idle(state.since)),
            Phase::Busy => None,
        }
    }

    /// Closes the connection so that another client gets its place; false if it is being closed already.
    pub(super) fn evict(&self) -> bool {
        let evicted = std::mem::replace(&mut self.state().evicted, true);
        self.changed.notify_one();
        !evicted
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        self.state().evicted
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

    /// The rest of a request's body will not be read.
    pub(super) fn body_unread(&self) {
        self.state().body_unread = true;
    }

    /// Whether a request was refused while the client may still be sending it.
    pub(super) fn client_may_be_sending(&self) -> bool {
        let state = self.state();
        !state.client_closed && !state.http2 && (state.body_unread || state.phase == Phase::Head)
    }

    /// `bytes` bytes were written.
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

    /// A write waits for the client to read.
    pub(super) fn write_blocked(&self) {
        self.state().blocked = true;
    }

    /// A request has come; it is in flight until the returned value is dropped.
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
            // Not logged: clients pool connections and leave them, as they should.
            Expiry::Head | Expiry::Idle => {}
        }
    }

    /// How long until it would have to end if nothing happened, and why.
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
                // A request came at the last moment.
                Phase::Busy => {}
            }
        }
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

impl ConnectionState {
    /// Whether a connection of HTTP/1 asks for the next piece of an answer. HTTP/2 asks when the client's window and
    /// the stream's buffer have space.
    fn takes_more(&self) -> bool {
        self.http2 || self.unwritten == 0 || (!self.blocked && self.unwritten < UNWRITTEN_MAX)
    }
}

/// A request in flight.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    id: u64,
    /// How fast the client reads the answer, where several share the connection.
    pace: Pace,
    /// The length of the piece that waits to be read.
    bytes: usize,
}

impl InFlight {
    /// A piece of the answer waits for the client to read it.
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
