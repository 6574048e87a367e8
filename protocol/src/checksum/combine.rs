//! Combining CRCs in nanoseconds.
//!
//! The CRC of `a ++ b` is that of `a`, shifted by the length of `b`, plus that of `b`. Shifting (appending zeros)
//! is a linear map over GF(2), so it is a matrix of one column per bit. `crc-fast` computes the matrix again for
//! each pair, which takes tens of microseconds: more than the CRC of a chunk itself. Here the matrices for 1, 2, 4, 8 …
//! bytes are computed once per process, from the library's own result for a single byte.
//!
//! Source: Mark Adler's `crc32_combine_op` of zlib, which keeps the same operator.

use std::sync::LazyLock;

use crc_fast::{CrcAlgorithm, checksum_combine};

use super::{CHUNK_SIZE, Crc32c};

/// A length is 64 bits wide, and there is a matrix for each.
const LENGTH_BITS: usize = u64::BITS as usize;

/// The effect on a CRC of appending a number of zero bytes: the result for each bit of it.
#[derive(Clone, Copy)]
struct Shift([u64; 64]);

impl Shift {
    fn by_one_byte(algorithm: CrcAlgorithm, width: u32) -> Self {
        Self(std::array::from_fn(|bit| match bit as u32 {
            bit if bit < width => checksum_combine(algorithm, 1 << bit, 0, 1),
            _ => 0,
        }))
    }

    fn apply(&self, mut crc: u64) -> u64 {
        let mut sum = 0;
        while crc != 0 {
            sum ^= self.0[crc.trailing_zeros() as usize];
            crc &= crc - 1;
        }
        sum
    }

    fn twice(&self) -> Self {
        Self(std::array::from_fn(|bit| self.apply(self.0[bit])))
    }
}

/// Combines the CRCs of one algorithm.
struct Combiner {
    /// `powers[n]` shifts by 2ⁿ bytes.
    powers: Vec<Shift>,
}

impl Combiner {
    /// Shifting is linear only if the algorithm's initial value is its final XOR (`init` = `xorout`). The algorithms of S3 and
    /// of Cairn are such.
    fn new(algorithm: CrcAlgorithm, width: u32) -> Self {
        let first = Shift::by_one_byte(algorithm, width);
        let powers = std::iter::successors(Some(first), |shift| Some(shift.twice()));
        Self { powers: powers.take(LENGTH_BITS).collect() }
    }

    fn combine(&self, a: u64, b: u64, mut b_length: u64) -> u64 {
        let mut shifted = a;
        while b_length != 0 {
            shifted = self.powers[b_length.trailing_zeros() as usize].apply(shifted);
            b_length &= b_length - 1;
        }
        shifted ^ b
    }
}

static CRC32: LazyLock<Combiner> = LazyLock::new(|| Combiner::new(CrcAlgorithm::Crc32IsoHdlc, 32));
static CRC32C: LazyLock<Combiner> = LazyLock::new(|| Combiner::new(CrcAlgorithm::Crc32Iscsi, 32));
static CRC64_NVME: LazyLock<Combiner> = LazyLock::new(|| Combiner::new(CrcAlgorithm::Crc64Nvme, 64));

/// The CRC32C of `a ++ b`, from the CRC of each and the length of `b` in bytes.
pub fn combine(a: Crc32c, b: Crc32c, b_length: u64) -> Crc32c {
    CRC32C.combine(u64::from(a), u64::from(b), b_length) as u32
}

/// The CRC-32 (ISO-HDLC) of `a ++ b`, from the CRC of each and the length of `b` in bytes.
pub fn combine_crc32(a: u64, b: u64, b_length: u64) -> u64 {
    CRC32.combine(a, b, b_length)
}

/// The CRC-64/NVME of `a ++ b`, from the CRC of each and the length of `b` in bytes.
pub fn combine_crc64_nvme(a: u64, b: u64, b_length: u64) -> u64 {
    CRC64_NVME.combine(a, b, b_length)
}

