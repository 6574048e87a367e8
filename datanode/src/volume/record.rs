//! The format of records: how a block lies on the disk. Pure functions, without IO.
//!
//! A record is a header of 64 bytes, the chunk table, and the block's bytes. All numbers are little endian.
//!
//! ```text
//!  0        4     5      6        8                 24       28          32
//! ┌────────┬─────┬──────┬────────┬─────────────────┬────────┬───────────┐
//! │"CaRc"  │ ver │ kind │ 0    0 │ block id        │ length │ block crc │
//! └────────┴─────┴──────┴────────┴─────────────────┴────────┴───────────┘
//!  32          36             40        44       48               60           64
//! ┌───────────┬──────────────┬─────────┬────────┬────────────────┬────────────┐
//! │ table crc │ data offset  │ segment │ offset │ zeros          │ header crc │
//! └───────────┴──────────────┴─────────┴────────┴────────────────┴────────────┘
//!  64                           data offset                   data offset + length
//! ┌────────────────────────────┬──────────────────────────────┬─────────────────┐
//! │ chunk crcs, 4 bytes each   │ dedicated: zeros up to the   │ the block; then │
//! │                            │ next 4 KiB                   │ zeros to 64 × n │
//! └────────────────────────────┴──────────────────────────────┴─────────────────┘
//! ```
//!
//! A header names its own place (`segment`, `offset`), and its CRC also covers the volume's id. So when recovery searches a
//! damaged stretch for the next record, it never takes a block for one whose *contents* look like a record (a backup of a
//! segment, for instance).
//!
//! A tombstone (kind 2) is a header alone. Its `length` and `block crc` fields hold segment and offset of the record that it
//! deletes. Bytes 32..40 hold the time of the deletion, since which the block is in the trash; zero when it is not in the trash.
//!
//! A trashed block (kind 3) is a block that compaction moved while it was in the trash. Bytes 48..56 hold the time of its
//! deletion.
//!
//! A mark (kind 4) stands in the place of the header of a dedicated segment while its block is being received. The header
//! replaces it before the block is acknowledged, so a file with a mark was never acknowledged.

use cairn_protocol::block::BLOCK_LENGTH_MAX;
use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, Crc32c, chunk_count, combine, crc32c};
use cairn_protocol::id::{BlockId, VolumeId};

/// Bytes of a header, and the alignment of records in a shared segment.
pub(crate) const HEADER_SIZE: usize = 64;

/// Alignment of the data in a dedicated segment: a page, so that reads of whole chunks touch no page twice.
const OWN_ALIGNMENT: u64 = 4096;

const MAGIC: [u8; 4] = *b"CaRc";
const SEGMENT_MAGIC: [u8; 4] = *b"CaSg";
const VERSION: u8 = 1;
const KIND_BLOCK: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;
const KIND_TRASHED: u8 = 3;
const KIND_MARK: u8 = 4;
/// Set in `segment` for a dedicated segment; the other bits are then the number of its directory.
const OWN_SEGMENT: u32 = 1 << 31;

/// Where a record lies on its volume. Eight bytes, because the index has one per block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    segment: u32,
    offset: u32,
}

impl Place {
    /// At `offset` of the shared segment `segment`.
    pub(crate) fn shared(segment: u32, offset: u32) -> Self {
        debug_assert!(segment & OWN_SEGMENT == 0, "shared segments are numbered below 2^31");
        Self { segment, offset }
    }

    /// File `number` of directory `directory` of the dedicated segments.
    pub(crate) fn dedicated(directory: u32, number: u32) -> Self {
        debug_assert!(directory & OWN_SEGMENT == 0, "directories are numbered below 2^31");
        Self { segment: directory | OWN_SEGMENT, offset: number }
    }

    /// Whether the block has a dedicated segment.
    pub(crate) fn is_dedicated(self) -> bool {
        self.segment & OWN_SEGMENT != 0
    }

    /// The shared segment's number, or the directory's.
    pub(crate) fn segment(self) -> u32 {
        self.segment & !OWN_SEGMENT
    }

    /// The offset within a shared segment in bytes, or the file's number.
    pub(crate) fn offset(self) -> u32 {
        self.offset
    }

    pub(crate) fn encode(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.segment.to_le_bytes());
        bytes[4..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; 8]) -> Self {
        Self { segment: u32_at(bytes, 0), offset: u32_at(bytes, 4) }
    }
}

/// A header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: BlockId,
    pub(crate) place: Place,
    pub(crate) body: Body,
}

/// The kind of a record, and what its header says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Block(BlockBody),
    /// The record at `target` is deleted. It is in the trash since `deleted_at`; with 0 it is not in the trash.
    Tombstone {
        target: Place,
        deleted_at: u64,
    },
    /// The block is being received.
    Mark,
}

