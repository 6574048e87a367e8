//! Buckets.

use cairn_gateway::Config;

use crate::support::{BUCKET, Call, Store, texts};

#[tokio::test]
async fn a_bucket_is_created_found_listed_and_deleted() {
    let store = Store::start().await;
    let client = &store.client;
    let made = client.send(Call::put("/my-bucket")).await.expect(200);
    assert_eq!(made.header("location"), "/my-bucket");
    let head = client.send(Call::head("/my-bucket")).await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    let location = client.send(Call::get("/my-bucket?location")).await.expect(200);
    assert_eq!(location.xml("LocationConstraint").text().unwrap(), "");
    let list = client.send(Call::get("/")).await.expect(200).xml("ListAllMyBucketsResult");
    assert_eq!(texts(&list, &["Buckets", "Bucket", "Name"]), [BUCKET, "my-bucket"]);
    assert_eq!(texts(&list, &["Buckets", "Bucket", "CreationDate"])[0], "2026-01-02T03:04:05.000Z");
    client.send(Call::delete("/my-bucket")).await.expect(204);
    client.send(Call::head("/my-bucket")).await.expect(404);
    client.send(Call::delete("/my-bucket")).await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn bucket_names_are_unique_and_follow_the_rules() {
    let store = Store::start().await;
    let client = &store.client;
    // In us-east-1, creating one's own bucket again succeeds (AWS, "List of error codes").
    client.send(Call::put(&format!("/{BUCKET}"))).await.expect(200);
    for name in ["ab", "Upper", "under_score", "192.168.0.1", "xn--punycode", "a..b"] {
        client.send(Call::put(&format!("/{name}"))).await.fails(400, "InvalidBucketName");
    }
}

#[tokio::test]
async fn a_bucket_is_created_in_the_endpoints_region_only() {
    let store = Store::start().await;
    let constraint = |region: &str| {
        let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
        format!(
            "<CreateBucketConfiguration xmlns=\"{namespace}\"><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let make = |body: String| store.client.send(Call::put("/elsewhere").body(body));
    make(constraint("eu-west-1")).await.fails(400, "InvalidLocationConstraint");
    make("<CreateBucketConfiguration>".into()).await.fails(400, "MalformedXML");
    make("<!DOCTYPE a><CreateBucketConfiguration/>".into()).await.fails(400, "MalformedXML");
    make(constraint("us-east-1")).await.expect(200);
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let store = Store::start().await;
    let client = &store.client;
    for name in ["page-a", "page-b", "page-c"] {
        client.send(Call::put(&format!("/{name}"))).await.expect(200);
    }
    let page = client.send(Call::get("/?max-buckets=2&prefix=page-")).await.expect(200);
    let page = page.xml("ListAllMyBucketsResult");
    assert_eq!(texts(&page, &["Buckets", "Bucket", "Name"]), ["page-a", "page-b"]);
    let token = &texts(&page, &["ContinuationToken"])[0];
    let next = format!("/?max-buckets=2&prefix=page-&continuation-token={token}");
    let page = client.send(Call::get(&next)).await.expect(200).xml("ListAllMyBucketsResult");
    assert_eq!(texts(&page, &["Buckets", "Bucket", "Name"]), ["page-c"]);
    assert!(texts(&page, &["ContinuationToken"]).is_empty());
    client.send(Call::get("/?max-buckets=0")).await.fails(400, "InvalidArgument");
    client.send(Call::get("/?continuation-token=x")).await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn reads_of_missing_configurations_answer_as_s3_does() {
    let store = Store::start().await;
    let ask = |what: &'static str| store.client.send(Call::get(&format!("/{BUCKET}?{what}")));
    let versioning = ask("versioning").await.expect(200).xml("VersioningConfiguration");
    assert!(versioning.children().is_empty());
    let acl = ask("acl").await.expect(200).xml("AccessControlPolicy");
    assert_eq!(texts(&acl, &["AccessControlList", "Grant", "Permission"]), ["FULL_CONTROL"]);
    ask("policy").await.fails(404, "NoSuchBucketPolicy");
    ask("cors").await.fails(404, "NoSuchCORSConfiguration");
    ask("lifecycle").await.fails(404, "NoSuchLifecycleConfiguration");
    ask("tagging").await.fails(404, "NoSuchTagSet");
    ask("encryption").await.fails(404, "ServerSideEncryptionConfigurationNotFoundError");
    store.client.send(Call::get("/no-such-bucket?versioning")).await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn missing_operations_and_values_are_not_implemented() {
    let store = Store::start().await;
    let client = &store.client;
    for query in ["inventory", "cors", "replication", "encryption", "website"] {
        client.send(Call::put(&format!("/{BUCKET}?{query}"))).await.fails(501, "NotImplemented");
    }
    let acl = client.send(Call::put("/public-bucket").header("x-amz-acl", "public-read")).await;
    acl.fails(400, "InvalidBucketAclWithObjectOwnership");
    client.send(Call::head("/public-bucket")).await.expect(404);
    // AWS ignores unknown parameters of reads.
    client.send(Call::get(&format!("/{BUCKET}?unheard-of"))).await.expect(200);
    client.send(Call::new(http::Method::PATCH, "/bucket/key")).await.fails(405, "MethodNotAllowed");
    client
        .send(Call::new(http::Method::OPTIONS, "/bucket/key").anonymous())
        .await
        .fails(403, "AccessForbidden");
}

#[tokio::test]
async fn buckets_are_host_names_under_the_domain() {
    let config = Config { domains: vec!["s3.example.com".into()], ..Config::default() };
    let store = Store::start_with(config).await;
    let host = |call: Call| call.header("host", "bucket.s3.example.com:9000");
    store.client.send(host(Call::head("/"))).await.expect(200);
    store.client.send(host(Call::get("/?location"))).await.expect(200);
    let other = Call::head("/").header("host", "nobody.s3.example.com");
    store.client.send(other).await.expect(404);
}

#[tokio::test]
async fn the_expected_bucket_owner_is_checked() {
    let store = Store::start().await;
    let head = |owner| Call::head("/bucket").header("x-amz-expected-bucket-owner", owner);
    store.client.send(head("000000000000")).await.expect(200);
    store.client.send(head("111122223333")).await.expect(403);
    store.client.send(head("me")).await.expect(400);
}
