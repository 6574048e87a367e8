//! Signatures in the query: presigned URLs.
//!
//! Source: Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".

use http::HeaderMap;

use super::claim::{Claim, VersionFour};
use super::content::ContentSha256;
use super::date::AmzDate;
use super::scope::{CredentialError, ParsedCredential, Place};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::uri::Query;

/// AWS's limit is seven days, because the signing key is valid for no longer.
const EXPIRES_MAX_S: u64 = 604_800;

/// Parses the claim of a request for S3 in the query.
pub(super) fn read(query: &Query, headers: &HeaderMap, region: &str) -> S3Result<Claim> {
    read_for(query, Place::s3(region), || payload(query, headers)).map(|claim| Claim::Four(Box::new(claim)))
}

/// Parses the claim in the query. `payload` is what ends the canonical request.
pub(super) fn read_for(
    query: &Query,
    place: Place<'_>,
    payload: impl FnOnce() -> S3Result<String>,
) -> S3Result<VersionFour> {
    match query.get("X-Amz-Algorithm") {
        Some("AWS4-HMAC-SHA256") => {}
        Some("AWS4-ECDSA-P256-SHA256") => {
            return Err(S3Error::not_implemented(
                "Signature Version 4A is not supported. Please use AWS4-HMAC-SHA256.",
            ));
        }
        Some(_) => return Err(wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")),
        None => return Err(wrong(ALL_REQUIRED)),
    }
    let required = |name| query.get(name).ok_or_else(|| wrong(ALL_REQUIRED));
    let (credential, date) = (required("X-Amz-Credential")?, required("X-Amz-Date")?);
    let (expires, signed_headers) = (required("X-Amz-Expires")?, required("X-Amz-SignedHeaders")?);
    let signature = required("X-Amz-Signature")?;

    let date = AmzDate::parse(date)
        .ok_or_else(|| wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    let credential = ParsedCredential::parse(credential).map_err(|error| credential_error(&error))?;
    credential.check(place, date.day()).map_err(|error| credential_error(&error))?;

    let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
    let payload = payload()?;
    Ok(VersionFour {
        credential,
        date,
        signed_headers,
        signature: signature.to_owned(),
        content: ContentSha256::parse(&payload)?,
        payload,
        expires_s: Some(expires_s(expires)?),
    })
}

/// A presigned request may declare the digest of its body. Most do not.
fn payload(query: &Query, headers: &HeaderMap) -> S3Result<String> {
    let header = single(headers, "x-amz-content-sha256")?;
    Ok(query.get("X-Amz-Content-Sha256").or(header).unwrap_or("UNSIGNED-PAYLOAD").to_owned())
}

fn expires_s(text: &str) -> S3Result<u64> {
    if text.starts_with('-') {
        return Err(wrong("X-Amz-Expires must be non-negative"));
    }
    match text.parse() {
        Ok(0) => Err(wrong("X-Amz-Expires must be at least 1 second")),
        Ok(seconds) if seconds > EXPIRES_MAX_S => Err(wrong(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        )),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err(wrong("X-Amz-Expires should be a number")),
    }
}

const ALL_REQUIRED: &str = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
     X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";

fn wrong(what: impl Into<String>) -> S3Error {
    S3Error::with_message(ErrorCode::AuthorizationQueryParametersError, what.into())
}

fn credential_error(error: &CredentialError) -> S3Error {
    error.add_details(wrong(format!("Error parsing the X-Amz-Credential parameter; {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_a_number_of_seconds_up_to_a_week() {
        assert_eq!(expires_s("1").unwrap(), 1);
        assert_eq!(expires_s("604800").unwrap(), 604_800);
        for text in ["0", "604801", "-1", "", "1.5", "x", "99999999999999999999"] {
            assert_eq!(
                expires_s(text).unwrap_err().code(),
                ErrorCode::AuthorizationQueryParametersError,
                "{text}"
            );
        }
    }
}
