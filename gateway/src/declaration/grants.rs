//! Headers that grant permissions. Only full control for the owner is accepted, because the owner has it already.

use crate::error::{S3Error, S3Result};
use crate::types::OWNER_ID;

/// Checks `x-amz-grant-full-control`: `type=value`, separated by commas.
///
/// # Errors
/// `InvalidArgument` for a text that is not a list of grantees, `NotImplemented` for grantees other than the owner.
pub(crate) fn check_full_control(name: &str, value: &str) -> S3Result<()> {
    for grantee in value.split(',') {
        let (kind, who) = grantee.trim().split_once('=').unwrap_or(("", ""));
        let who = who.trim().trim_matches('"');
        match kind.trim() {
            "id" if who == OWNER_ID => {}
            "id" | "uri" | "emailAddress" if !who.is_empty() => {
                return Err(no_grants().detail("Header", name));
            }
            _ => return Err(S3Error::invalid_argument(name, value, "Argument format not recognized")),
        }
    }
    Ok(())
}

/// The error for all other grants.
pub(crate) fn no_grants() -> S3Error {
    S3Error::not_implemented("Grants are not implemented, but for full control to the owner.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn full_control_goes_to_the_owner_only() {
        let code = |value: &str| check_full_control("x", value).err().map(|error| error.code());
        assert_eq!(code(&format!("id={OWNER_ID}")), None);
        assert_eq!(code(&format!("id=\"{OWNER_ID}\", id={OWNER_ID}")), None);
        for value in ["id=1", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"", "emailAddress=a@b"] {
            assert_eq!(code(value), Some(ErrorCode::NotImplemented), "{value}");
        }
        for value in ["", "id", "id=", "name=x", "everybody"] {
            assert_eq!(code(value), Some(ErrorCode::InvalidArgument), "{value}");
        }
    }
}
