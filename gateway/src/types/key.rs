//! Keys of objects.

use std::fmt;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::uri;

/// The maximum length of a key in bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
pub const KEY_LENGTH_MAX: usize = 1024;

/// A key: 1 to 1,024 bytes of UTF-8, stored unchanged. `..`, `//` and `.` have no special meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks the length of a key.
    ///
    /// # Errors
    /// `KeyTooLongError`, or `InvalidArgument` for an empty key.
    pub fn parse(key: impl Into<String>) -> S3Result<Self> {
        let key = key.into();
        if key.len() > KEY_LENGTH_MAX {
            return Err(S3Error::new(ErrorCode::KeyTooLongError)
                .detail("Size", key.len().to_string())
                .detail("MaxSizeAllowed", KEY_LENGTH_MAX.to_string()));
        }
        if key.is_empty() {
            return Err(S3Error::invalid_argument("Key", "", "A key must not be empty."));
        }
        Ok(Self(key))
    }

    /// The key in a path: percent-decoded once, not normalised.
    ///
    /// # Errors
    /// `InvalidURI` for invalid escapes and for bytes that are not UTF-8, and the errors of [`parse`](Self::parse).
    pub fn from_path(raw: &str) -> S3Result<Self> {
        let text = String::from_utf8(uri::decode(raw)?).map_err(|_| S3Error::new(ErrorCode::InvalidURI))?;
        Self::parse(text)
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_kept_as_they_are() {
        for (raw, key) in [
            ("a/../b", "a/../b"),
            ("//a//", "//a//"),
            (".", "."),
            ("a%2Fb", "a/b"),
            ("a+b", "a+b"),
            ("a%20b%00%0a", "a b\0\n"),
            ("%F0%9F%A6%80", "🦀"),
            ("é", "é"),
        ] {
            assert_eq!(ObjectKey::from_path(raw).unwrap().as_str(), key);
        }
    }

    #[test]
    fn keys_have_1_to_1024_bytes_of_utf8() {
        assert!(ObjectKey::parse("k".repeat(1024)).is_ok());
        assert_eq!(ObjectKey::parse("k".repeat(1025)).unwrap_err().code(), ErrorCode::KeyTooLongError);
        assert_eq!(ObjectKey::parse("é".repeat(513)).unwrap_err().code(), ErrorCode::KeyTooLongError);
        assert_eq!(ObjectKey::from_path("%ff").unwrap_err().code(), ErrorCode::InvalidURI);
        assert_eq!(ObjectKey::from_path("%ed%a0%80").unwrap_err().code(), ErrorCode::InvalidURI);
    }

    proptest! {
        #[test]
        fn any_key_survives_the_path(key in "\\PC{1,60}") {
            let read = ObjectKey::from_path(&uri::encode(key.as_bytes(), true)).unwrap();
            prop_assert_eq!(read.as_str(), key);
        }
    }
}
