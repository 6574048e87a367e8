//! Responses to clients: documents, headers, and errors as HTTP.

mod error;

pub(crate) use error::ErrorScope;

use axum::body::Body;
use bytes::Bytes;
use cairn_protocol::env::Timestamp;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::types::quoted;
use crate::xml::{NAMESPACE, XmlWriter};

/// A response to a client.
pub(crate) type Response = http::Response<Body>;

/// 200 with an XML document in S3's namespace.
pub(crate) fn xml(root: &str, content: impl FnOnce(&mut XmlWriter)) -> Response {
    document(XmlWriter::document(root, Some(NAMESPACE), content))
}

/// 200 with this document.
pub(crate) fn document(bytes: Bytes) -> Response {
    xml_body(Body::from(bytes))
}

/// 200 with a body that is an XML document.
pub(crate) fn xml_body(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header. A value that is not valid in a header is left out.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        response.headers_mut().insert(name, value);
    }
}

/// Sets `ETag`.
pub(crate) fn set_etag(response: &mut Response, etag: &str) {
    set(response, header::ETAG, quoted(etag));
}

/// An instant in the form of HTTP headers.
pub(crate) fn http_date(at: Timestamp) -> String {
    httpdate::fmt_http_date(at.to_system_time())
}
