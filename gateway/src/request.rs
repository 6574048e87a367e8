//! A request that is authenticated and routed, and its body, which is not read yet.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::body::{PayloadSpec, PayloadStream};
use crate::caller::Caller;
use crate::checksum::Algorithm;
use crate::declaration::{Declaration, Resource};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::types::{BucketName, ObjectKey};
use crate::uri::Query;
use crate::xml::{self, Element};

/// Upper limit of an XML document, in bytes. S3's own limit for DeleteObjects is 2 MB, and a completion of 10,000 parts
/// with SHA-256 checksums needs 2 MB.
pub(crate) const DOCUMENT_MAX: usize = 4 << 20;

/// The resource of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All buckets.
    Service,
    /// A bucket.
    Bucket(BucketName),
    /// An object.
    Object(BucketName, ObjectKey),
    /// The configuration of an account.
    Account,
}

impl Target {
    /// The kind of resource.
    pub(crate) fn resource(&self) -> Resource {
        match self {
            Self::Service => Resource::Service,
            Self::Bucket(_) => Resource::Bucket,
            Self::Object(..) => Resource::Object,
            Self::Account => Resource::Account,
        }
    }
}

/// A request without its body. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Request(Arc<Head>);

impl From<Head> for Request {
    fn from(head: Head) -> Self {
        Self(Arc::new(head))
    }
}

impl std::ops::Deref for Request {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.0
    }
}

/// The parts of a request that operations may read.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The operation that the request selects.
    pub declaration: &'static Declaration,
    /// The caller.
    pub caller: Caller,
    /// The resource.
    pub target: Target,
    /// The query parameters that the operation declares.
    pub query: Query,
    /// The headers that the operation declares.
    pub headers: HeaderMap,
    /// The names of headers that a presigned request has in its query only.
    pub from_query: Vec<HeaderName>,
}

impl Head {
    /// The bucket.
    ///
    /// # Errors
    /// `InternalError` for a request about the service, which would be an error in the route table.
    pub(crate) fn bucket(&self) -> S3Result<&BucketName> {
        match &self.target {
            Target::Bucket(bucket) | Target::Object(bucket, _) => Ok(bucket),
            Target::Service | Target::Account => {
                Err(S3Error::internal("a route for the service leads to an operation on buckets"))
            }
        }
    }

    /// The key.
    ///
    /// # Errors
    /// `InternalError` for a request about anything else, which would be an error in the route table.
    pub(crate) fn key(&self) -> S3Result<&ObjectKey> {
        match &self.target {
            Target::Object(_, key) => Ok(key),
            Target::Bucket(_) | Target::Service | Target::Account => {
                Err(S3Error::internal("a route for buckets leads to an operation on objects"))
            }
        }
    }

    /// What the headers declare about the body.
    ///
    /// # Errors
    /// The errors of [`PayloadSpec::parse`].
    pub(crate) fn payload_spec(&self) -> S3Result<PayloadSpec> {
        PayloadSpec::parse(&self.headers, self.caller.content())
    }

    /// What the headers declare about the bytes of an object or part.
    ///
    /// Checksums in the query of a presigned request are ignored, as S3 does. The signer of a URL does not have the
    /// bytes, and AWS's JavaScript SDK from version 3.729 on puts the checksum of an empty body there.
    ///
    /// # Errors
    /// The errors of [`PayloadSpec::parse`].
    pub(crate) fn upload_spec(&self) -> S3Result<PayloadSpec> {
        let mut headers = self.headers.clone();
        for name in self.from_query.iter().filter(|name| is_checksum_of_body(name)) {
            headers.remove(name);
        }
        PayloadSpec::parse(&headers, self.caller.content())
    }

    /// The value of a header as text; `None` if the header is missing.
    ///
    /// # Errors
    /// `InvalidArgument` if the value is not text, or the header occurs more than once.
    pub(crate) fn header(&self, name: &'static str) -> S3Result<Option<&str>> {
        single(&self.headers, name)
    }
}

/// Whether a header declares a checksum of the request's body.
pub(crate) fn is_checksum_of_body(name: &HeaderName) -> bool {
    Algorithm::of_header(name.as_str()).is_some() || name == "x-amz-sdk-checksum-algorithm"
}

/// The body of a request. A client that sent `Expect: 100-continue` waits until it is read.
#[derive(Debug)]
pub(crate) struct RequestBody(Body);

impl RequestBody {
    /// Wraps a body.
    pub(crate) fn new(body: Body) -> Self {
        Self(body)
    }

    /// The payload as a stream that verifies it.
    pub(crate) fn payload(self, request: &Request, spec: PayloadSpec) -> PayloadStream {
        PayloadStream::new(self.0, spec, request.caller.chunk_signer())
    }

    /// Reads the body as an XML document.
    ///
    /// # Errors
    /// `MissingRequestBodyError` for an empty body, `MaxMessageLengthExceeded`, `MalformedXML`, `NotImplemented` for an
    /// element that is declared so, and the errors of the payload.
    pub(crate) async fn document(self, request: &Request, root: &str) -> S3Result<Element> {
        let bytes = self.bytes(request).await?;
        if bytes.is_empty() {
            return Err(S3Error::new(ErrorCode::MissingRequestBodyError));
        }
        checked(request, xml::parse(&bytes, root)?)
    }

    /// Reads the body as an XML document, or as nothing if it is empty.
    ///
    /// # Errors
    /// The errors of [`document`](Self::document), except for the one for an empty body.
    pub(crate) async fn optional_document(self, request: &Request, root: &str) -> S3Result<Option<Element>> {
        if !request.headers.contains_key(http::header::CONTENT_LENGTH)
            && !request.headers.contains_key(http::header::TRANSFER_ENCODING)
        {
            return Ok(None);
        }
        let bytes = self.bytes(request).await?;
        if bytes.is_empty() { Ok(None) } else { checked(request, xml::parse(&bytes, root)?).map(Some) }
    }

    /// Reads the body as a text of at most `max` bytes.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded`, `InvalidRequest` for what is no text, and the errors of the payload.
    pub(crate) async fn text(self, request: &Request, max: usize) -> S3Result<String> {
        let spec = request.payload_spec()?;
        let bytes = self.payload(request, spec).collect(max).await?;
        let wrong = |_| S3Error::invalid_request("The body is not text in UTF-8.");
        String::from_utf8(bytes.to_vec()).map_err(wrong)
    }

    async fn bytes(self, request: &Request) -> S3Result<Bytes> {
        let spec = request.payload_spec()?;
        if spec.length > DOCUMENT_MAX as u64 {
            return Err(S3Error::new(ErrorCode::MaxMessageLengthExceeded).closing());
        }
        self.payload(request, spec).collect(DOCUMENT_MAX).await
    }
}

fn checked(request: &Request, document: Element) -> S3Result<Element> {
    request.declaration.check_document(&document)?;
    Ok(document)
}
