//! Promises about aws-chunked: payloads are decoded at every split of the body, every altered byte of a signed body is
//! noticed, and no bytes make the decoder panic.

use proptest::prelude::*;

use super::*;
use crate::auth::{AmzDate, Scope, SecretKey};

/// A signer with the key of AWS's examples, after a request with some signature.
fn signer() -> ChunkSigner {
    let scope = Scope { day: "20130524".into(), region: "us-east-1".into(), service: "s3".into() };
    let key = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").signing_key(&scope);
    let seed = key.sign("any request");
    ChunkSigner::new(key, AmzDate::parse("20130524T000000Z").unwrap(), scope, seed)
}

/// The payload and the trailers.
type Decoded = (Vec<u8>, Vec<(String, String)>);

/// Decodes `wire` in pieces of `piece` bytes.
fn decode(mut decoder: ChunkedDecoder, wire: &[u8], piece: usize) -> S3Result<Decoded> {
    let mut out = Vec::new();
    for bytes in wire.chunks(piece.max(1)) {
        let mut input = Bytes::copy_from_slice(bytes);
        while let Some(data) = decoder.decode(&mut input)? {
            out.extend_from_slice(&data);
        }
    }
    decoder.finish().map(|trailers| (out, trailers))
}

fn unsigned(length: u64) -> ChunkedDecoder {
    ChunkedDecoder::new(Framing::Unsigned, length)
}

fn signed(length: u64, trailers: bool) -> ChunkedDecoder {
    ChunkedDecoder::new(Framing::Signed { signer: Box::new(signer()), trailers }, length)
}

/// Frames `chunks` as a client would.
fn frame(chunks: &[&[u8]], trailer: Option<(&str, &str)>) -> Vec<u8> {
    let mut signer = signer();
    let mut wire = Vec::new();
    for chunk in chunks.iter().copied().chain([&b""[..]]) {
        let signature = signer.next_chunk(&crate::auth::sha256_hex(chunk)).as_str().to_owned();
        wire.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        if !chunk.is_empty() {
            wire.extend_from_slice(b"\r\n");
        }
    }
    if let Some((name, value)) = trailer {
        let signature = signer.trailer(&format!("{name}:{value}\n")).as_str().to_owned();
        wire.extend_from_slice(
            format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n").as_bytes(),
        );
    }
    wire.extend_from_slice(b"\r\n");
    wire
}

const UNSIGNED: &[u8] = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";

#[test]
fn unsigned_chunks_decode_at_every_split() {
    for piece in 1..=UNSIGNED.len() {
        let (data, trailers) = decode(unsigned(11), UNSIGNED, piece).unwrap();
        assert_eq!(data, b"hello world");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())]);
    }
}

#[test]
fn signed_chunks_and_trailers_decode_at_every_split() {
    let plain = frame(&[b"hello", b" world"], None);
    let with_trailer = frame(&[b"hello", b" world"], Some(("x-amz-checksum-crc32", "DUoRhQ==")));
    for piece in 1..=with_trailer.len() {
        assert_eq!(decode(signed(11, false), &plain, piece).unwrap().0, b"hello world");
        let (data, trailers) = decode(signed(11, true), &with_trailer, piece).unwrap();
        assert_eq!((data.as_slice(), trailers.len()), (&b"hello world"[..], 1));
    }
}

#[test]
fn an_empty_payload_is_one_last_chunk() {
    assert_eq!(decode(unsigned(0), b"0\r\n\r\n", 1).unwrap().0, b"");
    assert_eq!(decode(signed(0, false), &frame(&[], None), 1).unwrap().0, b"");
}

/// The example of AWS's documentation has a line feed before the CRLF.
#[test]
fn a_line_feed_inside_a_trailer_is_white_space() {
    let wire = b"1\r\na\r\n0\r\nx-amz-checksum-crc32:6Le+Qw==\n\r\n\r\n";
    assert_eq!(decode(unsigned(1), wire, 3).unwrap().1[0].1, "6Le+Qw==");
}

