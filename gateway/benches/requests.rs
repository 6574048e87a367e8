//! Benchmarks of the work that precedes an operation: the check of a Signature Version 4, and the decoding of an
//! `aws-chunked` body of 8 MiB, with and without signed chunks.

use std::hint::black_box;

use bytes::Bytes;
use cairn_gateway::auth::{
    Accepted, AmzDate, ChunkSigner, RequestView, Scope, SecretKey, read_claim, sha256_hex,
};
use cairn_gateway::body::{ChunkedDecoder, Framing};
use cairn_gateway::uri::Query;
use cairn_protocol::env::Timestamp;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, Method};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 128;
const LENGTH: u64 = (CHUNK * CHUNKS) as u64;

/// The first example of "Signature Calculations for the Authorization Header" in AWS's documentation, verified at its date.
fn signature(criterion: &mut Criterion) {
    const NOW: Timestamp = Timestamp(1_369_353_600_000);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let query = Query::parse("").unwrap();
    let request = RequestView {
        method: &Method::GET,
        raw_path: "/test.txt",
        query: &query,
        headers: &headers,
        virtual_bucket: None,
    };
    let (accepted, secret) = (Accepted { region: "us-east-1", version_two: false }, SecretKey::new(SECRET));
    criterion.bench_function("verify a Signature Version 4", |bencher| {
        bencher.iter(|| {
            let claim = read_claim(black_box(&request), accepted).unwrap();
            claim.verify(&request, &secret, NOW).unwrap()
        });
    });
}

fn signer() -> ChunkSigner {
    let scope = Scope { day: "20130524".into(), region: "us-east-1".into(), service: "s3".into() };
    let key = SecretKey::new(SECRET).signing_key(&scope);
    let seed = key.sign("any request");
    ChunkSigner::new(key, AmzDate::parse("20130524T000000Z").unwrap(), scope, seed)
}

/// A body of [`LENGTH`] bytes as a client frames it.
fn frame(mut signer: Option<ChunkSigner>) -> Bytes {
    let data = vec![7; CHUNK];
    let mut wire = Vec::new();
    for chunk in (0..=CHUNKS).map(|number| if number < CHUNKS { &data[..] } else { &[] }) {
        wire.extend_from_slice(format!("{:x}", chunk.len()).as_bytes());
        if let Some(signer) = &mut signer {
            let signature = signer.next_chunk(&sha256_hex(chunk)).as_str().to_owned();
            wire.extend_from_slice(format!(";chunk-signature={signature}").as_bytes());
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(chunk);
        if !chunk.is_empty() {
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire.extend_from_slice(b"\r\n");
    wire.into()
}

fn decode(framing: Framing, wire: &Bytes) {
    let mut decoder = ChunkedDecoder::new(framing, LENGTH);
    let mut wire = wire.clone();
    while let Some(data) = decoder.decode(&mut wire).unwrap() {
        black_box(data);
    }
    decoder.finish().unwrap();
}

fn chunked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode an aws-chunked body");
    group.throughput(Throughput::Bytes(LENGTH));
    let wire = frame(None);
    group.bench_function("unsigned", |bencher| bencher.iter(|| decode(Framing::Unsigned, &wire)));
    let wire = frame(Some(signer()));
    group.bench_function("signed", |bencher| {
        bencher.iter(|| decode(Framing::Signed { signer: Box::new(signer()), trailers: false }, &wire));
    });
    group.finish();
}

criterion_group!(benches, signature, chunked);
criterion_main!(benches);
