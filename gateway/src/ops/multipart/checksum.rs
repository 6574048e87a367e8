//! Checksums of uploads and their parts.

use cairn_protocol::metadata::{ChecksumAlgorithm, ChecksumKind, UploadInfo};
use http::HeaderMap;

use crate::body::PayloadSpec;
use crate::checksum::{Algorithm, ChecksumType};
use crate::error::{S3Error, S3Result};
use crate::headers::single;

/// The algorithm for the parts of an upload that was created without one.
pub(super) const DEFAULT: Algorithm = Algorithm::Crc64Nvme;

/// Reads the checksum algorithm and type for a new upload.
///
/// # Errors
/// `InvalidRequest` for a combination that S3 does not offer.
pub(super) fn parse_upload_checksum(headers: &HeaderMap) -> S3Result<Option<(Algorithm, ChecksumType)>> {
    let algorithm = single(headers, "x-amz-checksum-algorithm")?.map(|name| {
        Algorithm::parse(name).ok_or_else(|| {
            S3Error::invalid_request(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                 [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        })
    });
    let kind = single(headers, "x-amz-checksum-type")?.map(|name| {
        ChecksumType::parse(name)
            .ok_or_else(|| S3Error::invalid_request("Value for x-amz-checksum-type header is invalid."))
    });
    match (algorithm.transpose()?, kind.transpose()?) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(S3Error::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(algorithm), None) => Ok(Some((algorithm, ChecksumType::default_of(algorithm)))),
        (Some(algorithm), Some(kind)) if kind.is_offered_with(algorithm) => Ok(Some((algorithm, kind))),
        (Some(algorithm), Some(kind)) => Err(S3Error::invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.name().to_ascii_lowercase()
        ))),
    }
}

/// The algorithm and type of an upload, if it was created with an algorithm.
pub(super) fn of_upload(upload: &UploadInfo) -> Option<(Algorithm, ChecksumType)> {
    upload
        .checksum
        .map(|(algorithm, kind): (ChecksumAlgorithm, ChecksumKind)| (algorithm.into(), kind.into()))
}

/// The payload of a part of this upload, with the checksum that is computed for the part.
///
/// # Errors
/// `InvalidRequest` for a checksum of another algorithm than the upload's.
pub(super) fn part_payload(upload: &UploadInfo, payload: PayloadSpec) -> S3Result<PayloadSpec> {
    let Some((wanted, _)) = of_upload(upload) else { return Ok(payload.or_default(DEFAULT)) };
    match payload.algorithm() {
        Some(given) if given != wanted => Err(S3Error::invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            wanted.name().to_ascii_lowercase(),
            given.name().to_ascii_lowercase()
        ))),
        Some(_) | None => Ok(payload.or_default(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn parse(pairs: &[(&'static str, &'static str)]) -> S3Result<Option<(Algorithm, ChecksumType)>> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        parse_upload_checksum(&headers)
    }

    const ALGORITHM: &str = "x-amz-checksum-algorithm";
    const TYPE: &str = "x-amz-checksum-type";

    /// The table "Full object and composite checksum types" of the S3 User Guide.
    #[test]
    fn an_upload_has_the_types_that_its_algorithm_offers() {
        use Algorithm::*;
        use ChecksumType::*;
        for (pairs, expected) in [
            (&[][..], None),
            (&[(ALGORITHM, "CRC32")], Some((Crc32, Composite))),
            (&[(ALGORITHM, "crc32c"), (TYPE, "FULL_OBJECT")], Some((Crc32c, FullObject))),
            (&[(ALGORITHM, "CRC64NVME")], Some((Crc64Nvme, FullObject))),
            (&[(ALGORITHM, "SHA256"), (TYPE, "COMPOSITE")], Some((Sha256, Composite))),
        ] {
            assert_eq!(parse(pairs).unwrap(), expected, "{pairs:?}");
        }
        for pairs in [
            &[(ALGORITHM, "MD5")][..],
            &[(TYPE, "COMPOSITE")],
            &[(ALGORITHM, "CRC32"), (TYPE, "WHOLE")],
            &[(ALGORITHM, "SHA1"), (TYPE, "FULL_OBJECT")],
            &[(ALGORITHM, "CRC64NVME"), (TYPE, "COMPOSITE")],
        ] {
            assert!(parse(pairs).is_err(), "{pairs:?}");
        }
    }
}
