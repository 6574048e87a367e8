//! The check of all blocks and replicas in SQL: missing, corrupt, under- and over-replicated, and orphaned ones.

use serde::{Deserialize, Serialize};

use crate::id::{BlockId, NodeId};

/// Requests a page of the check. The check is a walk over buckets, their objects and uploads, then over
/// retired versions that may still be read, then over blocks and replicas that nothing refers to; each page is a short read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsckRequest {
    /// Only this bucket.
    pub bucket: Option<String>,
    /// The end of the last page; `None` begins the check.
    pub after: Option<FsckCursor>,
    /// Whether to fix what needs no change of data: it queues blocks with wrong replicas for repair, corrects wrong counts of
    /// references, and removes the rows of nodes that do not exist. It never deletes a block.
    #[serde(default)]
    pub repair: bool,
}

/// The end of a page. It is opaque to the caller, which sends it back for the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckCursor(pub String);

/// A page of the check. The counts are those of this page, and the caller adds them up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FsckPage {
    /// The checked objects and blocks, by bucket. A block that several objects share counts once for each.
    pub buckets: Vec<BucketHealth>,
    /// The counts that belong to no bucket, or cannot be assigned to one.
    pub totals: FsckTotals,
    /// The problems, each with an example; at most some hundred a page.
    pub problems: Vec<Problem>,
    /// The beginning of the next page; `None` on the last page.
    pub next: Option<FsckCursor>,
    /// The finished share of the check in thousandths, as a cheap estimate.
    pub progress_permille: u32,
    /// Whether deletions are held; on the last page only.
    #[serde(default)]
    pub hold: Option<super::HoldStatus>,
}

/// The result of the check for a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketHealth {
    /// Its name.
    pub bucket: String,
    /// Current versions of objects, and parts of uploads in progress. Versions that were overwritten or deleted count as
    /// garbage.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The problems of the blocks that they refer to.
    pub blocks: FsckSummary,
}

/// Counts of blocks by problem. A missing block counts as missing only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckSummary {
    /// All checked blocks.
    pub blocks: u64,
    /// Blocks without a good replica on a node that is not dead.
    pub missing: u64,
    /// Blocks with a replica that is known to be corrupt.
    pub corrupt: u64,
    /// Blocks with fewer good live replicas than their replication, or than there are nodes.
    pub under_replicated: u64,
    /// Blocks with more good live replicas than their replication.
    pub over_replicated: u64,
    /// Blocks with more replicas in one zone than necessary, although a node of another zone could take one.
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

/// Counts that belong to no bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsckTotals {
    /// Blocks to which no object and no part refers, although their row is still there.
    pub orphaned_blocks: u64,
    /// Blocks whose count of references is not the number of extents that refer to them.
    pub wrong_references: u64,
    /// Counters of blocks, replicas, deletions and repairs that do not say what there is.
    #[serde(default)]
    pub wrong_counters: u64,
    /// Replicas on nodes that do not exist, or of blocks that do not exist.
    pub orphaned_replicas: u64,
    /// Replicas of blocks that are not committed yet. They are deleted when their lease has ended without a commit.
    pub uncommitted_replicas: u64,
    /// Replicas that wait to be deleted.
    pub deletions_queued: u64,
    /// Versions and parts that wait for the end of their grace period.
    pub garbage_queued: u64,
    /// Deleted buckets whose uploads in progress are not yet aborted.
    #[serde(default)]
    pub deleted_buckets: u64,
}

impl std::ops::AddAssign for FsckTotals {
    fn add_assign(&mut self, other: Self) {
        let Self {
            orphaned_blocks,
            wrong_references,
            wrong_counters,
            orphaned_replicas,
            uncommitted_replicas,
            deletions_queued,
            garbage_queued,
            deleted_buckets,
        } = other;
        self.orphaned_blocks += orphaned_blocks;
        self.wrong_references += wrong_references;
        self.wrong_counters += wrong_counters;
        self.orphaned_replicas += orphaned_replicas;
        self.uncommitted_replicas += uncommitted_replicas;
        self.deletions_queued += deletions_queued;
        self.garbage_queued += garbage_queued;
        self.deleted_buckets += deleted_buckets;
    }
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// The block; all zeros if there is none: an object's extents have a gap, or a counter is wrong.
    pub block: BlockId,
    /// The bucket of an object that refers to it.
    pub bucket: Option<String>,
    /// That object's key.
    pub key: Option<String>,
    /// The nodes that hold a replica, good or bad, live or not.
    pub holders: Vec<NodeId>,
    /// A sentence with the facts and the remedy, which names a command where there is one.
    pub advice: String,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No good replica on any node that is not dead.
    Missing,
    /// A replica is corrupt.
    Corrupt,
    /// Too few good replicas.
    UnderReplicated,
    /// Too many good replicas.
    OverReplicated,
    /// The replicas could be spread better over zones.
    Misplaced,
    /// No object and no part refers to the block.
    Orphaned,
    /// The count of its references is wrong.
    WrongReferences,
    /// A counter does not say what there is.
    WrongCounter,
    /// An object's extents leave a gap, or refer to a block that does not exist.
    BrokenObject,
}
