//! Authentication: which signatures are accepted, and which changes to a request they detect.

use std::time::Duration;

use cairn_gateway::Config;
use http::HeaderValue;

use crate::support::{BUCKET, Call, Store};

const VERSION_TWO: &str = "GnoSL1SLFtQuKsxSzBKebDklD3E%3D";

#[tokio::test]
async fn every_response_has_its_ids_and_date() {
    let store = Store::start().await;
    let reply = store.client.send(Call::get("/no-such-bucket")).await.fails(404, "NoSuchBucket");
    let id = reply.header("x-amz-request-id");
    assert_eq!(id.len(), 16);
    assert_eq!(reply.error("RequestId").as_deref(), Some(id));
    assert_eq!(reply.error("HostId").as_deref(), Some(reply.header("x-amz-id-2")));
    assert_eq!(reply.error("Resource").as_deref(), Some("/no-such-bucket"));
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    assert_eq!(reply.header("server"), "Cairn");
    assert_eq!(reply.header("content-type"), "application/xml");
}

#[tokio::test]
async fn anonymous_requests_are_denied() {
    let store = Store::start().await;
    for call in [Call::get("/"), Call::get("/bucket"), Call::put("/bucket/key").body("x")] {
        store.client.send(call.anonymous()).await.fails(403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_request_that_was_changed_is_refused() {
    let store = Store::start().await;
    let client = &store.client;
    let prepare = || client.prepare(Call::get("/bucket?prefix=a").header("range", "bytes=0-1"));

    let mut query = prepare();
    *query.uri_mut() = "/bucket?prefix=b".parse().unwrap();
    let mut path = prepare();
    *path.uri_mut() = "/other?prefix=a".parse().unwrap();
    let mut header = prepare();
    header.headers_mut().insert("range", HeaderValue::from_static("bytes=0-2"));
    let mut method = prepare();
    *method.method_mut() = http::Method::DELETE;
    for request in [query, path, header, method] {
        client.send_prepared(request).await.fails(403, "SignatureDoesNotMatch");
    }
    let mut unsigned = prepare();
    unsigned.headers_mut().insert("x-amz-acl", HeaderValue::from_static("private"));
    client.send_prepared(unsigned).await.fails(403, "AccessDenied");
    client.send_prepared(prepare()).await.expect(200);
}

#[tokio::test]
async fn wrong_credentials_have_their_errors() {
    let store = Store::start().await;
    let client = &store.client;
    let change = |from: &str, to: &str| {
        let mut request = client.prepare(Call::get("/bucket"));
        let text = request.headers()["authorization"].to_str().unwrap().replace(from, to);
        request.headers_mut().insert("authorization", HeaderValue::try_from(text).unwrap());
        request
    };
    client.send_prepared(change("AKIAIOSFODNN7EXAMPLE", "NOBODY")).await.fails(403, "InvalidAccessKeyId");
    let region = client.send_prepared(change("us-east-1", "eu-west-1")).await;
    let region = region.fails(400, "AuthorizationHeaderMalformed");
    assert_eq!(region.error("Region").as_deref(), Some("us-east-1"));
    client.send_prepared(change("AWS4-HMAC-SHA256 ", "AWS ")).await.fails(400, "InvalidRequest");
    client.send_prepared(change("AWS4-HMAC-SHA256 ", "Basic ")).await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn clocks_may_differ_by_fifteen_minutes() {
    let store = Store::start().await;
    let request = || store.client.prepare(Call::get("/bucket"));
    let (early, late) = (request(), request());
    store.clock.advance(Duration::from_secs(900));
    store.client.send_prepared(early).await.expect(200);
    store.clock.advance(Duration::from_secs(1));
    store.client.send_prepared(late).await.fails(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn a_presigned_url_is_valid_until_it_expires() {
    let store = Store::start().await;
    let request = || store.client.prepare(Call::get(&format!("/{BUCKET}?list-type=2")).presigned(60));
    let (first, second) = (request(), request());
    store.client.send_prepared(first).await.expect(200);
    store.clock.advance(Duration::from_secs(61));
    store.client.send_prepared(second).await.fails(403, "AccessDenied");
    for expires_s in [0, 604_801] {
        let call = Call::get("/bucket").presigned(expires_s);
        store.client.send(call).await.fails(400, "AuthorizationQueryParametersError");
    }
    let both = Call::get("/bucket?X-Amz-Algorithm=AWS4-HMAC-SHA256");
    store.client.send(both).await.fails(400, "InvalidArgument");
}

/// The signature was computed with openssl:
/// `printf 'PUT\n\ntext/plain\n1767323105\nx-amz-meta-colour:red\n/bucket/key' | openssl sha1 -hmac $SECRET -binary | base64`.
#[tokio::test]
async fn urls_presigned_with_version_two_are_accepted_if_configured() {
    let store = Store::start_with(Config { sigv2: true, ..Config::default() }).await;
    let query = format!(
        "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1767323105&Signature={VERSION_TWO}\
         &content-type=text%2Fplain&x-amz-meta-colour=red"
    );
    let put = |query: &str| Call::put(&format!("/bucket/key?{query}")).body("x").anonymous();
    store.client.send(put(&query)).await.expect(200);
    let head = store.client.send(Call::head("/bucket/key")).await.expect(200);
    assert_eq!((head.header("content-type"), head.header("x-amz-meta-colour")), ("text/plain", "red"));
    let html = put(&query).header("content-type", "text/html");
    store.client.send(html).await.fails(403, "SignatureDoesNotMatch");
    store.client.send(put(&query.replace("red", "blue"))).await.fails(403, "SignatureDoesNotMatch");
    store
        .client
        .send(put(&format!("{query}&partNumber=1&uploadId=x")))
        .await
        .fails(403, "SignatureDoesNotMatch");
    store.client.send(put(&format!("{query}&prefix=x"))).await.fails(403, "AccessDenied");
    store.clock.advance(Duration::from_secs(61));
    store.client.send(put(&query)).await.fails(403, "AccessDenied");
}

/// The validity of a URL of version 2 has no upper limit. Cairn accepted one that was valid for a hundred years.
#[tokio::test]
async fn signature_version_two_is_off_by_default() {
    let store = Store::start().await;
    let words =
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    let query = format!("AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=4921023105&Signature={VERSION_TWO}");
    for call in [
        Call::get(&format!("/bucket/key?{query}")).anonymous(),
        Call::put(&format!("/bucket/key?{query}&x-amz-meta-a=1")).anonymous(),
        Call::get("/bucket/key").anonymous().header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl"),
    ] {
        let reply = store.client.send(call).await.fails(400, "InvalidRequest");
        assert_eq!(reply.error("Message").as_deref(), Some(words));
    }
}

#[tokio::test]
async fn the_health_page_needs_no_signature_and_hides_no_bucket() {
    let store = Store::start().await;
    store.client.send(Call::get("/_cairn/health").anonymous()).await.expect(200);
    store.client.send(Call::put("/_cairn")).await.fails(400, "InvalidBucketName");
    store.client.send(Call::get("/_cairn/health")).await.fails(400, "InvalidBucketName");
}

#[tokio::test]
async fn headers_in_the_query_of_a_presigned_url_have_effect() {
    let store = Store::start().await;
    let put = |query: &str| store.client.send(Call::put(&format!("/bucket/key?{query}")).presigned(60));
    put("x-amz-meta-colour=red&X-Amz-Storage-Class=STANDARD_IA&x-id=PutObject").await.expect(200);
    let head = store.client.send(Call::head("/bucket/key")).await.expect(200);
    assert_eq!(
        (head.header("x-amz-meta-colour"), head.header("x-amz-storage-class")),
        ("red", "STANDARD_IA")
    );
    // An ACL in the query counts as one in a header.
    put("x-amz-acl=public-read").await.fails(400, "AccessControlListNotSupported");
    let signed = Call::put("/bucket/key?x-amz-acl=private");
    store.client.send(signed).await.fails(501, "NotImplemented");
}