#[test]
fn any_altered_byte_of_a_signed_body_is_found() {
    let wire = frame(&[b"hello", b" world"], Some(("x-amz-checksum-crc32", "DUoRhQ==")));
    for position in 0..wire.len() {
        let mut altered = wire.clone();
        altered[position] ^= 0x01;
        assert!(decode(signed(11, true), &altered, 7).is_err(), "byte {position}");
    }
    let mut altered = wire;
    let data = altered.windows(5).position(|window| window == b"hello").unwrap();
    altered[data] = b'j';
    assert_eq!(decode(signed(11, true), &altered, 7).unwrap_err().code(), ErrorCode::SignatureDoesNotMatch);
}

#[test]
fn wrong_framing_has_its_error() {
    let long = format!("{}\r\n", "0".repeat(300));
    let many = format!("0\r\n{}\r\n", "a:b\r\n".repeat(2000));
    let cases: [(&[u8], u64, ErrorCode); 16] = [
        (b"", 0, ErrorCode::IncompleteBody),
        (b"5\r\nhel", 5, ErrorCode::IncompleteBody),
        (b"5\r\nhello\r\n", 5, ErrorCode::IncompleteBody),
        (b"5\r\nhello\r\n0\r\n", 5, ErrorCode::IncompleteBody),
        (b"5\r\nhello\r\n0\r\n\r\n", 6, ErrorCode::IncompleteBody),
        (b"5\r\nhello\r\n0\r\n\r\n", 4, ErrorCode::IncompleteBody),
        (b"ffffffffffffffff\r\n", 5, ErrorCode::IncompleteBody),
        (b"11111111111111111\r\n", 5, ErrorCode::InvalidRequest),
        (b"+5\r\nhello\r\n0\r\n\r\n", 5, ErrorCode::InvalidRequest),
        (b"\r\n", 5, ErrorCode::InvalidRequest),
        (b"5\nhello\r\n0\r\n\r\n", 5, ErrorCode::InvalidRequest),
        (b"5\r\nhelloworld\r\n0\r\n\r\n", 5, ErrorCode::InvalidRequest),
        (b"0\r\n\r\nmore", 0, ErrorCode::InvalidRequest),
        (b"0\r\nno colon\r\n\r\n", 0, ErrorCode::MalformedTrailerError),
        (long.as_bytes(), 0, ErrorCode::InvalidRequest),
        (many.as_bytes(), 0, ErrorCode::MalformedTrailerError),
    ];
    for (wire, length, code) in cases {
        for piece in [1, 4, wire.len()] {
            let error = decode(unsigned(length), wire, piece).unwrap_err();
            assert_eq!(
                error.code(),
                code,
                "{:?}: {error}",
                String::from_utf8_lossy(&wire[..wire.len().min(40)])
            );
        }
    }
    let no_signature = decode(signed(5, false), b"5\r\nhello\r\n0\r\n\r\n", 64).unwrap_err();
    assert_eq!(no_signature.code(), ErrorCode::InvalidRequest);
    let trailer_where_none = frame(&[b"hello"], Some(("x-amz-checksum-crc32", "NhCmhg==")));
    assert_eq!(
        decode(signed(5, false), &trailer_where_none, 64).unwrap_err().code(),
        ErrorCode::MalformedTrailerError
    );
    let no_trailer_signature = frame(&[b"hello"], None);
    assert_eq!(
        decode(signed(5, true), &no_trailer_signature, 64).unwrap_err().code(),
        ErrorCode::SignatureDoesNotMatch
    );
}

#[test]
fn data_is_passed_on_without_a_copy() {
    let mut input = Bytes::from_static(UNSIGNED);
    let data = unsigned(11).decode(&mut input).unwrap().unwrap();
    assert_eq!(data.as_ptr(), UNSIGNED[3..].as_ptr());
}

proptest! {
    #[test]
    fn any_payload_in_any_chunks_is_decoded(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..5),
        piece in 1usize..300,
    ) {
        let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let payload = chunks.concat();
        let wire = frame(&slices, None);
        let (data, _) = decode(signed(payload.len() as u64, false), &wire, piece).unwrap();
        prop_assert_eq!(data, payload);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        wire in "([0-9a-f]{0,3}|;|chunk-signature=|\r\n|\n|x:y|[a-z]{0,9}){0,30}", length in 0u64..40, piece in 1usize..9,
    ) {
        let _ = decode(unsigned(length), wire.as_bytes(), piece);
        let _ = decode(signed(length, true), wire.as_bytes(), piece);
    }
}