/// A block's part of a header. Lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockBody {
    pub(crate) length: u32,
    pub(crate) crc: Crc32c,
    pub(crate) table_crc: Crc32c,
    /// Where the data begin, from the start of the record.
    pub(crate) data_offset: u32,
    /// When the block was moved into the trash, in milliseconds since the Unix epoch; 0 when it is not in the trash.
    pub(crate) deleted_at: u64,
}

/// Where the data of a block of `length` bytes begin in its record.
pub(crate) fn data_offset(length: u64, dedicated: bool) -> u64 {
    let end_of_table = HEADER_SIZE as u64 + 4 * chunk_count(length) as u64;
    if dedicated { end_of_table.next_multiple_of(OWN_ALIGNMENT) } else { end_of_table }
}

/// Bytes that a block of `length` bytes takes, with header, table and padding.
pub(crate) fn record_size(length: u64, dedicated: bool) -> u64 {
    let end = data_offset(length, dedicated) + length;
    if dedicated { end } else { end.next_multiple_of(HEADER_SIZE as u64) }
}

impl Header {
    /// The header of a block with this table.
    pub(crate) fn of_block(
        id: BlockId,
        place: Place,
        length: u32,
        crc: Crc32c,
        encoded_table: &[u8],
    ) -> Self {
        // At most 4 KiB beyond the table of a block of BLOCK_LENGTH_MAX: fits 32 bits.
        let data_offset = data_offset(u64::from(length), place.is_dedicated()) as u32;
        let body = BlockBody { length, crc, table_crc: crc32c(encoded_table), data_offset, deleted_at: 0 };
        Self { id, place, body: Body::Block(body) }
    }

    /// The same header, of a block that is in the trash since `deleted_at`; with 0 it is not in the trash.
    pub(crate) fn trashed(self, deleted_at: u64) -> Self {
        match self.body {
            Body::Block(body) => Self { body: Body::Block(BlockBody { deleted_at, ..body }), ..self },
            Body::Tombstone { .. } | Body::Mark => self,
        }
    }

    /// Bytes from this header to the next record.
    pub(crate) fn record_size(&self) -> u64 {
        match self.body {
            Body::Block(body) => record_size(u64::from(body.length), self.place.is_dedicated()),
            Body::Tombstone { .. } | Body::Mark => HEADER_SIZE as u64,
        }
    }

    pub(crate) fn encode(&self, volume: VolumeId) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[8..24].copy_from_slice(self.id.as_bytes());
        bytes[40..48].copy_from_slice(&self.place.encode());
        match self.body {
            Body::Block(body) => {
                bytes[5] = if body.deleted_at == 0 { KIND_BLOCK } else { KIND_TRASHED };
                bytes[24..28].copy_from_slice(&body.length.to_le_bytes());
                bytes[28..32].copy_from_slice(&body.crc.to_le_bytes());
                bytes[32..36].copy_from_slice(&body.table_crc.to_le_bytes());
                bytes[36..40].copy_from_slice(&body.data_offset.to_le_bytes());
                bytes[48..56].copy_from_slice(&body.deleted_at.to_le_bytes());
            }
            Body::Tombstone { target, deleted_at } => {
                bytes[5] = KIND_TOMBSTONE;
                bytes[24..32].copy_from_slice(&target.encode());
                bytes[32..40].copy_from_slice(&deleted_at.to_le_bytes());
            }
            Body::Mark => bytes[5] = KIND_MARK,
        }
        seal(&mut bytes, volume);
        bytes
    }

    /// Decodes the header at `place` of `volume`; `None` when the bytes are no header, or one of another place or volume.
    pub(crate) fn decode(bytes: &[u8; HEADER_SIZE], volume: VolumeId, place: Place) -> Option<Self> {
        let known = bytes[0..4] == MAGIC && bytes[4] == VERSION && is_sealed(bytes, volume);
        if !known || bytes[40..48] != place.encode() {
            return None;
        }
        let id = BlockId::from_slice(&bytes[8..24])?;
        let body = match bytes[5] {
            kind @ (KIND_BLOCK | KIND_TRASHED) => {
                let body = BlockBody {
                    length: u32_at(bytes, 24),
                    crc: u32_at(bytes, 28),
                    table_crc: u32_at(bytes, 32),
                    data_offset: u32_at(bytes, 36),
                    deleted_at: u64_at(bytes, 48),
                };
                let length = u64::from(body.length);
                let sane = (1..=BLOCK_LENGTH_MAX).contains(&length)
                    && u64::from(body.data_offset) == data_offset(length, place.is_dedicated())
                    && (body.deleted_at == 0) == (kind == KIND_BLOCK);
                sane.then_some(Body::Block(body))?
            }
            KIND_TOMBSTONE => {
                let mut target = [0; 8];
                target.copy_from_slice(&bytes[24..32]);
                Body::Tombstone { target: Place::decode(&target), deleted_at: u64_at(bytes, 32) }
            }
            KIND_MARK => Body::Mark,
            _ => return None,
        };
        Some(Self { id, place, body })
    }
}

