//! What a gateway remembers of a bucket: writes need no call for it, and none goes by what is not true any more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_protocol::admin::SetBucketSettings;
use cairn_protocol::metadata::{
    BucketLock, ConfigurationKind, DefaultRetention, PutBucketConfiguration, Quota, RetentionMode,
    RetentionPeriod, SetBucketLock, SetVersioning, Versioning,
};
use md5::{Digest, Md5};

use crate::support::{Call, Store};

fn put(body: &'static [u8]) -> Call {
    Call::put("/bucket/k").body(body)
}

/// The CRC-32 of `hello`, big-endian, in base64.
const HELLO: (&str, &str) = ("x-amz-checksum-crc32", "NhCmhg==");

/// A default retention of one day, set by another gateway.
async fn lock_from_elsewhere(store: &Store) {
    let period = RetentionPeriod::Days(1);
    let retention = DefaultRetention { mode: RetentionMode::Governance, period };
    let lock = BucketLock { default_retention: Some(retention) };
    let set = SetBucketLock { bucket: "bucket".into(), lock, mutation: None };
    store.metanode.metadata().set_bucket_lock(set).await.unwrap();
}

async fn with_versioning() -> Store {
    let store = Store::start().await;
    let set = SetVersioning { bucket: "bucket".into(), versioning: Versioning::Enabled, mutation: None };
    store.metanode.metadata().set_versioning(set).await.unwrap();
    store.client.send(put(b"hello")).await.expect(200);
    store
}

/// A PUT asked for its bucket each time, which was a third of its calls.
#[tokio::test]
async fn a_put_makes_no_call_but_those_that_write() {
    let store = Store::start().await;
    let long: &[u8] = &[7; 70_000];
    store.client.send(put(long)).await.expect(200);
    store.between.take_calls();
    store.client.send(put(long)).await.expect(200);
    assert_eq!(store.between.take_calls(), ["allocate_blocks", "commit_object"]);
    store.client.send(put(b"")).await.expect(200);
    assert_eq!(store.between.take_calls(), ["commit_object"]);
}

/// A small body waits for one call, its commit, when others came just before it: grants are taken ahead for several.
#[tokio::test]
async fn a_small_put_that_follows_others_makes_one_call() {
    let store = Store::start().await;
    let mut puts = Vec::new();
    // How soon the grants arrive is not known.
    while puts.len() < 100 && puts.last().is_none_or(|calls| *calls != ["commit_object"]) {
        store.client.send(put(b"hello")).await.expect(200);
        puts.push(store.between.take_calls());
    }
    assert_eq!(puts.last().unwrap(), &["commit_object"], "{puts:?}");
}

/// A bucket that locks what is written accepts no bytes without a digest, also if the gateway remembers the bucket without the lock.
/// The client repeats a request after 503, and learns why it is refused.
#[tokio::test]
async fn a_lock_that_another_gateway_set_holds_for_the_next_write() {
    for body in [b"hello".as_slice(), b""] {
        let store = with_versioning().await;
        lock_from_elsewhere(&store).await;
        let reply = store.client.send(put(body)).await.fails(503, "SlowDown");
        assert!(reply.error("Message").unwrap().contains("changed during the request"));
        store.client.send(put(body)).await.fails(400, "InvalidRequest");
    }
    let store = with_versioning().await;
    lock_from_elsewhere(&store).await;
    store.client.send(put(b"hello").header(HELLO.0, HELLO.1)).await.expect(200);
}

/// What is refused is refused by what is true now.
#[tokio::test]
async fn a_write_with_a_lock_is_accepted_as_soon_as_its_bucket_locks() {
    let store = with_versioning().await;
    let locked = || {
        put(b"hello")
            .header(HELLO.0, HELLO.1)
            .header("x-amz-object-lock-mode", "GOVERNANCE")
            .header("x-amz-object-lock-retain-until-date", "2026-01-03T00:00:00Z")
    };
    store.client.send(locked()).await.fails(400, "InvalidRequest");
    lock_from_elsewhere(&store).await;
    store.client.send(locked()).await.expect(200);
}

/// Who owns a new object is what the bucket says when it is written.
#[tokio::test]
async fn a_change_of_ownership_by_another_gateway_is_seen_by_the_next_write() {
    let store = Store::start().await;
    store.client.send(put(b"hello")).await.expect(200);
    let set = PutBucketConfiguration {
        bucket: "bucket".into(),
        kind: ConfigurationKind::OwnershipControls,
        document: Some("\"ObjectWriter\"".into()),
        expected_revision: None,
        mutation: None,
    };
    store.metanode.metadata().put_bucket_configuration(set).await.unwrap();
    store.client.send(put(b"hello")).await.fails(503, "SlowDown");
    store.client.send(put(b"hello")).await.expect(200);
    // Changes that concern access and not ownership disturb nobody.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
                     "Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}"#;
    let set = PutBucketConfiguration {
        bucket: "bucket".into(),
        kind: ConfigurationKind::Policy,
        document: Some(policy.into()),
        expected_revision: None,
        mutation: None,
    };
    store.metanode.metadata().put_bucket_configuration(set).await.unwrap();
    store.client.send(put(b"hello")).await.expect(200);
}

/// The gateway that made a change does not go by what was before it.
#[tokio::test]
async fn the_gateway_that_changes_a_bucket_knows_it() {
    let store = with_versioning().await;
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                <Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let set = Call::put("/bucket?object-lock")
        .header("content-md5", &STANDARD.encode(Md5::digest(lock)))
        .body(lock);
    store.client.send(set).await.expect(200);
    store.client.send(put(b"hello")).await.fails(400, "InvalidRequest");
    store.client.send(put(b"")).await.fails(400, "InvalidRequest");
}

/// The transaction refuses what goes beyond a quota that is new, and from then on the gateway does so before the body is sent.
#[tokio::test]
async fn a_new_quota_holds_for_the_next_write() {
    let store = Store::start().await;
    store.client.send(put(b"hello")).await.expect(200);
    let quota = Some(Quota { objects: None, bytes: Some(5) });
    let set = SetBucketSettings { bucket: "bucket".into(), replication: None, block_size: None, quota };
    store.metanode.admin().set_bucket_settings(set).await.unwrap();
    store.between.take_calls();
    store.client.send(put(b"hello!")).await.fails(403, "QuotaExceeded");
    assert!(store.between.take_calls().contains(&"commit_object"));
    store.client.send(put(b"hello!")).await.fails(403, "QuotaExceeded");
    assert_eq!(store.between.take_calls(), ["get_bucket", "lookup_object"]);
}
