//! Object Lock: what keeps a version from being deleted, and what a bucket locks by default.
//!
//! Source: Amazon S3 User Guide, "Locking objects with Object Lock".

use serde::{Deserialize, Serialize};

use super::VersionName;
use crate::env::Timestamp;
use crate::id::MutationId;

/// How strictly a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// A caller with the permission to bypass governance may shorten it, remove it, and delete the version.
    Governance,
    /// Nobody may shorten or remove it, or delete the version, before its time.
    Compliance,
}

impl RetentionMode {
    /// The name in documents and headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.name() == name)
    }
}

/// Keeps a version until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly it holds.
    pub mode: RetentionMode,
    /// The version may be deleted from this time on.
    pub until: Timestamp,
}

/// The lock of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// Its retention, also if it has ended. For a new version, `None` is the bucket's default.
    pub retention: Option<Retention>,
    /// Whether a legal hold is on; `None` if the version never had one.
    pub legal_hold: Option<bool>,
}

/// The length of a bucket's default retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// Days of 24 hours.
    Days(u32),
    /// Years of the calendar.
    Years(u32),
}

/// The longest default retention in days and in years (User Guide, "Object Lock considerations").
pub const RETENTION_DAYS_MAX: u32 = 36_500;
/// See [`RETENTION_DAYS_MAX`].
pub const RETENTION_YEARS_MAX: u32 = 100;

/// The retention of new versions that have none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How strictly it holds.
    pub mode: RetentionMode,
    /// How long, from the time at which a version is made.
    pub period: RetentionPeriod,
}

/// What a bucket with Object Lock has configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketLock {
    /// The retention of new versions; `None` if there is no default.
    pub default_retention: Option<DefaultRetention>,
}

/// Enables Object Lock for a bucket whose versioning is enabled, and sets or removes its default retention. Object Lock cannot be
/// disabled again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetBucketLock {
    /// The bucket's name.
    pub bucket: String,
    /// What it locks from now on.
    pub lock: BucketLock,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}

/// A change of a version's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockChange {
    /// Sets the retention, or removes it.
    Retention {
        /// The new one.
        retention: Option<Retention>,
        /// Whether the caller may bypass governance, and wants to.
        bypass_governance: bool,
    },
    /// Switches the legal hold.
    LegalHold(bool),
}

/// Changes the lock of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutObjectLock {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version; `None` is the current one.
    pub version: Option<VersionName>,
    /// The change.
    pub change: LockChange,
    /// The id by which a repetition is recognised.
    pub mutation: Option<MutationId>,
}
