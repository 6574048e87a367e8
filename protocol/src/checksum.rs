//! CRC32C (Castagnoli, RFC 3720 appendix B.4) of chunks, blocks and objects.
//!
//! A block's table holds the CRC32C of each of its chunks. The chunks' CRCs combine to the block's CRC without a second pass
//! over the bytes, in some nanoseconds per chunk.

mod combine;

pub use combine::{combine, combine_crc32, combine_crc64_nvme};

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::CrcAlgorithm;

/// The unit of checksums, in bytes: to serve one byte, a whole chunk is read and checked.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// A CRC32C.
pub type Crc32c = u32;

/// The CRC32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> Crc32c {
    // CRC-32/ISCSI is CRC32C's name in the catalogue that crc-fast follows; 32 bits fit.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The number of chunks of a block of `length` bytes.
pub fn chunk_count(length: u64) -> usize {
    usize::try_from(length.div_ceil(CHUNK_SIZE as u64)).unwrap_or(usize::MAX)
}

/// The CRC32C of each chunk of one block, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ChunkTable {
    crcs: Vec<Crc32c>,
}

impl ChunkTable {
    /// The table of a block given whole.
    pub fn of(block: &[u8]) -> Self {
        Self { crcs: block.chunks(CHUNK_SIZE).map(crc32c).collect() }
    }

    /// A table of these CRCs.
    pub fn from_crcs(crcs: Vec<Crc32c>) -> Self {
        Self { crcs }
    }

    /// The CRCs in order.
    pub fn crcs(&self) -> &[Crc32c] {
        &self.crcs
    }

    /// The CRC of the whole block of `length` bytes, combined from the chunks'.
    pub fn block_crc(&self, length: u64) -> Crc32c {
        combine::combine_chunks(&self.crcs, length)
    }

    /// Whether this is the table of a block of `length` bytes whose CRC32C is `crc`.
    pub fn matches(&self, length: u64, crc: Crc32c) -> bool {
        self.crcs.len() == chunk_count(length) && self.block_crc(length) == crc
    }

    /// The format on the wire and on disk: four bytes a chunk, little endian.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.crcs.len() * 4);
        for crc in &self.crcs {
            bytes.put_u32_le(*crc);
        }
        bytes.freeze()
    }

    /// The reverse of [`encode`](Self::encode); `None` if the length is no multiple of four.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<4>();
        rest.is_empty()
            .then(|| Self { crcs: entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect() })
    }
}

/// Computes the table of a block whose bytes come in pieces of any size.
#[derive(Debug)]
pub struct ChunkTableBuilder {
    crcs: Vec<Crc32c>,
    digest: crc_fast::Digest,
    in_chunk: usize,
    length: u64,
}

impl Default for ChunkTableBuilder {
    fn default() -> Self {
        Self {
            crcs: Vec::new(),
            digest: crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi),
            in_chunk: 0,
            length: 0,
        }
    }
}

impl ChunkTableBuilder {
    /// Takes the next bytes of the block.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_SIZE - self.in_chunk));
            self.digest.update(now);
            self.in_chunk += now.len();
            if self.in_chunk == CHUNK_SIZE {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    fn end_chunk(&mut self) {
        self.crcs.push(self.digest.finalize() as u32);
        self.digest.reset();
        self.in_chunk = 0;
    }

    /// The number of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The table of all bytes so far.
    pub fn finish(mut self) -> ChunkTable {
        if self.in_chunk > 0 {
            self.end_chunk();
        }
        ChunkTable { crcs: self.crcs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn crc32c_agrees_with_the_rfc() {
        assert_eq!(crc32c(&[0u8; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xffu8; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0u8..32).collect::<Vec<_>>()), 0x46dd_794e);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_table_combines_to_the_crc_of_the_whole(
            block in proptest::collection::vec(any::<u8>(), 0..300_000),
            piece in 1usize..100_000,
        ) {
            let table = ChunkTable::of(&block);
            prop_assert!(table.matches(block.len() as u64, crc32c(&block)));
            let mut builder = ChunkTableBuilder::default();
            for bytes in block.chunks(piece) {
                builder.update(bytes);
            }
            prop_assert_eq!(builder.length(), block.len() as u64);
            prop_assert_eq!(&builder.finish(), &table);
            prop_assert_eq!(ChunkTable::decode(&table.encode()), Some(table));
        }
    }
}
