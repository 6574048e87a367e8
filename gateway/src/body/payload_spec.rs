//! The facts about a request's body that its headers declare.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use crate::auth::ContentSha256;
use crate::checksum::{Algorithm, Checksum};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::{list, single};

/// The maximum length of the body of a PutObject or UploadPart in bytes: 5 GiB (S3 User Guide, "Uploading objects").
pub(crate) const SINGLE_UPLOAD_MAX: u64 = 5 << 30;

/// The maximum number of parts of an upload (S3 User Guide, "Amazon S3 multipart upload limits").
const PARTS_MAX: u64 = 10_000;

/// The maximum length of an object in bytes: 48.8 TiB, the maximum number of parts of the maximum length (the same page,
/// since December 2025; 5 TiB before).
pub(crate) const OBJECT_SIZE_MAX: u64 = PARTS_MAX * SINGLE_UPLOAD_MAX;

/// The declared facts about a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayloadSpec {
    /// The length of the payload in bytes, without framing.
    pub length: u64,
    /// What the request's signature covers of it.
    pub content: ContentSha256,
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// `x-amz-checksum-*`.
    pub checksum: Option<Checksum>,
    /// The algorithm of the checksum that follows as a trailer.
    pub trailer: Option<Algorithm>,
    /// The algorithm that the gateway uses if the client sends no checksum.
    pub default_algorithm: Option<Algorithm>,
}

impl PayloadSpec {
    /// Parses the headers. `content` is what the signature covers of the body.
    ///
    /// # Errors
    /// `MissingContentLength`, `InvalidArgument` for an invalid length, `InvalidDigest`, or `InvalidRequest` for checksums
    /// that are not well-formed, are more than one, or differ from the announced one.
    pub(crate) fn parse(headers: &HeaderMap, content: &ContentSha256) -> S3Result<Self> {
        let spec = Self {
            length: length(headers, content)?,
            content: content.clone(),
            md5: md5(headers)?,
            checksum: checksum(headers)?,
            trailer: trailer(headers, content)?,
            default_algorithm: None,
        };
        if spec.checksum.is_some() && spec.trailer.is_some() {
            return Err(more_than_one());
        }
        spec.check_announced(headers)?;
        Ok(spec)
    }

    /// Sets the algorithm that the gateway uses if the client sends no checksum.
    pub(crate) fn or_default(mut self, algorithm: Algorithm) -> Self {
        self.default_algorithm = Some(algorithm);
        self
    }

    /// The algorithm of the checksum to compute.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(Checksum::algorithm).or(self.trailer).or(self.default_algorithm)
    }

    /// Whether the client declared a digest, by which a damaged body is noticed.
    pub(crate) fn has_digest(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some() || self.trailer.is_some()
    }

    /// Refuses a payload of more than `max` bytes.
    ///
    /// # Errors
    /// `EntityTooLarge`.
    pub(crate) fn at_most(self, max: u64) -> S3Result<Self> {
        if self.length <= max {
            return Ok(self);
        }
        Err(S3Error::new(ErrorCode::EntityTooLarge)
            .detail("ProposedSize", self.length.to_string())
            .detail("MaxSizeAllowed", max.to_string()))
    }

    /// Checks that the checksum that `x-amz-sdk-checksum-algorithm` announces is declared.
    fn check_announced(&self, headers: &HeaderMap) -> S3Result<()> {
        let Some(announced) = single(headers, "x-amz-sdk-checksum-algorithm")? else { return Ok(()) };
        let announced = Algorithm::parse(announced).ok_or_else(|| {
            S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        })?;
        match self.checksum.as_ref().map(Checksum::algorithm).or(self.trailer) {
            Some(given) if given == announced => Ok(()),
            Some(_) => {
                Err(S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
            }
            None => Err(S3Error::invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
            )),
        }
    }
}

fn length(headers: &HeaderMap, content: &ContentSha256) -> S3Result<u64> {
    let encodings = list(headers, header::CONTENT_ENCODING.as_str())?.unwrap_or_default();
    let says_chunked = encodings.split(',').any(|encoding| encoding.trim() == "aws-chunked");
    if says_chunked && !content.is_chunked() {
        // Without this check the framing would be stored as part of the object.
        return Err(S3Error::invalid_request(
            "Content-Encoding is aws-chunked, but x-amz-content-sha256 has no STREAMING- value.",
        ));
    }
    let name = if content.is_chunked() { "x-amz-decoded-content-length" } else { "content-length" };
    let text = single(headers, name)?.ok_or_else(|| S3Error::new(ErrorCode::MissingContentLength))?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| S3Error::invalid_argument(name, text, "The length is no number."))
}

fn md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(text) = single(headers, "content-md5")? else { return Ok(None) };
    let digest = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    digest.map(Some).ok_or_else(|| S3Error::new(ErrorCode::InvalidDigest))
}

fn checksum(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        if headers.get_all(algorithm.header()).iter().count() > 1 {
            return Err(more_than_one());
        }
        let Some(text) = single(headers, algorithm.header())? else { continue };
        let checksum = Checksum::from_base64(algorithm, text.trim()).ok_or_else(|| {
            S3Error::invalid_request(format!("Value for {} header is invalid.", algorithm.header()))
        })?;
        if found.replace(checksum).is_some() {
            return Err(more_than_one());
        }
    }
    Ok(found)
}

