//! The headers by which a cache recognises an object. A 304 response has them too.

use cairn_protocol::metadata::ObjectVersion;
use http::{HeaderName, header};

use crate::response;
use crate::types::quoted;

/// Sets the headers by which a cache recognises an object.
pub(super) fn identity_headers(object: &ObjectVersion) -> Vec<(HeaderName, String)> {
    let mut headers = vec![
        (header::ETAG, quoted(&object.etag)),
        (header::LAST_MODIFIED, response::http_date(object.modified_at)),
    ];
    for name in [header::CACHE_CONTROL, header::EXPIRES] {
        if let Some(value) = object.attributes.headers.get(name.as_str()) {
            headers.push((name, value.clone()));
        }
    }
    headers
}
