//! The contract suite of the `object_store` crate, each part against a server of its own, because
//! each part deletes everything that it finds.

use cairn_client_tests::plain_http::PlainHttp;
use cairn_client_tests::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, Server};
use object_store::{
    ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, Checksum, S3CopyIfNotExists},
    integration,
    path::Path,
};

/// A builder with this crate's defaults, pointed at `server`.
fn builder(server: &Server) -> AmazonS3Builder {
    // A retry would hide a request that failed.
    let no_retries = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    AmazonS3Builder::new()
        .with_http_connector(PlainHttp::default())
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_region(REGION)
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_retry(no_retries)
}

fn start() -> (Server, AmazonS3) {
    let server = Server::start().unwrap();
    let store = builder(&server).build().unwrap();
    (server, store)
}

#[tokio::test]
async fn put_get_delete_and_list() {
    let (_server, store) = start();
    integration::put_get_delete_list(&store).await;
}

#[tokio::test]
async fn put_get_delete_and_list_with_an_unsigned_payload() {
    let server = Server::start().unwrap();
    let store = builder(&server).with_unsigned_payload(true).build().unwrap();
    integration::put_get_delete_list(&store).await;
}

#[tokio::test]
async fn put_get_delete_and_list_with_sha256_checksums() {
    let server = Server::start().unwrap();
    let store = builder(&server).with_checksum_algorithm(Checksum::SHA256).build().unwrap();
    integration::put_get_delete_list(&store).await;
}

#[tokio::test]
async fn put_get_delete_and_list_with_crc64nvme_checksums() {
    let server = Server::start().unwrap();
    let store = builder(&server).with_checksum_algorithm(Checksum::CRC64NVME).build().unwrap();
    integration::put_get_delete_list(&store).await;
}

#[tokio::test]
async fn get_with_ranges_and_conditions() {
    let (_server, store) = start();
    integration::get_opts(&store).await;
}

#[tokio::test]
async fn put_with_conditions_on_the_etag() {
    let (_server, store) = start();
    integration::put_opts(&store, true).await;
}

#[tokio::test]
async fn attributes_come_back() {
    let (_server, store) = start();
    integration::put_get_attributes(&store).await;
}

#[tokio::test]
async fn missing_objects_are_not_found() {
    let (_server, store) = start();
    let error = integration::get_nonexistent_object(&store, None).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_bucket_is_named_as_such() {
    let server = Server::start().unwrap();
    let store = builder(&server).with_bucket_name("no-such-bucket").build().unwrap();
    let error = store.get(&Path::from("key")).await.unwrap_err();
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

#[tokio::test]
async fn objects_stream_out() {
    let (_server, store) = start();
    integration::stream_get(&store).await;
}

#[tokio::test]
async fn listings_use_directories_correctly() {
    let (_server, store) = start();
    integration::list_uses_directories_correctly(&store).await;
}

#[tokio::test]
async fn listings_with_a_delimiter() {
    let (_server, store) = start();
    integration::list_with_delimiter(&store).await;
}

#[tokio::test]
async fn listings_start_after_the_offset() {
    let (_server, store) = start();
    integration::list_with_offset_exclusivity(&store).await;
}

#[tokio::test]
async fn listings_in_pages() {
    let (_server, store) = start();
    integration::list_paginated(&store, &store).await;
}

#[tokio::test]
async fn rename_and_copy() {
    let (_server, store) = start();
    integration::rename_and_copy(&store).await;
}

#[tokio::test]
async fn copy_if_not_exists_by_a_conditional_copy() {
    let server = Server::start().unwrap();
    // AWS: CopyObject accepts `If-None-Match: *` and answers 412 when the destination exists.
    let header = S3CopyIfNotExists::HeaderWithStatus(
        "if-none-match".to_owned(),
        "*".to_owned(),
        412.try_into().unwrap(),
    );
    let store = builder(&server).with_copy_if_not_exists(header).build().unwrap();
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
}

#[tokio::test]
async fn copy_if_not_exists_by_a_conditional_completion() {
    let server = Server::start().unwrap();
    let store = builder(&server).with_copy_if_not_exists(S3CopyIfNotExists::Multipart).build().unwrap();
    integration::copy_if_not_exists(&store).await;
}

#[tokio::test]
async fn multipart_in_order_and_empty() {
    let (_server, store) = start();
    integration::multipart(&store, &store).await;
}

#[tokio::test]
async fn multipart_with_attributes() {
    let (_server, store) = start();
    integration::multipart_with_opts(&store, &store).await;
}

#[tokio::test]
async fn multipart_parts_in_any_order() {
    let (_server, store) = start();
    integration::multipart_put_part_out_of_order(&store, &store).await;
    integration::multipart_out_of_order(&store).await;
}

#[tokio::test]
async fn the_last_of_two_racing_multipart_uploads_wins() {
    let (_server, store) = start();
    integration::multipart_race_condition(&store, true).await;
}

#[tokio::test]
async fn many_objects_are_deleted_in_bulk() {
    use futures_util::{StreamExt, TryStreamExt, stream};

    let (_server, store) = start();
    let paths: Vec<Path> = (0..1_050).map(|n| Path::from(format!("bulk/{n:04}"))).collect();
    stream::iter(paths.clone())
        .map(|path| {
            let store = &store;
            async move { store.put(&path, "x".into()).await }
        })
        .buffer_unordered(32)
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let deleted: Vec<Path> =
        store.delete_stream(stream::iter(paths.clone()).map(Ok).boxed()).try_collect().await.unwrap();
    assert_eq!(deleted.len(), paths.len());
    assert_eq!(store.list(None).count().await, 0);
}
