//! The settings of a bucket that operators make: replication, block size and quota; and what it uses.

use std::sync::Arc;

use cairn_protocol::admin::{
    AdminError, BucketSettings, BucketUsagePage, GetBucketSettings, ListBucketUsage, SetBucketSettings,
};
use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use cairn_protocol::metadata::{Quota, Usage};
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::block_manager::config::{REPLICATION_MAX, is_replication};
use crate::block_manager::grants::is_block_size;
use crate::store::blocks::{BucketLayout, bucket_layout, set_bucket_layout};
use crate::store::{Connection, Lane, StoreError, buckets, usage};

/// Upper limit of the buckets in a page.
const PAGE_MAX: u32 = 1_000;

pub(super) async fn get(
    inner: &Arc<Inner>,
    request: GetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    let mut reader = inner.store.read().await?;
    found(inner, &mut reader, &request.bucket)
        .await?
        .ok_or(AdminError::NoSuchBucket { bucket: request.bucket })
}

pub(super) async fn list(
    inner: &Arc<Inner>,
    request: ListBucketUsage,
) -> Result<BucketUsagePage, AdminError> {
    let max = request.max.min(PAGE_MAX);
    let mut reader = inner.store.read().await?;
    let mut buckets = usage::list(&mut reader, &request.after.unwrap_or_default(), max + 1).await?;
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let truncated = buckets.len() > max;
    buckets.truncate(max);
    Ok(BucketUsagePage { buckets, truncated })
}

pub(super) async fn set(
    inner: &Arc<Inner>,
    request: SetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    let SetBucketSettings { bucket, replication, block_size, quota } = request;
    let refuse = |reason| Err(AdminError::Refused { reason });
    if let Some(copies) = replication.filter(|copies| !is_replication(*copies)) {
        return refuse(format!("a block has 1 to {REPLICATION_MAX} replicas, not {copies}"));
    }
    if let Some(bytes) = block_size.filter(|bytes| !is_block_size(*bytes)) {
        return refuse(format!("a block size is {BLOCK_SIZE_MIN} to {BLOCK_LENGTH_MAX} bytes, not {bytes}"));
    }
    // Counters are 64-bit numbers with a sign.
    let limits = quota.iter().flat_map(|quota| [quota.objects, quota.bytes]).flatten();
    if let Some(limit) = limits.into_iter().find(|limit| i64::try_from(*limit).is_err()) {
        return refuse(format!("a quota is less than 8 EiB, and less than 2^63 objects, not {limit}"));
    }
    let layout = BucketLayout { replication, block_size };
    let (name, shared) = (bucket.clone(), inner.clone());
    let set = async move |tx: &mut Connection| {
        set_bucket_layout(tx, &name, layout).await?;
        if let (Some(quota), Some((id, _))) = (quota, buckets::find(tx, &name).await?) {
            usage::set_bucket_quota(tx, id, quota).await?;
        }
        found(&shared, tx, &name).await
    };
    let access = inner.access.clone();
    // Gateways remember whether a bucket has a quota.
    let done = move |set| {
        if quota.is_some() {
            access.advance();
        }
        set
    };
    let set =
        inner.store.write_then(Lane::Client, move |tx| async move { set(tx).await }.boxed(), done).await?;
    set.ok_or(AdminError::NoSuchBucket { bucket })
}

/// The settings of a bucket, if it exists.
async fn found(
    inner: &Inner,
    connection: &mut Connection,
    name: &str,
) -> Result<Option<BucketSettings>, StoreError> {
    let Some(layout) = bucket_layout(connection, name).await? else { return Ok(None) };
    let Some((id, _)) = buckets::find(connection, name).await? else { return Ok(None) };
    let used = usage::of_bucket(connection, id).await?;
    Ok(Some(BucketSettings {
        quota: usage::bucket_quota(connection, id).await?,
        usage: Usage { objects: used.things, bytes: used.bytes },
        ..settings(inner, name.to_owned(), layout)
    }))
}

fn settings(inner: &Inner, bucket: String, layout: BucketLayout) -> BucketSettings {
    BucketSettings {
        bucket,
        replication: layout.replication,
        block_size: layout.block_size,
        effective_replication: inner.config.replication_of(None, layout.replication),
        effective_block_size: layout.block_size.unwrap_or(inner.config.block_size),
        quota: Quota::default(),
        usage: Usage::default(),
    }
}
