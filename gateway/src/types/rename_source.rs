//! `x-amz-rename-source`.

use http::HeaderMap;

use super::{BucketName, ObjectKey};
use crate::error::{S3Error, S3Result};
use crate::headers::single;
use crate::uri;

/// The object to rename: a key of the bucket of the request.
///
/// AWS's examples and clients send the key (`/key` or `key`), and the pattern in AWS's model wants the bucket before it
/// (`/bucket/key`). Both are understood. If a text is both, because the bucket has a key that begins with the bucket's name, the
/// key that is the whole text is meant, if it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameSource {
    /// The whole text as a key.
    pub key: ObjectKey,
    /// What follows the name of the bucket, if the text begins with it.
    pub after_bucket: Option<ObjectKey>,
}

impl RenameSource {
    /// Parses the header, which is required: a URL-encoded key, after a slash or not.
    ///
    /// # Errors
    /// `InvalidArgument`, and the errors of an invalid key.
    pub fn parse(headers: &HeaderMap, bucket: &BucketName) -> S3Result<Self> {
        let raw = single(headers, "x-amz-rename-source")?.unwrap_or_default();
        // A question mark that belongs to the key is encoded. Versions cannot be renamed.
        if raw.contains('?') {
            return Err(invalid(raw));
        }
        // As in the source of a copy, `+` is a space, and clients that mean a plus send `%2B`.
        let text = uri::decode_query(raw).map_err(|_| invalid(raw))?;
        let text = text.strip_prefix('/').unwrap_or(&text);
        if text.is_empty() {
            return Err(invalid(raw));
        }
        let after_bucket = text.strip_prefix(bucket.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let after_bucket = after_bucket.filter(|key| !key.is_empty()).map(ObjectKey::parse).transpose()?;
        Ok(Self { key: ObjectKey::parse(text)?, after_bucket })
    }
}

fn invalid(value: &str) -> S3Error {
    S3Error::invalid_argument(
        "x-amz-rename-source",
        value,
        "Rename Source must be the URL-encoded key of an object in the bucket of the request",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    fn parse(value: Option<&'static str>) -> S3Result<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert("x-amz-rename-source", HeaderValue::from_static(value));
        }
        let source = RenameSource::parse(&headers, &BucketName::parse("bucket")?)?;
        Ok((source.key.into(), source.after_bucket.map(Into::into)))
    }

    #[test]
    fn a_source_is_a_key_after_a_slash_or_not_and_after_the_bucket_or_not() {
        for (value, key, after_bucket) in [
            ("old.txt", "old.txt", None),
            ("/old.txt", "old.txt", None),
            ("//old.txt", "/old.txt", None),
            ("a%20b%2Fc%3Fd", "a b/c?d", None),
            ("a+b", "a b", None),
            ("/bucket/old.txt", "bucket/old.txt", Some("old.txt")),
            ("bucket/a/b", "bucket/a/b", Some("a/b")),
            ("bucket/", "bucket/", None),
            ("other/old.txt", "other/old.txt", None),
        ] {
            let wanted = (key.to_owned(), after_bucket.map(str::to_owned));
            assert_eq!(parse(Some(value)).unwrap(), wanted, "{value}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for value in [None, Some(""), Some("/"), Some("%zz"), Some("%ff"), Some("key?versionId=null")] {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidArgument, "{value:?}");
        }
    }
}
