//! What a signature covers of a request.

use http::{HeaderMap, Method};

use crate::uri::Query;

/// The parts of a request that its signature covers.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it was sent.
    pub raw_path: &'a str,
    /// The query.
    pub query: &'a Query,
    /// The headers, `host` among them.
    pub headers: &'a HeaderMap,
    /// The bucket, if the host name tells it.
    pub virtual_bucket: Option<&'a str>,
}

/// Whether a header is one of Cairn's own.
pub(super) fn is_own_header(name: &str) -> bool {
    name.starts_with("x-cairn-")
}
