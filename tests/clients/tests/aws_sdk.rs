//! `aws-sdk-s3` with its current defaults: CRC32 in trailers of unsigned chunked payloads,
//! checksums verified on the way out, virtual checks left to the service.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    presigning::PresigningConfig,
    primitives::ByteStream,
    types::{
        BucketLocationConstraint, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
        CreateBucketConfiguration, Delete, MetadataDirective, ObjectAttributes, ObjectIdentifier,
    },
};
use bytes::Bytes;
use cairn_client_tests::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, Server};

/// AWS: every part but the last has at least 5 MiB.
const PART_LENGTH_MIN: usize = 5 * 1024 * 1024;

fn start() -> (Server, Client) {
    let server = Server::start().unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        // A retry would hide a request that failed.
        .retry_config(RetryConfig::disabled())
        .build();
    (server, Client::from_conf(config))
}

/// Bytes that differ from place to place, so that a misplaced block shows.
fn bytes(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(length);
    data.into()
}

/// The S3 error code of a failed call.
fn code<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> String {
    match result {
        Ok(_) => "(no error)".to_owned(),
        Err(error) => error.code().unwrap_or("(no code)").to_owned(),
    }
}

#[tokio::test]
async fn an_object_comes_back_with_its_metadata() {
    let (_server, client) = start();
    let body = bytes(1_000_000);
    client
        .put_object()
        .bucket(BUCKET)
        .key("dir/an object+with spaces.bin")
        .content_type("application/x-test")
        .cache_control("max-age=60")
        .metadata("colour", "blue")
        .body(body.clone().into())
        .send()
        .await
        .unwrap();
    let object =
        client.get_object().bucket(BUCKET).key("dir/an object+with spaces.bin").send().await.unwrap();
    assert_eq!(object.content_length(), Some(1_000_000));
    assert_eq!(object.content_type(), Some("application/x-test"));
    assert_eq!(object.cache_control(), Some("max-age=60"));
    assert_eq!(object.metadata().unwrap()["colour"], "blue");
    assert_eq!(object.body.collect().await.unwrap().into_bytes(), body);
}

#[tokio::test]
async fn a_file_is_streamed_in() {
    let (_server, client) = start();
    let body = bytes(20_000_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &body).unwrap();
    let stream = ByteStream::from_path(file.path()).await.unwrap();
    client.put_object().bucket(BUCKET).key("file").body(stream).send().await.unwrap();
    let object = client.get_object().bucket(BUCKET).key("file").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().into_bytes(), body);
}

#[tokio::test]
async fn an_empty_object_is_an_object() {
    let (_server, client) = start();
    client.put_object().bucket(BUCKET).key("empty").send().await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("empty").send().await.unwrap();
    assert_eq!(head.content_length(), Some(0));
    // The MD5 of nothing, RFC 1321 A.5.
    assert_eq!(head.e_tag(), Some("\"d41d8cd98f00b204e9800998ecf8427e\""));
}

