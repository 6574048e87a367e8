//! States of the metanode's database, by which a datanode notices that the database went back in time.

use serde::{Deserialize, Serialize};

use crate::id::OpeningId;

/// A state of the metanode's database: it rises with every change that could be missed.
///
/// A database knows all generations that it went through. One that does not know a generation that a datanode has
/// seen is a backup from before it, or went another way since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// The start of a metanode that made the change.
    pub opening: OpeningId,
    /// How many changes there were before and with it, over all starts.
    pub sequence: u64,
}

/// What the metanode says of its database with every answer, for datanodes to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Its latest generation that is on stable storage; none before the first change.
    pub latest: Option<Generation>,
    /// No other generation counts any more: the database knows all that were told, or an operator agreed to give up
    /// what it does not know. Without it the node keeps those that it has seen.
    pub sole: bool,
}
