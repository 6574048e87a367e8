//! The promise: decoding a record yields the block that was encoded into it, or nothing, whatever happened to the
//! bytes on the disk; and no bytes make the decoding panic.

use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable};
use cairn_protocol::id::{BlockId, VolumeId};
use proptest::prelude::*;
use uuid::Uuid;

use super::record::{Body, HEADER_SIZE, Header, Place, data_offset, decode_table, first_bad_chunk};

fn volume() -> VolumeId {
    VolumeId(Uuid::from_u128(7))
}

fn any_place() -> impl Strategy<Value = Place> {
    let numbers = (0..1u32 << 31, any::<u32>());
    (any::<bool>(), numbers).prop_map(|(dedicated, (segment, offset))| match dedicated {
        true => Place::dedicated(segment, offset),
        false => Place::shared(segment, offset),
    })
}

/// A record as it lies on the disk, up to the end of its data.
fn encode(id: BlockId, place: Place, block: &[u8]) -> Vec<u8> {
    let table = ChunkTable::of(block);
    let (length, encoded) = (block.len() as u32, table.encode());
    let header = Header::of_block(id, place, length, table.block_crc(u64::from(length)), &encoded);
    let mut record = header.encode(volume()).to_vec();
    record.extend_from_slice(&encoded);
    record.resize(data_offset(u64::from(length), place.is_dedicated()) as usize, 0);
    record.extend_from_slice(block);
    record
}

/// The id and the bytes of the block in a record, checked as reads and the scrub check them.
fn decode(record: &[u8], place: Place) -> Option<(BlockId, Vec<u8>)> {
    let header = Header::decode(record.first_chunk::<HEADER_SIZE>()?, volume(), place)?;
    let Body::Block(body) = header.body else { return None };
    let start = body.data_offset as usize;
    let table = decode_table(&body, record.get(HEADER_SIZE..start)?)?;
    let data = record.get(start..start + body.length as usize)?;
    first_bad_chunk(&table, 0, data).is_none().then(|| (header.id, data.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_hold_no_block(mut bytes in prop::collection::vec(any::<u8>(), 0..400), place in any_place(), begins_well: bool) {
        if begins_well && bytes.len() >= HEADER_SIZE {
            let good = encode(BlockId(Uuid::from_u128(9)), place, &[1]);
            bytes[..48].copy_from_slice(&good[..48]);
        }
        prop_assert_eq!(decode(&bytes, place), None);
    }

    #[test]
    fn a_record_with_changed_bytes_holds_its_block_or_none(
        id: u128, place in any_place(), byte: u8, length in 1..2 * CHUNK_SIZE + 2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4), keep: prop::sample::Index,
    ) {
        let (id, block) = (BlockId(Uuid::from_u128(id)), vec![byte; length]);
        let record = encode(id, place, &block);
        prop_assert!(decode(&record, place) == Some((id, block.clone())));
        prop_assert!(decode(&record[..keep.index(record.len())], place).is_none());
        let mut changed = record;
        for (at, flip) in changes {
            let at = at.index(changed.len());
            changed[at] ^= flip;
        }
        let decoded = decode(&changed, place);
        prop_assert!(decoded.is_none_or(|decoded| decoded == (id, block)));
    }

    #[test]
    fn a_record_that_lies_in_another_place_holds_no_block(place in any_place(), other in any_place(), block in "[a-z]{1,20}") {
        prop_assume!(place != other);
        let record = encode(BlockId(Uuid::from_u128(9)), place, block.as_bytes());
        prop_assert_eq!(decode(&record, other), None);
    }
}
