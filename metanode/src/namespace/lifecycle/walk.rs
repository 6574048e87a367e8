//! The walk over a bucket whose rules were changed: all its versions and uploads get the due times of the new rules.
//!
//! A step is a transaction that also stores how far the walk is, so a killed metanode goes on where it was. Each step reads the
//! present rules. If they change again, the walk begins anew; what is written meanwhile gets its due time by itself.

use cairn_lifecycle::RuleSet;
use cairn_protocol::metadata::UploadInfo;

use super::Lifecycle;
use crate::block_manager::LifecycleWalk;
use crate::namespace::schedule::{Place, newer_max};
use crate::store::lifecycle::{Scheduled, Walk};
use crate::store::{self, Connection, StoreError};

/// A key that is after all keys, because keys are UTF-8.
const AFTER_ALL: &[u8] = &[0xff];

impl Lifecycle {
    /// Takes the next step of the first walk: up to `max` versions or uploads. `None` if there is no walk.
    pub(super) async fn walk_on(
        &self,
        tx: &mut Connection,
        max: u32,
    ) -> Result<Option<LifecycleWalk>, StoreError> {
        let Some(mut walk) = store::lifecycle::find_walk(tx, None).await? else { return Ok(None) };
        let bucket = walk.at.bucket;
        let Some(info) = store::buckets::find_by_id(tx, bucket).await? else {
            store::lifecycle::end_walk(tx, bucket).await?;
            return Ok(Some(LifecycleWalk::default()));
        };
        let set = self.schedule.rules_of(tx, bucket).await?;
        let (looked_at, is_done) = match walk.upload {
            None => (self.walk_versions(tx, set.as_deref(), &mut walk, max).await?, false),
            Some(_) => self.walk_uploads(tx, set.as_deref(), &mut walk, max).await?,
        };
        walk.looked_at = walk.looked_at.saturating_add(u64::from(looked_at));
        if is_done {
            store::lifecycle::end_walk(tx, bucket).await?;
        } else {
            store::lifecycle::put_walk(tx, &walk).await?;
        }
        let (bucket, all) = (info.bucket, walk.looked_at);
        Ok(Some(LifecycleWalk { bucket, looked_at, looked_at_in_all: all, is_done }))
    }

    /// Returns how many versions it looked at.
    async fn walk_versions(
        &self,
        tx: &mut Connection,
        set: Option<&RuleSet>,
        walk: &mut Walk,
        max: u32,
    ) -> Result<u32, StoreError> {
        let page = store::lifecycle::page(tx, &walk.at, max).await?;
        for scheduled in &page {
            self.walk_version(tx, set, scheduled).await?;
        }
        match page.last() {
            Some(last) if page.len() >= max as usize => walk.at = last.at.clone(),
            Some(_) | None => walk.upload = Some((Vec::new(), Vec::new())),
        }
        Ok(u32::try_from(page.len()).unwrap_or(max))
    }

    async fn walk_version(
        &self,
        tx: &mut Connection,
        set: Option<&RuleSet>,
        scheduled: &Scheduled,
    ) -> Result<(), StoreError> {
        match set {
            Some(set) => {
                let place = Place::find(tx, &scheduled.at, newer_max(set)).await?;
                self.schedule.reschedule(tx, set, scheduled, place).await
            }
            None if scheduled.due_at.is_some() => store::lifecycle::set_due(tx, &scheduled.at, None).await,
            None => Ok(()),
        }
    }

    /// Returns how many uploads it looked at, and whether these were the last.
    async fn walk_uploads(
        &self,
        tx: &mut Connection,
        set: Option<&RuleSet>,
        walk: &mut Walk,
        max: u32,
    ) -> Result<(u32, bool), StoreError> {
        let (key, upload) = walk.upload.clone().unwrap_or_default();
        let page: Vec<UploadInfo> =
            store::uploads::list(tx, walk.at.bucket, (&key, &upload), AFTER_ALL, max).await?;
        for upload in &page {
            self.schedule.reschedule_upload(tx, set, upload).await?;
        }
        let last = page.last().filter(|_| page.len() >= max as usize);
        if let Some(last) = last {
            walk.upload = Some((last.key.as_bytes().to_vec(), last.upload.as_bytes().to_vec()));
        }
        Ok((u32::try_from(page.len()).unwrap_or(max), last.is_none()))
    }
}
