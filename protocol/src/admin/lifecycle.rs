//! The lifecycle of objects, as operators see it.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::UploadId;
use crate::metadata::VersionName;

/// Requests what the lifecycle rules of a bucket want of a key. Nothing is changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainLifecycle {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// What the lifecycle rules of a bucket want of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleExplanation {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The time by which rules are due: the clock for locks, and never after the wall clock.
    pub now: Timestamp,
    /// The length of a day in milliseconds.
    pub day_ms: u64,
    /// How many rules the bucket has.
    pub rules: u64,
    /// Whether the bucket's versions are still being looked at after a change of the rules, so that some are not due yet although
    /// their time has come.
    pub is_walked: bool,
    /// The versions, from the newest on.
    pub versions: Vec<ExplainedVersion>,
    /// Whether there are more versions.
    pub more_versions: bool,
    /// The uploads in progress.
    pub uploads: Vec<ExplainedUpload>,
    /// Whether there are more uploads.
    pub more_uploads: bool,
}

/// What the rules want of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedVersion {
    /// Its version id.
    pub version: VersionName,
    /// Whether it is the newest version.
    pub is_current: bool,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// When it was made.
    pub modified_at: Timestamp,
    /// When it became noncurrent; `None` for the newest version.
    pub noncurrent_since: Option<Timestamp>,
    /// How many noncurrent versions are newer, as far as rules ask for it.
    pub newer_noncurrent: u32,
    /// Its length in bytes.
    pub length: u64,
    /// Its storage class.
    pub storage_class: String,
    /// When the worker looks at it next; `None` if it never does, unless the version changes.
    pub due_at: Option<Timestamp>,
    /// What the worker would do with it now; `None` for nothing.
    pub action: Option<ExplainedAction>,
    /// Why the worker would not do that.
    pub kept_by: Option<String>,
    /// What each rule wants.
    pub rules: Vec<ExplainedRule>,
}

/// What the rules want of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedUpload {
    /// The upload.
    pub upload: UploadId,
    /// When it began.
    pub initiated_at: Timestamp,
    /// When the worker looks at it next.
    pub due_at: Option<Timestamp>,
    /// What the worker would do with it now.
    pub action: Option<ExplainedAction>,
    /// What each rule wants.
    pub rules: Vec<ExplainedRule>,
}

/// What a rule wants of a version or upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRule {
    /// The rule's id.
    pub rule: String,
    /// What it wants, each with its time.
    pub actions: Vec<ExplainedAction>,
    /// Why it wants nothing, or not all that it could.
    pub why_not: Option<String>,
}

/// Something that a rule wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedAction {
    /// What is done.
    pub action: LifecycleAction,
    /// From when on.
    pub due: Timestamp,
    /// The rule that wants it.
    pub rule: String,
}

/// What the lifecycle worker does with a version or an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleAction {
    /// The current version expires: it is deleted, or gets a delete marker on top.
    Expire,
    /// The noncurrent version is deleted for good.
    DeleteVersion,
    /// The delete marker, which is alone, is removed.
    RemoveMarker,
    /// The version gets this storage class.
    Transition(String),
    /// The upload is aborted.
    Abort,
}

impl std::fmt::Display for LifecycleAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expire => f.write_str("expire"),
            Self::DeleteVersion => f.write_str("delete the noncurrent version"),
            Self::RemoveMarker => f.write_str("remove the delete marker"),
            Self::Transition(class) => write!(f, "change the storage class to {class}"),
            Self::Abort => f.write_str("abort the upload"),
        }
    }
}

/// Requests the buckets that have lifecycle rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LifecycleRequest {}

/// The buckets with lifecycle rules, and what is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleStatus {
    /// The time by which rules are due.
    pub now: Timestamp,
    /// The length of a day in milliseconds.
    pub day_ms: u64,
    /// The buckets, at most 1,000.
    pub buckets: Vec<LifecycleBucket>,
    /// Whether there are more buckets.
    pub more_buckets: bool,
    /// When the next version or upload is due, in all buckets.
    pub next_due: Option<Timestamp>,
    /// How many versions are due in all buckets and not done, counted up to `overdue_max`.
    pub overdue: u64,
    /// How far overdue versions are counted.
    pub overdue_max: u64,
}

/// A bucket with lifecycle rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleBucket {
    /// Its name.
    pub bucket: String,
    /// How many rules it has.
    pub rules: u64,
    /// How many of them are enabled.
    pub enabled: u64,
    /// How many versions and uploads the worker has looked at since the rules were changed; `None` when it has looked at all of them.
    pub looked_at: Option<u64>,
    /// How many of the overdue versions that were counted are its own.
    pub overdue: u64,
}
