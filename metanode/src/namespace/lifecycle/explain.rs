//! For operators: what the rules of a bucket want of a key, what would be done now, and why not. It reads and changes nothing.

use std::sync::Arc;

use cairn_lifecycle::{Plan, Planned, Rule, RuleSet, Subject, plan};
use cairn_protocol::admin::{
    AdminError, ExplainLifecycle, ExplainedAction, ExplainedRule, ExplainedUpload, ExplainedVersion,
    LifecycleAction, LifecycleBucket, LifecycleExplanation, LifecycleStatus,
};
use cairn_protocol::metadata::UploadInfo;

use super::Lifecycle;
use super::act::shown;
use crate::namespace::schedule::{Place, class_of, newer_max, subject};
use crate::store::buckets::BucketId;
use crate::store::lifecycle::Scheduled;
use crate::store::locks::{self, LockView};
use crate::store::objects::StoredVersion;
use crate::store::{self, Connection, StoreError};

/// Upper limit of the versions, and of the uploads, that are explained: what a person reads.
const EXPLAINED_MAX: u32 = 100;

/// Upper limit of the buckets in an answer.
const BUCKETS_MAX: u32 = 1_000;

/// How far overdue versions are counted: a few milliseconds of reading.
const OVERDUE_MAX: u32 = 10_000;

/// What decides about the versions of a bucket.
struct View {
    bucket: BucketId,
    set: Arc<RuleSet>,
    has_locks: bool,
}

impl Lifecycle {
    pub(super) async fn explain_key(
        &self,
        reader: &mut Connection,
        request: ExplainLifecycle,
    ) -> Result<LifecycleExplanation, AdminError> {
        let ExplainLifecycle { bucket, key } = request;
        let found = store::buckets::find(reader, &bucket).await?;
        let Some((id, info)) = found else { return Err(AdminError::NoSuchBucket { bucket }) };
        let set = self.schedule.rules_of(reader, id).await?.unwrap_or_default();
        let view = View { bucket: id, set, has_locks: info.object_lock.is_some() };
        let mut stored = store::lifecycle::of_key(reader, id, key.as_bytes(), EXPLAINED_MAX + 1, 0).await?;
        let mut uploads = self.uploads_of_key(reader, id, &key).await?;
        if stored.is_empty() && uploads.is_empty() {
            return Err(AdminError::NoSuchKey { bucket });
        }
        let more_versions = stored.len() > EXPLAINED_MAX as usize;
        stored.truncate(EXPLAINED_MAX as usize);
        let more_uploads = uploads.len() > EXPLAINED_MAX as usize;
        uploads.truncate(EXPLAINED_MAX as usize);
        let mut versions = Vec::with_capacity(stored.len());
        for scheduled in &stored {
            versions.push(self.explain_version(reader, &view, scheduled).await?);
        }
        let mut explained = Vec::with_capacity(uploads.len());
        for upload in &uploads {
            let due_at = store::lifecycle::upload_due(reader, upload.upload).await?;
            explained.push(ExplainedUpload { due_at, ..self.explain_upload(&view.set, upload) });
        }
        Ok(LifecycleExplanation {
            bucket,
            key,
            now: self.schedule.now(),
            day_ms: self.schedule.day().ms(),
            rules: view.set.rules.len() as u64,
            is_walked: store::lifecycle::find_walk(reader, Some(id)).await?.is_some(),
            versions,
            more_versions,
            uploads: explained,
            more_uploads,
        })
    }

    async fn uploads_of_key(
        &self,
        reader: &mut Connection,
        bucket: BucketId,
        key: &str,
    ) -> Result<Vec<UploadInfo>, StoreError> {
        // The first key after this one.
        let after = [key.as_bytes(), &[0]].concat();
        store::uploads::list(reader, bucket, (key.as_bytes(), &[]), &after, EXPLAINED_MAX + 1).await
    }

    async fn explain_version(
        &self,
        reader: &mut Connection,
        view: &View,
        scheduled: &Scheduled,
    ) -> Result<ExplainedVersion, AdminError> {
        let stored = scheduled.version.clone()?;
        let place = Place::find(reader, &scheduled.at, newer_max(&view.set)).await?;
        let object = &stored.object;
        let plan = self.schedule.plan_of(&view.set, &stored, place);
        let decided = plan.decide(self.schedule.now(), object.is_versioned);
        let action = decided.map(explained);
        let removes = action.as_ref().is_some_and(|it| !matches!(it.action, LifecycleAction::Transition(_)));
        let kept_by = match removes {
            _ if !object.is_sound() => Some("its row is damaged".to_owned()),
            true if !matches!(action.as_ref().map(|it| &it.action), Some(LifecycleAction::Expire)) => {
                self.kept_by_lock(reader, view, &stored).await?
            }
            true | false => None,
        };
        let (noncurrent_since, newer_noncurrent) = match place {
            Place::Newest { .. } => (None, 0),
            Place::Noncurrent { since, newer } => (Some(since), newer),
        };
        let rules = view.set.rules.iter().map(|rule| self.explain_rule(rule, &plan, &stored, place));
        Ok(ExplainedVersion {
            version: object.name(),
            is_current: noncurrent_since.is_none(),
            is_delete_marker: stored.is_delete_marker,
            modified_at: object.modified_at,
            noncurrent_since,
            newer_noncurrent,
            length: object.length,
            storage_class: class_of(object).to_owned(),
            due_at: scheduled.due_at,
            action,
            kept_by,
            rules: rules.collect(),
        })
    }

