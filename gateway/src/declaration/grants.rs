//! Headers that grant permissions: `type=value`, separated by commas.

use crate::error::{S3Error, S3Result};

/// Whom an entry of a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedGrantee<'a> {
    /// `id`: the owner id of an account.
    Id(&'a str),
    /// `uri`: a group.
    Uri(&'a str),
    /// `emailAddress`.
    Email,
}

/// The grantees in a header `x-amz-grant-…`.
///
/// # Errors
/// `InvalidArgument` for a text that is not a list of grantees.
pub(crate) fn parse_grantees<'a>(name: &str, value: &'a str) -> S3Result<Vec<NamedGrantee<'a>>> {
    let wrong = || S3Error::invalid_argument(name, value, "Argument format not recognized");
    let entry = |entry: &'a str| {
        let (kind, who) = entry.trim().split_once('=')?;
        let who = who.trim().trim_matches('"');
        match kind.trim() {
            _ if who.is_empty() => None,
            "id" => Some(NamedGrantee::Id(who)),
            "uri" => Some(NamedGrantee::Uri(who)),
            "emailAddress" => Some(NamedGrantee::Email),
            _ => None,
        }
    };
    value.split(',').map(|text| entry(text).ok_or_else(wrong)).collect()
}

/// Checks the form of a header `x-amz-grant-…`.
///
/// # Errors
/// `InvalidArgument` for a text that is not a list of grantees.
pub(crate) fn check_grantees(name: &str, value: &str) -> S3Result<()> {
    parse_grantees(name, value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_header_lists_grantees() {
        let all = "http://acs.amazonaws.com/groups/global/AllUsers";
        let text = format!("id=\"1\", uri={all} ,emailAddress=\"a@b\"");
        let grantees = parse_grantees("x", &text).unwrap();
        assert_eq!(grantees, [NamedGrantee::Id("1"), NamedGrantee::Uri(all), NamedGrantee::Email]);
        for value in ["", "id", "id=", "name=x", "everybody", "id=1,"] {
            let code = check_grantees("x", value).err().map(|error| error.code());
            assert_eq!(code, Some(ErrorCode::InvalidArgument), "{value}");
        }
    }
}