fn trailer(headers: &HeaderMap, content: &ContentSha256) -> S3Result<Option<Algorithm>> {
    let Some(text) = single(headers, "x-amz-trailer")? else { return Ok(None) };
    if !matches!(content, ContentSha256::ChunksAndTrailer | ContentSha256::UnsignedTrailer) {
        return Err(S3Error::invalid_request(
            "x-amz-trailer is only valid with an x-amz-content-sha256 that ends in -TRAILER.",
        ));
    }
    if text.contains(',') {
        return Err(more_than_one());
    }
    Algorithm::of_header(text.trim()).map(Some).ok_or_else(|| {
        S3Error::invalid_request("The value specified in the x-amz-trailer header is not supported")
    })
}

fn more_than_one() -> S3Error {
    S3Error::invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn parse(headers: &[(&'static str, &'static str)], content: &ContentSha256) -> S3Result<PayloadSpec> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        PayloadSpec::parse(&map, content)
    }

    const UNSIGNED: ContentSha256 = ContentSha256::Unsigned;
    const TRAILER: ContentSha256 = ContentSha256::UnsignedTrailer;
    const CRC32: (&str, &str) = ("x-amz-checksum-crc32", "DUoRhQ==");

    #[test]
    fn headers_of_current_sdks_are_understood() {
        let spec = parse(
            &[
                ("content-length", "53"),
                ("content-encoding", "gzip,aws-chunked"),
                ("x-amz-decoded-content-length", "11"),
                ("x-amz-trailer", "x-amz-checksum-crc32"),
                ("x-amz-sdk-checksum-algorithm", "CRC32"),
            ],
            &TRAILER,
        )
        .unwrap();
        assert_eq!((spec.length, spec.algorithm()), (11, Some(Algorithm::Crc32)));

        let spec =
            parse(&[("content-length", "11"), CRC32, ("x-amz-sdk-checksum-algorithm", "CRC32")], &UNSIGNED)
                .unwrap();
        assert_eq!(spec.checksum.as_ref().unwrap().to_base64(), "DUoRhQ==");
        assert!(spec.has_digest());

        let spec = parse(&[("content-length", "0"), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], &UNSIGNED)
            .unwrap();
        assert_eq!(hex::encode(spec.md5.unwrap()), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(spec.or_default(Algorithm::Crc64Nvme).algorithm(), Some(Algorithm::Crc64Nvme));
    }

    #[test]
    fn malformed_headers_about_the_body_are_refused() {
        const LENGTH: (&str, &str) = ("content-length", "11");
        const DECODED: (&str, &str) = ("x-amz-decoded-content-length", "11");
        type Case<'a> = (&'a [(&'static str, &'static str)], ContentSha256, ErrorCode);
        let cases: [Case<'_>; 14] = [
            (&[], UNSIGNED, ErrorCode::MissingContentLength),
            (&[LENGTH], TRAILER, ErrorCode::MissingContentLength),
            (&[("content-length", "-1")], UNSIGNED, ErrorCode::InvalidArgument),
            (&[("x-amz-decoded-content-length", "1e3")], TRAILER, ErrorCode::InvalidArgument),
            (&[LENGTH, ("content-md5", "abc")], UNSIGNED, ErrorCode::InvalidDigest),
            (&[LENGTH, ("x-amz-checksum-crc32", "AAAA")], UNSIGNED, ErrorCode::InvalidRequest),
            (
                &[LENGTH, CRC32, ("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")],
                UNSIGNED,
                ErrorCode::InvalidRequest,
            ),
            (&[LENGTH, CRC32, CRC32], UNSIGNED, ErrorCode::InvalidRequest),
            (&[LENGTH, ("x-amz-sdk-checksum-algorithm", "CRC32")], UNSIGNED, ErrorCode::InvalidRequest),
            (&[LENGTH, CRC32, ("x-amz-sdk-checksum-algorithm", "SHA1")], UNSIGNED, ErrorCode::InvalidRequest),
            (&[LENGTH, ("x-amz-trailer", "x-amz-checksum-crc32")], UNSIGNED, ErrorCode::InvalidRequest),
            (&[DECODED, ("x-amz-trailer", "x-amz-meta-a")], TRAILER, ErrorCode::InvalidRequest),
            (
                &[DECODED, ("x-amz-trailer", "x-amz-checksum-crc32"), CRC32],
                TRAILER,
                ErrorCode::InvalidRequest,
            ),
            (&[LENGTH, ("content-encoding", "aws-chunked")], UNSIGNED, ErrorCode::InvalidRequest),
        ];
        for (headers, content, code) in cases {
            assert_eq!(parse(headers, &content).unwrap_err().code(), code, "{headers:?}");
        }
    }

    #[test]
    fn a_payload_above_the_limit_is_refused_before_it_is_read() {
        let spec = parse(&[("content-length", "5368709121")], &UNSIGNED).unwrap();
        assert_eq!(spec.clone().at_most(SINGLE_UPLOAD_MAX).unwrap_err().code(), ErrorCode::EntityTooLarge);
        assert!(PayloadSpec { length: SINGLE_UPLOAD_MAX, ..spec }.at_most(SINGLE_UPLOAD_MAX).is_ok());
    }
}
