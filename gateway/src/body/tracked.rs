//! Records whether a request's body was read to its end.
//!
//! Bytes of a body that was not read to its end stay on the connection. With HTTP/1.1 the connection must not be used again
//! then, and the response must say so (RFC 9112, section 9.6), because the client would send its next request on it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Whether the end of a body was reached. Clones share the state.
#[derive(Clone, Debug)]
pub(crate) struct BodyEnd(Arc<AtomicBool>);

impl BodyEnd {
    /// Whether the whole body was read.
    pub(crate) fn was_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Wraps a body so that the returned [`BodyEnd`] records its end.
pub(crate) fn track(body: Body) -> (Body, BodyEnd) {
    if body.is_end_stream() {
        return (body, BodyEnd(Arc::new(AtomicBool::new(true))));
    }
    let end = BodyEnd(Arc::default());
    (Body::new(Tracked { body, end: end.clone() }), end)
}

struct Tracked {
    body: Body,
    end: BodyEnd,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.end.0.store(true, Ordering::Release);
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn the_end_is_reached_when_all_was_read() {
        assert!(track(Body::empty()).1.was_reached());
        let frames = futures_util::stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]);
        let (mut body, end) = track(Body::from_stream(frames));
        assert!(body.frame().await.is_some() && body.frame().await.is_some());
        assert!(!end.was_reached());
        assert!(body.frame().await.is_none());
        assert!(end.was_reached());
    }
}
