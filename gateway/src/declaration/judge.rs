//! Members whose values AWS enumerates: the values that are implemented, those that are not, and all others.

use super::Member;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The values of an enumeration in AWS's service model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    /// The values that the operation accepts.
    pub done: &'static [&'static str],
    /// The values of AWS that are not implemented.
    pub missing: &'static [&'static str],
    /// Whether the comparison ignores case.
    pub any_case: bool,
    /// The error of AWS for any other value, from the member's name and the value.
    pub junk: fn(&str, &str) -> S3Error,
}

impl Listed {
    /// An enumeration of these values. Any other value is an `InvalidArgument`.
    pub(crate) const fn new(done: &'static [&'static str], missing: &'static [&'static str]) -> Self {
        Self { done, missing, any_case: false, junk: invalid_value }
    }

    /// The same, without regard to case.
    pub(crate) const fn any_case(mut self) -> Self {
        self.any_case = true;
        self
    }

    /// The same, with another error for any other value.
    pub(crate) const fn otherwise(mut self, junk: fn(&str, &str) -> S3Error) -> Self {
        self.junk = junk;
        self
    }

    /// Whether the operation accepts the value.
    pub(super) fn check(&self, member: &Member, name: &str, value: &str) -> S3Result<()> {
        let is =
            |known: &&str| if self.any_case { known.eq_ignore_ascii_case(value) } else { *known == value };
        if self.done.iter().any(is) {
            Ok(())
        } else if self.missing.iter().any(is) {
            Err(member.not_implemented(name))
        } else {
            Err((self.junk)(name, value))
        }
    }
}

/// `InvalidArgument` with the member's name and value.
pub(crate) fn invalid_value(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, format!("The value specified for {name} is invalid."))
}

/// `InvalidRequest` with AWS's message for headers about checksums.
pub(crate) fn invalid_header(name: &str, _: &str) -> S3Error {
    S3Error::invalid_request(format!("Value for {name} header is invalid."))
}

/// The error of AWS for an unknown encryption method.
pub(crate) fn invalid_encryption(name: &str, value: &str) -> S3Error {
    S3Error::new(ErrorCode::InvalidEncryptionAlgorithmError)
        .detail("ArgumentName", name)
        .detail("ArgumentValue", value)
}

/// The error of AWS for an unknown object lock mode.
pub(crate) fn invalid_lock_mode(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, "Unknown wormMode directive.")
}

/// The error of AWS for an unknown legal hold status.
pub(crate) fn invalid_legal_hold(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, "Legal Hold must be either of 'ON' or 'OFF'")
}

/// The error of AWS for an unknown directive. For `x-amz-metadata-directive` the message says "metadata".
pub(crate) fn invalid_directive(name: &str, value: &str) -> S3Error {
    let what = name.strip_prefix("x-amz-").and_then(|name| name.strip_suffix("-directive")).unwrap_or(name);
    S3Error::invalid_argument(name, value, format!("Unknown {what} directive."))
}
