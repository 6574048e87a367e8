//! Headers that would change what a request means, if we knew them.
//!
//! Every `x-amz-*` header that is not listed here is refused, so that none is accepted and ignored.

use http::HeaderMap;
use http::header::CONTENT_RANGE;

use crate::caller::check_owner;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Headers that operations read, or that change nothing here.
const KNOWN: &[&str] = &[
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    // Asks listings for the state of restores; nothing is ever archived, so there is none to tell.
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    // Who pays: nobody does.
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// Headers of which only these values ask for what is so anyway.
const KNOWN_VALUES: &[(&str, &[&str])] = &[
    ("x-amz-acl", &["private", "bucket-owner-full-control"]),
    ("x-amz-bucket-object-lock-enabled", &["false", "False"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced"]),
];

/// Refuses what we do not know, and checks who is expected to own buckets. Of the headers of Cairn's own
/// the operation reads `own`.
///
/// # Errors
/// `NotImplemented` naming the header, or `AccessDenied`.
pub(super) fn check_headers(headers: &HeaderMap, own: &[&str]) -> S3Result<()> {
    // A write of a part of an object (RFC 9110, section 14.5), which S3 does not know.
    if headers.contains_key(CONTENT_RANGE) {
        return Err(S3Error::new(ErrorCode::NotImplemented).detail("Header", CONTENT_RANGE.as_str()));
    }
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with("x-cairn-") && !own.contains(&name) {
            return Err(S3Error::new(ErrorCode::NotImplemented).detail("Header", name));
        }
        if !name.starts_with("x-amz-") || name.starts_with("x-amz-meta-") || KNOWN.contains(&name) {
            continue;
        }
        let values = KNOWN_VALUES.iter().find(|(known, _)| *known == name).map(|(_, values)| *values);
        if !values.is_some_and(|values| values.iter().any(|known| known.as_bytes() == value.as_bytes())) {
            return Err(S3Error::new(ErrorCode::NotImplemented).detail("Header", name));
        }
    }
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        for owner in headers.get_all(name) {
            check_owner(owner.to_str().unwrap_or_default())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn check(name: &'static str, value: &'static str) -> S3Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        check_headers(&headers, &[])
    }

    #[test]
    fn what_clients_usually_send_passes() {
        for (name, value) in [
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-meta-anything", "x"),
            ("x-amz-acl", "private"),
            ("x-amz-request-payer", "requester"),
            ("x-amz-expected-bucket-owner", "000000000000"),
            ("content-type", "text/plain"),
            ("amz-sdk-invocation-id", "x"),
            ("x-amzn-trace-id", "x"),
        ] {
            assert!(check(name, value).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_would_change_the_meaning_is_never_ignored() {
        for (name, value) in [
            ("x-amz-acl", "public-read"),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "k"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-bucket-object-lock-enabled", "true"),
            ("x-amz-website-redirect-location", "/x"),
            ("x-amz-mfa", "123"),
            ("x-amz-write-offset-bytes", "0"),
            ("x-amz-rename-source", "/b/k"),
            ("x-amz-something-new", "x"),
            ("content-range", "bytes 0-1/2"),
            ("x-cairn-block-size", "8MiB"),
        ] {
            assert_eq!(check(name, value).unwrap_err().code(), ErrorCode::NotImplemented, "{name}");
        }
        assert_eq!(check("x-amz-expected-bucket-owner", "1").unwrap_err().code(), ErrorCode::AccessDenied);
    }
}
