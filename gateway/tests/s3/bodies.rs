//! Bodies of objects: every framing and digest that clients use, and the errors of wrong ones.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_gateway::auth::sha256_hex;
use cairn_gateway::checksum::{Algorithm, Hasher};
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Body, Call, Store};

/// Test data without a simple period, so that misplaced bytes are noticed.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * n / 7 + n) as u8).collect()
}

fn etag(data: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(data)))
}

async fn check(store: &Store, key: &str, wanted: &[u8]) {
    let got = store.client.send(Call::get(&format!("/bucket/{key}"))).await.expect(200);
    assert_eq!(got.header("content-length"), wanted.len().to_string());
    assert_eq!(got.header("etag"), etag(wanted));
    assert!(got.body == wanted, "{key}: the bytes differ");
}

#[tokio::test]
async fn every_framing_stores_the_same_bytes() {
    let store = Store::start().await;
    let data = data(3_000_000);
    let trailer = || ("x-amz-checksum-crc32".to_owned(), Hasher::of(Algorithm::Crc32, &data).to_base64());
    let bodies = [
        ("signed", Body::Signed(data.clone())),
        ("unsigned", Body::Unsigned(data.clone())),
        ("chunks", Body::Chunked { data: data.clone(), chunk: 65_536, trailer: None }),
        ("chunks-trailer", Body::Chunked { data: data.clone(), chunk: 100_000, trailer: Some(trailer()) }),
        (
            "unsigned-trailer",
            Body::UnsignedTrailer { data: data.clone(), chunk: 1 << 20, trailer: trailer() },
        ),
    ];
    for (key, body) in bodies {
        let put = store.client.send(Call::put(&format!("/bucket/{key}")).with(body)).await.expect(200);
        assert_eq!(put.header("etag"), etag(&data));
        check(&store, key, &data).await;
        let head = store.client.send(Call::head(&format!("/bucket/{key}"))).await.expect(200);
        assert_eq!(head.header("content-encoding"), "", "{key}");
    }
}

#[tokio::test]
async fn each_checksum_is_verified_stored_and_returned() {
    let store = Store::start().await;
    let data = data(200_000);
    for algorithm in Algorithm::ALL {
        let value = Hasher::of(algorithm, &data).to_base64();
        let path = format!("/bucket/{}", algorithm.name());
        let put = Call::put(&path).header(algorithm.header(), &value).body(data.clone());
        let put = store.client.send(put).await.expect(200);
        assert_eq!(put.header(algorithm.header()), value);
        assert_eq!(put.header("x-amz-checksum-type"), "FULL_OBJECT");
        for call in [Call::get(&path), Call::head(&path)] {
            let reply = store.client.send(call.clone()).await.expect(200);
            assert_eq!(reply.header(algorithm.header()), "");
            let reply = store.client.send(call.header("x-amz-checksum-mode", "ENABLED")).await.expect(200);
            assert_eq!(reply.header(algorithm.header()), value);
        }
        let wrong = Hasher::of(algorithm, b"other").to_base64();
        let put = Call::put("/bucket/wrong").header(algorithm.header(), &wrong).body(data.clone());
        store.client.send(put).await.fails(400, "BadDigest");
    }
    store.client.send(Call::head("/bucket/wrong")).await.expect(404);
}

#[tokio::test]
async fn a_body_that_does_not_match_its_declaration_is_refused_and_not_stored() {
    let store = Store::start().await;
    let data = data(100_000);
    let put = || Call::put("/bucket/key");
    let raw = |sha256: String| Body::Raw { data: data.clone(), sha256 };
    let md5 = STANDARD.encode([7; 16]);
    let crc = || ("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned());
    let cases = [
        (put().with(raw(sha256_hex(b"other"))), "XAmzContentSHA256Mismatch"),
        (put().header("content-md5", &md5).body(data.clone()), "BadDigest"),
        (put().header("content-md5", "abc").body(data.clone()), "InvalidDigest"),
        (put().header("x-amz-checksum-crc32", "abc").body(data.clone()), "InvalidRequest"),
        (put().with(raw("STREAMING-NONSENSE".into())), "InvalidArgument"),
        (
            put().with(Body::UnsignedTrailer { data: data.clone(), chunk: 65_536, trailer: crc() }),
            "BadDigest",
        ),
        (put().with(Body::Chunked { data: data.clone(), chunk: 65_536, trailer: Some(crc()) }), "BadDigest"),
        (
            put()
                .header("x-amz-decoded-content-length", "100000")
                .with(raw("STREAMING-UNSIGNED-PAYLOAD-TRAILER".into())),
            "InvalidRequest",
        ),
    ];
    for (call, code) in cases {
        store.client.send(call).await.fails(400, code);
        store.client.send(Call::head("/bucket/key")).await.expect(404);
    }
    let large = put().header("content-length", "5368709121").header("expect", "100-continue");
    let large = large.with(Body::Raw { data: Vec::new(), sha256: "UNSIGNED-PAYLOAD".into() });
    let text = exchange(&store, large, b"").await;
    assert!(text.contains("<Code>EntityTooLarge</Code>"), "{text}");
}

/// Sends the head of a request and then these bytes, closes the sending side, and reads the response.
async fn exchange(store: &Store, call: Call, body: &[u8]) -> String {
    let request = store.client.prepare(call);
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(store.address).await.unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_incomplete_body_stores_no_object() {
    let store = Store::start().await;
    let body = Body::Raw { data: Vec::new(), sha256: "UNSIGNED-PAYLOAD".into() };
    let call = Call::put("/bucket/key").header("content-length", "100000").with(body);
    exchange(&store, call, &data(50_000)).await;
    store.client.send(Call::head("/bucket/key")).await.expect(404);
}

#[tokio::test]
async fn a_client_that_stalls_gets_a_request_timeout() {
    let store = Store::start().await;
    let body = Body::Raw { data: Vec::new(), sha256: "UNSIGNED-PAYLOAD".into() };
    let call =
        Call::put("/bucket/key").header("content-length", "5").header("expect", "100-continue").with(body);
    let request = store.client.prepare(call);
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(store.address).await.unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    let mut continues = [0; 25];
    stream.read_exact(&mut continues).await.unwrap();
    assert!(continues.starts_with(b"HTTP/1.1 100"));
    // The gateway waits for the body now. The test's clock advances here only.
    store.clock.advance(Duration::from_secs(31));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
}
