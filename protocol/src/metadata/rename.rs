//! Renames of objects on the wire.

use serde::{Deserialize, Serialize};

use super::VersionName;
use crate::id::{MutationId, VersionId};

/// Renames an object within its bucket. No bytes are moved: the new version refers to the content of the old one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameObject {
    /// The bucket.
    pub bucket: String,
    /// The key of the object.
    pub source: String,
    /// The version that the gateway found to be current there, and checked.
    pub source_version: VersionId,
    /// The new key.
    pub key: String,
    /// What the gateway found at the new key and checked.
    pub destination: ExpectedObject,
    /// The id of the version at the new key, chosen by the gateway.
    pub version: VersionId,
    /// The id of the delete marker at the old key, chosen by the gateway. Buckets without versioning need none.
    pub marker: VersionId,
    /// Stands for the parameters of the client's request.
    pub parameters: String,
    /// The id by which a repetition is recognised. Of a request with a client token it is derived from the token.
    pub mutation: Option<MutationId>,
}

/// The current object of a key, as a gateway saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedObject {
    /// The request has no condition on it.
    Any,
    /// There was none.
    Absent,
    /// It was this version.
    Version(VersionId),
}

/// Names a rename that may be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameRef {
    /// The id of the rename.
    pub mutation: Option<MutationId>,
}

/// A rename that is on stable storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The version id at the new key, to show to clients.
    pub name: Option<VersionName>,
    /// Stands for the parameters of the request that did it. A request of another text with the same id did nothing.
    pub parameters: String,
}
