//! Signature Version 2, in presigned URLs only. boto3 and version 1 of aws-cli still presign with it if the region is
//! us-east-1 and nothing else is configured. It is off by default: such a URL may be valid for ever, and the signature
//! is HMAC-SHA1.
//!
//! Source: Amazon S3 User Guide, "Signing and authenticating REST requests (AWS signature version 2)", there "Query
//! string request authentication alternative".
//!
//! The signature covers the method, the path, `Content-MD5`, `Content-Type`, all `x-amz-*` headers and some query
//! parameters. All other parameters are refused, because the holder of a URL could add them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_protocol::env::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::key::SecretKey;
use super::request_view::{RequestView, is_own_header};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::types::iso8601;
use crate::uri::Query;

/// Query parameters that the signature covers.
const COVERED: [&str; 22] = [
    "acl",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "website",
];

/// The claim of a URL that is presigned with version 2.
#[derive(Clone, Debug)]
pub struct VersionTwo {
    pub(super) access_key: String,
    signature: String,
    /// The value as it was sent; the signature covers it.
    expires: String,
    expires_at: Timestamp,
}

impl VersionTwo {
    /// Parses the query.
    pub(super) fn read(query: &Query) -> S3Result<Self> {
        let required = |name| {
            query.get(name).map(str::to_owned).ok_or_else(|| {
                S3Error::with_message(
                    ErrorCode::AccessDenied,
                    "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
                )
            })
        };
        let (access_key, signature) = (required("AWSAccessKeyId")?, required("Signature")?);
        let expires = required("Expires")?;
        let expires_s = expires.parse::<u64>().map_err(|_| {
            S3Error::with_message(ErrorCode::AccessDenied, "Invalid date (should be seconds since epoch)")
                .detail("Expires", &expires)
        })?;
        let expires_at = Timestamp(0).after(Duration::from_secs(expires_s));
        Ok(Self { access_key, signature, expires, expires_at })
    }

    /// Checks the time, the parameters and the signature.
    pub(super) fn verify(
        &self,
        request: &RequestView<'_>,
        secret: &SecretKey,
        now: Timestamp,
    ) -> S3Result<()> {
        if now > self.expires_at {
            return Err(S3Error::with_message(ErrorCode::AccessDenied, "Request has expired")
                .detail("Expires", iso8601(self.expires_at))
                .detail("ServerTime", iso8601(now)));
        }
        let names = request.query.pairs().iter().map(|(name, _)| name.as_str());
        if let Some(name) =
            names.clone().find(|name| !is_own(name) && !COVERED.contains(name) && *name != "x-id")
        {
            return Err(S3Error::with_message(
                ErrorCode::AccessDenied,
                format!(
                    "Signature Version 2 does not cover the query parameter {name:?}. Please use AWS4-HMAC-SHA256."
                ),
            ));
        }
        if let Some(name) = request.headers.keys().find(|name| is_own_header(name.as_str())) {
            return Err(S3Error::with_message(
                ErrorCode::AccessDenied,
                "There were headers present in the request which were not signed",
            )
            .detail("HeadersNotSigned", name.as_str()));
        }
        let to_sign = self.string_to_sign(request);
        let expected = secret.sign_version_two(&to_sign);
        if expected.as_bytes().ct_eq(self.signature.as_bytes()).into() {
            return Ok(());
        }
        Err(S3Error::new(ErrorCode::SignatureDoesNotMatch)
            .detail("AWSAccessKeyId", &self.access_key)
            .detail("StringToSign", String::from_utf8_lossy(&to_sign))
            .detail("SignatureProvided", &self.signature))
    }

    fn string_to_sign(&self, request: &RequestView<'_>) -> Vec<u8> {
        let lines = [
            request.method.as_str().as_bytes().to_vec(),
            values(request.headers, "content-md5"),
            values(request.headers, "content-type"),
            self.expires.as_bytes().to_vec(),
            [amz_headers(request.headers), resource(request).into_bytes()].concat(),
        ];
        lines.join(&b'\n')
    }
}

/// The parameters of the signature itself.
pub(super) fn is_own(name: &str) -> bool {
    matches!(name, "AWSAccessKeyId" | "Signature" | "Expires")
}

