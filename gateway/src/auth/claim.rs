//! The identity that a request claims, and its verification.

use std::time::Duration;

use cairn_protocol::env::Timestamp;

use super::canonical::{Signed, string_to_sign};
use super::chunk::ChunkSigner;
use super::content::ContentSha256;
use super::date::AmzDate;
use super::key::SecretKey;
use super::request_view::{RequestView, is_own_header};
use super::scope::ParsedCredential;
use super::version_two::VersionTwo;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::types::iso8601;

/// The maximum difference between the request's date and the clock, as at AWS. It limits how long a captured request
/// can be replayed.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// The identity that a request claims. It is not verified yet.
#[derive(Clone, Debug)]
pub enum Claim {
    /// A signature of version 4.
    Four(Box<VersionFour>),
    /// A signature of version 2, in the query.
    Two(VersionTwo),
}

impl Claim {
    /// The access key id. Its secret is needed to verify the claim.
    pub fn access_key(&self) -> &str {
        match self {
            Self::Four(claim) => &claim.credential.access_key,
            Self::Two(claim) => &claim.access_key,
        }
    }

    /// Checks the time, the signed headers and the signature.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed`, `AccessDenied` (expired, not yet valid, headers not signed), or
    /// `SignatureDoesNotMatch`.
    pub fn verify(
        &self,
        request: &RequestView<'_>,
        secret: &SecretKey,
        now: Timestamp,
    ) -> S3Result<Verified> {
        match self {
            Self::Four(claim) => claim.verify(request, secret, now),
            Self::Two(claim) => claim.verify(request, secret, now).map(|()| Verified {
                access_key: claim.access_key.clone(),
                content: ContentSha256::Unsigned,
                chunks: None,
                presigned: true,
                version: SignatureVersion::Two,
                signed_at: None,
            }),
        }
    }
}

/// The claim of a request with Signature Version 4.
#[derive(Clone, Debug)]
pub struct VersionFour {
    pub(super) credential: ParsedCredential,
    pub(super) date: AmzDate,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) content: ContentSha256,
    pub(super) payload: String,
    /// The validity of a presigned request, in seconds.
    pub(super) expires_s: Option<u64>,
}

/// The proof that a request was signed with a known secret. Only [`Claim::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    access_key: String,
    content: ContentSha256,
    chunks: Option<ChunkSigner>,
    presigned: bool,
    version: SignatureVersion,
    signed_at: Option<Timestamp>,
}

/// The versions of signatures, with the values of `s3:signatureversion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVersion {
    /// Version 2.
    Two,
    /// Version 4.
    Four,
}

impl SignatureVersion {
    /// The value of `s3:signatureversion`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Two => "AWS",
            Self::Four => "AWS4-HMAC-SHA256",
        }
    }
}

impl Verified {
    /// The access key id that signed the request.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// What the signature covers of the body.
    pub fn content(&self) -> &ContentSha256 {
        &self.content
    }

    /// The chain of chunk signatures, which starts with the request's own signature. Version 2 has none.
    pub fn chunk_signer(&self) -> Option<ChunkSigner> {
        self.chunks.clone()
    }

    /// The version of the signature.
    pub fn version(&self) -> SignatureVersion {
        self.version
    }

    /// When the request was signed, as far as the signature says.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }

    /// Whether the signature was in the query.
    pub fn is_presigned(&self) -> bool {
        self.presigned
    }
}

const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// Whether a header changes what a request means.
fn must_be_signed(name: &str) -> bool {
    name.starts_with("x-amz-") || is_own_header(name)
}

impl VersionFour {
    /// Checks the time, and that the headers are signed.
    pub(super) fn check_head(&self, request: &RequestView<'_>, now: Timestamp) -> S3Result<()> {
        match self.expires_s {
            Some(expires_s) => self.check_validity(expires_s, now)?,
            None => self.check_skew(now)?,
        }
        self.check_coverage(request)
    }

    pub(super) fn verify(
        &self,
        request: &RequestView<'_>,
        secret: &SecretKey,
        now: Timestamp,
    ) -> S3Result<Verified> {
        self.check_head(request, now)?;
        let canonical = Signed {
            method: request.method,
            raw_path: request.raw_path,
            query: request.query,
            headers: request.headers,
            signed_headers: &self.signed_headers,
            payload: &self.payload,
        }
        .canonical_request()?;
        let to_sign = string_to_sign(self.date.as_str(), &self.credential.scope, &canonical);
        let key = secret.signing_key(&self.credential.scope);
        let expected = key.sign(&to_sign);
        if !expected.matches(&self.signature) {
            return Err(self.mismatch(&to_sign, &canonical));
        }
        Ok(Verified {
            access_key: self.credential.access_key.clone(),
            content: self.content.clone(),
            chunks: Some(ChunkSigner::new(key, self.date.clone(), self.credential.scope.clone(), expected)),
            presigned: self.expires_s.is_some(),
            version: SignatureVersion::Four,
            signed_at: Some(self.date.at()),
        })
    }

    fn check_skew(&self, now: Timestamp) -> S3Result<()> {
        if now.since(self.date.at()).max(self.date.at().since(now)) <= SKEW_MAX {
            return Ok(());
        }
        Err(S3Error::new(ErrorCode::RequestTimeTooSkewed)
            .detail("RequestTime", self.date.as_str())
            .detail("ServerTime", iso8601(now))
            .detail("MaxAllowedSkewMilliseconds", SKEW_MAX.as_millis().to_string()))
    }

    fn check_validity(&self, expires_s: u64, now: Timestamp) -> S3Result<()> {
        if self.date.at().since(now) > SKEW_MAX {
            return Err(S3Error::with_message(ErrorCode::AccessDenied, "Request is not yet valid"));
        }
        let end = self.date.at().after(Duration::from_secs(expires_s));
        if now > end {
            return Err(S3Error::with_message(ErrorCode::AccessDenied, "Request has expired")
                .detail("X-Amz-Expires", expires_s.to_string())
                .detail("Expires", iso8601(end))
                .detail("ServerTime", iso8601(now)));
        }
        Ok(())
    }

    /// Checks that `host` and every `x-amz-*` and `x-cairn-*` header is signed. Otherwise an attacker who captured a
    /// request could change its meaning. With header authentication `x-amz-content-sha256` is always covered: its value
    /// ends the canonical request, even if the header is not listed.
    fn check_coverage(&self, request: &RequestView<'_>) -> S3Result<()> {
        let signed = |name: &str| self.signed_headers.iter().any(|header| header == name);
        let mut missing: Vec<&str> = request
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|name| must_be_signed(name) && !signed(name))
            .filter(|name| self.expires_s.is_some() || *name != CONTENT_SHA256)
            .collect();
        if !signed("host") {
            missing.push("host");
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        Err(S3Error::with_message(
            ErrorCode::AccessDenied,
            "There were headers present in the request which were not signed",
        )
        .detail("HeadersNotSigned", missing.join(", ")))
    }

    /// Adds what the server signed to the error, as AWS does. It contains no secret, and shows a client developer the
    /// difference.
    fn mismatch(&self, to_sign: &str, canonical: &[u8]) -> S3Error {
        S3Error::new(ErrorCode::SignatureDoesNotMatch)
            .detail("AWSAccessKeyId", &self.credential.access_key)
            .detail("StringToSign", to_sign)
            .detail("SignatureProvided", &self.signature)
            .detail("CanonicalRequest", String::from_utf8_lossy(canonical))
    }
}
