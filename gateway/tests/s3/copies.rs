//! CopyObject.

use crate::support::{Call, Store, texts};

const EMPTY: &str = "\"d41d8cd98f00b204e9800998ecf8427e\"";

fn copy(target: &str, source: &str) -> Call {
    Call::put(target).header("x-amz-copy-source", source)
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

#[tokio::test]
async fn a_copy_has_the_attributes_of_its_source_except_the_storage_class() {
    let store = with_source().await;
    let client = &store.client;
    client.send(Call::put("/other-bucket")).await.expect(200);
    let copied = client.send(copy("/other-bucket/copy", "/bucket/a%20b")).await.expect(200);
    let result = copied.xml("CopyObjectResult");
    assert_eq!(texts(&result, &["ETag"]), [EMPTY]);
    assert_eq!(texts(&result, &["LastModified"]), ["2026-01-02T03:04:05.000Z"]);
    let head = client.send(Call::head("/other-bucket/copy")).await.expect(200);
    assert_eq!(head.header("content-type"), "text/plain");
    assert_eq!(head.header("x-amz-meta-colour"), "red");
    assert_eq!(head.header("x-amz-tagging-count"), "1");
    assert_eq!(head.header("x-amz-storage-class"), "");
}

#[tokio::test]
async fn directives_decide_what_is_replaced() {
    let store = with_source().await;
    let client = &store.client;
    let replace = copy("/bucket/copy", "bucket/a%20b")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-tagging-directive", "REPLACE")
        .header("x-amz-tagging", "a=1&b=2")
        .header("x-amz-meta-shape", "round");
    client.send(replace).await.expect(200);
    let head = client.send(Call::head("/bucket/copy")).await.expect(200);
    assert_eq!(head.header("content-type"), "binary/octet-stream");
    assert_eq!((head.header("x-amz-meta-colour"), head.header("x-amz-meta-shape")), ("", "round"));
    assert_eq!(head.header("x-amz-tagging-count"), "2");
    for name in ["x-amz-metadata-directive", "x-amz-tagging-directive"] {
        let wrong = copy("/bucket/copy", "bucket/a%20b").header(name, "MOVE");
        client.send(wrong).await.fails(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn a_copy_onto_itself_must_change_something() {
    let store = with_source().await;
    let client = &store.client;
    let onto_itself = || copy("/bucket/a%20b", "bucket/a%20b");
    client.send(onto_itself()).await.fails(400, "InvalidRequest");
    let replace = onto_itself().header("x-amz-metadata-directive", "REPLACE").header("x-amz-meta-new", "1");
    client.send(replace).await.expect(200);
    let head = client.send(Call::head("/bucket/a%20b")).await.expect(200);
    assert_eq!(head.header("x-amz-meta-new"), "1");
    client.send(onto_itself().header("x-amz-storage-class", "GLACIER_IR")).await.expect(200);
}

#[tokio::test]
async fn conditions_on_source_and_destination_are_checked() {
    let store = with_source().await;
    let client = &store.client;
    let with =
        |name: &str, value: &str| client.send(copy("/bucket/copy", "bucket/a%20b").header(name, value));
    let source = "x-amz-copy-source-if";
    with(&format!("{source}-match"), "\"x\"").await.fails(412, "PreconditionFailed");
    with(&format!("{source}-none-match"), EMPTY).await.fails(412, "PreconditionFailed");
    let now = "Fri, 02 Jan 2026 03:04:05 GMT";
    with(&format!("{source}-modified-since"), now).await.fails(412, "PreconditionFailed");
    with(&format!("{source}-unmodified-since"), now).await.expect(200);
    with("if-none-match", "*").await.fails(412, "PreconditionFailed");
    with("if-match", EMPTY).await.expect(200);
}

#[tokio::test]
async fn missing_and_unsupported_sources_have_their_errors() {
    let store = with_source().await;
    let client = &store.client;
    client.send(copy("/bucket/copy", "bucket/none")).await.fails(404, "NoSuchKey");
    client.send(copy("/bucket/copy", "nobody/key")).await.fails(404, "NoSuchBucket");
    client.send(copy("/nobody/copy", "bucket/a%20b")).await.fails(404, "NoSuchBucket");
    client.send(copy("/bucket/copy", "bucket")).await.fails(400, "InvalidArgument");
    client.send(copy("/bucket/copy", "bucket/a%20b?versionId=xyz")).await.fails(400, "InvalidArgument");
    let other_sum = copy("/bucket/copy", "bucket/a%20b").header("x-amz-checksum-algorithm", "SHA256");
    client.send(other_sum).await.fails(501, "NotImplemented");
    let range = copy("/bucket/copy", "bucket/a%20b").header("x-amz-copy-source-range", "bytes=0-0");
    client.send(range).await.fails(501, "NotImplemented");
}
