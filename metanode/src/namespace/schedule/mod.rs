//! When lifecycle rules are due for a version or an upload. Each mutation sets it for the versions whose plans it changes.
//!
//! A due time may be too early, and never too late: the worker decides exactly, by the versions that there are then, and sets the
//! next due time. Rules are due by a careful time, [`Schedule::now`].

mod rules;

use std::sync::Arc;

use cairn_lifecycle::class::STANDARD;
use cairn_lifecycle::{Day, Plan, RuleSet, Subject, plan};
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::metadata::{ObjectVersion, UploadInfo};

use self::rules::Rules;
use crate::block_manager::{BlockManager, LockClock};
use crate::store::buckets::BucketId;
use crate::store::lifecycle::{Position, Scheduled};
use crate::store::objects::StoredVersion;
use crate::store::{self, Connection, StoreError};

/// Where a version stands among those of its key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// It is the newest one.
    Newest {
        /// Whether there is no other.
        is_alone: bool,
    },
    /// It is noncurrent.
    Noncurrent {
        /// When the version after it was made.
        since: Timestamp,
        /// How many noncurrent versions are newer.
        newer: u32,
    },
}

impl Place {
    /// The place of the version at a position. `newer_max` is the highest number of newer versions that matters.
    pub(super) async fn find(
        connection: &mut Connection,
        at: &Position,
        newer_max: u32,
    ) -> Result<Self, StoreError> {
        // One more than the noncurrent ones: the current version is newer too.
        let newer = store::lifecycle::newer(connection, at, newer_max.saturating_add(1)).await?;
        Ok(match newer {
            Some((since, versions)) => Self::Noncurrent { since, newer: versions.saturating_sub(1) },
            None => Self::Newest { is_alone: !store::lifecycle::has_older(connection, at).await? },
        })
    }
}

/// The storage class of a version.
pub(super) fn class_of(object: &ObjectVersion) -> &str {
    object.attributes.storage_class.as_deref().unwrap_or(STANDARD)
}

/// What rules act on; `None` for a delete marker that hides other versions, of which no rule wants anything.
pub(super) fn subject(stored: &StoredVersion, place: Place) -> Option<Subject<'_>> {
    let ObjectVersion { key, tags, length, modified_at: made_at, .. } = &stored.object;
    let class = class_of(&stored.object);
    match place {
        Place::Newest { .. } if !stored.is_delete_marker => {
            Some(Subject::Current { key, tags, length: *length, made_at: *made_at, class })
        }
        Place::Newest { is_alone: true } => Some(Subject::SoleMarker { key, made_at: *made_at }),
        Place::Newest { is_alone: false } => None,
        Place::Noncurrent { since, newer } => {
            let class = (!stored.is_delete_marker).then_some(class);
            Some(Subject::Noncurrent { key, tags, length: *length, noncurrent_since: since, newer, class })
        }
    }
}

/// When lifecycle rules are due. Cheap to clone; clones share the rules that they have read.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    env: Env,
    clock: LockClock,
    day: Day,
    rules: Rules,
}

impl Schedule {
    pub(super) fn new(blocks: &BlockManager, env: &Env) -> Self {
        let day_ms = u64::try_from(blocks.lifecycle_day().as_millis()).unwrap_or(u64::MAX);
        Self {
            env: env.clone(),
            clock: blocks.lock_clock().clone(),
            day: Day::of_ms(day_ms),
            rules: Rules::default(),
        }
    }

    /// The length of a day.
    pub(super) fn day(&self) -> Day {
        self.day
    }

