//! Values that AWS lists: those that are done, those that are not built, and what is none of them.

use super::Member;
use crate::error::{ErrorCode, S3Error, S3Result};

/// The values of an enumeration in AWS's service model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    /// These go through to the operation.
    pub done: &'static [&'static str],
    /// AWS knows these, and they are not built.
    pub missing: &'static [&'static str],
    /// Whether the values are compared without regard to case.
    pub any_case: bool,
    /// What AWS answers for anything else, from the member's name and the value.
    pub junk: fn(&str, &str) -> S3Error,
}

impl Listed {
    /// These values, of which all others are an `InvalidArgument`.
    pub(crate) const fn new(done: &'static [&'static str], missing: &'static [&'static str]) -> Self {
        Self { done, missing, any_case: false, junk: invalid_value }
    }

    /// The same, in any case.
    pub(crate) const fn any_case(mut self) -> Self {
        self.any_case = true;
        self
    }

    /// The same, with another answer for anything else.
    pub(crate) const fn otherwise(mut self, junk: fn(&str, &str) -> S3Error) -> Self {
        self.junk = junk;
        self
    }

    /// Whether the value is one that goes through.
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

/// `InvalidArgument`, naming member and value.
pub(crate) fn invalid_value(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, format!("The value specified for {name} is invalid."))
}

/// `InvalidRequest` in the words that AWS has for headers about checksums.
pub(crate) fn invalid_header(name: &str, _: &str) -> S3Error {
    S3Error::invalid_request(format!("Value for {name} header is invalid."))
}

/// What AWS answers for an unknown method of encryption.
pub(crate) fn invalid_encryption(name: &str, value: &str) -> S3Error {
    S3Error::new(ErrorCode::InvalidEncryptionAlgorithmError)
        .detail("ArgumentName", name)
        .detail("ArgumentValue", value)
}

/// What AWS answers for an unknown mode of object lock.
pub(crate) fn invalid_lock_mode(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, "Unknown wormMode directive.")
}

/// What AWS answers for an unknown legal hold.
pub(crate) fn invalid_legal_hold(name: &str, value: &str) -> S3Error {
    S3Error::invalid_argument(name, value, "Legal Hold must be either of 'ON' or 'OFF'")
}

/// What AWS answers for an unknown directive: `x-amz-metadata-directive` names the metadata.
pub(crate) fn invalid_directive(name: &str, value: &str) -> S3Error {
    let what = name.strip_prefix("x-amz-").and_then(|name| name.strip_suffix("-directive")).unwrap_or(name);
    S3Error::invalid_argument(name, value, format!("Unknown {what} directive."))
}
