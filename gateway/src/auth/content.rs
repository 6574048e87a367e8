//! `x-amz-content-sha256`: what a signature covers of the body.

use crate::error::{S3Error, S3Result};

/// The values of the header, from "Signature Calculations for the Authorization Header".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentSha256 {
    /// The SHA-256 of the whole body.
    Digest([u8; 32]),
    /// `UNSIGNED-PAYLOAD`: the signature does not cover the body.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: aws-chunked, each chunk signed.
    Chunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: aws-chunked, each chunk and the trailers signed.
    ChunksAndTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: aws-chunked with trailers, without signatures.
    UnsignedTrailer,
}

impl ContentSha256 {
    /// Parses the header's value.
    ///
    /// # Errors
    /// `InvalidArgument` with AWS's message; `NotImplemented` for the streaming forms of SigV4A.
    pub fn parse(text: &str) -> S3Result<Self> {
        match text {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::Chunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::ChunksAndTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedTrailer),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => Err(S3Error::not_implemented(
                "Signature Version 4A is not supported. Please use AWS4-HMAC-SHA256.",
            )),
            _ => {
                let mut digest = [0; 32];
                hex::decode_to_slice(text, &mut digest).map_err(|_| {
                    S3Error::invalid_argument(
                        "x-amz-content-sha256",
                        text,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
                    )
                })?;
                Ok(Self::Digest(digest))
            }
        }
    }

    /// Whether the body is in aws-chunked framing.
    pub fn is_chunked(&self) -> bool {
        matches!(self, Self::Chunks | Self::ChunksAndTrailer | Self::UnsignedTrailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn all_documented_values_are_known_and_others_are_not() {
        assert_eq!(ContentSha256::parse("UNSIGNED-PAYLOAD").unwrap(), ContentSha256::Unsigned);
        assert!(ContentSha256::parse("STREAMING-UNSIGNED-PAYLOAD-TRAILER").unwrap().is_chunked());
        assert_eq!(ContentSha256::parse(&"00".repeat(32)).unwrap(), ContentSha256::Digest([0; 32]));
        for text in ["", "abc", "unsigned-payload", &"0".repeat(63), &"g".repeat(64)] {
            assert_eq!(ContentSha256::parse(text).unwrap_err().code(), ErrorCode::InvalidArgument, "{text}");
        }
        let v4a = ContentSha256::parse("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").unwrap_err();
        assert_eq!(v4a.code(), ErrorCode::NotImplemented);
    }
}
