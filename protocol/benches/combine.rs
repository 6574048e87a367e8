//! What it costs to prove a chunk table: each chunk's CRC combined by the library's general way (as before),
//! by the operators kept in the process, and, as a measure, the CRC of one chunk's bytes.
//!
//! `cargo bench -p cairn-protocol` prints all three for blocks of three sizes.

use std::hint::black_box;

use cairn_protocol::checksum::{CHUNK_SIZE, ChunkTable, combine, crc32c};
use crc_fast::{CrcAlgorithm, checksum_combine};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const MIB: u64 = 1024 * 1024;

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prove a chunk table");
    for length in [CHUNK_SIZE as u64, 8 * MIB, 256 * MIB] {
        let chunks = length / CHUNK_SIZE as u64;
        let crcs: Vec<u32> = (0..chunks as u32).map(|n| n.wrapping_mul(0x9e37_79b9)).collect();
        let table = ChunkTable::from_crcs(crcs.clone());
        group.bench_with_input(BenchmarkId::new("library", length), &crcs, |bencher, crcs| {
            bencher.iter(|| {
                black_box(crcs).iter().fold(0, |total, crc| {
                    checksum_combine(CrcAlgorithm::Crc32Iscsi, total, u64::from(*crc), CHUNK_SIZE as u64)
                })
            });
        });
        group.bench_with_input(BenchmarkId::new("operators", length), &table, |bencher, table| {
            bencher.iter(|| black_box(table).block_crc(length));
        });
    }
    group.finish();
}

fn single(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one pair");
    group.bench_function("library, 60 bytes", |bencher| {
        bencher.iter(|| {
            checksum_combine(CrcAlgorithm::Crc32Iscsi, black_box(0x1234_5678), black_box(7), black_box(60))
        });
    });
    group.bench_function("operators, 60 bytes", |bencher| {
        bencher.iter(|| combine(black_box(0x1234_5678), black_box(7), black_box(60)));
    });
    let chunk = vec![7u8; CHUNK_SIZE];
    group.bench_function("the CRC of a chunk", |bencher| bencher.iter(|| crc32c(black_box(&chunk))));
    group.finish();
}

criterion_group!(benches, tables, single);
criterion_main!(benches);
