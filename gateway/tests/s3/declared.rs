//! Declarations of operations: undeclared headers and parameters, settings that are in force anyway, and malformed
//! values.

use cairn_protocol::metadata::FIRST_CANONICAL_ID as OWNER_ID;
use http::Method;

use crate::support::{BUCKET, Call, Store, texts};

/// AWS's C++ SDK sends `x-amz-api-version` with every request. Cairn answered 501 to all of them.
#[tokio::test]
async fn headers_that_aws_does_not_define_for_an_operation_are_ignored() {
    let store = Store::start().await;
    let sent = |call: Call| {
        let call = call.header("x-amz-api-version", "2006-03-01").header("x-amz-te", "append-md5");
        store.client.send(call.header("x-amz-fwd-status", "200").header("x-amz-something-new", "x"))
    };
    sent(Call::head("/bucket")).await.expect(200);
    sent(Call::put("/bucket/key").body("body")).await.expect(200);
    assert_eq!(sent(Call::get("/bucket/key")).await.expect(200).body, "body");
    // These headers belong to other operations.
    let tagged = Call::get("/bucket/key").header("x-amz-tagging", "a=1&a=1").header("x-amz-acl", "junk");
    sent(tagged).await.expect(200);
    sent(Call::delete("/bucket/key")).await.expect(204);
}

#[tokio::test]
async fn a_copy_source_is_never_ignored() {
    let store = Store::start().await;
    store.client.send(Call::put("/bucket/source").body("body")).await.expect(200);
    for call in [
        Call::post("/bucket/key?uploads"),
        Call::post("/bucket/key?uploadId=AAAA"),
        Call::put("/bucket/key?tagging"),
        Call::delete("/bucket/source"),
    ] {
        let reply = store.client.send(call.header("x-amz-copy-source", "/bucket/source")).await;
        let reply = reply.fails(501, "NotImplemented");
        assert_eq!(reply.error("Header").as_deref(), Some("x-amz-copy-source"));
    }
    let uploads = store.client.send(Call::get("/bucket?uploads")).await.expect(200);
    assert!(texts(&uploads.xml("ListMultipartUploadsResult"), &["Upload"]).is_empty());
    store.client.send(Call::head("/bucket/source")).await.expect(200);
}

/// `PUT /bucket/key?futureThing` stored an object, and `DELETE /bucket?futureThing` deleted the bucket.
#[tokio::test]
async fn a_write_with_an_unknown_subresource_is_refused() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").body("old")).await.expect(200);
    client.send(Call::put("/empty-bucket")).await.expect(200);
    for query in ["futureThing", "futureThing=", "futureThing=1", "annotation&annotationName=a", "_=17"] {
        for (method, path) in [
            (Method::PUT, "/bucket/key"),
            (Method::DELETE, "/bucket/key"),
            (Method::POST, "/bucket/key"),
            (Method::PUT, "/new-bucket"),
            (Method::DELETE, "/empty-bucket"),
            (Method::POST, "/bucket"),
        ] {
            let call = Call::new(method, &format!("{path}?{query}"));
            client.send(call.clone()).await.fails(501, "NotImplemented");
            client.send(call.presigned(60)).await.fails(501, "NotImplemented");
        }
    }
    assert_eq!(client.send(Call::get("/bucket/key?futureThing")).await.expect(200).body, "old");
    client.send(Call::head("/empty-bucket")).await.expect(200);
    client.send(Call::head("/new-bucket")).await.expect(404);
    client.send(Call::put("/bucket/key?x-user=me&x-id=PutObject").body("new")).await.expect(200);
}

/// `terraform destroy` deletes configurations that were never set. Cairn answered 501 to all of these requests.
#[tokio::test]
async fn deleting_a_configuration_that_does_not_exist_answers_as_s3_does() {
    let store = Store::start().await;
    let delete = |bucket: &str, what: &str| store.client.send(Call::delete(&format!("/{bucket}?{what}")));
    for what in [
        "cors",
        "encryption",
        "lifecycle",
        "policy",
        "publicAccessBlock",
        "replication",
        "tagging",
        "website",
    ] {
        delete(BUCKET, what).await.expect(204);
        delete("no-such-bucket", what).await.fails(404, "NoSuchBucket");
    }
    for what in ["analytics", "inventory", "metrics", "intelligent-tiering"] {
        delete(BUCKET, &format!("{what}&id=1")).await.fails(404, "NoSuchConfiguration");
        delete(BUCKET, what).await.fails(400, "InvalidArgument");
        let get = |query: String| store.client.send(Call::get(&format!("/{BUCKET}?{query}")));
        get(format!("{what}&id=1")).await.fails(404, "NoSuchConfiguration");
        let page = get(what.to_owned()).await.expect(200).text();
        assert!(page.contains("<IsTruncated>false</IsTruncated>"), "{page}");
    }
    store.client.send(Call::head(&format!("/{BUCKET}"))).await.expect(200);
}

