//! Quotas, as S3 clients meet them.

use cairn_protocol::admin::{GetBucketSettings, SetBucketSettings};
use cairn_protocol::metadata::{MetadataError, Quota, QuotaOf, QuotaUnit};

use crate::support::{Call, Fate, Store, texts};

async fn set(store: &Store, objects: Option<u64>, bytes: Option<u64>) {
    let quota = Some(Quota { objects, bytes });
    let request = SetBucketSettings { bucket: "bucket".into(), replication: None, block_size: None, quota };
    store.metanode.admin().set_bucket_settings(request).await.unwrap();
}

async fn used(store: &Store) -> (u64, u64) {
    let request = GetBucketSettings { bucket: "bucket".into() };
    let usage = store.metanode.admin().bucket_settings(request).await.unwrap().usage;
    (usage.objects, usage.bytes)
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_before_a_block_is_written() {
    let store = Store::start().await;
    set(&store, None, Some(100)).await;
    let reply = store.client.send(Call::put("/bucket/k").body(vec![0; 101])).await;
    let reply = reply.fails(403, "QuotaExceeded");
    assert!(reply.error("Message").unwrap().contains("bytes of the bucket"));
    assert_eq!((store.between.count("allocate_blocks"), store.between.count("commit_object")), (0, 0));
    store.client.send(Call::put("/bucket/k").body(vec![0; 100])).await.expect(200);
    // What is replaced makes room, as in the transaction.
    store.client.send(Call::put("/bucket/k").body(vec![1; 100])).await.expect(200);
    store.client.send(Call::put("/bucket/k").body(vec![0; 101])).await.fails(403, "QuotaExceeded");
    assert_eq!(used(&store).await, (1, 100));
}

/// The room may be taken between the check and the commit: the transaction decides, and what was stored for nothing is given up.
#[tokio::test]
async fn the_transaction_refuses_what_the_early_check_let_pass() {
    let store = Store::start().await;
    let refused = MetadataError::QuotaExceeded { of: QuotaOf::User, unit: QuotaUnit::Objects };
    store.between.set(move |operation| {
        let fate = if operation == "commit_object" { Fate::Refused(refused.clone()) } else { Fate::Arrives };
        std::future::ready(fate)
    });
    let reply = store.client.send(Call::put("/bucket/k").body(vec![0; 101])).await;
    assert!(reply.fails(403, "QuotaExceeded").error("Message").unwrap().contains("objects of the user"));
    assert_eq!((store.between.count("commit_object"), store.between.count("release_grants")), (1, 1));
    store.client.send(Call::head("/bucket/k")).await.expect(404);
}

#[tokio::test]
async fn a_long_part_is_refused_before_a_block_is_written() {
    let store = Store::start().await;
    let created = store.client.send(Call::post("/bucket/u?uploads")).await.expect(200);
    let id = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0);
    let part = |number: u32, length: usize| {
        Call::put(&format!("/bucket/u?partNumber={number}&uploadId={id}")).body(vec![0; length])
    };
    set(&store, Some(1), Some(3 << 20)).await;
    store.client.send(part(1, 2 << 20)).await.expect(200);
    let before = store.between.count("allocate_blocks");
    store.client.send(part(2, 2 << 20)).await.fails(403, "QuotaExceeded");
    assert_eq!(store.between.count("allocate_blocks"), before);
    // It replaces the part of its number.
    store.client.send(part(1, 3 << 20)).await.expect(200);
    store.client.send(part(2, 1)).await.fails(403, "QuotaExceeded");
    assert_eq!(used(&store).await, (1, 3 << 20));
}
