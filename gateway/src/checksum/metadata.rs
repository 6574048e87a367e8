//! Conversions to and from the form in which the metanode stores checksums.

use cairn_protocol::metadata::{ChecksumAlgorithm, ChecksumKind, ObjectChecksum};

use super::{Algorithm, Checksum, ChecksumType};

impl From<Algorithm> for ChecksumAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32,
            Algorithm::Crc32c => Self::Crc32c,
            Algorithm::Crc64Nvme => Self::Crc64Nvme,
            Algorithm::Sha1 => Self::Sha1,
            Algorithm::Sha256 => Self::Sha256,
        }
    }
}

impl From<ChecksumAlgorithm> for Algorithm {
    fn from(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Crc32 => Self::Crc32,
            ChecksumAlgorithm::Crc32c => Self::Crc32c,
            ChecksumAlgorithm::Crc64Nvme => Self::Crc64Nvme,
            ChecksumAlgorithm::Sha1 => Self::Sha1,
            ChecksumAlgorithm::Sha256 => Self::Sha256,
        }
    }
}

impl From<ChecksumType> for ChecksumKind {
    fn from(kind: ChecksumType) -> Self {
        match kind {
            ChecksumType::FullObject => Self::FullObject,
            ChecksumType::Composite => Self::Composite,
        }
    }
}

impl From<ChecksumKind> for ChecksumType {
    fn from(kind: ChecksumKind) -> Self {
        match kind {
            ChecksumKind::FullObject => Self::FullObject,
            ChecksumKind::Composite => Self::Composite,
        }
    }
}

impl Checksum {
    /// The form in which the metanode stores it.
    pub fn to_stored(&self, kind: ChecksumType) -> ObjectChecksum {
        ObjectChecksum { algorithm: self.algorithm.into(), kind: kind.into(), value: self.to_base64() }
    }

    /// The value of a stored checksum; `None` if it is invalid.
    pub fn from_stored(stored: &ObjectChecksum) -> Option<Self> {
        Self::from_base64(stored.algorithm.into(), &stored.value)
    }
}

/// The value in the form of headers and XML: a composite one with the number of parts.
pub fn shown(stored: &ObjectChecksum, part_count: u32) -> String {
    match stored.kind {
        ChecksumKind::FullObject => stored.value.clone(),
        ChecksumKind::Composite => format!("{}-{part_count}", stored.value),
    }
}
