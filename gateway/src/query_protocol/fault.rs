//! Errors of the IAM API and STS, with AWS's codes, statuses and words.
//!
//! Sources: IAM API Reference and STS API Reference, "Common Errors" and the errors of each action.

use std::borrow::Cow;

use bytes::Bytes;
use cairn_protocol::iam::{EntityKind, IamError};
use cairn_protocol::metadata::MetadataError;
use http::StatusCode;

use super::{Answer, Api};
use crate::error::{ErrorCode, S3Error};
use crate::xml::XmlWriter;

/// What an operation returns.
pub(crate) type Answered = Result<Answer, Fault>;

/// An error of the IAM API or STS.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The code that clients read.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The message. The client sees it.
    pub(crate) message: Cow<'static, str>,
    /// The cause, which is logged and not sent.
    pub(crate) cause: Option<String>,
    /// Whether the rest of the body is still on the connection.
    pub(crate) closes_connection: bool,
}

impl Fault {
    /// An error with this code, status and message.
    pub(crate) fn new(code: &'static str, status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status, message: message.into(), cause: None, closes_connection: false }
    }

    /// An error with status 400.
    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, message)
    }

    /// `ValidationError`.
    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("ValidationError", message)
    }

    /// `NoSuchEntity`.
    pub(crate) fn no_such_entity(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("NoSuchEntity", StatusCode::NOT_FOUND, message)
    }

    /// `MalformedPolicyDocument`.
    pub(crate) fn malformed_policy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("MalformedPolicyDocument", message)
    }

    /// `AccessDenied`.
    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("AccessDenied", StatusCode::FORBIDDEN, message)
    }

    /// `ServiceUnavailable`: the client may try again.
    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let message = "The metadata service does not answer now. Please try again.";
        let fault = Self::new("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE, message);
        Self { cause: Some(cause.into()), ..fault }
    }

    /// `InternalFailure`; the cause is logged.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        let fault = Self::new("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR, message);
        Self { cause: Some(cause.into()), ..fault }
    }

    /// Closes the connection after the answer.
    pub(crate) fn closing(self) -> Self {
        Self { closes_connection: true, ..self }
    }

    /// The document of the error.
    pub(crate) fn to_document(&self, api: Api, request_id: &str) -> Bytes {
        let kind = if self.status.is_server_error() { "Receiver" } else { "Sender" };
        XmlWriter::document("ErrorResponse", Some(api.namespace()), |xml| {
            xml.element("Error", |xml| {
                xml.text("Type", kind);
                xml.text("Code", self.code);
                xml.text("Message", &self.message);
            });
            xml.text("RequestId", request_id);
        })
    }
}

impl From<IamError> for Fault {
    fn from(error: IamError) -> Self {
        let conflict = |code, message: String| Self::new(code, StatusCode::CONFLICT, message);
        match error {
            IamError::NoSuchEntity { kind, name } => Self::no_such_entity(missing(kind, &name)),
            IamError::EntityAlreadyExists { kind, name } => {
                conflict("EntityAlreadyExists", existing(kind, &name))
            }
            IamError::DeleteConflict { reason } => {
                conflict("DeleteConflict", format!("Cannot delete entity: {reason}."))
            }
            IamError::LimitExceeded { reason } => conflict("LimitExceeded", sentence(&reason)),
            IamError::MalformedDocument { reason } => Self::malformed_policy(sentence(&reason)),
            IamError::InvalidInput { reason } => Self::bad("InvalidInput", sentence(&reason)),
            IamError::Unavailable { reason } => Self::unavailable(reason),
            IamError::NoSpace => Self::new(
                "ServiceUnavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The metadata service has no space left for writing.",
            ),
            error @ (IamError::Unauthorized { .. } | IamError::Malformed { .. } | IamError::Internal) => {
                Self::internal(error.to_string())
            }
        }
    }
}

