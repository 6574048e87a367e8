//! Rules as a bucket has them.

use cairn_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, by which operators find it.
    pub id: String,
    /// Whether it is applied: `Enabled`, not `Disabled`.
    pub is_enabled: bool,
    /// The objects that it is about.
    #[serde(default)]
    pub filter: Filter,
    /// When current versions expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    /// When noncurrent versions are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// When current versions change their storage class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// When noncurrent versions change their storage class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// After how many days from its beginning an incomplete upload is aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_uploads_days: Option<u32>,
}

/// When an action on current versions is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// This many days after the version was made.
    Days(u32),
    /// At this midnight UTC, and for versions that are made later at once.
    Date(Timestamp),
}

/// The end of current versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// Current versions expire. A delete marker without other versions is removed.
    At(When),
    /// Only delete markers without other versions are removed: `ExpiredObjectDeleteMarker`.
    DeleteMarkers,
}

/// The end of noncurrent versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after the version became noncurrent.
    pub days: u32,
    /// How many newer noncurrent versions are kept in any case: a version ends only if there are as many that are newer.
    #[serde(default)]
    pub newer_kept: u32,
}

/// A change of the storage class of current versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub when: When,
    /// The storage class.
    pub class: String,
}

/// A change of the storage class of noncurrent versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// Days after the version became noncurrent.
    pub days: u32,
    /// How many newer noncurrent versions keep their class in any case.
    #[serde(default)]
    pub newer_kept: u32,
    /// The storage class.
    pub class: String,
}

impl Rule {
    /// Whether it says what to do.
    pub fn has_action(&self) -> bool {
        self.expiration.is_some()
            || self.noncurrent_expiration.is_some()
            || !self.transitions.is_empty()
            || !self.noncurrent_transitions.is_empty()
            || self.abort_uploads_days.is_some()
    }
}