#[tokio::test]
async fn settings_that_are_in_force_anyway_can_be_set() {
    let store = Store::start().await;
    let put = |bucket: &str, what: &str, body: &str| {
        store.client.send(Call::put(&format!("/{bucket}?{what}")).body(body))
    };
    let payer = |who: &str| {
        format!("<RequestPaymentConfiguration><Payer>{who}</Payer></RequestPaymentConfiguration>")
    };
    put(BUCKET, "requestPayment", &payer("BucketOwner")).await.expect(200);
    put(BUCKET, "requestPayment", &payer("Requester")).await.fails(501, "NotImplemented");
    put(BUCKET, "requestPayment", &payer("Nobody")).await.fails(400, "MalformedXML");
    put(BUCKET, "requestPayment", "").await.fails(400, "MissingRequestBodyError");
    put("no-such-bucket", "requestPayment", &payer("BucketOwner")).await.fails(404, "NoSuchBucket");
    let told = store.client.send(Call::get("/bucket?requestPayment")).await.expect(200);
    assert_eq!(texts(&told.xml("RequestPaymentConfiguration"), &["Payer"]), ["BucketOwner"]);

    put(BUCKET, "logging", "<BucketLoggingStatus/>").await.expect(200);
    let logs = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket></LoggingEnabled></BucketLoggingStatus>";
    put(BUCKET, "logging", logs).await.fails(501, "NotImplemented");
    put(BUCKET, "notification", "<NotificationConfiguration/>").await.expect(200);
    // This element has an effect although it is empty.
    let bridge = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
    put(BUCKET, "notification", bridge).await.fails(501, "NotImplemented");
}

#[tokio::test]
async fn without_acls_only_full_control_for_the_owner_of_the_bucket_can_be_set() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key")).await.expect(200);
    let grant = |grantee: &str, permission: &str| {
        format!(
            "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{OWNER_ID}</ID></Owner>\
             <AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:type=\"CanonicalUser\">{grantee}</Grantee><Permission>{permission}</Permission></Grant>\
             </AccessControlList></AccessControlPolicy>"
        )
    };
    const NO_ACLS: &str = "AccessControlListNotSupported";
    let owner = format!("<ID>{OWNER_ID}</ID><DisplayName>root</DisplayName>");
    let full = format!("id=\"{OWNER_ID}\"");
    for path in ["/bucket", "/bucket/key"] {
        let put = || Call::put(&format!("{path}?acl"));
        client.send(put().header("x-amz-acl", "bucket-owner-full-control")).await.expect(200);
        client.send(put().header("x-amz-grant-full-control", &full)).await.expect(200);
        client.send(put().body(grant(&owner, "FULL_CONTROL"))).await.expect(200);
        let shown = client.send(Call::get(&format!("{path}?acl"))).await.expect(200).body;
        client.send(put().body(shown)).await.expect(200);

        let private = client.send(put().header("x-amz-acl", "private")).await;
        // From the owner's account it is full control for the owner; AWS refuses it for buckets nevertheless.
        if path == "/bucket" {
            private.fails(400, NO_ACLS)
        } else {
            private.expect(200)
        };
        client.send(put().header("x-amz-acl", "public-read")).await.fails(400, NO_ACLS);
        client.send(put().header("x-amz-grant-read", "id=1")).await.fails(400, NO_ACLS);
        client.send(put().body(grant(&owner, "READ"))).await.fails(400, NO_ACLS);
        let everybody = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>";
        client.send(put().body(grant(everybody, "READ"))).await.fails(400, NO_ACLS);
        client.send(put().header("x-amz-acl", "junk")).await.fails(400, "InvalidArgument");
        client
            .send(put().header("x-amz-grant-full-control", "everybody"))
            .await
            .fails(400, "InvalidArgument");
        client.send(put().body("<AccessControlPolicy>")).await.fails(400, "MalformedACLError");
        client.send(put().body("<Policy/>")).await.fails(400, "MalformedACLError");
        client.send(put().body(grant("<Colour/>", "READ"))).await.fails(400, "MalformedACLError");
        client.send(put().body(grant(&owner, "EVERYTHING"))).await.fails(400, "MalformedACLError");
        client.send(put()).await.fails(400, "MissingSecurityHeader");
        let both = put().header("x-amz-acl", "private").body(grant(&owner, "FULL_CONTROL"));
        client.send(both).await.fails(400, "UnexpectedContent");
    }
    let private = |target: &str| Call::put(target).header("x-amz-acl", "private");
    client.send(private("/no-such-bucket?acl")).await.fails(404, "NoSuchBucket");
    client.send(private("/bucket/none?acl")).await.fails(404, "NoSuchKey");
    let both = private("/bucket/new").header("x-amz-grant-full-control", &format!("id={OWNER_ID}"));
    client.send(both).await.fails(400, "InvalidRequest");
}

