//! Computes a multipart object's checksum from the checksums of its parts.

use cairn_protocol::checksum::{combine, combine_crc32, combine_crc64_nvme};

use super::hasher::crc_bytes;
use super::{Algorithm, Checksum, Hasher};

/// Why checksums cannot be combined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// A part has a checksum of another algorithm.
    #[error("a part's checksum is {found:?}, not {wanted:?}")]
    Mixed {
        /// The requested algorithm.
        wanted: Algorithm,
        /// The algorithm of the part's checksum.
        found: Algorithm,
    },
    /// The SHA of an object cannot be computed from the SHAs of its parts.
    #[error("{0:?} of a whole cannot be had from that of its parts")]
    NotCombinable(Algorithm),
}

/// The checksum of the concatenation of parts, each given by its checksum and length in bytes.
///
/// # Errors
/// [`CombineError`].
pub fn full_object<'a>(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = (&'a Checksum, u64)>,
) -> Result<Checksum, CombineError> {
    let combine: fn(u64, u64, u64) -> u64 = match algorithm {
        Algorithm::Crc32 => combine_crc32,
        Algorithm::Crc32c => |a, b, length| u64::from(combine(a as u32, b as u32, length)),
        Algorithm::Crc64Nvme => combine_crc64_nvme,
        Algorithm::Sha1 | Algorithm::Sha256 => return Err(CombineError::NotCombinable(algorithm)),
    };
    let mut total = 0;
    for (part, length) in parts {
        check(algorithm, part)?;
        let value = part.value.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        total = combine(total, value, length);
    }
    Ok(Checksum { algorithm, value: crc_bytes(algorithm, total) })
}

/// The checksum of the parts' checksums. S3 shows it with the number of parts: `value-N`.
///
/// # Errors
/// [`CombineError::Mixed`].
pub fn composite<'a>(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = &'a Checksum>,
) -> Result<Checksum, CombineError> {
    let mut hasher = Hasher::new(algorithm);
    for part in parts {
        check(algorithm, part)?;
        hasher.update(&part.value);
    }
    Ok(hasher.finish())
}

fn check(wanted: Algorithm, part: &Checksum) -> Result<(), CombineError> {
    let found = part.algorithm;
    if found == wanted { Ok(()) } else { Err(CombineError::Mixed { wanted, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_composite_is_the_checksum_of_the_binary_checksums() {
        let parts = [Hasher::of(Algorithm::Sha256, b"a"), Hasher::of(Algorithm::Sha256, b"b")];
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.value().to_vec()).collect();
        assert_eq!(composite(Algorithm::Sha256, &parts).unwrap(), Hasher::of(Algorithm::Sha256, &bytes));
    }

    #[test]
    fn checksums_that_cannot_be_combined_are_refused() {
        let sha = Hasher::of(Algorithm::Sha1, b"a");
        assert_eq!(
            full_object(Algorithm::Sha1, [(&sha, 1)]),
            Err(CombineError::NotCombinable(Algorithm::Sha1))
        );
        let mixed = CombineError::Mixed { wanted: Algorithm::Crc32, found: Algorithm::Sha1 };
        assert_eq!(full_object(Algorithm::Crc32, [(&sha, 1)]), Err(mixed.clone()));
        assert_eq!(composite(Algorithm::Crc32, [&sha]), Err(mixed));
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_checksum_of_the_whole(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let sums: Vec<Checksum> = parts.iter().map(|part| Hasher::of(algorithm, part)).collect();
                let lengths = parts.iter().map(|part| part.len() as u64);
                let combined = full_object(algorithm, sums.iter().zip(lengths)).unwrap();
                prop_assert_eq!(combined, Hasher::of(algorithm, &parts.concat()));
            }
        }
    }
}
