//! RenameObject.

use cairn_protocol::metadata::MetadataError;

use crate::support::{Call, Fate, Store, texts};

/// The ETag of an empty object: the MD5 of nothing.
const EMPTY: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";

fn rename(source: &str, target: &str) -> Call {
    Call::put(&format!("/bucket/{target}?renameObject")).header("x-amz-rename-source", source)
}

async fn with_source() -> Store {
    let store = Store::start().await;
    let put = Call::put("/bucket/a%20b")
        .header("content-type", "text/plain")
        .header("x-amz-meta-colour", "red")
        .header("x-amz-tagging", "k=v")
        .header("x-amz-storage-class", "STANDARD_IA");
    store.client.send(put).await.expect(200);
    store
}

async fn keys(store: &Store) -> Vec<String> {
    let listed = store.client.send(Call::get("/bucket?list-type=2")).await.expect(200);
    texts(&listed.xml("ListBucketResult"), &["Contents", "Key"])
}

#[tokio::test]
async fn an_object_keeps_all_its_metadata() {
    let store = with_source().await;
    store.clock.advance(std::time::Duration::from_secs(60));
    let renamed = store.client.send(rename("/a%20b", "c")).await.expect(200);
    assert_eq!((renamed.text().as_str(), renamed.header("x-amz-version-id")), ("", ""));
    let head = store.client.send(Call::head("/bucket/c")).await.expect(200);
    for (name, value) in [
        ("content-type", "text/plain"),
        ("x-amz-meta-colour", "red"),
        ("x-amz-tagging-count", "1"),
        // A copy would lose it.
        ("x-amz-storage-class", "STANDARD_IA"),
        // The time of the PUT.
        ("last-modified", "Fri, 02 Jan 2026 03:04:05 GMT"),
        ("etag", EMPTY),
    ] {
        assert_eq!(head.header(name), value, "{name}");
    }
    assert_eq!(keys(&store).await, ["c"]);
}

/// AWS's examples name the key, and the pattern in its model wants the bucket before it.
#[tokio::test]
async fn the_source_is_named_in_each_documented_form() {
    let store = Store::start().await;
    for source in ["k", "/k", "bucket/k", "/bucket/k"] {
        store.client.send(Call::put("/bucket/k")).await.expect(200);
        store.client.send(rename(source, "new")).await.expect(200);
        assert_eq!(keys(&store).await, ["new"], "{source}");
    }
    // The whole text is the key, if there is such a key.
    for key in ["bucket/k", "k"] {
        store.client.send(Call::put(&format!("/bucket/{key}"))).await.expect(200);
    }
    store.client.send(rename("/bucket/k", "new")).await.expect(200);
    assert_eq!(keys(&store).await, ["k", "new"]);
}

#[tokio::test]
async fn what_cannot_be_renamed_is_refused_and_nothing_changes() {
    let store = with_source().await;
    let client = &store.client;
    client.send(Call::put("/other-bucket")).await.expect(200);
    client.send(Call::put("/other-bucket/k")).await.expect(200);
    client.send(rename("none", "c")).await.fails(404, "NoSuchKey");
    // Another bucket cannot be named: this is a key of the same bucket.
    client.send(rename("/other-bucket/k", "c")).await.fails(404, "NoSuchKey");
    client.send(Call::put("/bucket/c?renameObject")).await.fails(400, "InvalidArgument");
    client.send(rename("", "c")).await.fails(400, "InvalidArgument");
    client.send(rename("a%20b?versionId=null", "c")).await.fails(400, "InvalidArgument");
    client.send(rename(&"x".repeat(1025), "c")).await.fails(400, "KeyTooLongError");
    // S3 User Guide: "will not succeed on objects that end with the slash (/) delimiter character".
    client.send(rename("a%20b", "c/")).await.fails(400, "InvalidRequest");
    client.send(rename("a%20b/", "c")).await.fails(400, "InvalidRequest");
    client.send(rename("a%20b", "c").header("x-amz-client-token", "a b")).await.fails(400, "InvalidArgument");
    for name in ["if-unmodified-since", "if-modified-since", "x-amz-rename-source-if-modified-since"] {
        client.send(rename("a%20b", "c").header(name, "yesterday")).await.fails(400, "InvalidArgument");
    }
    let missing = Call::put("/nobody/c?renameObject").header("x-amz-rename-source", "k");
    client.send(missing).await.fails(404, "NoSuchBucket");
    assert_eq!(keys(&store).await, ["a b"]);
}