#[tokio::test]
async fn encryption_is_refused_with_a_reason() {
    let store = Store::start().await;
    let put = |name: &str, value: &str| store.client.send(Call::put("/bucket/key").header(name, value));
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "a2V5"),
    ] {
        let reply = put(name, value).await.fails(501, "NotImplemented");
        assert!(
            reply.error("Message").unwrap().contains("encryption is not implemented"),
            "{}",
            reply.text()
        );
    }
    put("x-amz-server-side-encryption", "ROT13").await.fails(400, "InvalidEncryptionAlgorithmError");
    store.client.send(Call::head("/bucket/key")).await.expect(404);
}

/// Cairn answered 501 to all of these, or ignored them.
#[tokio::test]
async fn malformed_values_have_their_own_errors() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").body("body")).await.expect(200);
    let put = |name: &str, value: &str| client.send(Call::put("/bucket/new").header(name, value));
    let sum = put("x-amz-checksum-crc31", "AAAA").await.fails(400, "InvalidRequest");
    assert!(sum.error("Message").unwrap().contains("algorithm"), "{}", sum.text());
    put("x-amz-checksum-sha512", "AAAA").await.fails(501, "NotImplemented");
    put("x-amz-acl", "junk").await.fails(400, "InvalidArgument");
    put("x-amz-object-lock-mode", "FOREVER").await.fails(400, "InvalidArgument");
    put("x-amz-expected-bucket-owner", "me").await.fails(400, "InvalidBucketOwnerAWSAccountID");
    put("if-match", "\"a\", \"b\"").await.fails(400, "InvalidArgument");
    client.send(Call::head("/bucket/new")).await.expect(404);
    for query in ["response-x-amz-meta-a=1", "response-location=/x", "response-=x"] {
        client.send(Call::get(&format!("/bucket/key?{query}"))).await.fails(400, "InvalidArgument");
    }
    client.send(Call::get("/bucket?list-type=3")).await.fails(400, "InvalidArgument");
    client.send(Call::put("/bucket/key?partNumber=1")).await.fails(400, "InvalidArgument");
    let bypass = Call::delete("/bucket/key").header("x-amz-bypass-governance-retention", "true");
    client.send(bypass).await.fails(400, "InvalidArgument");
    let owned = Call::put("/new-bucket").header("x-amz-object-ownership", "Nobody");
    client.send(owned).await.fails(400, "InvalidArgument");
    let copy = Call::put("/bucket/copy").header("x-amz-copy-source", "/bucket/key");
    client.send(copy.header("x-amz-metadata-directive", "MERGE")).await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn content_encodings_beside_aws_chunked_stay_unchanged() {
    let store = Store::start().await;
    let put = Call::put("/bucket/key").header("content-encoding", "gzip, br").body("body");
    store.client.send(put).await.expect(200);
    let head = store.client.send(Call::head("/bucket/key")).await.expect(200);
    assert_eq!(head.header("content-encoding"), "gzip, br");
}

#[tokio::test]
async fn listings_return_the_region() {
    let store = Store::start().await;
    for query in ["", "?list-type=2", "?list-type=2&max-keys=0", "?versions"] {
        let list = store.client.send(Call::get(&format!("/{BUCKET}{query}"))).await.expect(200);
        assert_eq!(list.header("x-amz-bucket-region"), "us-east-1", "{query}");
    }
    let head = store.client.send(Call::head("/bucket")).await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
}

#[tokio::test]
async fn an_upload_id_marker_without_a_key_marker_is_ignored() {
    let store = Store::start().await;
    store.client.send(Call::post("/bucket/key?uploads")).await.expect(200);
    for marker in ["AAAA", "no%20id", ""] {
        let query = format!("/bucket?uploads&upload-id-marker={marker}");
        let list = store.client.send(Call::get(&query)).await.expect(200).xml("ListMultipartUploadsResult");
        assert_eq!(texts(&list, &["Upload", "Key"]), ["key"]);
        assert_eq!(texts(&list, &["UploadIdMarker"]), [""]);
    }
}
