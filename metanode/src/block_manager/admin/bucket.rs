//! The settings of a bucket that concern blocks: replication and block size.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, BucketSettings, GetBucketSettings, SetBucketSettings};
use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::block_manager::config::{REPLICATION_MAX, is_replication};
use crate::block_manager::grants::is_block_size;
use crate::store::blocks::{BucketLayout, bucket_layout, set_bucket_layout};

pub(super) async fn get(
    inner: &Arc<Inner>,
    request: GetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    let mut reader = inner.store.read().await?;
    match bucket_layout(&mut reader, &request.bucket).await? {
        Some(layout) => Ok(settings(inner, request.bucket, layout)),
        None => Err(AdminError::NoSuchBucket { bucket: request.bucket }),
    }
}

pub(super) async fn set(
    inner: &Arc<Inner>,
    request: SetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    let SetBucketSettings { bucket, replication, block_size } = request;
    let refuse = |reason| Err(AdminError::Refused { reason });
    if let Some(copies) = replication.filter(|copies| !is_replication(*copies)) {
        return refuse(format!("a block has 1 to {REPLICATION_MAX} replicas, not {copies}"));
    }
    if let Some(bytes) = block_size.filter(|bytes| !is_block_size(*bytes)) {
        return refuse(format!("a block size is {BLOCK_SIZE_MIN} to {BLOCK_LENGTH_MAX} bytes, not {bytes}"));
    }
    let layout = BucketLayout { replication, block_size };
    let name = bucket.clone();
    let found = inner
        .store
        .write(move |tx| async move { set_bucket_layout(tx, &name, layout).await }.boxed())
        .await?;
    if found { Ok(settings(inner, bucket, layout)) } else { Err(AdminError::NoSuchBucket { bucket }) }
}

fn settings(inner: &Inner, bucket: String, layout: BucketLayout) -> BucketSettings {
    BucketSettings {
        bucket,
        replication: layout.replication,
        block_size: layout.block_size,
        effective_replication: inner.config.replication_of(None, layout.replication),
        effective_block_size: layout.block_size.unwrap_or(inner.config.block_size),
    }
}
