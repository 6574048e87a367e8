//! What is due is done, in the transaction that decides it.

use std::time::Duration;

use cairn_lifecycle::{Action, Subject, plan};
use cairn_protocol::admin::LifecycleAction;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{MutationId, VersionId};
use cairn_protocol::metadata::{BucketInfo, DeleteObject, MetadataError, RetentionMode, WriteCondition};
use cairn_protocol::warn_self;

use super::Lifecycle;
use crate::block_manager::{BlockManager, LifecycleStep};
use crate::namespace::objects::{Destination, delete_current, destination, retire};
use crate::namespace::schedule::{Place, newer_max};
use crate::store::buckets::BucketId;
use crate::store::lifecycle::{DueUpload, Position};
use crate::store::objects::StoredVersion;
use crate::store::uploads::Upload;
use crate::store::{self, Connection, StoreError};

/// The error of a step for that of an operation. The step is tried again.
fn failed(error: MetadataError) -> StoreError {
    match error {
        MetadataError::NoSpace => StoreError::NoSpace,
        MetadataError::Unavailable { .. } => StoreError::Busy,
        error => {
            warn_self!(%error, "a lifecycle rule could not be carried out");
            StoreError::TransactionLost
        }
    }
}

/// The outcome of an action on a version.
enum Outcome {
    Done,
    /// The version's lock keeps it.
    Locked,
}

impl Lifecycle {
    /// Does what is due with up to `max` versions and as many uploads.
    pub(super) async fn act(
        &self,
        tx: &mut Connection,
        blocks: &BlockManager,
        max: u32,
    ) -> Result<LifecycleStep, StoreError> {
        let now = self.schedule.now();
        let mut step = LifecycleStep::default();
        for at in store::lifecycle::due(tx, now, max).await? {
            step.examined += 1;
            if let Err(error) = self.look_at(tx, blocks, &at, now, &mut step).await {
                let StoreError::Corrupt { column } = error else { return Err(error) };
                self.pass_over(tx, &at, now, &mut step, column).await?;
            }
        }
        for due in store::lifecycle::due_uploads(tx, now, max).await? {
            step.examined += 1;
            self.look_at_upload(tx, &due, now, &mut step).await?;
        }
        Ok(step)
    }

    /// Leaves a damaged row alone until a day later.
    async fn pass_over(
        &self,
        tx: &mut Connection,
        at: &Position,
        now: Timestamp,
        step: &mut LifecycleStep,
        what: &str,
    ) -> Result<(), StoreError> {
        let key = String::from_utf8_lossy(&at.key);
        warn_self!(%key, sequence = at.sequence, what, "the row of a version is damaged; no lifecycle rule is applied");
        step.damaged += 1;
        store::lifecycle::set_due(tx, at, Some(self.a_day_after(now))).await
    }

    async fn look_at(
        &self,
        tx: &mut Connection,
        blocks: &BlockManager,
        at: &Position,
        now: Timestamp,
        step: &mut LifecycleStep,
    ) -> Result<(), StoreError> {
        // It may be gone: an action on another version of this step has removed it.
        let Some(scheduled) = store::lifecycle::at(tx, at).await? else { return Ok(()) };
        let info = store::buckets::find_by_id(tx, at.bucket).await?;
        let set = self.schedule.rules_of(tx, at.bucket).await?;
        let Some((info, set)) = info.zip(set) else { return store::lifecycle::set_due(tx, at, None).await };
        let stored = scheduled.version.clone()?;
        if !stored.object.is_sound() {
            return self.pass_over(tx, at, now, step, "checksum").await;
        }
        let place = Place::find(tx, at, newer_max(&set)).await?;
        let plan = self.schedule.plan_of(&set, &stored, place);
        let Some(decided) = plan.decide(now, stored.object.is_versioned) else {
            return self.schedule.reschedule(tx, &set, &scheduled, place).await;
        };
        let done = self.apply(tx, blocks, &info, at, &stored, &decided.action).await?;
        if matches!(done, Outcome::Locked) {
            step.locked += 1;
            let again = self.after_lock(tx, at, now).await?;
            return store::lifecycle::set_due(tx, at, Some(again)).await;
        }
        step.count(&decided.action);
        step.events.push(EventKind::LifecycleApplied {
            bucket: info.bucket,
            key: stored.object.key.clone(),
            version: stored.object.name(),
            action: shown(&decided.action),
            rule: decided.rule.id.clone(),
        });
        Ok(())
    }

    async fn apply(
        &self,
        tx: &mut Connection,
        blocks: &BlockManager,
        info: &BucketInfo,
        at: &Position,
        stored: &StoredVersion,
        action: &Action,
    ) -> Result<Outcome, StoreError> {
        let key = &stored.object.key;
        if let Action::Transition(class) = action {
            self.change_class(tx, blocks, (at.bucket, info), stored, class).await?;
            self.schedule.refresh_version(tx, at.bucket, &stored.object).await?;
            return Ok(Outcome::Done);
        }
        let from = destination(tx, &info.bucket, blocks.lock_clock()).await.map_err(failed)?;
        let removed = match action {
            Action::Expire => self.expire(tx, from, key).await,
            _ => retire(tx, from, stored, false, self.env.now()).await,
        };
        match removed {
            Err(MetadataError::ObjectLocked) => return Ok(Outcome::Locked),
            removed => removed.map_err(failed)?,
        }
        self.schedule.refresh(tx, (from.bucket, from.rules.lifecycle_revision), key).await?;
        Ok(Outcome::Done)
    }

