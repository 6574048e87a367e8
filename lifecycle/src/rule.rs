//! Rules as a bucket has them.

use cairn_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;

/// The lifecycle configuration of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSet {
    /// The rules, in the order in which the client sent them.
    pub rules: Vec<Rule>,
    /// Which small objects change their storage class.
    #[serde(default)]
    pub minimum_size: MinimumSize,
}

/// Which objects of less than 128 KiB change their storage class, if the rule's filter names no size
/// (`x-amz-transition-default-minimum-object-size`).
///
/// Source: User Guide, "Example: Allowing objects smaller than 128 KB to be transitioned".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinimumSize {
    /// None of them: `all_storage_classes_128K`.
    #[default]
    AllStorageClasses128K,
    /// Those whose new class is GLACIER or DEEP_ARCHIVE: `varies_by_storage_class`.
    VariesByStorageClass,
}

/// The size in bytes below which an object is small.
const SMALL_BELOW: u64 = 128 * 1024;

impl MinimumSize {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AllStorageClasses128K, Self::VariesByStorageClass];

    /// The value of the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllStorageClasses128K => "all_storage_classes_128K",
            Self::VariesByStorageClass => "varies_by_storage_class",
        }
    }

    /// Whether an object of this length gets this storage class by a rule with this filter.
    pub fn allows(self, filter: &Filter, length: u64, class: &str) -> bool {
        filter.names_size()
            || length >= SMALL_BELOW
            || (self == Self::VariesByStorageClass && matches!(class, "GLACIER" | "DEEP_ARCHIVE"))
    }
}

/// How a client wrote the filter of a rule, so that it reads what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterForm {
    /// An element `Prefix` of the rule, without `Filter`: the form of PutBucketLifecycle.
    RulePrefix,
    /// An empty `Filter`.
    #[default]
    Empty,
    /// One condition in `Filter`.
    One,
    /// Several, in `And`.
    And,
}

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
    /// How the client wrote the filter.
    #[serde(default)]
    pub form: FilterForm,
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
    /// Nothing is done: `ExpiredObjectDeleteMarker` with the value false.
    KeepDeleteMarkers,
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

impl RuleSet {
    /// The numbers of newer noncurrent versions at which a version begins to be subject to a rule, each once and above 0.
    pub fn newer_kept(&self) -> Vec<u32> {
        let of_rule = |rule: &Rule| {
            let moves = rule.noncurrent_transitions.iter().map(|transition| transition.newer_kept);
            moves.chain(rule.noncurrent_expiration.map(|end| end.newer_kept)).collect::<Vec<_>>()
        };
        let mut kept: Vec<u32> = self.rules.iter().filter(|rule| rule.is_enabled).flat_map(of_rule).collect();
        kept.sort_unstable();
        kept.dedup();
        kept.retain(|kept| *kept > 0);
        kept
    }
}
