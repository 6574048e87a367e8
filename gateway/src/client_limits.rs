//! How many requests each client has in flight.
//!
//! A client that exceeds its limit gets 503 `SlowDown`, as from AWS, so that the other clients are not slowed down.
//! A request is in flight until the last byte of its answer is sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::response::Response;

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdentity {
    /// Those from an address.
    Address(IpAddr),
    /// Those that an access key has signed.
    Key(String),
}

/// The requests in flight. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct RequestsInFlight(Arc<Mutex<HashMap<ClientIdentity, usize>>>);

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    counts: RequestsInFlight,
    client: ClientIdentity,
}

impl RequestsInFlight {
    /// Counts a request of this client.
    ///
    /// # Errors
    /// `SlowDown` if it has `max` in flight already.
    pub fn enter(&self, client: ClientIdentity, max: usize) -> S3Result<InFlight> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client.clone()).or_insert(0);
        if *count >= max {
            let error = S3Error::new(ErrorCode::SlowDown);
            return Err(error.caused_by(format!("{client:?} has {count} requests in flight")));
        }
        *count += 1;
        drop(counts);
        Ok(InFlight { counts: self.clone(), client })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// The same answer. Its requests count as in flight until its body has ended.
pub(crate) fn keep_until_sent(response: Response, in_flight: Vec<InFlight>) -> Response {
    response.map(|body| {
        if body.is_end_stream() { body } else { Body::new(CountedBody { body, _in_flight: in_flight }) }
    })
}

struct CountedBody {
    body: Body,
    _in_flight: Vec<InFlight>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use crate::response;

    #[test]
    fn each_client_has_its_own_limit_until_its_answers_have_ended() {
        let requests = RequestsInFlight::default();
        let key = |name: &str| ClientIdentity::Key(name.to_owned());
        let first = requests.enter(key("a"), 2).unwrap();
        let second = requests.enter(key("a"), 2).unwrap();
        assert_eq!(requests.enter(key("a"), 2).unwrap_err().code(), ErrorCode::SlowDown);
        let _other = requests.enter(key("b"), 2).unwrap();
        let answer = keep_until_sent(Response::new(Body::from("bytes")), vec![first]);
        assert!(requests.enter(key("a"), 2).is_err(), "its answer is on its way");
        drop(answer);
        let first = requests.enter(key("a"), 2).unwrap();
        drop(keep_until_sent(response::empty(http::StatusCode::OK), vec![first]));
        drop(second);
        assert_eq!(requests.0.lock().unwrap().len(), 1, "who has none in flight is forgotten");
    }
}
