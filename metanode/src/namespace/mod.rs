//! The namespace: buckets, keys, versions and uploads.
//!
//! | module | what is there |
//! |---|---|
//! | `service` | the operations of [`Metadata`](cairn_protocol::metadata::Metadata), one line each |
//! | `buckets`, `objects`, `uploads` | one file per operation |
//! | `condition`, `range`, `walk` | pure: write conditions, ranges, and the walk of listings |
//!
//! A change is one mutation of the store: its checks and its writes are one transaction. (A request to delete many
//! objects is several mutations.) The mutation reads the clock when the writer runs it and not when the request
//! arrives, so that later writes have later times. Versions and parts that are replaced or deleted are *retired*: their
//! bytes stay readable for a grace period, until the block manager collects them.

mod buckets;
mod condition;
#[cfg(test)]
mod delete_tests;
mod objects;
mod range;
mod service;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::metadata::{BucketInfo, MetadataError, RootCredentials};

use crate::block_manager::BlockManager;
use crate::store::buckets::BucketId;
use crate::store::{self, Connection, Store};

/// The namespace.
#[derive(Debug)]
pub struct Namespace {
    store: Store,
    blocks: BlockManager,
    env: Env,
    events: EventBus,
    root: RootCredentials,
    /// Limits how many batches of deletes wait for the writer at the same time.
    deletes: tokio::sync::Semaphore,
}

/// Upper limit of entries on a page, whatever the request asks for: ten times S3's page of 1,000 keys, and some
/// megabytes with the longest keys.
const PAGE_MAX: u32 = 10_000;

impl Namespace {
    /// Makes the namespace of this database.
    pub fn new(
        store: Store,
        blocks: BlockManager,
        env: Env,
        events: EventBus,
        root: RootCredentials,
    ) -> Self {
        let deletes = tokio::sync::Semaphore::new(objects::PARTS_WAITING);
        Self { store, blocks, env, events, root, deletes }
    }
}

/// Finds the bucket of this name.
async fn bucket_id(connection: &mut Connection, name: &str) -> Result<BucketId, MetadataError> {
    Ok(bucket(connection, name).await?.0)
}

async fn bucket(connection: &mut Connection, name: &str) -> Result<(BucketId, BucketInfo), MetadataError> {
    let found = store::buckets::find(connection, name).await?;
    found.ok_or_else(|| MetadataError::NoSuchBucket { bucket: name.to_owned() })
}

fn malformed(reason: impl Into<String>) -> MetadataError {
    MetadataError::Malformed { reason: reason.into() }
}

/// Cuts a page that was read with one row more than it may have. Returns whether that row existed.
fn cut<T>(rows: &mut Vec<T>, max: u32) -> bool {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let more = rows.len() > max;
    rows.truncate(max);
    more
}
