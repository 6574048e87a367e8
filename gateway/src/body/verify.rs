//! Computes all digests of a payload in one pass, and compares them with those that the client declared.

use md5::{Digest, Md5};
use sha2::Sha256;

use super::payload_spec::PayloadSpec;
use crate::auth::ContentSha256;
use crate::checksum::{Algorithm, Checksum, Hasher};
use crate::error::{ErrorCode, S3Error, S3Result};

/// The digests of a payload that was received completely and matches its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayloadDigests {
    /// Its length in bytes.
    pub length: u64,
    /// Its MD5: the ETag.
    pub md5: [u8; 16],
    /// The client's checksum, or that of the default algorithm.
    pub checksum: Option<Checksum>,
}

/// Computes the digests of a payload from its bytes, in order.
#[derive(Debug)]
pub(crate) struct PayloadVerifier {
    spec: PayloadSpec,
    length: u64,
    md5: Md5,
    sha256: Option<Sha256>,
    hasher: Option<Hasher>,
}

impl PayloadVerifier {
    /// A verifier for a payload with this declaration.
    pub(crate) fn new(spec: PayloadSpec) -> Self {
        let sha256 = matches!(spec.content, ContentSha256::Digest(_)).then(Sha256::new);
        let hasher = spec.algorithm().map(Hasher::new);
        Self { spec, length: 0, md5: Md5::new(), sha256, hasher }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// `IncompleteBody` if the payload is longer than declared.
    pub(crate) fn update(&mut self, bytes: &[u8]) -> S3Result<()> {
        self.length += bytes.len() as u64;
        if self.length > self.spec.length {
            return Err(S3Error::new(ErrorCode::IncompleteBody));
        }
        self.md5.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Compares the length and all digests with those that the client declared in headers and in these trailers.
    ///
    /// # Errors
    /// `IncompleteBody`, `XAmzContentSHA256Mismatch`, `BadDigest`, `InvalidRequest` or `MalformedTrailerError`.
    pub(crate) fn finish(self, trailers: &[(String, String)]) -> S3Result<PayloadDigests> {
        if self.length != self.spec.length {
            return Err(S3Error::new(ErrorCode::IncompleteBody));
        }
        if let (ContentSha256::Digest(claimed), Some(sha256)) = (&self.spec.content, self.sha256) {
            check_sha256(claimed, sha256)?;
        }
        let md5: [u8; 16] = self.md5.finalize().into();
        if self.spec.md5.is_some_and(|claimed| claimed != md5) {
            return Err(S3Error::with_message(
                ErrorCode::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
        let checksum = self.hasher.map(Hasher::finish);
        let from_trailer = trailer_checksum(self.spec.trailer, trailers)?;
        for claimed in [&self.spec.checksum, &from_trailer].into_iter().flatten() {
            if Some(claimed) != checksum.as_ref() {
                return Err(S3Error::with_message(
                    ErrorCode::BadDigest,
                    format!(
                        "The {} you specified did not match the calculated checksum.",
                        claimed.algorithm().name()
                    ),
                ));
            }
        }
        Ok(PayloadDigests { length: self.length, md5, checksum })
    }
}

fn check_sha256(claimed: &[u8; 32], sha256: Sha256) -> S3Result<()> {
    let computed: [u8; 32] = sha256.finalize().into();
    if *claimed == computed {
        return Ok(());
    }
    Err(S3Error::new(ErrorCode::XAmzContentSHA256Mismatch)
        .detail("ClientComputedContentSHA256", hex::encode(claimed))
        .detail("S3ComputedContentSHA256", hex::encode(computed)))
}

/// The announced checksum in the trailers. Every other trailer is refused.
fn trailer_checksum(
    announced: Option<Algorithm>,
    trailers: &[(String, String)],
) -> S3Result<Option<Checksum>> {
    match (announced, trailers) {
        (None, []) => Ok(None),
        (Some(algorithm), [(name, value)]) if name == algorithm.header() => {
            let checksum = Checksum::from_base64(algorithm, value);
            checksum.map(Some).ok_or_else(|| {
                S3Error::invalid_request(format!(
                    "Value for {} trailing header is invalid.",
                    algorithm.header()
                ))
            })
        }
        _ => Err(S3Error::new(ErrorCode::MalformedTrailerError)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(length: u64) -> PayloadSpec {
        PayloadSpec {
            length,
            content: ContentSha256::Unsigned,
            md5: None,
            checksum: None,
            trailer: None,
            default_algorithm: None,
        }
    }

    fn verify(spec: PayloadSpec, trailers: &[(&str, &str)]) -> S3Result<PayloadDigests> {
        let mut verifier = PayloadVerifier::new(spec);
        verifier.update(b"hello ")?;
        verifier.update(b"world")?;
        let trailers: Vec<_> =
            trailers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        verifier.finish(&trailers)
    }

    /// `printf 'hello world' | md5sum`, `| sha256sum`, `| crc32`.
    const MD5: [u8; 16] =
        [0x5e, 0xb6, 0x3b, 0xbb, 0xe0, 0x1e, 0xee, 0xd0, 0x93, 0xcb, 0x22, 0xbb, 0x8f, 0x5a, 0xcd, 0xc3];
    const SHA256: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    const CRC32: &str = "DUoRhQ==";

    #[test]
    fn a_payload_that_matches_its_declaration_has_digests() {
        let sha256 = ContentSha256::parse(SHA256).unwrap();
        let digests = verify(
            PayloadSpec {
                content: sha256,
                md5: Some(MD5),
                checksum: Checksum::from_base64(Algorithm::Crc32, CRC32),
                ..spec(11)
            },
            &[],
        )
        .unwrap();
        assert_eq!((digests.length, digests.md5), (11, MD5));
        assert_eq!(digests.checksum.unwrap().to_base64(), CRC32);
    }

    #[test]
    fn without_a_checksum_of_the_client_the_default_one_is_computed() {
        let digests =
            verify(PayloadSpec { default_algorithm: Some(Algorithm::Crc32), ..spec(11) }, &[]).unwrap();
        assert_eq!(digests.checksum.unwrap().to_base64(), CRC32);
        assert_eq!(verify(spec(11), &[]).unwrap().checksum, None);
    }

    #[test]
    fn every_mismatch_has_its_error() {
        let checksum = Checksum::from_base64(Algorithm::Crc32, "AAAAAA==");
        let cases = [
            (spec(10), ErrorCode::IncompleteBody),
            (spec(12), ErrorCode::IncompleteBody),
            (
                PayloadSpec { content: ContentSha256::Digest([0; 32]), ..spec(11) },
                ErrorCode::XAmzContentSHA256Mismatch,
            ),
            (PayloadSpec { md5: Some([0; 16]), ..spec(11) }, ErrorCode::BadDigest),
            (PayloadSpec { checksum, ..spec(11) }, ErrorCode::BadDigest),
        ];
        for (spec, code) in cases {
            assert_eq!(verify(spec, &[]).unwrap_err().code(), code);
        }
    }

    #[test]
    fn trailers_must_be_announced_and_correct() {
        let announced = || PayloadSpec { trailer: Some(Algorithm::Crc32), ..spec(11) };
        let name = "x-amz-checksum-crc32";
        assert!(verify(announced(), &[(name, CRC32)]).unwrap().checksum.is_some());
        let code = |spec, trailers: &[(&str, &str)]| verify(spec, trailers).unwrap_err().code();
        assert_eq!(code(announced(), &[(name, "AAAAAA==")]), ErrorCode::BadDigest);
        assert_eq!(code(announced(), &[(name, "AAAA")]), ErrorCode::InvalidRequest);
        assert_eq!(code(announced(), &[]), ErrorCode::MalformedTrailerError);
        assert_eq!(code(announced(), &[("x-amz-checksum-sha1", CRC32)]), ErrorCode::MalformedTrailerError);
        assert_eq!(code(announced(), &[(name, CRC32), (name, CRC32)]), ErrorCode::MalformedTrailerError);
        assert_eq!(code(spec(11), &[(name, CRC32)]), ErrorCode::MalformedTrailerError);
    }
}
