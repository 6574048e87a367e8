//! GetObject and HeadObject.

use crate::support::{Call, Store};

const DIGITS: &str = "0123456789";

async fn with_digits() -> Store {
    let store = Store::start().await;
    store.client.send(Call::put("/bucket/key").body(DIGITS)).await.expect(200);
    store
}

#[tokio::test]
async fn stored_attributes_are_returned() {
    let store = Store::start().await;
    let kept = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment; filename=\"a.txt\""),
        ("content-language", "de"),
        ("cache-control", "no-cache"),
        ("expires", "Thu, 01 Dec 2033 16:00:00 GMT"),
        ("x-amz-meta-colour", "red"),
        ("x-amz-meta-word", "=?UTF-8?B?w6k=?="),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let put = kept.iter().fold(Call::put("/bucket/key"), |call, (name, value)| call.header(name, value));
    store.client.send(put.body(DIGITS)).await.expect(200);
    for call in [Call::get("/bucket/key"), Call::head("/bucket/key")] {
        let reply = store.client.send(call).await.expect(200);
        for (name, value) in kept {
            assert_eq!(reply.header(name), value, "{name}");
        }
        assert_eq!(reply.header("accept-ranges"), "bytes");
        assert_eq!(reply.header("content-length"), "10");
        assert_eq!(reply.header("last-modified"), "Fri, 02 Jan 2026 03:04:05 GMT");
    }
    store.client.send(Call::put("/bucket/plain").body("x")).await.expect(200);
    let plain = store.client.send(Call::head("/bucket/plain")).await.expect(200);
    assert_eq!(plain.header("content-type"), "binary/octet-stream");
}

#[tokio::test]
async fn ranges_are_served_as_rfc_9110_says() {
    let store = with_digits().await;
    for (range, bytes, content_range) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-100", DIGITS, "bytes 0-9/10"),
        ("bytes=5-100", "56789", "bytes 5-9/10"),
    ] {
        let call = Call::get("/bucket/key").header("range", range);
        let reply = store.client.send(call).await.expect(206);
        assert_eq!((reply.text().as_str(), reply.header("content-range")), (bytes, content_range), "{range}");
        let head = store.client.send(Call::head("/bucket/key").header("range", range)).await.expect(206);
        assert_eq!(head.header("content-length"), bytes.len().to_string());
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99-100"] {
        let reply = store.client.send(Call::get("/bucket/key").header("range", range)).await;
        let reply = reply.fails(416, "InvalidRange");
        assert_eq!(reply.header("content-range"), "bytes */10");
        assert_eq!(reply.error("ActualObjectSize").as_deref(), Some("10"));
        assert_eq!(reply.error("RangeRequested").as_deref(), Some(range));
    }
    for range in ["bytes=3-1", "bytes=0-1,3-4", "lines=0-1", "bytes"] {
        let reply = store.client.send(Call::get("/bucket/key").header("range", range)).await.expect(200);
        assert_eq!(reply.text(), DIGITS, "{range}");
    }
}

#[tokio::test]
async fn a_range_is_ignored_if_if_range_does_not_match() {
    let store = with_digits().await;
    let etag = store.client.send(Call::head("/bucket/key")).await.header("etag").to_owned();
    let get = |if_range: &str| {
        store.client.send(Call::get("/bucket/key").header("range", "bytes=0-1").header("if-range", if_range))
    };
    get(&etag).await.expect(206);
    get("Fri, 02 Jan 2026 03:04:05 GMT").await.expect(206);
    for other in ["\"other\"", "Fri, 02 Jan 2026 03:04:04 GMT", "nonsense"] {
        assert_eq!(get(other).await.expect(200).text(), DIGITS);
    }
}

#[tokio::test]
async fn an_empty_object_has_no_ranges() {
    let store = Store::start().await;
    store.client.send(Call::put("/bucket/empty")).await.expect(200);
    let whole = store.client.send(Call::get("/bucket/empty")).await.expect(200);
    assert_eq!(whole.header("content-length"), "0");
    let range = Call::get("/bucket/empty").header("range", "bytes=0-");
    store.client.send(range).await.fails(416, "InvalidRange");
}

#[tokio::test]
async fn an_object_put_whole_is_its_own_first_part() {
    let store = with_digits().await;
    let part = store.client.send(Call::get("/bucket/key?partNumber=1")).await.expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), (DIGITS, "bytes 0-9/10"));
    store.client.send(Call::get("/bucket/key?partNumber=2")).await.fails(416, "InvalidPartNumber");
    for wrong in ["0", "10001", "x"] {
        let call = Call::get(&format!("/bucket/key?partNumber={wrong}"));
        store.client.send(call).await.fails(400, "InvalidArgument");
    }
    let both = Call::get("/bucket/key?partNumber=1").header("range", "bytes=0-1");
    store.client.send(both).await.fails(400, "InvalidRequest");
}

#[tokio::test]
async fn a_request_may_replace_headers_of_its_answer() {
    let store = with_digits().await;
    let call = Call::get(
        "/bucket/key?response-content-type=text%2Fcsv&response-content-disposition=inline\
         &response-cache-control=no-store&response-content-language=fr&response-content-encoding=x&response-expires=0",
    );
    for call in [call.clone(), call.presigned(60)] {
        let reply = store.client.send(call).await.expect(200);
        for (name, value) in [
            ("content-type", "text/csv"),
            ("content-disposition", "inline"),
            ("cache-control", "no-store"),
            ("content-language", "fr"),
            ("content-encoding", "x"),
            ("expires", "0"),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
    }
    let split = Call::get("/bucket/key?response-content-type=a%0d%0ab");
    store.client.send(split).await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn attributes_are_returned_without_the_object() {
    let store = with_digits().await;
    let ask = |what: &str| {
        store.client.send(Call::get("/bucket/key?attributes").header("x-amz-object-attributes", what))
    };
    let reply = ask("ETag,ObjectSize, StorageClass,Checksum,ObjectParts").await.expect(200);
    let root = reply.xml("GetObjectAttributesResponse");
    let text = |name: &str| root.required(name).unwrap().text().unwrap().to_owned();
    // `printf 0123456789 | md5sum`
    assert_eq!(text("ETag"), "781e5e245d69b566979b86e28d23f2c7");
    assert_eq!((text("ObjectSize"), text("StorageClass")), ("10".into(), "STANDARD".into()));
    assert_eq!(root.required("Checksum").unwrap().children()[0].name(), "ChecksumCRC64NVME");
    assert!(root.optional("ObjectParts").unwrap().is_none());
    assert!(ask("ETag").await.xml("GetObjectAttributesResponse").optional("ObjectSize").unwrap().is_none());
    ask("Colour").await.fails(400, "InvalidArgument");
    store.client.send(Call::get("/bucket/key?attributes")).await.fails(400, "InvalidRequest");
}