#[tokio::test]
async fn conditions_on_source_and_destination_are_checked() {
    let store = with_source().await;
    let client = &store.client;
    // The time of the PUT, and the second before.
    let (now, before) = ("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:04 GMT");
    let source = "x-amz-rename-source-if";
    let refused = async |name: &str, value: &str, condition: &str| {
        let reply = client.send(rename("a%20b", "c").header(name, value)).await;
        let reply = reply.fails(412, "PreconditionFailed");
        assert_eq!(reply.error("Condition").as_deref(), Some(condition), "{name}");
    };
    refused(&format!("{source}-match"), "\"x\"", "x-amz-rename-source-If-Match").await;
    refused(&format!("{source}-none-match"), "*", "x-amz-rename-source-If-None-Match").await;
    refused(&format!("{source}-modified-since"), now, "x-amz-rename-source-If-Modified-Since").await;
    refused(&format!("{source}-unmodified-since"), before, "x-amz-rename-source-If-Unmodified-Since").await;
    // There is no destination.
    refused("if-match", "*", "If-Match").await;
    refused("if-modified-since", before, "If-Modified-Since").await;
    client.send(rename("a%20b", "c").header("if-none-match", "*")).await.expect(200);
    client.send(rename("c", "a%20b").header("if-unmodified-since", before)).await.expect(200);
    // Now there is one.
    client.send(Call::put("/bucket/c").body("destination")).await.expect(200);
    refused("if-none-match", "*", "If-None-Match").await;
    refused("if-match", "\"x\"", "If-Match").await;
    refused("if-modified-since", now, "If-Modified-Since").await;
    refused("if-unmodified-since", before, "If-Unmodified-Since").await;
    assert_eq!(keys(&store).await, ["a b", "c"]);
    let all = rename("a%20b", "c")
        .header("if-match", "*")
        .header("if-unmodified-since", now)
        .header(&format!("{source}-match"), EMPTY)
        .header(&format!("{source}-unmodified-since"), now);
    client.send(all).await.expect(200);
    assert_eq!(keys(&store).await, ["c"]);
}

#[tokio::test]
async fn a_client_token_makes_a_retry_succeed_and_is_of_one_request() {
    let store = with_source().await;
    let client = &store.client;
    let with_token = |call: Call| call.header("x-amz-client-token", "a-token");
    let first = || with_token(rename("a%20b", "c").header("if-none-match", "*"));
    client.send(first()).await.expect(200);
    // Neither the missing source nor the destination that is there now is in its way.
    client.send(first()).await.expect(200);
    client.send(Call::put("/bucket/a%20b").body("came since")).await.expect(200);
    client.send(first()).await.expect(200);
    assert_eq!(keys(&store).await, ["a b", "c"]);
    for other in [rename("a%20b", "d"), rename("c", "d"), rename("a%20b", "c")] {
        client.send(with_token(other)).await.fails(400, "IdempotencyParameterMismatch");
    }
    assert_eq!(keys(&store).await, ["a b", "c"]);
    // What failed is done by a retry when it is possible.
    let failing = || rename("missing", "e").header("x-amz-client-token", "another");
    client.send(failing()).await.fails(404, "NoSuchKey");
    client.send(Call::put("/bucket/missing")).await.expect(200);
    client.send(failing()).await.expect(200);
    assert_eq!(keys(&store).await, ["a b", "c", "e"]);
}

#[tokio::test]
async fn a_rename_onto_itself_is_done_already() {
    let store = with_source().await;
    store.client.send(rename("a%20b", "a%20b")).await.expect(200);
    store
        .client
        .send(rename("a%20b", "a%20b").header("if-none-match", "*"))
        .await
        .fails(412, "PreconditionFailed");
    assert_eq!(keys(&store).await, ["a b"]);
}

/// The gateway decides on what it found. If that is replaced before the metanode renames, it decides on what came instead.
#[tokio::test]
async fn a_rename_is_decided_anew_when_the_source_is_replaced_meanwhile() {
    let store = with_source().await;
    let times = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(2));
    store.between.set(move |operation| {
        let refused = operation == "rename_object"
            && times
                .fetch_update(
                    std::sync::atomic::Ordering::SeqCst,
                    std::sync::atomic::Ordering::SeqCst,
                    |left| left.checked_sub(1),
                )
                .is_ok();
        std::future::ready(if refused { Fate::Refused(MetadataError::ObjectChanged) } else { Fate::Arrives })
    });
    store.client.send(rename("a%20b", "c")).await.expect(200);
    assert_eq!(store.between.count("rename_object"), 3);
    store.between.set(|operation| {
        std::future::ready(match operation {
            "rename_object" => Fate::Refused(MetadataError::ObjectChanged),
            _ => Fate::Arrives,
        })
    });
    store.client.send(rename("c", "d")).await.fails(409, "ConditionalRequestConflict");
    assert_eq!(keys(&store).await, ["c"]);
}

#[tokio::test]
async fn with_versioning_the_old_key_is_hidden_and_its_version_stays() {
    let store = with_source().await;
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    store.client.send(Call::put("/bucket?versioning").body(enable)).await.expect(200);
    let put = store.client.send(Call::put("/bucket/k").body("body")).await.expect(200);
    let old = put.header("x-amz-version-id").to_owned();
    let renamed = store.client.send(rename("k", "new")).await.expect(200);
    let head = store.client.send(Call::get("/bucket/new")).await.expect(200);
    assert_eq!(head.header("x-amz-version-id"), renamed.header("x-amz-version-id"));
    assert_eq!(head.text(), "body");
    let gone = store.client.send(Call::get("/bucket/k")).await.fails(404, "NoSuchKey");
    assert_eq!(gone.header("x-amz-delete-marker"), "true");
    let kept = store.client.send(Call::get(&format!("/bucket/k?versionId={old}"))).await.expect(200);
    assert_eq!(kept.text(), "body");
    store.client.send(rename("k", "other")).await.fails(404, "NoSuchKey");
}
