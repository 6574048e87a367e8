//! The check of everything that SQL knows: what is missing, corrupt, under- or over-replicated, or
//! belongs to nothing.

use serde::{Deserialize, Serialize};

use crate::id::{BlockId, NodeId};

/// Asks for a page of the check. The check is a walk over buckets, their objects and uploads, then over
/// retired versions that may still be read, then over blocks and replicas that nothing refers to; each page is a short read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsckRequest {
    /// Only this bucket.
    pub bucket: Option<String>,
    /// Where the last page ended; from the beginning without.
    pub after: Option<FsckCursor>,
    /// Whether to mend what can be mended without touching data: blocks whose replicas are not as they should
    /// be and that are not queued yet are queued, wrong counts of references are counted anew, and what is
    /// known of nodes that do not exist is forgotten. Nothing is ever deleted by it.
    #[serde(default)]
    pub repair: bool,
}

/// Where a page ended. Opaque: it is only handed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckCursor(pub String);

/// A page of the check. Counts are of this page: the caller adds them up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsckPage {
    /// What was looked at, by bucket. A block that several objects share counts once for each.
    pub buckets: Vec<BucketHealth>,
    /// What was looked at that belongs to no bucket, and what cannot be told by bucket.
    pub totals: FsckTotals,
    /// What is wrong, with an example each; at most some hundreds a page.
    pub problems: Vec<Problem>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<FsckCursor>,
    /// How much of the walk is behind, in thousandths, as far as can be told cheaply.
    pub progress_permille: u32,
    /// Whether deletions wait for an operator; on the last page only.
    #[serde(default)]
    pub hold: Option<super::HoldStatus>,
}

/// What was found in a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketHealth {
    /// Its name.
    pub bucket: String,
    /// Current versions of objects, and parts of uploads in progress. What was overwritten or deleted is
    /// garbage already, and counted as such.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is known of the blocks that they refer to.
    pub blocks: FsckSummary,
}

/// Blocks by what is wrong with them. One that is missing counts as nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckSummary {
    /// All that were looked at.
    pub blocks: u64,
    /// No good replica on any node that is not dead.
    pub missing: u64,
    /// Some replica is known to be bad.
    pub corrupt: u64,
    /// Fewer good live replicas than wanted (than nodes, if there are fewer of those).
    pub under_replicated: u64,
    /// More good live replicas than wanted.
    pub over_replicated: u64,
    /// More replicas in one zone than need be, while a node of another zone could take one.
    pub misplaced: u64,
}

impl std::ops::AddAssign for FsckSummary {
    fn add_assign(&mut self, other: Self) {
        let Self { blocks, missing, corrupt, under_replicated, over_replicated, misplaced } = other;
        self.blocks += blocks;
        self.missing += missing;
        self.corrupt += corrupt;
        self.under_replicated += under_replicated;
        self.over_replicated += over_replicated;
        self.misplaced += misplaced;
    }
}

/// What belongs to no bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckTotals {
    /// Blocks that no object and no part refers to, and whose row stays all the same.
    pub orphaned_blocks: u64,
    /// Blocks whose count of references is not the number of extents that refer to them.
    pub wrong_references: u64,
    /// Replicas on nodes that do not exist, or of blocks that do not exist.
    pub orphaned_replicas: u64,
    /// Blocks that nodes hold and that are not committed yet. They are deleted when their lease is over.
    pub uncommitted_replicas: u64,
    /// Replicas that wait to be deleted.
    pub deletions_queued: u64,
    /// Versions and parts that wait for the end of their grace period.
    pub garbage_queued: u64,
    /// Deleted buckets whose uploads in progress have yet to be given up.
    #[serde(default)]
    pub deleted_buckets: u64,
}

impl std::ops::AddAssign for FsckTotals {
    fn add_assign(&mut self, other: Self) {
        let Self {
            orphaned_blocks,
            wrong_references,
            orphaned_replicas,
            uncommitted_replicas,
            deletions_queued,
            garbage_queued,
            deleted_buckets,
        } = other;
        self.orphaned_blocks += orphaned_blocks;
        self.wrong_references += wrong_references;
        self.orphaned_replicas += orphaned_replicas;
        self.uncommitted_replicas += uncommitted_replicas;
        self.deletions_queued += deletions_queued;
        self.garbage_queued += garbage_queued;
        self.deleted_buckets += deleted_buckets;
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What.
    pub kind: ProblemKind,
    /// The block; all zeros where an object lacks bytes, and no block can be named.
    pub block: BlockId,
    /// The bucket of an object that refers to it.
    pub bucket: Option<String>,
    /// That object's key.
    pub key: Option<String>,
    /// The nodes that hold a replica, good or bad, live or not.
    pub holders: Vec<NodeId>,
    /// What is known and what helps, in a sentence; names a command where there is one.
    pub advice: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No good replica on any node that is not dead.
    Missing,
    /// Some replica is bad.
    Corrupt,
    /// Too few good replicas.
    UnderReplicated,
    /// Too many.
    OverReplicated,
    /// Not spread over zones as it could be.
    Misplaced,
    /// Nothing refers to it.
    Orphaned,
    /// Its references are miscounted.
    WrongReferences,
    /// An object's extents leave a gap, or refer to a block that does not exist.
    BrokenObject,
}