/// The first 64 bytes of a shared segment, with the id of its volume and its number.
///
/// ```text
///  0        4     5        8                    24        28            60           64
/// ┌────────┬─────┬────────┬────────────────────┬─────────┬─────────────┬────────────┐
/// │"CaSg"  │ ver │ zero   │ volume id          │ number  │ zero        │ header crc │
/// └────────┴─────┴────────┴────────────────────┴─────────┴─────────────┴────────────┘
/// ```
pub(crate) fn segment_header(volume: VolumeId, number: u32) -> [u8; HEADER_SIZE] {
    let mut bytes = [0; HEADER_SIZE];
    bytes[0..4].copy_from_slice(&SEGMENT_MAGIC);
    bytes[4] = VERSION;
    bytes[8..24].copy_from_slice(volume.as_bytes());
    bytes[24..28].copy_from_slice(&number.to_le_bytes());
    seal(&mut bytes, volume);
    bytes
}

/// The header's CRC covers the volume's id and the 60 bytes before it.
fn header_crc(bytes: &[u8; HEADER_SIZE], volume: VolumeId) -> Crc32c {
    combine(crc32c(volume.as_bytes()), crc32c(&bytes[..60]), 60)
}

fn seal(bytes: &mut [u8; HEADER_SIZE], volume: VolumeId) {
    let crc = header_crc(bytes, volume);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
}

fn is_sealed(bytes: &[u8; HEADER_SIZE], volume: VolumeId) -> bool {
    u32_at(bytes, 60) == header_crc(bytes, volume)
}

/// The chunk table of the block `body`, decoded from the bytes between header and data; `None` if it is damaged.
pub(crate) fn decode_table(body: &BlockBody, between: &[u8]) -> Option<ChunkTable> {
    let encoded = between.get(..4 * chunk_count(u64::from(body.length)))?;
    if crc32c(encoded) != body.table_crc {
        return None;
    }
    ChunkTable::decode(encoded).filter(|table| table.matches(u64::from(body.length), body.crc))
}

/// The first chunk of `data` that does not match `table`, counted from the start of the block. `data` begins at chunk `first` and
/// holds whole chunks, or ends with the block.
pub(crate) fn first_bad_chunk(table: &ChunkTable, first: usize, data: &[u8]) -> Option<usize> {
    let expected = table.crcs().get(first..).unwrap_or_default();
    data.chunks(CHUNK_SIZE)
        .enumerate()
        .find(|(at, chunk)| expected.get(*at).is_none_or(|crc| *crc != crc32c(chunk)))
        .map(|(at, _)| first + at)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn volume() -> VolumeId {
        VolumeId(Uuid::from_u128(7))
    }

    fn header(length: u32, place: Place) -> Header {
        let table = ChunkTable::of(&vec![1; length as usize]).encode();
        Header::of_block(BlockId(Uuid::from_u128(9)), place, length, 5, &table)
    }

    #[test]
    fn the_data_of_a_large_block_begin_on_a_page_and_those_of_a_small_one_behind_the_table() {
        assert_eq!(data_offset(8 << 20, true), 4096);
        assert_eq!(data_offset(BLOCK_LENGTH_MAX, true), 16 * 1024 + 4096);
        assert_eq!(data_offset(100, false), 68);
        assert_eq!(record_size(100, false), 192);
    }

    #[test]
    fn a_header_is_valid_only_on_its_volume_and_in_its_place() {
        let place = Place::shared(3, 640);
        let bytes = header(1000, place).encode(volume());
        assert_eq!(Header::decode(&bytes, volume(), place), Some(header(1000, place)));
        assert_eq!(Header::decode(&bytes, VolumeId(Uuid::from_u128(8)), place), None);
        assert_eq!(Header::decode(&bytes, volume(), Place::shared(3, 704)), None);
        assert_eq!(Header::decode(&bytes, volume(), Place::dedicated(3, 640)), None);
    }

    #[test]
    fn a_tombstone_names_the_record_that_it_ends() {
        let place = Place::shared(4, 64);
        let tombstone = Header {
            id: BlockId(Uuid::from_u128(1)),
            place,
            body: Body::Tombstone { target: Place::shared(2, 128), deleted_at: 77 },
        };
        assert_eq!(Header::decode(&tombstone.encode(volume()), volume(), place), Some(tombstone));
    }

    #[test]
    fn a_header_has_the_time_since_which_a_block_lies_in_the_trash() {
        let place = Place::shared(3, 640);
        let trashed = header(1000, place).trashed(88);
        assert_eq!(Header::decode(&trashed.encode(volume()), volume(), place), Some(trashed));
        assert_ne!(trashed, header(1000, place));
    }

    proptest! {
        #[test]
        fn no_flipped_bit_in_a_header_goes_unnoticed(bit in 0usize..HEADER_SIZE * 8, length in 1u32..200_000) {
            let place = Place::dedicated(1, 2);
            let mut bytes = header(length, place).encode(volume());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&bytes, volume(), place), None);
        }
    }
}
