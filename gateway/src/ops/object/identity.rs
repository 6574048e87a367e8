//! The headers by which a cache recognises an object. A 304 response has them too.

use cairn_protocol::metadata::{ObjectVersion, VersionName};
use http::{HeaderName, header};

use crate::response::{self, Response};
use crate::types::{VERSION_HEADER, quoted};

/// Sets the headers by which a cache recognises an object.
pub(super) fn identity_headers(object: &ObjectVersion) -> Vec<(HeaderName, String)> {
    let mut headers = vec![
        (header::ETAG, quoted(&object.etag)),
        (header::LAST_MODIFIED, response::http_date(object.modified_at)),
    ];
    if let Some(name) = object.shown_name() {
        headers.push((VERSION_HEADER, name.to_string()));
    }
    for name in [header::CACHE_CONTROL, header::EXPIRES] {
        if let Some(value) = object.attributes.headers.get(name.as_str()) {
            headers.push((name, value.clone()));
        }
    }
    headers
}

/// Sets the version id of an object, if it is shown.
pub(crate) fn set_version(answer: &mut Response, name: Option<VersionName>) {
    if let Some(name) = name {
        response::set(answer, VERSION_HEADER, name.to_string());
    }
}
