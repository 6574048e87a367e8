//! Determines the resource of a request from its host and path.

use http::HeaderMap;

use crate::error::{S3Error, S3Result};
use crate::headers::single;
use crate::request::Target;
use crate::types::{BucketName, ObjectKey};

/// The path of what S3 Control configures for an account.
const ACCOUNT_PATH: &str = "v20180820/configuration/publicAccessBlock";

/// Parses host and path. If the host is below one of `domains`, the part before the domain is the bucket.
///
/// # Errors
/// `InvalidURI`, and the errors of an invalid bucket or key.
pub(crate) fn parse_target(headers: &HeaderMap, raw_path: &str, domains: &[String]) -> S3Result<Target> {
    let path = raw_path.strip_prefix('/').ok_or_else(|| S3Error::new(crate::error::ErrorCode::InvalidURI))?;
    if let Some(bucket) = virtual_bucket(headers, domains) {
        return target(BucketName::parse(&bucket)?, path);
    }
    if path.is_empty() {
        return Ok(Target::Service);
    }
    // A bucket could have the name of this version of S3 Control. The header tells the two apart.
    if path == ACCOUNT_PATH && headers.contains_key("x-amz-account-id") {
        return Ok(Target::Account);
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let bucket = crate::uri::decode(bucket)?;
    target(BucketName::parse(&String::from_utf8_lossy(&bucket))?, key)
}

fn target(bucket: BucketName, raw_key: &str) -> S3Result<Target> {
    if raw_key.is_empty() {
        Ok(Target::Bucket(bucket))
    } else {
        ObjectKey::from_path(raw_key).map(|key| Target::Object(bucket, key))
    }
}

/// The bucket in the host name: the part before one of the domains.
pub(crate) fn virtual_bucket(headers: &HeaderMap, domains: &[String]) -> Option<String> {
    // A host that is not text was refused earlier.
    let host = single(headers, http::header::HOST.as_str()).ok().flatten()?.to_ascii_lowercase();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &host,
    };
    domains.iter().find_map(|domain| name.strip_suffix(domain.as_str())?.strip_suffix('.').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::Resource;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    fn parse(host: &'static str, path: &str) -> S3Result<Target> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(host));
        parse_target(&headers, path, &["s3.example.com".to_owned()])
    }

    fn object(bucket: &str, key: &str) -> Target {
        Target::Object(BucketName::parse(bucket).unwrap(), ObjectKey::parse(key).unwrap())
    }

    #[test]
    fn path_style_takes_the_first_segment() {
        assert_eq!(parse("127.0.0.1:9000", "/").unwrap(), Target::Service);
        for path in ["/bucket", "/bucket/"] {
            assert_eq!(
                parse("localhost", path).unwrap(),
                Target::Bucket(BucketName::parse("bucket").unwrap())
            );
        }
        for (path, key) in
            [("/bucket/a/b", "a/b"), ("/bucket//a", "/a"), ("/bucket/../a", "../a"), ("/bucket/a%2F", "a/")]
        {
            assert_eq!(parse("s3.example.com", path).unwrap(), object("bucket", key), "{path}");
        }
    }

    #[test]
    fn virtual_host_style_takes_the_host() {
        assert_eq!(parse("bucket.s3.example.com:9000", "/a/b").unwrap(), object("bucket", "a/b"));
        assert_eq!(parse("A.B.S3.Example.com", "/k").unwrap(), object("a.b", "k"));
        assert_eq!(parse("bucket.s3.example.com", "/").unwrap().resource(), Resource::Bucket);
        assert_eq!(parse("s3.example.com", "/").unwrap(), Target::Service);
        assert_eq!(parse("evils3.example.com", "/bucket/k").unwrap(), object("bucket", "k"));
    }

    #[test]
    fn bad_targets_are_refused() {
        assert_eq!(parse("h", "/B").unwrap_err().code(), ErrorCode::InvalidBucketName);
        assert_eq!(parse("h", "/b%ffc/k").unwrap_err().code(), ErrorCode::InvalidBucketName);
        assert_eq!(parse("h", "/bucket/%ff").unwrap_err().code(), ErrorCode::InvalidURI);
        assert_eq!(parse("h", "*").unwrap_err().code(), ErrorCode::InvalidURI);
        assert_eq!(
            parse("h", &format!("/bucket/{}", "k".repeat(1025))).unwrap_err().code(),
            ErrorCode::KeyTooLongError
        );
    }
}
