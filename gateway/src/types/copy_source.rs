//! `x-amz-copy-source`.

use cairn_protocol::metadata::VersionName;
use http::HeaderMap;

use super::{BucketName, ObjectKey, parse_version};
use crate::error::{S3Error, S3Result};
use crate::headers::single;
use crate::uri::{self, Query};

/// The object to copy from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version; `None` is the current one.
    pub version: Option<VersionName>,
}

impl CopySource {
    /// Parses the header, which is required: `[/]bucket/key[?versionId=…]`, URL-encoded.
    ///
    /// # Errors
    /// `InvalidArgument`, the errors of an invalid bucket, key or version, and `NotImplemented` for access points.
    pub fn parse(headers: &HeaderMap) -> S3Result<Self> {
        let raw = single(headers, "x-amz-copy-source")?.ok_or_else(|| invalid(""))?;
        if raw.starts_with("arn:") {
            return Err(S3Error::not_implemented("Access points are not implemented."));
        }
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        // S3 decodes `+` to a space here, so clients that mean a plus send `%2B`.
        let path = uri::decode_query(path).map_err(|_| invalid(raw))?;
        let (bucket, key) =
            path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(|| invalid(raw))?;
        if key.is_empty() {
            return Err(invalid(raw));
        }
        let query = Query::parse(query).map_err(|_| invalid(raw))?;
        if query.pairs().iter().any(|(name, _)| name != "versionId") {
            return Err(invalid(raw));
        }
        let version = parse_version(&query)?;
        Ok(Self { bucket: BucketName::parse(bucket)?, key: ObjectKey::parse(key)?, version })
    }
}

fn invalid(value: &str) -> S3Error {
    S3Error::invalid_argument(
        "x-amz-copy-source",
        value,
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    fn parse(value: &'static str) -> S3Result<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", HeaderValue::from_static(value));
        CopySource::parse(&headers).map(|source| (source.bucket.into(), source.key.into()))
    }

    #[test]
    fn the_forms_that_clients_send_are_understood() {
        for (value, key) in [
            ("bucket/key", "key"),
            ("/bucket/a/b", "a/b"),
            ("bucket%2Fa%2Fb", "a/b"),
            ("/bucket//a", "/a"),
            ("bucket/a%20b%2Bc+d", "a b+c d"),
            ("bucket/k%3FversionId%3D1", "k?versionId=1"),
            ("bucket/key?versionId=null", "key"),
            ("bucket/%F0%9F%A6%80", "🦀"),
        ] {
            assert_eq!(parse(value).unwrap(), ("bucket".to_owned(), key.to_owned()), "{value}");
        }
    }

    #[test]
    fn a_source_that_names_no_object_is_refused() {
        for value in
            ["", "bucket", "/bucket", "bucket/", "bucket/%zz", "bucket/k?x=1", "bucket/k?versionId=abc"]
        {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidArgument, "{value}");
        }
        assert_eq!(parse("B_/key").unwrap_err().code(), ErrorCode::InvalidBucketName);
        assert_eq!(
            parse("arn:aws:s3:us-east-1:1:accesspoint/a/object/k").unwrap_err().code(),
            ErrorCode::NotImplemented
        );
    }
}
