//! Names of buckets.

use std::fmt;
use std::net::Ipv4Addr;

use crate::error::{ErrorCode, S3Error, S3Result};

/// The name of a bucket (S3 User Guide, "General purpose bucket naming rules").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

/// Prefixes and suffixes that S3 reserves. New buckets must not have them.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl BucketName {
    /// Parses the name of a bucket that may exist.
    ///
    /// # Errors
    /// `InvalidBucketName`.
    pub fn parse(name: &str) -> S3Result<Self> {
        if is_valid(name) { Ok(Self(name.to_owned())) } else { Err(invalid(name)) }
    }

    /// Parses the name of a new bucket, which must not be reserved.
    ///
    /// # Errors
    /// `InvalidBucketName`.
    pub fn parse_new(name: &str) -> S3Result<Self> {
        let reserved = RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        if reserved { Err(invalid(name)) } else { Self::parse(name) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BucketName> for String {
    fn from(name: BucketName) -> Self {
        name.0
    }
}

fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let alphanumeric =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| alphanumeric(Some(byte)) || matches!(byte, b'-' | b'.'))
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
}

fn invalid(name: &str) -> S3Error {
    S3Error::new(ErrorCode::InvalidBucketName).detail("BucketName", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_naming_rules() {
        let longest = "a".repeat(63);
        for name in ["abc", "a-b", "a.b", "123", "my-bucket.example.com", "192.168.5.4.5", &longest] {
            assert!(BucketName::parse(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in [
            "",
            "ab",
            &too_long,
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.5.4",
            "a b",
            "a/b",
            "bücket",
        ] {
            assert_eq!(BucketName::parse(name).unwrap_err().code(), ErrorCode::InvalidBucketName, "{name}");
        }
    }

    #[test]
    fn reserved_names_cannot_be_made() {
        for name in [
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-bucket",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
        ] {
            assert!(BucketName::parse(name).is_ok(), "{name}");
            assert!(BucketName::parse_new(name).is_err(), "{name}");
        }
    }
}