/// Shifts a CRC32C by a whole chunk, one of its bytes at a time: `tables[n][byte]` is the result for `byte` at place `n`.
struct ChunkShift {
    tables: [[u32; 256]; 4],
}

impl ChunkShift {
    fn new() -> Self {
        let shifted = |byte: usize, place: usize| combine((byte as u32) << (8 * place), 0, CHUNK_SIZE as u64);
        Self { tables: std::array::from_fn(|place| std::array::from_fn(|byte| shifted(byte, place))) }
    }

    fn apply(&self, crc: Crc32c) -> Crc32c {
        let bytes = crc.to_le_bytes();
        self.tables.iter().zip(bytes).fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
    }
}

static CHUNK_SHIFT: LazyLock<ChunkShift> = LazyLock::new(ChunkShift::new);

/// The CRC32C of a block of `length` bytes from those of its chunks, all of which are whole but the last.
pub(super) fn combine_chunks(crcs: &[Crc32c], length: u64) -> Crc32c {
    let Some((last, whole)) = crcs.split_last() else { return 0 };
    let shift = &*CHUNK_SHIFT;
    let before = whole.iter().fold(0, |total, crc| shift.apply(total) ^ crc);
    combine(before, *last, length - (whole.len() as u64 * CHUNK_SIZE as u64).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Combining took 35–55 µs a chunk with the library's general function, so that a read of 64 KiB in an object of 64 MiB took
    /// twelve milliseconds of CPU. The replacement must give the same results for every length and every CRC.
    fn agrees(
        algorithm: CrcAlgorithm,
        ours: impl Fn(u64, u64, u64) -> u64,
        mask: u64,
        (a, b, length): (u64, u64, u64),
    ) {
        let (a, b) = (a & mask, b & mask);
        assert_eq!(ours(a, b, length), checksum_combine(algorithm, a, b, length), "{a:x} {b:x} {length}");
    }

    fn all_agree(case: (u64, u64, u64)) {
        let crc32c = |a, b, length| u64::from(combine(a as u32, b as u32, length));
        agrees(CrcAlgorithm::Crc32Iscsi, crc32c, u64::from(u32::MAX), case);
        agrees(CrcAlgorithm::Crc32IsoHdlc, combine_crc32, u64::from(u32::MAX), case);
        agrees(CrcAlgorithm::Crc64Nvme, combine_crc64_nvme, u64::MAX, case);
    }

    #[test]
    fn combining_agrees_with_the_library_at_the_edges() {
        for length in [0, 1, 2, 60, 65_535, 65_536, 65_537, 5 << 30, 48 << 40, u64::MAX] {
            for (a, b) in
                [(0, 0), (u64::MAX, u64::MAX), (0, 0x1234_5678_9abc_def0), (0x8000_0000_0000_0001, 1)]
            {
                all_agree((a, b, length));
            }
        }
    }

    proptest! {
        #[test]
        fn combining_agrees_with_the_library(a: u64, b: u64, length: u64, bits in 0u32..64) {
            all_agree((a, b, length >> bits));
        }

        #[test]
        fn chunks_combine_one_by_one_or_together(
            crcs in proptest::collection::vec(any::<u32>(), 0..20),
            last in 1..=CHUNK_SIZE as u64,
        ) {
            let chunk = CHUNK_SIZE as u64;
            let length = (crcs.len() as u64).saturating_sub(1) * chunk + if crcs.is_empty() { 0 } else { last };
            let mut left = length;
            let one_by_one = crcs.iter().fold(0, |total, crc| {
                let now = left.min(chunk);
                left -= now;
                checksum_combine(CrcAlgorithm::Crc32Iscsi, total, u64::from(*crc), now)
            });
            prop_assert_eq!(u64::from(combine_chunks(&crcs, length)), one_by_one);
        }
    }
}
