//! Quotas: how much a bucket or a user may use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a bucket or a user may use. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Objects: versions and uploads in progress; of a bucket also delete markers.
    pub objects: Option<u64>,
    /// Bytes of versions and of parts of uploads in progress, as clients see them: without replication, and a copy counts as much
    /// as its source.
    pub bytes: Option<u64>,
}

impl Quota {
    /// Whether it limits anything.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

/// Whether there is a quota, when it is not known: there may be one.
pub(super) fn may_be_set() -> bool {
    true
}

/// What a bucket or a user uses, in the units of [`Quota`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaOf {
    /// The bucket's.
    Bucket,
    /// The user's whose key sent the request.
    User,
}

impl fmt::Display for QuotaOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket => "bucket",
            Self::User => "user",
        })
    }
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaUnit {
    /// The number of objects.
    Objects,
    /// Their bytes.
    Bytes,
}

impl fmt::Display for QuotaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Objects => "objects",
            Self::Bytes => "bytes",
        })
    }
}

/// What is left of a quota. It is a hint: the transaction of a write decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRoom {
    /// Whose quota it is.
    pub of: QuotaOf,
    /// Objects; `None` is no limit.
    pub objects: Option<u64>,
    /// Bytes; `None` is no limit.
    pub bytes: Option<u64>,
}
