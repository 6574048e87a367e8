//! Request bodies: framing taken off, everything checked that the client said about them.
//!
//! [`PayloadSpec`] is what the headers promise, [`PayloadStream`] the bytes. When
//! the stream has ended without an error, its bytes are what the client meant to send, and
//! [`PayloadStream::digests`] has their digests. Until then nothing that was read may be committed.

mod chunked;
mod payload_spec;
mod stream;
mod tracked;
mod verify;

pub use chunked::{ChunkedDecoder, Framing};
pub(crate) use payload_spec::{OBJECT_SIZE_MAX, PayloadSpec, SINGLE_UPLOAD_MAX};
pub(crate) use stream::PayloadStream;
pub(crate) use tracked::{BodyEnd, track};