    /// The time by which rules are due. What was deleted too early could not be made good. So it is the clock for locks, which does
    /// not follow a wall clock that leaps forward; and it is never after the wall clock, by which versions get their times.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().min(self.env.wall())
    }

    /// The rules of a bucket; `None` if it has none.
    pub(super) async fn rules_of(
        &self,
        connection: &mut Connection,
        bucket: BucketId,
    ) -> Result<Option<Arc<RuleSet>>, StoreError> {
        self.rules.of(connection, bucket).await
    }

    /// Sets when the versions of a key are due whose plans a mutation has changed. Called after a version of the key was added or
    /// removed. These are the newest version, the one that became noncurrent, and for each number of newer versions that rules
    /// keep the one that has just as many. A version that came up among the others may be due too early, which is no harm. It costs
    /// the same however many versions the key has. `revision` is that of the bucket's rules now.
    ///
    /// # Errors
    /// The database's.
    pub(in crate::namespace) async fn refresh(
        &self,
        tx: &mut Connection,
        (bucket, revision): (BucketId, u64),
        key: &str,
    ) -> Result<(), StoreError> {
        let Some(set) = self.rules.of_revision(tx, bucket, revision).await? else { return Ok(()) };
        let key = key.as_bytes();
        let newest = store::lifecycle::of_key(tx, bucket, key, 2, 0).await?;
        let is_alone = newest.len() < 2;
        let mut since = None;
        for scheduled in newest {
            let place = match since {
                None => Place::Newest { is_alone },
                Some(since) => Place::Noncurrent { since, newer: 0 },
            };
            since = scheduled.version.as_ref().ok().map(|version| version.object.modified_at);
            self.reschedule(tx, &set, &scheduled, place).await?;
            if since.is_none() {
                break;
            }
        }
        if is_alone {
            return Ok(());
        }
        for kept in set.newer_kept() {
            let found = store::lifecycle::of_key(tx, bucket, key, 1, kept.saturating_add(1)).await?;
            let Some(scheduled) = found.into_iter().next() else { break };
            let place = Place::find(tx, &scheduled.at, kept).await?;
            self.reschedule(tx, &set, &scheduled, place).await?;
        }
        Ok(())
    }

    /// Sets when a version is due whose tags have changed.
    ///
    /// # Errors
    /// The database's.
    pub(in crate::namespace) async fn refresh_version(
        &self,
        tx: &mut Connection,
        bucket: BucketId,
        version: &ObjectVersion,
    ) -> Result<(), StoreError> {
        let Some(set) = self.rules.of(tx, bucket).await? else { return Ok(()) };
        let at = Position { bucket, key: version.key.as_bytes().to_vec(), sequence: version.sequence };
        if let Some(scheduled) = store::lifecycle::at(tx, &at).await? {
            let place = Place::find(tx, &at, newer_max(&set)).await?;
            self.reschedule(tx, &set, &scheduled, place).await?;
        }
        Ok(())
    }

    /// Sets when a new upload is due.
    ///
    /// # Errors
    /// The database's.
    pub(in crate::namespace) async fn refresh_upload(
        &self,
        tx: &mut Connection,
        bucket: BucketId,
        upload: &UploadInfo,
    ) -> Result<(), StoreError> {
        let Some(set) = self.rules.of(tx, bucket).await? else { return Ok(()) };
        self.reschedule_upload(tx, Some(&set), upload).await
    }

    /// Sets when a version is due, if its row says something else. A damaged row is left alone.
    pub(super) async fn reschedule(
        &self,
        tx: &mut Connection,
        set: &RuleSet,
        scheduled: &Scheduled,
        place: Place,
    ) -> Result<(), StoreError> {
        let due = match &scheduled.version {
            Ok(stored) if stored.object.is_sound() => self.due_of(set, stored, place),
            Ok(_) | Err(_) => None,
        };
        if due != scheduled.due_at {
            store::lifecycle::set_due(tx, &scheduled.at, due).await?;
        }
        Ok(())
    }

    /// Sets when an upload is due, if its row says something else.
    pub(super) async fn reschedule_upload(
        &self,
        tx: &mut Connection,
        set: Option<&RuleSet>,
        upload: &UploadInfo,
    ) -> Result<(), StoreError> {
        let subject = Subject::Upload { key: &upload.key, begun_at: upload.initiated_at };
        let due = set.and_then(|set| plan(set, subject, self.day).next_due(self.now(), false));
        if due != store::lifecycle::upload_due(tx, upload.upload).await? {
            store::lifecycle::set_upload_due(tx, upload.upload, due).await?;
        }
        Ok(())
    }

    /// What the rules want of a version.
    pub(super) fn plan_of<'r>(&self, set: &'r RuleSet, stored: &StoredVersion, place: Place) -> Plan<'r> {
        subject(stored, place).map(|subject| plan(set, subject, self.day)).unwrap_or_default()
    }

    fn due_of(&self, set: &RuleSet, stored: &StoredVersion, place: Place) -> Option<Timestamp> {
        self.plan_of(set, stored, place).next_due(self.now(), stored.object.is_versioned)
    }
}

/// The highest number of newer versions that a rule keeps.
pub(super) fn newer_max(set: &RuleSet) -> u32 {
    set.newer_kept().last().copied().unwrap_or(0)
}
