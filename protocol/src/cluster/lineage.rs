//! Generations of the metanode's database, which show that the database is older than what datanodes have seen.

use serde::{Deserialize, Serialize};

use crate::id::OpeningId;

/// A generation of the metanode's database. It rises with every change that a datanode could notice.
///
/// A database has a record of all its generations. If it does not have one that a datanode has seen, it is an older backup, or
/// has had other changes since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// The start of a metanode that made the change.
    pub opening: OpeningId,
    /// The number of changes up to and with this one, over all openings.
    pub sequence: u64,
}

/// The state of the metanode's database, which every answer carries and datanodes keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The latest generation on stable storage; `None` before the first change.
    pub latest: Option<Generation>,
    /// Whether the node drops all other generations that it has seen: the database has all that nodes have sent, or an operator
    /// has released the hold. Otherwise the node keeps them.
    pub sole: bool,
}