#[tokio::test]
async fn every_checksum_algorithm_is_kept_and_returned() {
    let (_server, client) = start();
    // "123456789": the check values that the catalogue of CRCs gives for each polynomial,
    // in base64 of their big-endian bytes.
    let cases = [
        (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
        (ChecksumAlgorithm::Crc32C, "4waSgw=="),
        (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
        (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];
    for (algorithm, expected) in cases {
        client
            .put_object()
            .bucket(BUCKET)
            .key(algorithm.as_str())
            .checksum_algorithm(algorithm.clone())
            .body(Bytes::from_static(b"123456789").into())
            .send()
            .await
            .unwrap();
        let head = client
            .head_object()
            .bucket(BUCKET)
            .key(algorithm.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        let returned = match algorithm {
            ChecksumAlgorithm::Crc32 => head.checksum_crc32(),
            ChecksumAlgorithm::Crc32C => head.checksum_crc32_c(),
            ChecksumAlgorithm::Crc64Nvme => head.checksum_crc64_nvme(),
            ChecksumAlgorithm::Sha1 => head.checksum_sha1(),
            _ => head.checksum_sha256(),
        };
        assert_eq!(returned, Some(expected), "{algorithm:?}");
        // The client verifies the checksum while it reads.
        let object = client.get_object().bucket(BUCKET).key(algorithm.as_str()).send().await.unwrap();
        assert_eq!(&object.body.collect().await.unwrap().into_bytes()[..], b"123456789");
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_nothing_stored() {
    let (_server, client) = start();
    let result = client
        .put_object()
        .bucket(BUCKET)
        .key("wrong")
        .checksum_crc32("AAAAAA==")
        .body(Bytes::from_static(b"123456789").into())
        .send()
        .await;
    assert_eq!(code(result), "BadDigest");
    assert_eq!(code(client.get_object().bucket(BUCKET).key("wrong").send().await), "NoSuchKey");
}

#[tokio::test]
async fn multipart_upload_in_parts_with_a_copied_one() {
    let (_server, client) = start();
    let body = bytes(3 * PART_LENGTH_MIN + 12_345);
    let source = body.slice(..2 * PART_LENGTH_MIN);
    client.put_object().bucket(BUCKET).key("source").body(source.into()).send().await.unwrap();

    let upload = client.create_multipart_upload().bucket(BUCKET).key("whole").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let copied = client
        .upload_part_copy()
        .bucket(BUCKET)
        .key("whole")
        .upload_id(id)
        .part_number(1)
        .copy_source(format!("{BUCKET}/source"))
        .copy_source_range(format!("bytes=0-{}", PART_LENGTH_MIN - 1))
        .send()
        .await
        .unwrap();
    let mut parts = vec![
        CompletedPart::builder()
            .part_number(1)
            .e_tag(copied.copy_part_result().unwrap().e_tag().unwrap())
            .build(),
    ];
    for (number, range) in [
        (2, PART_LENGTH_MIN..2 * PART_LENGTH_MIN),
        (3, 2 * PART_LENGTH_MIN..3 * PART_LENGTH_MIN),
        (4, 3 * PART_LENGTH_MIN..body.len()),
    ] {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("whole")
            .upload_id(id)
            .part_number(number)
            .body(body.slice(range).into())
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .e_tag(part.e_tag().unwrap())
                .set_checksum_crc32(part.checksum_crc32().map(str::to_owned))
                .build(),
        );
    }
    let listed = client.list_parts().bucket(BUCKET).key("whole").upload_id(id).send().await.unwrap();
    assert_eq!(listed.parts().len(), 4);

    let completed = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("whole")
        .upload_id(id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await
        .unwrap();
    assert!(completed.e_tag().unwrap().ends_with("-4\""), "{completed:?}");

    let object = client.get_object().bucket(BUCKET).key("whole").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().into_bytes(), body);
    let range = client
        .get_object()
        .bucket(BUCKET)
        .key("whole")
        .range(format!("bytes={}-{}", PART_LENGTH_MIN - 3, PART_LENGTH_MIN + 2))
        .send()
        .await
        .unwrap();
    assert_eq!(
        range.body.collect().await.unwrap().into_bytes(),
        body.slice(PART_LENGTH_MIN - 3..PART_LENGTH_MIN + 3)
    );
}

#[tokio::test]
async fn too_small_a_part_is_refused_at_completion() {
    let (_server, client) = start();
    let upload = client.create_multipart_upload().bucket(BUCKET).key("small").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = Vec::new();
    for number in 1..=2 {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("small")
            .upload_id(id)
            .part_number(number)
            .body(bytes(1_000).into())
            .send()
            .await
            .unwrap();
        parts.push(CompletedPart::builder().part_number(number).e_tag(part.e_tag().unwrap()).build());
    }
    let result = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("small")
        .upload_id(id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await;
    assert_eq!(code(result), "EntityTooSmall");
    client.abort_multipart_upload().bucket(BUCKET).key("small").upload_id(id).send().await.unwrap();
    let result = client.list_parts().bucket(BUCKET).key("small").upload_id(id).send().await;
    assert_eq!(code(result), "NoSuchUpload");
}

#[tokio::test]
async fn the_paginator_sees_every_key_once_and_in_order() {
    let (_server, client) = start();
    let keys: Vec<String> = (0..25).map(|n| format!("page/{n:02}")).collect();
    for key in &keys {
        client.put_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    let mut pages =
        client.list_objects_v2().bucket(BUCKET).prefix("page/").max_keys(7).into_paginator().send();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.contents().len());
        seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(seen, keys);
    assert_eq!(sizes, [7, 7, 7, 4]);
}

#[tokio::test]
async fn only_one_conditional_write_wins() {
    let (_server, client) = start();
    let put = |client: Client| async move {
        client.put_object().bucket(BUCKET).key("once").if_none_match("*").send().await
    };
    let writers: Vec<_> = (0..20).map(|_| tokio::spawn(put(client.clone()))).collect();
    let mut codes = Vec::new();
    for writer in writers {
        codes.push(code(writer.await.unwrap()));
    }
    assert_eq!(codes.iter().filter(|code| *code == "(no error)").count(), 1, "{codes:?}");
    // AWS: a writer that loses while another is at work may also be told 409.
    assert!(
        codes.iter().all(|code| {
            ["(no error)", "PreconditionFailed", "ConditionalRequestConflict"].contains(&code.as_str())
        }),
        "{codes:?}"
    );
}

#[tokio::test]
async fn if_match_lets_only_the_known_version_be_replaced() {
    let (_server, client) = start();
    let put = |body: &'static [u8]| {
        client.put_object().bucket(BUCKET).key("versioned").body(Bytes::from_static(body).into())
    };
    let first = put(b"first").send().await.unwrap();
    let second = put(b"second").if_match(first.e_tag().unwrap()).send().await.unwrap();
    let late = put(b"third").if_match(first.e_tag().unwrap()).send().await;
    assert_eq!(code(late), "PreconditionFailed");
    let head = client.head_object().bucket(BUCKET).key("versioned").send().await.unwrap();
    assert_eq!(head.e_tag(), second.e_tag());
}

#[tokio::test]
async fn presigned_requests_work_without_credentials() {
    let (_server, client) = start();
    let http = cairn_client_tests::plain_http::plain_client();
    let hour = PresigningConfig::expires_in(Duration::from_secs(3_600)).unwrap();
    let put = client.put_object().bucket(BUCKET).key("presigned key").presigned(hour.clone()).await.unwrap();
    let mut request = http.put(put.uri()).body("by a stranger");
    for (name, value) in put.headers() {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{}", response.text().await.unwrap());

    let get = client.get_object().bucket(BUCKET).key("presigned key").presigned(hour).await.unwrap();
    let mut request = http.get(get.uri());
    for (name, value) in get.headers() {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "by a stranger");
}

#[tokio::test]
async fn a_copy_keeps_or_replaces_metadata() {
    let (_server, client) = start();
    client
        .put_object()
        .bucket(BUCKET)
        .key("a")
        .metadata("kept", "yes")
        .body(Bytes::from_static(b"content").into())
        .send()
        .await
        .unwrap();
    let copy =
        |key: &'static str| client.copy_object().bucket(BUCKET).key(key).copy_source(format!("{BUCKET}/a"));
    copy("b").send().await.unwrap();
    copy("c").metadata_directive(MetadataDirective::Replace).metadata("new", "too").send().await.unwrap();
    let b = client.get_object().bucket(BUCKET).key("b").send().await.unwrap();
    assert_eq!(b.metadata().unwrap()["kept"], "yes");
    assert_eq!(&b.body.collect().await.unwrap().into_bytes()[..], b"content");
    let c = client.head_object().bucket(BUCKET).key("c").send().await.unwrap();
    assert_eq!(c.metadata().unwrap().keys().collect::<Vec<_>>(), ["new"]);
    // AWS: a copy onto itself that changes nothing is an illegal request.
    assert_eq!(code(copy("a").send().await), "InvalidRequest");
}

#[tokio::test]
async fn object_attributes_tell_the_parts() {
    let (_server, client) = start();
    client
        .put_object()
        .bucket(BUCKET)
        .key("plain")
        .body(Bytes::from_static(b"123456789").into())
        .send()
        .await
        .unwrap();
    let attributes = client
        .get_object_attributes()
        .bucket(BUCKET)
        .key("plain")
        .object_attributes(ObjectAttributes::Etag)
        .object_attributes(ObjectAttributes::ObjectSize)
        .object_attributes(ObjectAttributes::Checksum)
        .send()
        .await
        .unwrap();
    assert_eq!(attributes.object_size(), Some(9));
    // MD5 of "123456789".
    assert_eq!(attributes.e_tag(), Some("25f9e794323b453885f5181f1b624d0b"));
    assert_eq!(attributes.checksum().and_then(|sum| sum.checksum_crc32()), Some("y/Q5Jg=="));
}

#[tokio::test]
async fn buckets_are_made_listed_and_deleted() {
    let (_server, client) = start();
    client.create_bucket().bucket("another-bucket").send().await.unwrap();
    let names: Vec<String> = client
        .list_buckets()
        .send()
        .await
        .unwrap()
        .buckets()
        .iter()
        .map(|bucket| bucket.name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["another-bucket", BUCKET]);

    client.put_object().bucket("another-bucket").key("x").send().await.unwrap();
    let result = client.delete_bucket().bucket("another-bucket").send().await;
    assert_eq!(code(result), "BucketNotEmpty");
    let objects =
        Delete::builder().objects(ObjectIdentifier::builder().key("x").build().unwrap()).build().unwrap();
    client.delete_objects().bucket("another-bucket").delete(objects).send().await.unwrap();
    client.delete_bucket().bucket("another-bucket").send().await.unwrap();
    let result = client.list_objects_v2().bucket("another-bucket").send().await;
    assert_eq!(code(result), "NoSuchBucket");

    let elsewhere =
        CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1).build();
    let result =
        client.create_bucket().bucket("far-away").create_bucket_configuration(elsewhere).send().await;
    assert_eq!(code(result), "InvalidLocationConstraint");
}