/// The bytes of all values of a header, unchanged, as they are signed.
fn values(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values: Vec<&[u8]> =
        headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
    values.join(&b',')
}

fn amz_headers(headers: &HeaderMap) -> Vec<u8> {
    let mut names: Vec<&str> =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-")).collect();
    names.sort_unstable();
    let line = |name: &str| [name.as_bytes(), b":", &values(headers, name), b"\n"].concat();
    names.into_iter().flat_map(line).collect()
}

/// The resource that is signed: the path as it was sent, after the bucket if that is in the host name, and the covered
/// parameters.
fn resource(request: &RequestView<'_>) -> String {
    let mut covered: Vec<_> =
        request.query.pairs().iter().filter(|(name, _)| COVERED.contains(&name.as_str())).collect();
    covered.sort();
    let covered: Vec<String> = covered
        .into_iter()
        .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
        .collect();
    let bucket = request.virtual_bucket.map(|bucket| format!("/{bucket}")).unwrap_or_default();
    let separator = if covered.is_empty() { "" } else { "?" };
    format!("{bucket}{}{separator}{}", request.raw_path, covered.join("&"))
}

impl SecretKey {
    /// The signature of version 2: base64 of HMAC-SHA1.
    fn sign_version_two(&self, to_sign: &[u8]) -> String {
        match Hmac::<Sha1>::new_from_slice(self.as_bytes()) {
            Ok(mut mac) => {
                mac.update(to_sign);
                STANDARD.encode(mac.finalize().into_bytes())
            }
            // HMAC takes keys of any length (RFC 2104), so the error cannot occur.
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    /// The example of the page named above, "GET /photos/puppy.jpg" at johnsmith.s3.amazonaws.com.
    const EXAMPLE: &str =
        "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    const EXPIRES: Timestamp = Timestamp(1_175_139_620_000);

    fn verify(path: &str, query: &str, headers: &HeaderMap, now: Timestamp) -> S3Result<()> {
        let query = Query::parse(query).unwrap();
        let view = RequestView {
            method: &Method::GET,
            raw_path: path,
            query: &query,
            headers,
            virtual_bucket: Some("johnsmith"),
        };
        VersionTwo::read(&query)?.verify(&view, &SecretKey::new(SECRET), now)
    }

    #[test]
    fn the_example_of_the_documentation_is_valid_until_it_expires() {
        let headers = HeaderMap::new();
        let at = |now| verify("/photos/puppy.jpg", EXAMPLE, &headers, now);
        assert!(at(EXPIRES).is_ok());
        assert_eq!(at(Timestamp(EXPIRES.0 + 1)).unwrap_err().code(), ErrorCode::AccessDenied);
    }

    #[test]
    fn any_added_or_changed_part_is_refused() {
        let none = HeaderMap::new();
        let mut amz = HeaderMap::new();
        amz.insert("x-amz-acl", http::HeaderValue::from_static("private"));
        let mut typed = HeaderMap::new();
        typed.insert("content-type", http::HeaderValue::from_static("text/html"));
        let (path, mismatch, denied) =
            ("/photos/puppy.jpg", ErrorCode::SignatureDoesNotMatch, ErrorCode::AccessDenied);
        let code =
            |path: &str, query: &str, headers| verify(path, query, headers, EXPIRES).unwrap_err().code();
        assert_eq!(code("/photos/kitten.jpg", EXAMPLE, &none), mismatch);
        assert_eq!(code(path, EXAMPLE, &amz), mismatch);
        assert_eq!(code(path, EXAMPLE, &typed), mismatch);
        assert_eq!(code(path, &format!("{EXAMPLE}&acl"), &none), mismatch);
        assert_eq!(code(path, &format!("{EXAMPLE}&attributes"), &none), denied);
        assert_eq!(code(path, &EXAMPLE.replace("1175139620", "1175139621"), &none), mismatch);
        assert_eq!(code(path, &EXAMPLE.replace("1175139620", "tomorrow"), &none), denied);
        assert_eq!(code(path, "AWSAccessKeyId=a&Expires=1", &none), denied);
    }
}
