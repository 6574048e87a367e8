//! The settings of buckets for blocks: setting them, and their effect.

use cairn_protocol::admin::{Admin, AdminError, BucketSettings, GetBucketSettings, SetBucketSettings};
use cairn_protocol::metadata::{AllocateBlocks, MetadataError};

use super::cluster::{BUCKET, TestCluster, allocation};
use super::support::TestStore;

const MIB: u64 = 1 << 20;

async fn set(
    cluster: &TestCluster,
    bucket: &str,
    replication: Option<u32>,
    block_size: Option<u64>,
) -> Result<BucketSettings, AdminError> {
    let bucket = bucket.to_owned();
    cluster
        .blocks
        .set_bucket_settings(SetBucketSettings { bucket, replication, block_size, quota: None })
        .await
}

async fn get(cluster: &TestCluster, bucket: &str) -> Result<BucketSettings, AdminError> {
    cluster.blocks.bucket_settings(GetBucketSettings { bucket: bucket.to_owned() }).await
}

#[tokio::test]
async fn the_settings_of_a_bucket_apply_to_later_writes() {
    let cluster = TestCluster::new(3).await;
    let default = get(&cluster, BUCKET).await.unwrap();
    assert_eq!((default.replication, default.block_size), (None, None));
    assert_eq!((default.effective_replication, default.effective_block_size), (3, 8 * MIB));

    let settings = set(&cluster, BUCKET, Some(1), Some(MIB)).await.unwrap();
    assert_eq!((settings.effective_replication, settings.effective_block_size), (1, MIB));
    assert_eq!(get(&cluster, BUCKET).await.unwrap(), settings);
    let grant = cluster.grant().await;
    assert_eq!((grant.replication, grant.targets.len(), grant.block_size), (1, 1, MIB));

    // A configured storage class has precedence over the bucket.
    let storage_class = Some("REDUCED_REDUNDANCY".to_owned());
    let grants = cluster.blocks.allocate(AllocateBlocks { storage_class, ..allocation(1) }).await.unwrap();
    assert_eq!(grants[0].replication, 2);

    assert_eq!(set(&cluster, BUCKET, None, None).await.unwrap(), default);
    assert_eq!(cluster.grant().await.block_size, 8 * MIB);
}

#[tokio::test]
async fn invalid_settings_are_refused_and_change_nothing() {
    let cluster = TestCluster::new(3).await;
    let before = set(&cluster, BUCKET, Some(2), Some(64 << 10)).await.unwrap();
    for (replication, block_size) in [
        (Some(0), None),
        (Some(17), None),
        (None, Some((64 << 10) - 1)),
        (None, Some((256 << 20) + 1)),
        (None, Some(0)),
    ] {
        let refused = set(&cluster, BUCKET, replication, block_size).await;
        assert!(matches!(refused, Err(AdminError::Refused { .. })), "{replication:?} {block_size:?}");
    }
    assert_eq!(get(&cluster, BUCKET).await.unwrap(), before);
    let missing = |error| matches!(error, Err(AdminError::NoSuchBucket { bucket }) if bucket == "other");
    assert!(missing(get(&cluster, "other").await));
    assert!(missing(set(&cluster, "other", None, None).await));
}

#[tokio::test]
async fn a_client_that_says_a_block_size_gets_it_and_blocks_grow_from_there() {
    let cluster = TestCluster::new(3).await;
    set(&cluster, BUCKET, None, Some(4 * MIB)).await.unwrap();
    let sizes = async |block_size, object_offset| {
        let request = AllocateBlocks { block_size, object_offset, ..allocation(1) };
        cluster.blocks.allocate(request).await.map(|grants| grants[0].block_size)
    };
    assert_eq!(sizes(None, 0).await, Ok(4 * MIB));
    assert_eq!(sizes(Some(MIB), 0).await, Ok(MIB));
    assert_eq!(sizes(Some(64 << 10), 0).await, Ok(64 << 10));
    // A thousand blocks of one size, and then blocks of twice that size.
    assert_eq!(sizes(Some(MIB), 1_001 * MIB).await, Ok(2 * MIB));
    for size in [0, (64 << 10) - 1, (256 << 20) + 1] {
        let refused = sizes(Some(size), 0).await;
        assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{size}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_shared_has_as_many_copies_as_the_most_demanding_of_its_owners_wants() {
    let mut store = TestStore::new(4).await;
    let class = Some("REDUCED_REDUNDANCY");
    let (version, blocks) = store.put_as(BUCKET, "two", class, &[10, 20]).await;
    assert_eq!(store.cluster.holders(blocks[0]).await.len(), 2);
    // A copy with the same class, or of a part of the object, changes nothing.
    store.copy(version, BUCKET, "same", class).await;
    store.cluster.settle().await;
    assert_eq!(store.cluster.holders(blocks[0]).await.len(), 2);

    let three = store.copy(version, BUCKET, "three", None).await;
    store.cluster.verify().await;
    store.cluster.pass(store.cluster.config.repair_grace).await;
    for block in &blocks {
        assert_eq!(store.cluster.holders(*block).await.len(), 3);
    }
    // A copy with a lower replication lowers nothing.
    store.copy(three, BUCKET, "two again", class).await;
    store.cluster.pass(store.cluster.config.repair_grace).await;
    assert_eq!(store.cluster.holders(blocks[0]).await.len(), 3);

    // The bucket's replication counts like that of a class.
    store.make_bucket("four").await;
    set(&store.cluster, "four", Some(4), None).await.unwrap();
    store.copy(version, "four", "copy", None).await;
    store.cluster.pass(store.cluster.config.repair_grace).await;
    assert_eq!(store.cluster.holders(blocks[1]).await.len(), 4);
    assert_eq!(store.cluster.status().await.under_replicated, 0);
}

#[tokio::test]
async fn a_copied_part_has_the_copies_of_its_uploads_class() {
    let mut store = TestStore::new(4).await;
    let (version, blocks) = store.put_as(BUCKET, "two", Some("REDUCED_REDUNDANCY"), &[10, 20]).await;
    let target = store.begin(BUCKET, "u", None).await;
    store.copy_part(&target, version, 12, 20).await;
    store.cluster.pass(store.cluster.config.repair_grace).await;
    // The range covers only the second block.
    assert_eq!(store.cluster.holders(blocks[0]).await.len(), 2);
    assert_eq!(store.cluster.holders(blocks[1]).await.len(), 3);
}

#[tokio::test]
async fn a_storage_class_is_known_if_it_is_configured() {
    let mut config = crate::block_manager::BlockManagerConfig::default();
    config.storage_classes.insert("ARCHIVE_ONE".to_owned(), 1);
    let cluster = TestCluster::with(config, 3).await;
    assert_eq!(cluster.blocks.check_storage_class("ARCHIVE_ONE".to_owned()), Ok(()));
    let unknown = cluster.blocks.check_storage_class("ARCHIVE_TWO".to_owned());
    assert_eq!(unknown, Err(MetadataError::UnknownStorageClass { class: "ARCHIVE_TWO".to_owned() }));
    let request = AllocateBlocks { storage_class: Some("ARCHIVE_ONE".to_owned()), ..allocation(1) };
    assert_eq!(cluster.blocks.allocate(request).await.unwrap()[0].replication, 1);
}
