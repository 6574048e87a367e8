//! Request bodies. Their framing is removed, and everything that the client declared about them is checked.
//!
//! [`PayloadSpec`] contains what the headers declare, [`PayloadStream`] yields the bytes. When the stream has ended without
//! an error, the bytes match the declaration, and [`PayloadStream::digests`] returns their digests. Bytes must not be
//! committed before.

mod chunked;
mod payload_spec;
mod stream;
mod tracked;
mod verify;

pub use chunked::{ChunkedDecoder, Framing};
pub(crate) use payload_spec::{OBJECT_SIZE_MAX, PayloadSpec, SINGLE_UPLOAD_MAX};
pub(crate) use stream::PayloadStream;
pub(crate) use tracked::{BodyEnd, track};