    /// Expires the current version, as a delete without a version id does.
    async fn expire(&self, tx: &mut Connection, from: Destination, key: &str) -> Result<(), MetadataError> {
        let object = DeleteObject {
            key: key.to_owned(),
            version: None,
            condition: WriteCondition::None,
            bypass_governance: false,
        };
        let marker = VersionId(self.env.uuid_v7());
        delete_current(tx, from, &object, marker, self.env.now()).await.map(drop)
    }

    /// Changes the storage class of a version, and with it the replication of its bytes.
    async fn change_class(
        &self,
        tx: &mut Connection,
        blocks: &BlockManager,
        (bucket, info): (BucketId, &BucketInfo),
        stored: &StoredVersion,
        class: &str,
    ) -> Result<(), StoreError> {
        let mut changed = stored.object.clone();
        changed.attributes.storage_class = Some(class.to_owned());
        changed.checksum = changed.computed_checksum();
        store::objects::update(tx, bucket, &changed).await?;
        blocks.set_replication(tx, changed.content, &info.bucket, Some(class)).await
    }

    /// When a locked version is looked at again. A COMPLIANCE retention cannot become shorter; other locks can, and are looked at a day
    /// later.
    async fn after_lock(
        &self,
        tx: &mut Connection,
        at: &Position,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let key = String::from_utf8_lossy(&at.key);
        let lock = store::locks::find(tx, at.bucket, &key, at.sequence).await?.unwrap_or_default();
        let later = self.a_day_after(now);
        Ok(match lock.retention {
            Some(retention) if lock.legal_hold == Some(true) => later.max(match retention.mode {
                RetentionMode::Compliance => retention.until,
                RetentionMode::Governance => later,
            }),
            Some(retention) if retention.mode == RetentionMode::Compliance => retention.until,
            Some(retention) => retention.until.min(later),
            None => later,
        })
    }

    fn a_day_after(&self, now: Timestamp) -> Timestamp {
        now.after(Duration::from_millis(self.schedule.day().ms()))
    }

    async fn look_at_upload(
        &self,
        tx: &mut Connection,
        due: &DueUpload,
        now: Timestamp,
        step: &mut LifecycleStep,
    ) -> Result<(), StoreError> {
        let info = store::buckets::find_by_id(tx, due.bucket).await?;
        let set = self.schedule.rules_of(tx, due.bucket).await?;
        let key = String::from_utf8(due.key.clone()).ok();
        let (Some(info), Some(set), Some(key)) = (info, set, key) else {
            return store::lifecycle::set_upload_due(tx, due.upload, None).await;
        };
        let found = store::uploads::find(tx, due.bucket, &key, due.upload).await;
        let upload = match found {
            Ok(Some(Upload::InProgress(upload))) => upload,
            Ok(_) => return store::lifecycle::set_upload_due(tx, due.upload, None).await,
            Err(StoreError::Corrupt { column }) => {
                warn_self!(key, upload = %due.upload, column, "the row of an upload is damaged; it is not aborted");
                step.damaged += 1;
                let again = Some(self.a_day_after(now));
                return store::lifecycle::set_upload_due(tx, due.upload, again).await;
            }
            Err(error) => return Err(error),
        };
        let subject = Subject::Upload { key: &key, begun_at: upload.initiated_at };
        let plan = plan(&set, subject, self.schedule.day());
        let Some(decided) = plan.decide(now, false) else {
            return self.schedule.reschedule_upload(tx, Some(&set), &upload).await;
        };
        let wall = self.env.now();
        if upload.initiated_at > wall.before(store::mutations::KEPT) {
            // A repeated creation whose first answer was lost must not make the upload again.
            let creation = Some(MutationId(due.upload.0));
            store::mutations::remember(tx, creation, &upload, wall).await?;
        }
        store::expiry::give_up_upload(tx, due.upload, wall).await?;
        step.count(&decided.action);
        let rule = decided.rule.id.clone();
        step.events.push(EventKind::LifecycleAborted { bucket: info.bucket, key, upload: due.upload, rule });
        Ok(())
    }
}

/// The action as operators see it.
pub(super) fn shown(action: &Action) -> LifecycleAction {
    match action {
        Action::Expire => LifecycleAction::Expire,
        Action::DeleteVersion => LifecycleAction::DeleteVersion,
        Action::RemoveMarker => LifecycleAction::RemoveMarker,
        Action::Transition(class) => LifecycleAction::Transition(class.clone()),
        Action::Abort => LifecycleAction::Abort,
    }
}
