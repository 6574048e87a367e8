//! Conditions on reads and writes.

use crate::support::{Call, Store};

/// The MD5 of no bytes, which is the ETag of an empty object.
const EMPTY: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";
const OTHER: &str = "\"00000000000000000000000000000000\"";
/// One second before [`NOW`].
const BEFORE: &str = "Fri, 02 Jan 2026 03:04:04 GMT";
/// The time of the tests.
const NOW: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

#[tokio::test]
async fn conditional_reads_get_304_and_412_as_in_the_api_reference() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").header("cache-control", "max-age=60")).await.expect(200);
    let cases: [(&[(&str, &str)], u16); 11] = [
        (&[("if-match", EMPTY)], 200),
        (&[("if-match", OTHER)], 412),
        (&[("if-none-match", EMPTY)], 304),
        (&[("if-none-match", OTHER)], 200),
        (&[("if-modified-since", BEFORE)], 200),
        (&[("if-modified-since", NOW)], 304),
        (&[("if-unmodified-since", NOW)], 200),
        (&[("if-unmodified-since", BEFORE)], 412),
        (&[("if-match", EMPTY), ("if-unmodified-since", BEFORE)], 200),
        (&[("if-none-match", EMPTY), ("if-modified-since", BEFORE)], 304),
        (&[("if-match", "*"), ("if-none-match", OTHER)], 200),
    ];
    for (headers, status) in cases {
        for call in [Call::get("/bucket/key"), Call::head("/bucket/key")] {
            let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
            let reply = client.send(call).await;
            assert_eq!(reply.status.as_u16(), status, "{} {headers:?}", reply.what);
            if status == 304 {
                assert_eq!(reply.header("etag"), EMPTY);
                assert_eq!(reply.header("last-modified"), NOW);
                assert_eq!(reply.header("cache-control"), "max-age=60");
                assert!(reply.body.is_empty());
            }
        }
    }
    let failed = client.send(Call::get("/bucket/key").header("if-match", OTHER)).await;
    assert_eq!(failed.fails(412, "PreconditionFailed").error("Condition").as_deref(), Some("If-Match"));
    client.send(Call::get("/bucket/none").header("if-match", OTHER)).await.fails(404, "NoSuchKey");
}

#[tokio::test]
async fn conditional_writes_get_412_and_404_as_in_the_user_guide() {
    let store = Store::start().await;
    let client = &store.client;
    let put = |name: &str, value: &str| client.send(Call::put("/bucket/key").header(name, value));
    put("if-match", EMPTY).await.fails(404, "NoSuchKey");
    put("if-none-match", "*").await.expect(200);
    put("if-none-match", "*").await.fails(412, "PreconditionFailed");
    put("if-match", EMPTY).await.expect(200);
    put("if-match", OTHER).await.fails(412, "PreconditionFailed");
    for (name, value) in [("if-none-match", EMPTY), ("if-modified-since", NOW), ("if-unmodified-since", NOW)]
    {
        put(name, value).await.fails(501, "NotImplemented");
    }
    // Cairn answered 501 to a list of ETags and to an empty value.
    for value in ["\"a\", \"b\"", ""] {
        put("if-match", value).await.fails(400, "InvalidArgument");
    }
    let delete = |value: &str| client.send(Call::delete("/bucket/key").header("if-match", value));
    delete(OTHER).await.fails(412, "PreconditionFailed");
    delete(EMPTY).await.expect(204);
    delete("*").await.fails(404, "NoSuchKey");
    client.send(Call::delete("/bucket/key").header("if-none-match", "*")).await.fails(501, "NotImplemented");
}

#[tokio::test]
async fn writes_without_conditions_refuse_them() {
    let store = Store::start().await;
    store.client.send(Call::put("/bucket/key")).await.expect(200);
    for call in [
        Call::put("/bucket/key?tagging").body("<Tagging><TagSet/></Tagging>"),
        Call::delete("/bucket/key?tagging"),
        Call::put("/bucket-2"),
        Call::delete("/bucket"),
        Call::post("/bucket?delete").header("x-amz-checksum-crc32", "AAAAAA=="),
    ] {
        store.client.send(call.header("if-match", OTHER)).await.fails(501, "NotImplemented");
    }
}

#[tokio::test]
async fn of_many_concurrent_creations_exactly_one_wins() {
    let store = Store::start().await;
    for key in ["a", "b", "c"] {
        let path = format!("/bucket/{key}");
        let calls = (0..50).map(|_| store.client.send(Call::put(&path).header("if-none-match", "*")));
        let replies = futures_util::future::join_all(calls).await;
        let won = replies.iter().filter(|reply| reply.status == 200).count();
        let lost = replies.iter().filter(|reply| reply.status == 412).count();
        assert_eq!((won, lost), (1, 49));
    }
}
