//! The namespace: buckets, keys, versions and uploads.
//!
//! | module | contents |
//! |---|---|
//! | `service` | the operations of [`Metadata`](cairn_protocol::metadata::Metadata), one line each |
//! | `buckets`, `objects`, `uploads` | one file per operation |
//! | `quotas` | refuses writes that would exceed a quota |
//! | `schedule` | when lifecycle rules are due, for each version and upload |
//! | `lifecycle` | does what lifecycle rules want, and explains it |
//! | `condition`, `range`, `walk` | pure functions: write conditions, ranges, and the walk of listings |
//!
//! An operation that changes something is one mutation of the store (deletes of many objects are several): its checks
//! and its changes are one transaction. The mutation reads the clock when the writer runs it, not when the request
//! arrives. Later writes therefore have later times. Versions and parts that are replaced or deleted are *retired*:
//! their bytes stay readable until the block manager sweeps them, a grace period later.

mod accounts;
mod buckets;
mod condition;
#[cfg(test)]
mod delete_tests;
mod lifecycle;
mod objects;
mod quotas;
mod range;
mod schedule;
mod service;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

use std::sync::Arc;

use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::metadata::{BucketInfo, MetadataError};

use self::lifecycle::Lifecycle;
use self::schedule::Schedule;
use crate::access::AccessState;
use crate::block_manager::BlockManager;
use crate::iam::Identities;
use crate::store::buckets::BucketId;
use crate::store::{self, Connection, Store};

/// The namespace.
#[derive(Debug)]
pub struct Namespace {
    store: Store,
    blocks: BlockManager,
    env: Env,
    events: EventBus,
    identities: Arc<Identities>,
    access: AccessState,
    schedule: Schedule,
    /// Limits how many parts of large deletes wait for the writer at the same time.
    deletes: tokio::sync::Semaphore,
}

/// Upper limit of the entries in a page, independent of the request: ten times S3's page of 1,000 keys. With the
/// longest keys such a page has some megabytes.
const PAGE_MAX: u32 = 10_000;

impl Namespace {
    /// A namespace in this database.
    pub(crate) fn new(
        store: Store,
        blocks: BlockManager,
        env: Env,
        events: EventBus,
        identities: Arc<Identities>,
    ) -> Self {
        let access = blocks.access().clone();
        let deletes = tokio::sync::Semaphore::new(objects::PARTS_WAITING);
        let schedule = Schedule::new(&blocks, &env);
        blocks.set_lifecycle(Arc::new(Lifecycle::new(schedule.clone(), &blocks, &env)));
        Self { store, blocks, env, events, identities, access, schedule, deletes }
    }
}

/// The id of the bucket of this name.
async fn bucket_id(connection: &mut Connection, name: &str) -> Result<BucketId, MetadataError> {
    Ok(bucket(connection, name).await?.0)
}

async fn bucket(connection: &mut Connection, name: &str) -> Result<(BucketId, BucketInfo), MetadataError> {
    let found = store::buckets::find(connection, name).await?;
    found.ok_or_else(|| no_such_bucket(name))
}

fn no_such_bucket(name: &str) -> MetadataError {
    MetadataError::NoSuchBucket { bucket: name.to_owned() }
}

fn malformed(reason: impl Into<String>) -> MetadataError {
    MetadataError::Malformed { reason: reason.into() }
}

/// Cuts a page that was read with one row more than it may hold. Returns whether there was such a row.
fn cut<T>(rows: &mut Vec<T>, max: u32) -> bool {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let more = rows.len() > max;
    rows.truncate(max);
    more
}
