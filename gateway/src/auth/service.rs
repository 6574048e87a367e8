//! Signatures of requests for the IAM API and STS, which speak AWS's Query protocol.
//!
//! Source: IAM User Guide, "AWS Signature Version 4 for API requests". Unlike for S3, the signature always covers the body, and
//! the header `x-amz-content-sha256` need not be there.

use http::header;

use super::claim::VersionFour;
use super::key::{SecretKey, sha256_hex};
use super::request_view::RequestView;
use super::scope::{ParsedCredential, Place};
use super::{Verified, header_auth, in_query, presign};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;

use cairn_protocol::env::Timestamp;

/// The claim of a request whose body is not read yet.
#[derive(Clone, Debug)]
pub struct ServiceClaim(VersionFour);

/// The service in the credential scope of a request, signed or not; `None` if it has no scope that can be read.
pub fn claimed_service(request: &RequestView<'_>) -> Option<String> {
    let in_header = single(request.headers, header::AUTHORIZATION.as_str()).ok().flatten();
    let in_header = in_header.and_then(|text| {
        let (_, rest) = text.split_once("Credential=")?;
        rest.split(',').next()
    });
    let credential = in_header.or_else(|| request.query.get("X-Amz-Credential"))?;
    Some(ParsedCredential::parse(credential.trim()).ok()?.scope.service)
}

/// Parses the claim of a request for the service of `place`; `None` if the request is not signed.
///
/// # Errors
/// Those of the two forms of the signature.
pub fn read_service_claim(request: &RequestView<'_>, place: Place<'_>) -> S3Result<Option<ServiceClaim>> {
    // The digest of the body is not known yet. It takes the place of this one when the body is there.
    let payload = || Ok(sha256_hex(b""));
    let has_header = request.headers.contains_key(header::AUTHORIZATION);
    let claim = match (has_header, in_query(request.query)) {
        (true, true) => {
            return Err(S3Error::with_message(
                ErrorCode::InvalidArgument,
                "A request is signed in the Authorization header or in the query, and not in both.",
            ));
        }
        (true, false) => header_auth::read_for(request.headers, place, payload)?,
        (false, true) => presign::read_for(request.query, place, payload)?,
        (false, false) => return Ok(None),
    };
    Ok(Some(ServiceClaim(claim)))
}

impl ServiceClaim {
    /// The access key id.
    pub fn access_key(&self) -> &str {
        &self.0.credential.access_key
    }

    /// Checks what can be checked without the body: the time, and that the headers are signed.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed` and `AccessDenied`.
    pub fn check_head(&self, request: &RequestView<'_>, now: Timestamp) -> S3Result<()> {
        self.0.check_head(request, now)
    }

    /// Checks the signature of a request with this body.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, and those of [`check_head`](Self::check_head).
    pub fn verify(
        &self,
        request: &RequestView<'_>,
        body: &[u8],
        secret: &SecretKey,
        now: Timestamp,
    ) -> S3Result<Verified> {
        let claim = VersionFour { payload: sha256_hex(body), ..self.0.clone() };
        claim.verify(request, secret, now)
    }
}
