//! DeleteObject and DeleteObjects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_gateway::checksum::{Algorithm, Hasher};

use crate::support::{Call, Reply, Store, texts};

async fn delete_many(store: &Store, document: &str) -> Reply {
    let crc = Hasher::of(Algorithm::Crc32, document.as_bytes()).to_base64();
    let call = Call::post("/bucket?delete").header("x-amz-checksum-crc32", &crc).body(document);
    store.client.send(call).await
}

#[tokio::test]
async fn a_delete_succeeds_whether_the_object_exists_or_not() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key")).await.expect(200);
    for _ in 0..2 {
        client.send(Call::delete("/bucket/key")).await.expect(204);
    }
    client.send(Call::get("/bucket/key")).await.fails(404, "NoSuchKey");
    client.send(Call::delete("/bucket/key?versionId=null")).await.expect(204);
    client.send(Call::delete("/bucket/key?versionId=abc")).await.fails(400, "InvalidArgument");
    client.send(Call::delete("/nobody/key")).await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn keys_of_one_request_succeed_and_fail_independently() {
    let store = Store::start().await;
    for key in ["a", "b", "c"] {
        store.client.send(Call::put(&format!("/bucket/{key}"))).await.expect(200);
    }
    let reply = delete_many(
        &store,
        "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key></Object>\
         <Object><Key>b</Key><ETag>\"x\"</ETag></Object><Object><Key>none</Key></Object>\
         <Object><Key>other</Key><VersionId>null</VersionId></Object>\
         <Object><Key>c</Key><VersionId>abc</VersionId></Object></Delete>",
    )
    .await
    .expect(200);
    let result = reply.xml("DeleteResult");
    assert_eq!(texts(&result, &["Deleted", "Key"]), ["a", "none", "other"]);
    // The result repeats the requested version id, also for a key that fails.
    assert_eq!(texts(&result, &["Deleted", "VersionId"]), ["null"]);
    assert_eq!(texts(&result, &["Error", "VersionId"]), ["abc"]);
    assert_eq!(texts(&result, &["Error", "Key"]), ["b", "c"]);
    assert_eq!(texts(&result, &["Error", "Code"]), ["PreconditionFailed", "NoSuchVersion"]);
    store.client.send(Call::head("/bucket/a")).await.expect(404);
    store.client.send(Call::head("/bucket/b")).await.expect(200);

    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    let reply = delete_many(&store, quiet).await.expect(200);
    assert!(reply.xml("DeleteResult").children().is_empty());
    store.client.send(Call::head("/bucket/b")).await.expect(404);
}

#[tokio::test]
async fn a_request_deletes_up_to_a_thousand_keys() {
    let store = Store::start().await;
    let document = |count: usize| {
        let keys: String = (0..count).map(|n| format!("<Object><Key>key-{n}</Key></Object>")).collect();
        format!("<Delete>{keys}</Delete>")
    };
    let reply = delete_many(&store, &document(1000)).await.expect(200);
    assert_eq!(reply.xml("DeleteResult").children().len(), 1000);
    delete_many(&store, &document(1001)).await.fails(400, "MalformedXML");
    delete_many(&store, &document(0)).await.fails(400, "MalformedXML");
}

#[tokio::test]
async fn the_list_of_keys_must_come_with_a_digest_that_matches() {
    let store = Store::start().await;
    let document = "<Delete><Object><Key>a</Key></Object></Delete>";
    let call = || Call::post("/bucket?delete").body(document);
    store.client.send(call()).await.fails(400, "InvalidRequest");
    let wrong = STANDARD.encode([0; 16]);
    store.client.send(call().header("content-md5", &wrong)).await.fails(400, "BadDigest");
    store.client.send(call().header("content-md5", "abc")).await.fails(400, "InvalidDigest");
    store.client.send(call().header("x-amz-checksum-crc32", "AAAAAA==")).await.fails(400, "BadDigest");
}

#[tokio::test]
async fn malformed_documents_are_refused() {
    let store = Store::start().await;
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;\">]>\
        <Delete><Object><Key>&lol2;</Key></Object></Delete>";
    for document in [
        bomb,
        "<Delete><Object><Key>a</Key></Object>",
        "not xml",
        "<Delete><Object><Nokey/></Object></Delete>",
    ] {
        delete_many(&store, document).await.fails(400, "MalformedXML");
    }
    delete_many(&store, "").await.fails(400, "MissingRequestBodyError");
}
