//! The checksums that clients can send and request: `x-amz-checksum-*`.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity in Amazon S3".

mod combine;
mod hasher;
mod metadata;

pub use combine::{CombineError, composite, full_object};
pub use hasher::Hasher;
pub use metadata::shown;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), as in Ethernet and zip.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME, which S3 computes if the client requests no checksum.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in `x-amz-checksum-algorithm` and `<ChecksumAlgorithm>`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that contains the value.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The XML element that contains the value.
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The length of the value in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Parses the name. S3 ignores its case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The algorithm that has this header.
    pub fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }
}

/// The value of a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    value: Vec<u8>,
}

impl Checksum {
    /// A checksum with this value; `None` if the algorithm's values have another length.
    pub fn new(algorithm: Algorithm, value: Vec<u8>) -> Option<Self> {
        (value.len() == algorithm.length()).then_some(Self { algorithm, value })
    }

    /// Parses base64; `None` if the text is not base64, or the value has another length.
    pub fn from_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::new(algorithm, STANDARD.decode(text).ok()?)
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value in big-endian order.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value in base64, as in headers and XML.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.value)
    }
}

/// The input of a multipart object's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The checksums of the parts.
    Composite,
}

impl ChecksumType {
    /// The name in `x-amz-checksum-type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Parses the name, without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The type for a multipart upload with this algorithm that requests no type.
    pub const fn default_of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc64Nvme => Self::FullObject,
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha1 | Algorithm::Sha256 => Self::Composite,
        }
    }

    /// Whether S3 offers this type with this algorithm. SHAs cannot be combined, so they are composite only. CRC64NVME is
    /// for full objects only.
    pub const fn is_offered_with(self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Self::FullObject, Algorithm::Sha1 | Algorithm::Sha256)
            | (Self::Composite, Algorithm::Crc64Nvme) => false,
            (Self::FullObject | Self::Composite, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_length_of_their_algorithm() {
        assert_eq!(
            Checksum::from_base64(Algorithm::Crc32, "y/Q5Jg==").unwrap().value(),
            [0xcb, 0xf4, 0x39, 0x26]
        );
        for text in ["", "y/Q5Jg", "y/Q5Jg=", "AAAA", "y/Q5JgAA", "????"] {
            assert_eq!(Checksum::from_base64(Algorithm::Crc32, text), None, "{text}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(&algorithm.name().to_lowercase()), Some(algorithm));
            assert_eq!(Algorithm::of_header(algorithm.header()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("MD5"), None);
    }

    #[test]
    fn types_are_offered_as_the_user_guide_says() {
        for (algorithm, full, composite) in [
            (Algorithm::Crc64Nvme, true, false),
            (Algorithm::Crc32, true, true),
            (Algorithm::Crc32c, true, true),
            (Algorithm::Sha1, false, true),
            (Algorithm::Sha256, false, true),
        ] {
            assert_eq!(ChecksumType::FullObject.is_offered_with(algorithm), full);
            assert_eq!(ChecksumType::Composite.is_offered_with(algorithm), composite);
            assert!(ChecksumType::default_of(algorithm).is_offered_with(algorithm));
        }
    }
}
