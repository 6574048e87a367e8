//! An error as an HTTP response: AWS's XML with AWS's status.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::error::S3Error;
use crate::xml::XmlWriter;

/// The facts about the request that its error document contains.
#[derive(Clone, Copy, Debug)]
pub struct ErrorScope<'a> {
    /// The request's method. A response to HEAD has no body.
    pub method: &'a Method,
    /// The path as the client sent it.
    pub resource: &'a str,
    /// `x-amz-request-id`.
    pub request_id: &'a str,
    /// `x-amz-id-2`.
    pub host_id: &'a str,
}

impl S3Error {
    /// The error document.
    pub fn to_xml(&self, scope: &ErrorScope<'_>) -> Bytes {
        XmlWriter::document("Error", None, |xml| {
            xml.text("Code", self.code().as_str());
            xml.text("Message", self.message());
            for (name, value) in self.details() {
                xml.text(name, value);
            }
            xml.text("Resource", scope.resource);
            xml.text("RequestId", scope.request_id);
            xml.text("HostId", scope.host_id);
        })
    }

    /// The response, without the headers that every response has.
    pub fn into_response(self, scope: &ErrorScope<'_>) -> Response<Body> {
        let status = self.code().status();
        // RFC 9110: neither a 304 nor a response to HEAD has a body.
        let bodiless = status == StatusCode::NOT_MODIFIED || scope.method == Method::HEAD;
        let body = if bodiless { Body::empty() } else { Body::from(self.to_xml(scope)) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        if self.closes_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in self.into_headers() {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn scope(method: &Method) -> ErrorScope<'_> {
        ErrorScope { method, resource: "/b/a&b", request_id: "4442587FB7D0A2F9", host_id: "host" }
    }

    #[test]
    fn the_document_is_that_of_aws() {
        let xml = S3Error::new(ErrorCode::InvalidRange)
            .detail("ActualObjectSize", "7")
            .to_xml(&scope(&Method::GET));
        assert_eq!(
            std::str::from_utf8(&xml).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRange</Code>\
             <Message>The requested range is not satisfiable</Message><ActualObjectSize>7</ActualObjectSize>\
             <Resource>/b/a&amp;b</Resource><RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"
        );
    }

    #[tokio::test]
    async fn errors_of_head_and_304_have_no_body() {
        for (code, method) in [(ErrorCode::NoSuchKey, Method::HEAD), (ErrorCode::NotModified, Method::GET)] {
            let response = S3Error::new(code).into_response(&scope(&method));
            assert_eq!(response.status(), code.status());
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
            assert!(body.is_empty());
        }
    }

    #[test]
    fn the_cause_is_never_sent() {
        let xml = S3Error::internal("password=hunter2").to_xml(&scope(&Method::GET));
        assert!(!std::str::from_utf8(&xml).unwrap().contains("hunter2"));
    }
}
