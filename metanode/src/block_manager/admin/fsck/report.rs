//! The page of fsck that is being filled, and the texts of its problems.

use std::collections::HashSet;

use cairn_planner::ClusterView;
use cairn_protocol::admin::{BucketHealth, FsckPage, NodeState, Problem, ProblemKind};
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::ListId;

use super::health::Findings;
use super::mend::Mend;
use crate::store::counters::Comparison;
use crate::store::fsck::{CheckedExtent, CheckedReplica, KnownBlock};

/// The block of a problem that is about no block.
const NO_BLOCK: BlockId = BlockId(uuid::Uuid::nil());

/// Limit of problems on a page; the last row may exceed it. A problem can have some KiB, because it names a key.
pub(super) const PROBLEMS_MAX: usize = 300;

/// The advice for a version that was deleted or overwritten.
const ITS_END: &str = "who still reads it fails; it goes by itself at the end of its grace period";

/// The page so far.
pub(super) struct Report {
    pub(super) page: FsckPage,
    pub(super) mends: Vec<Mend>,
    /// Whether the operator asked for repairs.
    repair: bool,
    /// The problems on the page. A block that several objects share is listed once.
    said: HashSet<(ProblemKind, BlockId)>,
}

/// The object that a problem belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim<'a> {
    /// Empty if the bucket is deleted.
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    /// Whether its version was deleted or overwritten, and may still be read.
    pub(super) retired: bool,
}

impl Report {
    pub(super) fn new(repair: bool) -> Self {
        Self { page: FsckPage::default(), mends: Vec::new(), repair, said: HashSet::new() }
    }

    /// Whether the page has reached its limit of problems.
    pub(super) fn is_full(&self) -> bool {
        self.page.problems.len() >= PROBLEMS_MAX
    }

    /// The counts of a bucket on this page.
    pub(super) fn bucket(&mut self, name: &str) -> &mut BucketHealth {
        let place = self.page.buckets.iter().position(|health| health.bucket == name);
        let place = place.unwrap_or_else(|| {
            self.page.buckets.push(BucketHealth { bucket: name.to_owned(), ..BucketHealth::default() });
            self.page.buckets.len() - 1
        });
        &mut self.page.buckets[place]
    }

    fn say(
        &mut self,
        kind: ProblemKind,
        block: BlockId,
        victim: Option<Victim<'_>>,
        holders: &[(NodeId, bool)],
        advice: String,
    ) {
        // Problems without a block are never merged: each is an object of its own.
        if block.0.is_nil() || self.said.insert((kind, block)) {
            self.page.problems.push(Problem {
                kind,
                block,
                bucket: victim.map(|victim| victim.bucket.to_owned()).filter(|bucket| !bucket.is_empty()),
                key: victim.map(|victim| victim.key.to_owned()),
                holders: holders.iter().map(|(node, _)| *node).collect(),
                advice,
            });
        }
    }

    /// Adds a version or part that has gaps, overlaps or lost blocks.
    pub(super) fn broken_object(&mut self, victim: Victim<'_>, block: Option<BlockId>, what: &str) {
        let advice = if victim.retired {
            format!("{what}; {ITS_END}")
        } else {
            format!("{what}; restore the object from elsewhere, or delete it")
        };
        self.say(ProblemKind::BrokenObject, block.unwrap_or(NO_BLOCK), Some(victim), &[], advice);
    }

    /// Counts a block and adds the problems of its replicas.
    pub(super) fn block(
        &mut self,
        view: &ClusterView,
        victim: Victim<'_>,
        extent: &CheckedExtent,
        known: &KnownBlock,
        findings: Findings,
    ) {
        if !victim.retired {
            self.count(victim.bucket, findings);
        }
        let (block, holders) = (extent.block, extent.holders.as_slice());
        let mends_itself = self.queue(block, known, findings);
        let mut say = |kind, advice| self.say(kind, block, Some(victim), holders, advice);
        if findings.missing {
            say(ProblemKind::Missing, missing(view, victim, holders));
        }
        let Findings { copies, wanted, .. } = findings;
        if findings.corrupt {
            let bad: Vec<_> =
                holders.iter().filter(|(_, good)| !good).map(|(node, _)| node.to_string()).collect();
            let advice = format!(
                "the replica on {} does not match its checksum and is not read; a good one is made from the others, {mends_itself}",
                bad.join(" and ")
            );
            say(ProblemKind::Corrupt, advice);
        }
        if findings.under_replicated {
            let advice =
                format!("{copies} of {wanted} replicas: the others are made from those, {mends_itself}");
            say(ProblemKind::UnderReplicated, advice);
        }
        if findings.over_replicated {
            let surplus = format!("{copies} replicas where {} are wanted", known.replication);
            say(
                ProblemKind::OverReplicated,
                format!("{surplus}: what is too many is deleted, {mends_itself}"),
            );
        }
        if findings.misplaced {
            let advice = "one zone has more of the replicas than need be: one of them is moved to another";
            say(ProblemKind::Misplaced, format!("{advice}, {mends_itself}"));
        }
    }

    fn count(&mut self, bucket: &str, findings: Findings) {
        let summary = &mut self.bucket(bucket).blocks;
        summary.blocks += 1;
        summary.missing += u64::from(findings.missing);
        summary.corrupt += u64::from(findings.corrupt);
        summary.under_replicated += u64::from(findings.under_replicated);
        summary.over_replicated += u64::from(findings.over_replicated);
        summary.misplaced += u64::from(findings.misplaced);
    }

