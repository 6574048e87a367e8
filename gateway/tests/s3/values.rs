//! Values of headers and of presigned queries: each is interpreted or refused, and none is silently ignored.

use cairn_gateway::checksum::{Algorithm, Hasher};
use http::header;

use crate::support::{Body, Call, Client, Store, texts};

/// One second before the tests' time, in every form that clients are known to send. With `:05` in place of the last `:04`
/// each is the tests' time.
const FORMS: [&str; 18] = [
    "Fri, 02 Jan 2026 03:04:04 GMT",
    // Some Java clients do not pad the day.
    "Fri, 2 Jan 2026 03:04:04 GMT",
    "02 Jan 2026 03:04:04 GMT",
    "fri, 02 jan 2026 03:04:04 gmt",
    "Fri, 02 Jan 2026 03:04:04 UTC",
    "Fri, 02 Jan 2026 03:04:04 UT",
    "Fri, 02 Jan 2026 03:04:04 Z",
    "Fri, 02 Jan 2026 03:04:04 +0000",
    "Fri, 02 Jan 2026 04:04:04 +0100",
    "Fri, 02 Jan 2026 03:04:04.999 GMT",
    // RFC 850, with and without padding, and with a year of four digits as in cookies.
    "Friday, 02-Jan-26 03:04:04 GMT",
    "Friday, 2-Jan-26 03:04:04 UTC",
    "Fri, 02-Jan-2026 03:04:04 GMT",
    // C's asctime(), and Java's Date.toString().
    "Fri Jan  2 03:04:04 2026",
    "Fri Jan 02 03:04:04 UTC 2026",
    // RFC 3339.
    "2026-01-02T03:04:04Z",
    "2026-01-02T03:04:04.123Z",
    "2026-01-02T03:04:04+00:00",
];

/// Cairn parsed only the form of RFC 9110 that has exactly 29 characters. It ignored `If-Unmodified-Since: Tue, 9 Aug 2022
/// 01:01:01 GMT`, as some Java clients write it, and served the request without the condition.
#[tokio::test]
async fn dates_are_parsed_in_every_form_that_clients_send() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").body("body")).await.expect(200);
    for before in FORMS {
        let same = before.replace(":04:04", ":04:05");
        let read = async |name: &str, date: &str| {
            client.send(Call::get("/bucket/key").header(name, date)).await.status.as_u16()
        };
        assert_eq!(read("if-unmodified-since", before).await, 412, "{before}");
        assert_eq!(read("if-unmodified-since", &same).await, 200, "{same}");
        assert_eq!(read("if-modified-since", &same).await, 304, "{same}");
        assert_eq!(read("if-modified-since", before).await, 200, "{before}");
        let copy = async |name: &str, date: &str| {
            let call = Call::put("/bucket/copy").header("x-amz-copy-source", "/bucket/key");
            client.send(call.header(name, date)).await.status.as_u16()
        };
        assert_eq!(copy("x-amz-copy-source-if-unmodified-since", before).await, 412, "{before}");
        assert_eq!(copy("x-amz-copy-source-if-unmodified-since", &same).await, 200, "{same}");
        assert_eq!(copy("x-amz-copy-source-if-modified-since", &same).await, 412, "{same}");
        assert_eq!(copy("x-amz-copy-source-if-modified-since", before).await, 200, "{before}");
        let range = async |date: &str| {
            let call = Call::get("/bucket/key").header("range", "bytes=0-1").header("if-range", date);
            client.send(call).await.status.as_u16()
        };
        assert_eq!(range(&same).await, 206, "{same}");
        assert_eq!(range(before).await, 200, "{before}");
    }
}

#[tokio::test]
async fn a_condition_with_an_invalid_date_is_not_ignored() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").body("body")).await.expect(200);
    for date in
        ["yesterday", "", "1767323045", "Fri, 32 Jan 2026 03:04:04 GMT", "Fri, 02 Jan 2026 25:04:04 GMT"]
    {
        for call in [Call::get("/bucket/key"), Call::head("/bucket/key")] {
            let reply = client.send(call.header("if-unmodified-since", date)).await;
            assert_eq!(reply.status, 400, "{date}");
        }
        for name in ["x-amz-copy-source-if-unmodified-since", "x-amz-copy-source-if-modified-since"] {
            let copy = Call::put("/bucket/copy").header("x-amz-copy-source", "/bucket/key");
            let reply = client.send(copy.header(name, date)).await.fails(400, "InvalidArgument");
            assert_eq!(reply.error("ArgumentName").as_deref(), Some(name), "{date}");
        }
        // RFC 9110, section 13.1.3: this header is ignored if its date is invalid. It would only save a transfer.
        client.send(Call::get("/bucket/key").header("if-modified-since", date)).await.expect(200);
    }
    client.send(Call::head("/bucket/copy")).await.expect(404);
}

