//! The promise: a reader never accepts an answer of a datanode whose bytes are not the block's, whatever was changed in its
//! table, data or headers.

use axum::http::{HeaderMap, Response};
use futures_util::TryStreamExt;
use proptest::prelude::*;

use super::client::read_answer;
use super::{BlockRead, header};
use crate::checksum::{CHUNK_SIZE, ChunkTable, crc32c};

/// The whole block, if the answer passes the checks of a reader against the length and CRC32C that the metanode recorded.
async fn read(answer: Response<Vec<u8>>, length: u64, crc: u32) -> Option<Vec<u8>> {
    let BlockRead { table, data_offset, data, .. } = read_answer(answer.into()).await.ok()?;
    if data_offset != 0 || !table.matches(length, crc) {
        return None;
    }
    let data = data.try_collect::<Vec<_>>().await.ok()?.concat();
    let is_right = data.len() as u64 == length
        && data.chunks(CHUNK_SIZE).zip(table.crcs()).all(|(chunk, crc)| crc32c(chunk) == *crc);
    is_right.then_some(data)
}

fn answer(headers: HeaderMap, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut answer = Response::new(body);
    *answer.headers_mut() = headers;
    answer
}

fn headers(block: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::BLOCK_LENGTH, block.len().into());
    headers.insert(header::CRC32C, format!("{:08x}", crc32c(block)).parse().unwrap());
    headers.insert(header::DATA_OFFSET, 0.into());
    headers
}

fn wire(block: &[u8]) -> Vec<u8> {
    [&ChunkTable::of(block).encode()[..], block].concat()
}

fn any_block() -> impl Strategy<Value = Vec<u8>> {
    // Each block repeats one byte, because random megabytes would make the test slow.
    (1..3 * CHUNK_SIZE, any::<u8>()).prop_map(|(length, byte)| vec![byte; length])
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_answer_passes_only_while_it_holds_the_block(
        block in any_block(), at: prop::sample::Index, flip in 1..=u8::MAX, keep: prop::sample::Index,
        more in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        let (length, crc, headers, wire) = (block.len() as u64, crc32c(&block), headers(&block), wire(&block));
        let take = |wire: Vec<u8>| run(read(answer(headers.clone(), wire), length, crc));
        prop_assert!(take(wire.clone()).as_ref() == Some(&block));
        let mut changed = wire.clone();
        changed[at.index(wire.len())] ^= flip;
        prop_assert_eq!(take(changed), None);
        prop_assert_eq!(take(wire[..keep.index(wire.len())].to_vec()), None);
        prop_assert_eq!(take([wire, more].concat()), None);
    }

    #[test]
    fn any_headers_and_bytes_are_refused_without_a_panic(
        length in prop_oneof![any::<u64>(), 0..200_000u64], offset in "[0-9-]{0,12}", crc in "[0-9a-g]{0,9}",
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header::BLOCK_LENGTH, length.into());
        headers.insert(header::CRC32C, crc.parse().unwrap());
        headers.insert(header::DATA_OFFSET, offset.parse().unwrap());
        let right = vec![1; 100_000];
        prop_assert_eq!(run(read(answer(headers, body), 100_000, crc32c(&right))), None);
    }
}