    async fn kept_by_lock(
        &self,
        reader: &mut Connection,
        view: &View,
        stored: &StoredVersion,
    ) -> Result<Option<String>, StoreError> {
        let lock = locks::find(reader, view.bucket, &stored.object.key, stored.object.sequence).await?;
        let sees = LockView { is_enabled: view.has_locks, time: self.clock.now(), bypass_governance: false };
        Ok(lock.filter(|lock| view.has_locks && locks::keeps(lock, sees)).map(|lock| {
            if lock.legal_hold == Some(true) { "its legal hold" } else { "its retention" }.to_owned()
        }))
    }

    fn explain_rule(
        &self,
        rule: &Rule,
        plan: &Plan<'_>,
        stored: &StoredVersion,
        place: Place,
    ) -> ExplainedRule {
        let actions: Vec<_> =
            plan.planned.iter().filter(|planned| planned.rule.id == rule.id).map(explained).collect();
        let why_not = actions.is_empty().then(|| why_not(rule, stored, place));
        ExplainedRule { rule: rule.id.clone(), actions, why_not }
    }

    fn explain_upload(&self, set: &RuleSet, upload: &UploadInfo) -> ExplainedUpload {
        let subject = Subject::Upload { key: &upload.key, begun_at: upload.initiated_at };
        let plan = plan(set, subject, self.schedule.day());
        let explain = |rule: &Rule| {
            let wanted = plan.planned.iter().filter(|planned| planned.rule.id == rule.id);
            let actions: Vec<_> = wanted.map(explained).collect();
            let why_not = actions.is_empty().then(|| {
                if !rule.is_enabled {
                    "it is disabled"
                } else if rule.abort_uploads_days.is_none() {
                    "it aborts no uploads"
                } else {
                    "its filter does not match"
                }
                .to_owned()
            });
            ExplainedRule { rule: rule.id.clone(), actions, why_not }
        };
        ExplainedUpload {
            upload: upload.upload,
            initiated_at: upload.initiated_at,
            due_at: None,
            action: plan.decide(self.schedule.now(), false).map(explained),
            rules: set.rules.iter().map(explain).collect(),
        }
    }

    pub(super) async fn all_buckets(&self, reader: &mut Connection) -> Result<LifecycleStatus, StoreError> {
        let now = self.schedule.now();
        let mut ids = store::lifecycle::buckets(reader, BUCKETS_MAX + 1).await?;
        let more_buckets = ids.len() > BUCKETS_MAX as usize;
        ids.truncate(BUCKETS_MAX as usize);
        let overdue = store::lifecycle::overdue(reader, now, OVERDUE_MAX).await?;
        let mut buckets = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(info) = store::buckets::find_by_id(reader, id).await? else { continue };
            let set = self.schedule.rules_of(reader, id).await?.unwrap_or_default();
            let walk = store::lifecycle::find_walk(reader, Some(id)).await?;
            buckets.push(LifecycleBucket {
                bucket: info.bucket,
                rules: set.rules.len() as u64,
                enabled: set.rules.iter().filter(|rule| rule.is_enabled).count() as u64,
                looked_at: walk.map(|walk| walk.looked_at),
                overdue: overdue.iter().find(|(of, _)| *of == id).map_or(0, |(_, many)| *many),
            });
        }
        Ok(LifecycleStatus {
            now,
            day_ms: self.schedule.day().ms(),
            buckets,
            more_buckets,
            next_due: store::lifecycle::next_due(reader).await?,
            overdue: overdue.iter().map(|(_, many)| many).sum(),
            overdue_max: u64::from(OVERDUE_MAX),
        })
    }
}

fn explained(planned: &Planned<'_>) -> ExplainedAction {
    ExplainedAction { action: shown(&planned.action), due: planned.due, rule: planned.rule.id.clone() }
}

/// Why a rule wants nothing of a version.
fn why_not(rule: &Rule, stored: &StoredVersion, place: Place) -> String {
    let object = &stored.object;
    if !rule.is_enabled {
        return "it is disabled".to_owned();
    }
    let mismatch = match subject(stored, place) {
        None => return "the delete marker hides other versions".to_owned(),
        Some(Subject::SoleMarker { .. } | Subject::Noncurrent { class: None, .. }) => {
            rule.filter.mismatch_of_key(&object.key)
        }
        Some(_) => rule.filter.mismatch(&object.key, &object.tags, object.length),
    };
    if let Some(mismatch) = mismatch {
        return mismatch.to_owned();
    }
    match place {
        Place::Noncurrent { newer, .. } => match rule.noncurrent_expiration {
            Some(end) if newer < end.newer_kept => {
                format!("it keeps {} newer noncurrent versions, and there are {newer}", end.newer_kept)
            }
            Some(_) | None => "it has no action for noncurrent versions that is due for this one".to_owned(),
        },
        Place::Newest { .. } if object.length < 128 * 1024 && !rule.transitions.is_empty() => {
            "objects of less than 128 KiB keep their storage class".to_owned()
        }
        Place::Newest { .. } => "it has no action for current versions".to_owned(),
    }
}
