//! The parts of a request that a signature covers.

use http::{HeaderMap, Method};

use crate::uri::Query;

/// The parts of a request that its signature covers.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as the client sent it.
    pub raw_path: &'a str,
    /// The query.
    pub query: &'a Query,
    /// The headers, including `host`.
    pub headers: &'a HeaderMap,
    /// The bucket, if the host name contains it.
    pub virtual_bucket: Option<&'a str>,
}

/// Whether a header is one of Cairn's own.
pub(super) fn is_own_header(name: &str) -> bool {
    name.starts_with("x-cairn-")
}