    /// Whether a block with problems is in the repair queue, in words. Queues it if the operator asked for repairs.
    fn queue(&mut self, block: BlockId, known: &KnownBlock, findings: Findings) -> &'static str {
        let Findings { missing, corrupt, under_replicated, over_replicated, misplaced, .. } = findings;
        let trouble = missing || corrupt || under_replicated || over_replicated || misplaced;
        if !trouble || known.queued {
            return "it is queued for that";
        }
        if self.repair {
            self.mends.push(Mend::Queue(block));
            return "queued for repair now";
        }
        "which nobody has queued: `cairn admin fsck --repair` does"
    }

    /// Adds a block that nothing refers to.
    pub(super) fn orphaned_block(&mut self, block: BlockId) {
        self.page.totals.orphaned_blocks += 1;
        let advice = "no object, no upload and no garbage refers to it: it takes space and does no harm";
        self.say(ProblemKind::Orphaned, block, None, &[], advice.to_owned());
    }

    /// Adds an extent list that nothing refers to.
    pub(super) fn orphaned_list(&mut self, list: ListId) {
        self.page.totals.orphaned_blocks += 1;
        let advice = format!(
            "no object, no upload and no garbage refers to extent list {}: its blocks take space and do no harm",
            list.0
        );
        self.say(ProblemKind::Orphaned, NO_BLOCK, None, &[], advice);
    }

    /// Adds a block whose references are miscounted.
    pub(super) fn wrong_block_references(&mut self, block: BlockId, refs: i64, rows: i64) {
        let counted = format!("{rows} objects, parts and entries of lists refer to it, and it counts {refs}");
        self.wrong_references(block, counted, Mend::RecountBlock(block));
    }

    /// Adds an extent list whose references are miscounted.
    pub(super) fn wrong_list_references(&mut self, list: ListId, refs: i64, rows: i64) {
        let counted = format!(
            "{rows} objects, parts and entries of lists refer to extent list {}, and it counts {refs}",
            list.0
        );
        self.wrong_references(NO_BLOCK, counted, Mend::RecountList(list));
    }

    fn wrong_references(&mut self, block: BlockId, counted: String, mend: Mend) {
        self.page.totals.wrong_references += 1;
        let advice = if self.repair {
            self.mends.push(mend);
            format!("{counted}; counted anew now")
        } else {
            format!("{counted}: `cairn admin fsck --repair` counts anew")
        };
        self.say(ProblemKind::WrongReferences, block, None, &[], advice);
    }

    /// Adds a counter that does not say what there is.
    pub(super) fn wrong_counter(&mut self, compared: Comparison) {
        self.page.totals.wrong_counters += 1;
        let Comparison { counter, said, counted } = compared;
        let found = format!(
            "the counter of {counter} says {} with {} bytes, and there are {} with {} bytes",
            said.things, said.bytes, counted.things, counted.bytes
        );
        let advice = if self.repair {
            self.mends.push(Mend::Recount(compared));
            format!("{found}; counted anew now")
        } else {
            format!("{found}: `cairn admin fsck --repair` counts anew")
        };
        self.say(ProblemKind::WrongCounter, NO_BLOCK, None, &[], advice);
    }

    /// Adds a replica whose node or block does not exist.
    pub(super) fn orphaned_replica(&mut self, replica: &CheckedReplica) {
        self.page.totals.orphaned_replicas += 1;
        let CheckedReplica { block, ordinal, node, has_block } = *replica;
        let on = node.map_or_else(|| format!("number {ordinal}"), |node| node.to_string());
        let advice = if !has_block {
            format!("node {on} holds a replica of a block that does not exist")
        } else if self.repair {
            self.mends.push(Mend::Forget(block, ordinal));
            format!("it is said to be on node {on}, which does not exist: forgotten now")
        } else {
            format!(
                "it is said to be on node {on}, which does not exist: `cairn admin fsck --repair` forgets it"
            )
        };
        let holders: Vec<_> = node.iter().map(|node| (*node, true)).collect();
        self.say(ProblemKind::Orphaned, block, None, &holders, advice);
    }
}

/// The advice for a block without a good replica that can be read.
fn missing(view: &ClusterView, victim: Victim<'_>, holders: &[(NodeId, bool)]) -> String {
    let names = |wanted: &dyn Fn(&(NodeId, bool)) -> bool| {
        let names: Vec<_> =
            holders.iter().filter(|holder| wanted(holder)).map(|(node, _)| node.to_string()).collect();
        names.join(" and ")
    };
    let dead = names(&|(node, good)| *good && view.state(*node) == NodeState::Dead);
    if !dead.is_empty() {
        return format!("all good replicas are on dead nodes: bring back {dead} (`cairn admin node list`)");
    }
    if victim.retired {
        return format!("no good replica is left of a version that was deleted or overwritten; {ITS_END}");
    }
    let object = shell_word(&format!("s3://{}/{}", victim.bucket, victim.key));
    let bad = names(&|(_, good)| !good);
    if bad.is_empty() {
        return format!("no node has a replica: restore {object} from elsewhere, or delete it");
    }
    format!(
        "only damaged replicas are left, on {bad}; they are kept: see what `cairn admin where {object} --verify` can read of them"
    )
}

/// Quotes a text so that a shell takes it as one word.
fn shell_word(text: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || ":/._-+=@,%".contains(character);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(shell_word("s3://b/a/b.txt"), "s3://b/a/b.txt");
        assert_eq!(shell_word("s3://b/it's $HOME"), r"'s3://b/it'\''s $HOME'");
    }
}