/// Cairn ignored headers that are not ASCII. With raw UTF-8 in `x-amz-tagging` the object got no tags, and with raw UTF-8 in
/// `If-Match` the write was unconditional.
#[tokio::test]
async fn an_unreadable_header_is_refused_and_never_ignored() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").body("body")).await.expect(200);
    let put = || Call::put("/bucket/new").body("body");
    let copy = || Call::put("/bucket/new").header("x-amz-copy-source", "/bucket/key");
    let cases = [
        put().header("x-amz-tagging", "city=Zürich"),
        put().header("x-amz-tagging", "a=1").header("x-amz-tagging", "b=2"),
        put().header("if-match", "é"),
        put().header("if-none-match", "é"),
        put().header("if-none-match", "*").header("if-none-match", "\"x\""),
        put().header("x-amz-storage-class", "STANDARD é"),
        put().header("x-cairn-block-size", "8MiBé"),
        put().header("content-encoding", "aws-chunked, é"),
        put().header("content-md5", "é"),
        put().header("x-amz-checksum-crc32", "é"),
        put().header("x-amz-sdk-checksum-algorithm", "é"),
        copy().header("x-amz-copy-source-if-match", "é"),
        copy().header("x-amz-copy-source-if-none-match", "é"),
        copy().header("x-amz-copy-source-if-unmodified-since", "é"),
        copy().header("x-amz-metadata-directive", "REPLACE é"),
        copy().header("x-amz-tagging-directive", "REPLACE").header("x-amz-tagging", "a=é"),
        Call::put("/bucket/new").header("x-amz-copy-source", "/bucket/é"),
        Call::post("/bucket/new?uploads").header("x-amz-checksum-algorithm", "CRC32é"),
        Call::post("/bucket/new?uploads").header("x-amz-checksum-type", "é"),
        Call::post("/bucket/new?uploads").header("x-amz-tagging", "a=é"),
        Call::get("/bucket/key").header("if-match", "é"),
        Call::get("/bucket/key").header("if-none-match", "é"),
        Call::get("/bucket/key").header("if-modified-since", "é"),
        Call::get("/bucket/key").header("if-unmodified-since", "é"),
        Call::get("/bucket/key").header("range", "bytes=0-1é"),
        Call::get("/bucket/key").header("range", "bytes=0-1").header("if-range", "é"),
        Call::get("/bucket/key").header("x-amz-checksum-mode", "ENABLEDé"),
        Call::get("/bucket/key?attributes")
            .header("x-amz-object-attributes", "ETag")
            .header("x-amz-object-attributes", "é"),
        Call::delete("/bucket/key").header("if-match", "é"),
    ];
    for call in cases {
        let what = format!("{call:?}");
        let reply = client.send(call).await;
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
    }
    client.send(Call::head("/bucket/new")).await.expect(404);
    client.send(Call::head("/bucket/key")).await.expect(200);
}

/// Headers that S3 stores unchanged may contain any text. All of it must be returned.
#[tokio::test]
async fn metadata_outside_of_ascii_is_returned() {
    let store = Store::start().await;
    let client = &store.client;
    let disposition = "attachment; filename=\"Zürich.txt\"";
    let put = Call::put("/bucket/key")
        .header("content-disposition", disposition)
        .header("cache-control", "=?UTF-8?B?w6k=?=")
        .header("x-amz-meta-city", "Zürich")
        .body("body");
    client.send(put).await.expect(200);
    for call in [Call::get("/bucket/key"), Call::head("/bucket/key")] {
        let reply = client.send(call).await.expect(200);
        assert_eq!(reply.headers[header::CONTENT_DISPOSITION].as_bytes(), disposition.as_bytes());
        assert_eq!(reply.header("cache-control"), "=?UTF-8?B?w6k=?=");
        // S3 User Guide, "Working with object metadata": encoded as in RFC 2047.
        assert_eq!(reply.header("x-amz-meta-city"), "=?UTF-8?B?WsO8cmljaA==?=");
    }
    let presigned = Call::put("/bucket/presigned?x-amz-meta-city=Z%C3%BCrich").presigned(60).body("body");
    client.send(presigned).await.expect(200);
    let reply = client.send(Call::head("/bucket/presigned")).await.expect(200);
    assert_eq!(reply.header("x-amz-meta-city"), "=?UTF-8?B?WsO8cmljaA==?=");
}

/// All bytes that are not UTF-8 were equal for the check of the signature. An attacker who captured a request could replace
/// them by others.
#[tokio::test]
async fn every_byte_of_a_signed_header_is_signed() {
    let store = Store::start().await;
    let mut changed =
        store.client.prepare(Call::put("/bucket/key").latin1("x-amz-meta-word", b"\xe9").body("x"));
    let changed_to = header::HeaderValue::from_bytes(b"\xe8").unwrap();
    changed.headers_mut().insert("x-amz-meta-word", changed_to);
    store.client.send_prepared(changed).await.fails(403, "SignatureDoesNotMatch");
    store
        .client
        .send(Call::put("/bucket/key").latin1("x-amz-meta-word", b"\xe9").body("x"))
        .await
        .expect(200);
}

