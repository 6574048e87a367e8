//! The metanode's answer is lost after the commit, as if the metanode died at that moment. The client nevertheless gets the
//! outcome of its request, and the change is made once.

use crate::support::{Call, Store, texts};

async fn store_with(keys: &[&str]) -> Store {
    let store = Store::start().await;
    for key in keys {
        store.client.send(Call::put(&format!("/bucket/{key}")).body(*key)).await.expect(200);
    }
    store
}

/// Sends a request, and loses the next two answers to `operation`.
async fn send(store: &Store, operation: &'static str, call: Call) -> crate::support::Reply {
    store.between.lose(operation, 2);
    let before = store.between.count(operation);
    let (reply, _) = store.pass_until(store.client.send(call)).await;
    assert_eq!(store.between.count(operation) - before, 3, "{operation}");
    reply
}

/// The copy was made and its answer was lost. The client, or its SDK, retried and got 412, although the object that existed
/// was the client's own copy.
#[tokio::test]
async fn a_conditional_copy_succeeds_although_its_answer_was_lost() {
    let store = store_with(&["source"]).await;
    let copy =
        Call::put("/bucket/copy").header("x-amz-copy-source", "bucket/source").header("if-none-match", "*");
    let copied = send(&store, "copy_object", copy).await.expect(200);
    let etag = texts(&copied.xml("CopyObjectResult"), &["ETag"]).remove(0);
    let head = store.client.send(Call::head("/bucket/copy")).await.expect(200);
    assert_eq!(head.header("etag"), etag);
}

/// Without the repetition the client's own retry would get 404, because its first request had renamed the object.
#[tokio::test]
async fn a_rename_succeeds_although_its_answer_was_lost() {
    let store = store_with(&["a"]).await;
    let rename = Call::put("/bucket/b?renameObject").header("x-amz-rename-source", "/a");
    send(&store, "rename_object", rename).await.expect(200);
    store.client.send(Call::head("/bucket/a")).await.expect(404);
    store.client.send(Call::head("/bucket/b")).await.expect(200);
}

#[tokio::test]
async fn a_conditional_delete_succeeds_although_its_answer_was_lost() {
    let store = store_with(&["a"]).await;
    let delete = Call::delete("/bucket/a").header("if-match", "*");
    send(&store, "delete_objects", delete).await.expect(204);
    store.client.send(Call::head("/bucket/a")).await.expect(404);
}

#[tokio::test]
async fn a_delete_of_several_keys_gets_its_first_outcome() {
    let store = store_with(&["a", "b"]).await;
    let document = "<Delete><Object><Key>a</Key><ETag>*</ETag></Object><Object><Key>b</Key><ETag>\"x\"</ETag></Object></Delete>";
    let delete = Call::post("/bucket?delete").body(document).header("content-md5", &{
        use base64::Engine;
        use md5::Digest;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(document))
    });
    let result = send(&store, "delete_objects", delete).await.expect(200).xml("DeleteResult");
    assert_eq!(texts(&result, &["Deleted", "Key"]), ["a"]);
    assert_eq!(texts(&result, &["Error", "Code"]), ["PreconditionFailed"]);
}

#[tokio::test]
async fn buckets_are_made_and_deleted_once() {
    let gateway = cairn_gateway::Config { region: "eu-west-1".into(), ..Default::default() };
    let store = Store::of(crate::support::Setup { gateway, bucket: false, ..Default::default() }).await;
    let document = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    // Outside of us-east-1, to create one's own bucket again is an error.
    send(&store, "create_bucket", Call::put("/new-bucket").body(document)).await.expect(200);
    send(&store, "delete_bucket", Call::delete("/new-bucket")).await.expect(204);
}

/// The change itself begins an epoch of access control, for which the repetition is too late. The client got 404 or 403 for what it
/// had done.
#[tokio::test]
async fn what_decides_about_access_is_changed_once() {
    let store = store_with(&[]).await;
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutBucketPolicy","Resource":"arn:aws:s3:::bucket"}}"#;
    send(&store, "put_bucket_configuration", Call::put("/bucket?policy").body(policy)).await.expect(204);
    for (operation, change) in [
        ("put_bucket_configuration", Call::delete("/bucket?policy")),
        ("delete_bucket", Call::delete("/bucket")),
    ] {
        // The gateway learns the present epoch, so that the change is made by the first call.
        store.client.send(Call::get("/bucket?versioning")).await.expect(200);
        send(&store, operation, change).await.expect(204);
    }
}

#[tokio::test]
async fn tags_and_uploads_are_changed_once() {
    let store = store_with(&["a"]).await;
    let tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    send(&store, "update_tags", Call::put("/bucket/a?tagging").body(tags)).await.expect(200);
    let created = send(&store, "create_upload", Call::post("/bucket/u?uploads")).await.expect(200);
    let id = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0);
    let part = Call::put(&format!("/bucket/u?partNumber=1&uploadId={id}")).body("part");
    send(&store, "put_part", part).await.expect(200);
    let copy =
        Call::put(&format!("/bucket/u?partNumber=2&uploadId={id}")).header("x-amz-copy-source", "bucket/a");
    send(&store, "copy_part", copy).await.expect(200);
    send(&store, "abort_upload", Call::delete(&format!("/bucket/u?uploadId={id}"))).await.expect(204);
    let listed = store.client.send(Call::get("/bucket?uploads")).await.expect(200);
    assert!(texts(&listed.xml("ListMultipartUploadsResult"), &["Upload", "Key"]).is_empty());
}

#[tokio::test]
async fn a_change_without_an_answer_fails_after_a_limited_time() {
    let store = store_with(&["a"]).await;
    store.between.lose("delete_objects", usize::MAX);
    let (reply, passed) = store.pass_until(store.client.send(Call::delete("/bucket/a"))).await;
    reply.fails(503, "SlowDown");
    assert!((15..40).contains(&passed.as_secs()), "{passed:?}");
}
