//! Packing of small objects: starting it, and what it would do.

use serde::{Deserialize, Serialize};

/// Starts a walk of the pack worker now, whether or not one is due; after the walk that is under way, if there is one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StartPack {}

/// Requests a page of what a walk of the pack worker would do. Nothing is changed. Each page is a short read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PreviewPack {
    /// The end of the last page; `None` begins the walk.
    pub after: Option<PackCursor>,
}

/// The end of a page. It is opaque to the caller, which sends it back for the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackCursor(pub String);

/// A page of what a walk would do. The counts are those of this page, and the caller adds them up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PackPreview {
    /// Versions of objects that were looked at, of those whose bytes are in blocks.
    pub versions: u64,
    /// Versions that would be moved but are too young.
    pub young: u64,
    /// The versions that would be moved, by the replication of their blocks.
    pub groups: Vec<PackableGroup>,
    /// Bytes of a full pack.
    pub pack_size: u64,
    /// The most objects of a pack. A pack with as many is full.
    pub pack_objects: u64,
    /// The beginning of the next page; `None` on the last page.
    pub next: Option<PackCursor>,
}

/// Objects that may share packs, because their blocks have the same replication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackableGroup {
    /// Copies of each block.
    pub replication: u32,
    /// Versions of objects.
    pub objects: u64,
    /// Their bytes, of one copy.
    pub bytes: u64,
}
