//! Bodies of requests and answers with time-outs: they fail with the reason when the client stalls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

use super::activity::{Activity, InFlight};
use super::complaint::CloseReason;
use super::stall::Stall;

/// Why the body of a request ended early. It is in the chain of sources of the error that a body yields: see
/// [`RequestBodyError::find`].
#[derive(Debug, Error)]
pub enum RequestBodyError {
    /// It made no progress for [`Limits::body_idle_timeout`](super::Limits::body_idle_timeout).
    #[error("the body makes no progress")]
    Stalled,
    /// It arrived slower than [`Limits::rate_min`](super::Limits::rate_min) while the server waited for it.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The client disconnected, or broke the framing.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

impl RequestBodyError {
    /// The cause of `error`, if it comes from the body of a request.
    pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

/// The body of a request, which fails when it makes no progress while the server waits for it.
pub(super) struct RequestBody {
    body: Incoming,
    stall: Stall,
    /// Why reading ended early, if it did.
    ended: Option<Ended>,
    activity: Arc<Activity>,
}

/// Why a body is read no further.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Stalled,
    TooSlow,
}

impl From<Ended> for RequestBodyError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Stalled => Self::Stalled,
            Ended::TooSlow => Self::TooSlow,
        }
    }
}

impl RequestBody {
    pub(super) fn new(body: Incoming, stall: Stall, activity: Arc<Activity>) -> Self {
        Self { body, stall, ended: None, activity }
    }

    fn end(&mut self, ended: Ended) -> RequestBodyError {
        self.ended = Some(ended);
        self.activity.log_close(match ended {
            Ended::Stalled => CloseReason::StalledBody,
            Ended::TooSlow => CloseReason::SlowBody,
        });
        ended.into()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.activity.body_unread();
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Some(ended) = self.ended {
            return Poll::Ready(Some(Err(ended.into())));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.stall.progress(frame.data_ref().map_or(0, Bytes::len)) {
                    return Poll::Ready(Some(Err(self.end(Ended::TooSlow))));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(RequestBodyError::Broken))),
            Poll::Pending => self.stall.poll_waiting(cx).map(|()| Some(Err(self.end(Ended::Stalled)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which notes in the connection's activity whether a piece waits until the client reads it. Its request
/// is in flight until this is dropped.
///
/// Over HTTP/1 it yields the next piece only when the connection has hardly anything left to write. So the bytes for a client
/// that does not read stay with their producer, which can release them, and not in the listener's buffers.
pub(super) struct ResponseBody {
    body: Body,
    in_flight: InFlight,
}

impl ResponseBody {
    pub(super) fn new(body: Body, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // hyper requests the next piece after it has buffered the one before.
        if self.in_flight.poll_taken(cx).is_pending() {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.in_flight.offered(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