/// AWS's words for what does not exist.
fn missing(kind: EntityKind, name: &str) -> String {
    match kind {
        EntityKind::User => format!("The user with name {name} cannot be found."),
        EntityKind::Group => format!("The group with name {name} cannot be found."),
        EntityKind::Role => format!("The role with name {name} cannot be found."),
        EntityKind::AccessKey => format!("The Access Key with id {name} cannot be found."),
        EntityKind::Policy | EntityKind::AttachedPolicy => format!("Policy {name} was not found."),
        EntityKind::PolicyVersion => {
            format!("The version {name} of the policy does not exist or is not attachable.")
        }
        EntityKind::InlinePolicy => format!("The policy with name {name} cannot be found."),
        EntityKind::Boundary => format!("{name} has no permissions boundary."),
        EntityKind::GroupMember => format!("The user with name {name} is not in the group."),
        EntityKind::OidcProvider => format!("OpenIDConnect Provider not found for arn {name}."),
        EntityKind::Account => format!("The account {name} cannot be found."),
    }
}

/// AWS's words for what exists already.
fn existing(kind: EntityKind, name: &str) -> String {
    match kind {
        EntityKind::User => format!("User with name {name} already exists."),
        EntityKind::Group => format!("Group with name {name} already exists."),
        EntityKind::Role => format!("Role with name {name} already exists."),
        EntityKind::Policy => {
            format!("A policy called {name} already exists. Duplicate names are not allowed.")
        }
        EntityKind::OidcProvider => format!("Provider with url https://{name} already exists."),
        kind => format!("The {kind} {name} already exists."),
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut characters = reason.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let dot = if reason.ends_with('.') { "" } else { "." };
    format!("{first}{}{dot}", characters.as_str())
}

impl From<MetadataError> for Fault {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Unavailable { reason } => Self::unavailable(reason),
            MetadataError::ExpiredToken => expired(),
            other => Self::internal(other.to_string()),
        }
    }
}

fn expired() -> Fault {
    Fault::new("ExpiredToken", StatusCode::FORBIDDEN, "The security token included in the request is expired")
}

/// The errors of signatures, which IAM and STS name and word otherwise than S3.
impl From<S3Error> for Fault {
    fn from(error: S3Error) -> Self {
        let forbidden = |code, message: &'static str| Self::new(code, StatusCode::FORBIDDEN, message);
        let fault = match error.code() {
            ErrorCode::InvalidAccessKeyId | ErrorCode::InvalidToken => {
                forbidden("InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            ErrorCode::ExpiredToken => expired(),
            ErrorCode::SignatureDoesNotMatch => forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
                 and signing method. Consult the service documentation for details.",
            ),
            ErrorCode::RequestTimeTooSkewed => forbidden(
                "SignatureDoesNotMatch",
                "Signature expired: the date of the request is more than 15 minutes from the time of the service.",
            ),
            ErrorCode::AccessDenied => {
                Self::new("SignatureDoesNotMatch", StatusCode::FORBIDDEN, error.message().to_owned())
            }
            ErrorCode::SlowDown | ErrorCode::ServiceUnavailable => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::new("ServiceUnavailable", status, error.message().to_owned())
            }
            code if code.status().is_server_error() && code != ErrorCode::NotImplemented => {
                Self::internal(format!("{error}"))
            }
            _ => Self::bad("IncompleteSignature", error.message().to_owned()),
        };
        let cause = fault.cause.clone().or_else(|| error.cause().map(ToString::to_string));
        Self { cause, closes_connection: error.closes_connection(), ..fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_that_of_aws() {
        let fault = Fault::from(IamError::NoSuchEntity { kind: EntityKind::User, name: "a&b".into() });
        assert_eq!(
            std::str::from_utf8(&fault.to_document(Api::Iam, "id")).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
             <Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The user with name a&amp;b cannot be found.</Message>\
             </Error><RequestId>id</RequestId></ErrorResponse>"
        );
        assert_eq!(fault.status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn causes_are_not_sent() {
        let fault = Fault::internal("password=hunter2");
        assert!(!std::str::from_utf8(&fault.to_document(Api::Sts, "id")).unwrap().contains("hunter2"));
    }
}