async fn create_upload(client: &Client, key: &str) -> String {
    let created = client.send(Call::post(&format!("/bucket/{key}?uploads"))).await.expect(200);
    texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0)
}

/// AWS's JavaScript SDK from version 3.729 on presigns uploads with the checksum of an empty body, because it does not have
/// the body yet. Cairn refused these uploads with BadDigest.
#[tokio::test]
async fn checksums_in_the_query_of_a_presigned_upload_are_ignored() {
    let store = Store::start().await;
    let client = &store.client;
    let upload = create_upload(client, "parts").await;
    for algorithm in Algorithm::ALL {
        let empty = Hasher::of(algorithm, b"").to_base64().replace('=', "%3D").replace('+', "%2B");
        let claims =
            format!("{}={empty}&x-amz-sdk-checksum-algorithm={}", algorithm.header(), algorithm.name());
        let put = Call::put(&format!("/bucket/key?{claims}&x-id=PutObject")).presigned(60).body("body");
        client.send(put).await.expect(200);
        assert_eq!(client.send(Call::get("/bucket/key")).await.expect(200).body, "body");
        // The gateway computes the default checksum, because the client sent none.
        let head = client.send(Call::head("/bucket/key").header("x-amz-checksum-mode", "ENABLED")).await;
        let computed = Hasher::of(Algorithm::Crc64Nvme, b"body").to_base64();
        assert_eq!(head.expect(200).header("x-amz-checksum-crc64nvme"), computed);
        let part = format!("/bucket/parts?partNumber=1&uploadId={upload}&{claims}");
        client.send(Call::put(&part).presigned(60).body("body")).await.expect(200);
    }
    let announced = Call::put("/bucket/key?x-amz-sdk-checksum-algorithm=CRC32").presigned(60).body("body");
    client.send(announced).await.expect(200);
}

/// Other checksums are still verified: those in signed headers, and those of documents, also in the query.
#[tokio::test]
async fn a_checksum_in_a_signed_header_is_verified_and_so_is_that_of_a_document() {
    let store = Store::start().await;
    let client = &store.client;
    let empty = Hasher::of(Algorithm::Crc32, b"").to_base64();
    let name = Algorithm::Crc32.header();
    let put = |target: &str| Call::put(target).header(name, &empty).body("body");
    client.send(put("/bucket/key")).await.fails(400, "BadDigest");
    let upload = create_upload(client, "parts").await;
    client.send(put(&format!("/bucket/parts?partNumber=1&uploadId={upload}"))).await.fails(400, "BadDigest");
    client.send(Call::put("/bucket/tagged").body("body")).await.expect(200);
    let tags = "<Tagging><TagSet/></Tagging>";
    let put_tags = |sum: &str| {
        let sum = sum.replace('=', "%3D").replace('+', "%2B");
        client.send(Call::put(&format!("/bucket/tagged?tagging&{name}={sum}")).presigned(60).body(tags))
    };
    put_tags(&empty).await.fails(400, "BadDigest");
    put_tags(&Hasher::of(Algorithm::Crc32, tags.as_bytes()).to_base64()).await.expect(200);
}

/// The value is the last line of the canonical request, so the signature always covers it.
#[tokio::test]
async fn the_payload_s_hash_need_not_be_among_the_signed_headers() {
    let store = Store::start().await;
    let client = &store.client;
    let put = |body: Body| Call::put("/bucket/key").with(body).unsigned("x-amz-content-sha256");
    for body in [Body::Signed(b"body".to_vec()), Body::Unsigned(b"body".to_vec())] {
        client.send(put(body)).await.expect(200);
    }
    let trailer = ("x-amz-checksum-crc32".to_owned(), Hasher::of(Algorithm::Crc32, b"body").to_base64());
    client.send(put(Body::UnsignedTrailer { data: b"body".to_vec(), chunk: 8, trailer })).await.expect(200);
    client.send(put(Body::Chunked { data: b"body".to_vec(), chunk: 8, trailer: None })).await.expect(200);

    let mut changed = client.prepare(put(Body::Signed(b"body".to_vec())));
    changed.headers_mut().insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    client.send_prepared(changed).await.fails(403, "SignatureDoesNotMatch");
    let other = Call::put("/bucket/key").header("x-amz-meta-a", "1").body("body").unsigned("x-amz-meta-a");
    client.send(other).await.fails(403, "AccessDenied");
    // The URL was signed without this header, so the request must not add it.
    let mut presigned = client.prepare(Call::get("/bucket/key").presigned(60));
    presigned.headers_mut().insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    client.send_prepared(presigned).await.fails(403, "AccessDenied");
}
