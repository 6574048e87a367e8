//! The `Authorization` header.

use http::{HeaderMap, header};

use super::claim::{Claim, VersionFour};
use super::content::ContentSha256;
use super::date::AmzDate;
use super::scope::{CredentialError, ParsedCredential, Place};
use super::version_two_refused;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;

/// Parses the claim of a request for S3 in an `Authorization` header.
pub(super) fn read(headers: &HeaderMap, region: &str) -> S3Result<Claim> {
    read_for(headers, Place::s3(region), || {
        single(headers, "x-amz-content-sha256")?.map(str::to_owned).ok_or_else(|| {
            S3Error::invalid_request("Missing required header for this request: x-amz-content-sha256")
        })
    })
    .map(|claim| Claim::Four(Box::new(claim)))
}

/// Parses the claim in an `Authorization` header. `payload` is what ends the canonical request: the value of
/// `x-amz-content-sha256`.
pub(super) fn read_for(
    headers: &HeaderMap,
    place: Place<'_>,
    payload: impl FnOnce() -> S3Result<String>,
) -> S3Result<VersionFour> {
    let text = single(headers, header::AUTHORIZATION.as_str()).ok().flatten();
    let text = text.ok_or_else(|| malformed("the header is no text."))?;
    let fields = Fields::parse(text)?;
    let date = date(headers)?;
    let credential = ParsedCredential::parse(&fields.credential).map_err(|error| credential_error(&error))?;
    credential.check(place, date.day()).map_err(|error| credential_error(&error))?;
    let payload = payload()?;
    Ok(VersionFour {
        credential,
        date,
        signed_headers: fields.signed_headers,
        signature: fields.signature,
        content: ContentSha256::parse(&payload)?,
        payload,
        expires_s: None,
    })
}

struct Fields {
    credential: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Fields {
    fn parse(text: &str) -> S3Result<Self> {
        let (algorithm, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match algorithm {
            "AWS4-HMAC-SHA256" => {}
            "AWS4-ECDSA-P256-SHA256" => {
                return Err(S3Error::not_implemented(
                    "Signature Version 4A is not supported. Please use AWS4-HMAC-SHA256.",
                ));
            }
            // Signature Version 2 in a header, which is not supported.
            "AWS" => {
                return Err(version_two_refused());
            }
            _ => {
                return Err(S3Error::invalid_argument(
                    "Authorization",
                    algorithm,
                    "Unsupported Authorization Type",
                ));
            }
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or_else(|| malformed(THREE_COMPONENTS))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed(THREE_COMPONENTS)),
            };
            if slot.replace(value).is_some() {
                return Err(malformed(THREE_COMPONENTS));
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(malformed(THREE_COMPONENTS));
        };
        Ok(Self {
            credential: credential.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }
}

const THREE_COMPONENTS: &str =
    "the authorization header requires three components: Credential, SignedHeaders, and Signature.";

/// The request's date: `x-amz-date`, or `Date` if that is missing.
fn date(headers: &HeaderMap) -> S3Result<AmzDate> {
    let date = match single(headers, "x-amz-date")? {
        Some(date) => AmzDate::parse_amz_header(date),
        None => single(headers, header::DATE.as_str())?.and_then(AmzDate::parse_header),
    };
    date.ok_or_else(|| {
        S3Error::with_message(
            ErrorCode::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        )
    })
}

fn malformed(what: &str) -> S3Error {
    S3Error::with_message(
        ErrorCode::AuthorizationHeaderMalformed,
        format!("The authorization header is malformed; {what}"),
    )
}

fn credential_error(error: &CredentialError) -> S3Error {
    error.add_details(malformed(&error.to_string()))
}
