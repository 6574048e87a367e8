//! Signature Version 4, and version 2 in presigned URLs. A signature proves who sent a request and that it was not
//! changed.
//!
//! [`read_claim`] parses the claim of a request, the service looks up the secret, and [`Claim::verify`] returns a
//! [`Verified`], which is the only proof of identity in this crate. The module does no IO: time and secrets are
//! arguments.

mod canonical;
mod chunk;
mod claim;
mod content;
mod date;
mod header_auth;
mod key;
mod presign;
mod request_view;
mod scope;
mod service;
#[cfg(test)]
mod tests;
mod version_two;

pub use canonical::{Signed, string_to_sign};
pub use chunk::ChunkSigner;
pub use claim::{Claim, Verified, VersionFour};
pub use content::ContentSha256;
pub use date::AmzDate;
pub use key::{SecretKey, Signature, SigningKey, sha256_hex};
pub use request_view::RequestView;
pub use scope::{CredentialError, ParsedCredential, Place, Scope};
pub use service::{ServiceClaim, claimed_service, read_service_claim};
pub use version_two::VersionTwo;

use http::header;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::uri::Query;

/// The signatures that a gateway accepts.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The region of the gateway.
    pub region: &'a str,
    /// Whether URLs that are presigned with version 2 are accepted. Their validity has no upper limit.
    pub version_two: bool,
}

/// Parses the claim of a request.
///
/// # Errors
/// `AccessDenied` for an anonymous request, `InvalidArgument` for more than one mechanism, `InvalidRequest` for a
/// mechanism that is not accepted, and the errors of the mechanism.
pub fn read_claim(request: &RequestView<'_>, accepted: Accepted<'_>) -> S3Result<Claim> {
    let (query, headers) = (request.query, request.headers);
    let in_header = headers.get_all(header::AUTHORIZATION).iter().count();
    let in_query = in_query(query);
    let version_two = is_version_two(query);
    if in_header + usize::from(in_query) + usize::from(version_two) > 1 {
        return Err(S3Error::with_message(
            ErrorCode::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        ));
    }
    if version_two && !accepted.version_two {
        Err(version_two_refused())
    } else if version_two {
        VersionTwo::read(query).map(Claim::Two)
    } else if in_query {
        presign::read(query, headers, accepted.region)
    } else if in_header == 1 {
        header_auth::read(headers, accepted.region)
    } else {
        Err(S3Error::new(ErrorCode::AccessDenied))
    }
}

/// Whether the query contains a signature of version 4.
fn in_query(query: &Query) -> bool {
    let is_part = |name: &str| matches!(name, "X-Amz-Algorithm" | "X-Amz-Credential" | "X-Amz-Signature");
    query.pairs().iter().any(|(name, _)| is_part(name))
}

/// The session token of a request, which the access key of a session needs. It is in the header `x-amz-security-token`, or in
/// the query of a presigned request.
///
/// # Errors
/// `InvalidToken` for two tokens that differ, and for a header that is no text or is there twice.
pub fn security_token<'a>(request: &RequestView<'a>) -> S3Result<Option<&'a str>> {
    let invalid = || S3Error::new(ErrorCode::InvalidToken);
    let in_header = single(request.headers, SECURITY_TOKEN).map_err(|_| invalid())?;
    match (in_header, request.query.get("X-Amz-Security-Token")) {
        (Some(header), Some(query)) if header != query => Err(invalid()),
        (header, query) => Ok(query.or(header)),
    }
}

const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Whether a request claims no identity: it has neither a signature nor a token, and no part of one.
pub fn is_anonymous(request: &RequestView<'_>) -> bool {
    let (query, headers) = (request.query, request.headers);
    let of_signature = |(name, _): &(String, String)| {
        is_signature_parameter(name) || name.eq_ignore_ascii_case("x-amz-security-token")
    };
    !headers.contains_key(header::AUTHORIZATION)
        && !headers.contains_key("x-amz-security-token")
        && !query.pairs().iter().any(of_signature)
}

/// What an anonymous request says about its body. There is no signature that could cover it, so what it says is checked as the
/// other digests are.
///
/// # Errors
/// `InvalidArgument` for a value that is none, and for signed chunks, which need a signature.
pub fn anonymous_content(headers: &http::HeaderMap) -> S3Result<ContentSha256> {
    let Some(text) = crate::headers::single(headers, "x-amz-content-sha256")? else {
        return Ok(ContentSha256::Unsigned);
    };
    match ContentSha256::parse(text)? {
        ContentSha256::Chunks | ContentSha256::ChunksAndTrailer => Err(S3Error::invalid_argument(
            "x-amz-content-sha256",
            text,
            "Signed chunks need a request with a signature.",
        )),
        content => Ok(content),
    }
}

/// The error of the AWS regions that never supported version 2.
fn version_two_refused() -> S3Error {
    S3Error::invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

/// Whether the query contains a signature of version 2.
pub fn is_version_two(query: &Query) -> bool {
    query.has("AWSAccessKeyId") || query.has("Signature")
}

/// Whether this query parameter is part of a signature.
pub fn is_signature_parameter(name: &str) -> bool {
    version_two::is_own(name)
        || matches!(
            name,
            "X-Amz-Algorithm"
                | "X-Amz-Credential"
                | "X-Amz-Date"
                | "X-Amz-Expires"
                | "X-Amz-SignedHeaders"
                | "X-Amz-Signature"
                | "X-Amz-Content-Sha256"
                | "X-Amz-Security-Token"
        )
}
