//! fsck: the check of all that SQL has.
//!
//! | module | contents |
//! |---|---|
//! | `cursor` | the position of the walk |
//! | `owners` | objects and parts, down to the replicas of their blocks |
//! | `retired` | versions that were deleted or overwritten, while they may still be read |
//! | `leftovers` | blocks and replicas that belong to nothing, counters, and the queues of what is to be removed |
//! | `health` | pure: the problems of a block's replicas |
//! | `report` | the page, and its texts |
//! | `mend` | the repairs, if they are asked for |
//!
//! Each page is read in one transaction, so that it shows no half-made change. Pages are short, because the database's
//! log cannot be merged beyond a transaction that is open: each page reads a limited number of rows.

mod cursor;
mod health;
mod leftovers;
mod mend;
mod owners;
mod report;
mod retired;

use std::sync::Arc;
use std::time::Duration;

use cairn_planner::ClusterView;
use cairn_protocol::admin::{AdminError, FsckPage, FsckRequest};
use cairn_protocol::env::Timestamp;

use self::cursor::{Cursor, Place};
use self::report::Report;
use crate::block_manager::Inner;
use crate::store::{Connection, StoreError, buckets};

/// Rows of extents, blocks or replicas that a page reads: some tens of milliseconds.
const ROWS_PER_PAGE: u32 = 2_000;

/// Rows of a queue that a page counts. Counting a row is much less work than checking one.
const COUNTED_PER_PAGE: u32 = 50_000;

/// The context in which a page is read.
struct Walk<'a> {
    reader: &'a mut Connection,
    view: &'a ClusterView,
    report: &'a mut Report,
    /// The name of the only bucket to check; `None` for everything.
    only: Option<&'a str>,
    now: Timestamp,
    /// Blocks younger than this may still be on their way to their nodes.
    grace: Duration,
    /// Rows of a page.
    rows: u32,
}

pub(super) async fn page(inner: &Arc<Inner>, request: FsckRequest) -> Result<FsckPage, AdminError> {
    page_of(inner, request, ROWS_PER_PAGE).await
}

/// Checks one page of `rows` rows.
pub(in crate::block_manager) async fn page_of(
    inner: &Arc<Inner>,
    request: FsckRequest,
    rows: u32,
) -> Result<FsckPage, AdminError> {
    let Cursor { only, place } = cursor::decode(request.after.as_ref(), request.bucket.as_deref())?;
    let mut report = Report::new(request.repair);
    // Two checks at once would both find the same error of a counter, and correct it twice.
    let _recounting = match place {
        Place::Counters { .. } if request.repair => Some(inner.recounting.lock().await),
        _ => None,
    };
    let mut snapshot = inner.store.snapshot_in_background().await?;
    if let Some(bucket) = &only
        && buckets::find(&mut snapshot, bucket).await?.is_none()
    {
        return Err(AdminError::NoSuchBucket { bucket: bucket.clone() });
    }
    let view = inner.soft_state().view(&inner.env).clone();
    let mut walk = Walk {
        reader: &mut snapshot,
        view: &view,
        report: &mut report,
        only: only.as_deref(),
        now: inner.env.now(),
        grace: inner.config.repair_grace,
        rows,
    };
    let next = walk.step(place).await?;
    let progress = match &next {
        Some(place) => walk.progress(place).await?,
        None => 1_000,
    };
    drop(snapshot);
    if next.is_none() && only.is_none() {
        let uncommitted = inner.soft_state().orphans.len();
        report.page.totals.uncommitted_replicas = u64::try_from(uncommitted).unwrap_or(u64::MAX);
    }
    mend::mend(inner, std::mem::take(&mut report.mends)).await?;
    let mut page = report.page;
    if next.is_none() {
        page.hold = Some(inner.hold_status().await?);
    }
    page.next = next.map(|place| cursor::encode(&Cursor { only, place })).transpose()?;
    page.progress_permille = progress;
    Ok(page)
}

impl Walk<'_> {
    /// Checks one page from `place` on. Returns where the next one begins.
    async fn step(&mut self, place: Place) -> Result<Option<Place>, StoreError> {
        match place {
            Place::Objects { bucket, key, sequence, open } => {
                self.objects(bucket, (key, sequence), open).await
            }
            Place::Parts { bucket, key, upload, number, open } => {
                self.parts(bucket, owners::PartKey { key, upload, number }, open).await
            }
            Place::Retired { owner, open } => self.retired(owner, open).await.map(Some),
            Place::Blocks { after } => self.blocks(after).await.map(Some),
            Place::Lists { after } => self.lists(after).await.map(Some),
            Place::Replicas { after } => self.replicas(after).await.map(Some),
            Place::Counters { after } => self.counters(after).await.map(Some),
            Place::Deletions { after } => self.deletions(after).await.map(Some),
            Place::Garbage { after } => self.garbage(after).await,
        }
    }
}
