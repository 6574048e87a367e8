//! Limits on the requests that each client has in flight.
//!
//! A client that exceeds its limit gets 503 `SlowDown`, as from AWS, so that the other clients are not slowed down.
//! A request is in flight until the last byte of its response is sent.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::response::Response;

/// The client to which a request is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdentity {
    /// A network address.
    Address(IpAddr),
    /// An access key.
    Key(String),
}

/// The number of requests in flight, per client. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct RequestsInFlight(Arc<Mutex<HashMap<ClientIdentity, usize>>>);

/// One request in flight. It counts until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    counts: RequestsInFlight,
    client: ClientIdentity,
}

impl RequestsInFlight {
    /// Counts a request of a client.
    ///
    /// # Errors
    /// `SlowDown` if the client already has `max` requests in flight.
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

/// Returns the response unchanged. Its requests count as in flight until its body has ended or was dropped.
pub(crate) fn keep_until_sent(response: Response, in_flight: Vec<InFlight>) -> Response {
    response.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::new(body.map_frame(move |frame| {
            // The closure owns the guards, so they live as long as the body.
            let _guards = &in_flight;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response;

    #[test]
    fn a_request_counts_against_its_clients_limit_until_its_response_ends() {
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
