use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

use super::activity::{Activity, InFlight};
use super::stall::Stall;

/// Why the body of a request ended before its end. Found in the chain of sources of the error that a
/// body yields: see [`RequestBodyError::find`].
#[derive(Debug, Error)]
pub enum RequestBodyError {
    /// It made no progress for [`Limits::body_idle_timeout`](super::Limits::body_idle_timeout).
    #[error("the body makes no progress")]
    Stalled,
    /// The client went away, or broke the framing.
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

/// The body of a request, which fails when it makes no progress while it is waited for.
pub(super) struct RequestBody {
    body: Incoming,
    stall: Stall,
    stalled: bool,
    activity: Arc<Activity>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, stall: Stall, activity: Arc<Activity>) -> Self {
        Self { body, stall, stalled: false, activity }
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
        if self.stalled {
            return Poll::Ready(Some(Err(RequestBodyError::Stalled)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.stall.progress();
                Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Broken)))
            }
            Poll::Pending => self.stall.poll_waiting(cx).map(|()| {
                self.stalled = true;
                Some(Err(RequestBodyError::Stalled))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which tells whether a piece of it waits to be read. While it lives, its
/// request is in flight.
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
        // Who asks for the next piece has got rid of the one before.
        self.in_flight.taken();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) {
            self.in_flight.offered();
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
