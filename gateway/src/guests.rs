//! How many requests each client has in flight.
//!
//! One client that asks more than its share is told to slow down (503 `SlowDown`, as AWS does), and the others
//! do not notice. A request is in flight until the last byte of its answer is on its way.

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
pub enum Guest {
    /// Those from an address.
    Address(IpAddr),
    /// Those that an access key has signed.
    Key(String),
}

/// The requests in flight. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Guests(Arc<Mutex<HashMap<Guest, usize>>>);

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct Place {
    guests: Guests,
    guest: Guest,
}

impl Guests {
    /// Counts a request of this guest.
    ///
    /// # Errors
    /// `SlowDown` if it has `max` in flight already.
    pub fn enter(&self, guest: Guest, max: usize) -> S3Result<Place> {
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = guests.entry(guest.clone()).or_insert(0);
        if *count >= max {
            let error = S3Error::new(ErrorCode::SlowDown);
            return Err(error.caused_by(format!("{guest:?} has {count} requests in flight")));
        }
        *count += 1;
        drop(guests);
        Ok(Place { guests: self.clone(), guest })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = guests.get_mut(&self.guest) {
            *count -= 1;
            if *count == 0 {
                guests.remove(&self.guest);
            }
        }
    }
}

/// The same answer, which keeps these places until its body has ended.
pub fn seat(response: Response, places: Vec<Place>) -> Response {
    response.map(|body| if body.is_end_stream() { body } else { Body::new(Seated { body, _places: places }) })
}

struct Seated {
    body: Body,
    _places: Vec<Place>,
}

impl HttpBody for Seated {
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
    fn each_guest_has_its_own_share_until_its_answers_have_ended() {
        let guests = Guests::default();
        let key = |name: &str| Guest::Key(name.to_owned());
        let first = guests.enter(key("a"), 2).unwrap();
        let second = guests.enter(key("a"), 2).unwrap();
        assert_eq!(guests.enter(key("a"), 2).unwrap_err().code(), ErrorCode::SlowDown);
        let _other = guests.enter(key("b"), 2).unwrap();
        let answer = seat(Response::new(Body::from("bytes")), vec![first]);
        assert!(guests.enter(key("a"), 2).is_err(), "its answer is on its way");
        drop(answer);
        let first = guests.enter(key("a"), 2).unwrap();
        drop(seat(response::empty(http::StatusCode::OK), vec![first]));
        drop(second);
        assert_eq!(guests.0.lock().unwrap().len(), 1, "who has none in flight is forgotten");
    }
}
