//! The errors that S3 clients see, in one type. `response::error` turns it into HTTP.
//!
//! An [`S3Error`] has a public part (code, message, extra elements, headers), and may carry a cause
//! that is logged with the request's id and never sent.

mod code;
mod metadata;

pub use code::ErrorCode;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use http::{HeaderName, HeaderValue};

/// The result of everything whose error is sent to a client.
pub type S3Result<T> = Result<T, S3Error>;

/// An error for an S3 client.
pub struct S3Error(Box<Inner>);

/// Boxed, so that a `Result` of a small value stays small.
struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// Whether the end of the request's body can no longer be found by its framing.
    closes_connection: bool,
}

impl S3Error {
    /// An error with AWS's default message.
    pub fn new(code: ErrorCode) -> Self {
        Self::with_message(code, code.message())
    }

    /// An error with a message that is more exact than the default one. The client sees it.
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
            cause: None,
            closes_connection: false,
        }))
    }

    /// `InvalidArgument` with the argument's name and value, as AWS sends it.
    pub fn invalid_argument(
        name: impl Into<String>,
        value: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_message(ErrorCode::InvalidArgument, message)
            .detail("ArgumentName", name)
            .detail("ArgumentValue", value)
    }

    /// `InvalidRequest` with this message.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(ErrorCode::InvalidRequest, message)
    }

    /// `NotImplemented` with a message that names the missing feature.
    pub fn not_implemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(ErrorCode::NotImplemented, message)
    }

    /// `InternalError`; `cause` is logged, not sent.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::InternalError).caused_by(cause)
    }

    /// Adds an element to the error document.
    pub fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.details.push((name, value.into()));
        self
    }

    /// Adds a header to the response. A value that is not valid in a header is left out.
    pub fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Adds the cause, which is logged and not sent.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Closes the connection after the response: the next bytes on it may be the rest of this request's body.
    pub fn closing(mut self) -> Self {
        self.0.closes_connection = true;
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The message that the client sees.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The extra elements of the error document.
    pub fn details(&self) -> &[(&'static str, String)] {
        &self.0.details
    }

    /// Whether the connection is closed after the response.
    pub fn closes_connection(&self) -> bool {
        self.0.closes_connection
    }

    /// The extra headers of the response.
    pub fn into_headers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.0.headers
    }

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }
}

impl From<ErrorCode> for S3Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.message)
    }
}

impl fmt::Debug for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Error({self}, {:?}, cause: {:?})", self.0.details, self.0.cause)
    }
}

impl Error for S3Error {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
