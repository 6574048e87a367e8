//! Parameters that all listings have.

use crate::error::{S3Error, S3Result};
use crate::uri::{self, Query};

/// Upper limit of S3 for entries on a page, independent of the request.
const PAGE_MAX: u32 = 1000;

/// A limit such as `max-keys`. A missing or larger one becomes 1,000.
///
/// # Errors
/// `InvalidArgument` with AWS's message for a text that is not a number from 0 to 2,147,483,647.
pub fn parse_limit(query: &Query, name: &str) -> S3Result<u32> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(PAGE_MAX) };
    let wrong = |message: String| S3Error::invalid_argument(name, text, message);
    // S3 accepts numbers up to the largest signed 32-bit integer.
    match text.parse::<i64>() {
        Ok(number) if number > i64::from(i32::MAX) => {
            Err(wrong(format!("Provided {name} not an integer or within integer range")))
        }
        Ok(number) => u32::try_from(number)
            .map(|number| number.min(PAGE_MAX))
            .map_err(|_| wrong(format!("Argument {name} must be an integer between 0 and 2147483647"))),
        Err(_) => Err(wrong(format!("Provided {name} not an integer or within integer range"))),
    }
}

/// The encoding of keys in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Keys are unchanged.
    Plain,
    /// `encoding-type=url`: keys are percent-encoded, except for slashes.
    Url,
}

impl Encoding {
    /// Encodes `text`.
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => uri::encode(text.as_bytes(), true),
        }
    }
}

/// Parses `encoding-type`.
///
/// # Errors
/// `InvalidArgument` for anything but `url`.
pub fn parse_encoding(query: &Query) -> S3Result<Encoding> {
    match query.get("encoding-type") {
        None => Ok(Encoding::Plain),
        Some("url") => Ok(Encoding::Url),
        Some(other) => Err(S3Error::invalid_argument(
            "encoding-type",
            other,
            "Invalid Encoding Method specified in Request",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_from_zero_and_capped() {
        let parse = |text: &str| parse_limit(&Query::parse(text).unwrap(), "max-keys");
        for (text, limit) in
            [("", 1000), ("max-keys=", 1000), ("max-keys=0", 0), ("max-keys=7", 7), ("max-keys=5000", 1000)]
        {
            assert_eq!(parse(text).unwrap(), limit, "{text}");
        }
        for text in ["max-keys=-1", "max-keys=x", "max-keys=2147483648", "max-keys=99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn url_is_the_only_encoding_type() {
        let parse = |text: &str| parse_encoding(&Query::parse(text).unwrap());
        assert_eq!(parse("encoding-type=url").unwrap().apply("a/b c+\r"), "a/b%20c%2B%0D");
        assert_eq!(parse("").unwrap().apply("a b"), "a b");
        assert!(parse("encoding-type=base64").is_err());
    }
}
