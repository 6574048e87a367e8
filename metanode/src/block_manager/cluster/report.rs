//! Block reports: the replicas that a node has in a range of ids, compared with the rows that SQL has for the range,
//! page by page.
//!
//! A replica that the node lacks may be in its trash, because an older database ordered its deletion. The reply
//! therefore orders the node to restore such replicas first, and the node sends the page again. What is missing then is
//! lost.

use std::collections::HashSet;
use std::sync::Arc;

use cairn_protocol::cluster::{Action, BlockReport, ClusterError, REPORT_PAGE_MAX, ReportedReplica};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};

use crate::block_manager::Inner;
use crate::block_manager::replica_changes::{Change, change_replicas};
use crate::block_manager::soft_state::nodes::Unknown;
use crate::store::replicas::{BlockRange, ExpectedReplica};
use crate::store::{StoreError, deletions, replicas};

/// Rows that one statement reads. The range of a page may hold far more rows than the node has replicas.
const ROWS_PER_READ: u32 = 2_000;

/// Blocks that one reply orders a node to restore. It bounds the reply, and the time until the node's next message.
const RESTORES_PER_PAGE: usize = 1_000;

pub(super) async fn report_blocks(
    inner: &Arc<Inner>,
    report: BlockReport,
) -> Result<Option<Action>, ClusterError> {
    check(&report)?;
    if !inner.soft_state().nodes.accepts(report.node, report.incarnation) {
        return Err(ClusterError::Reregister);
    }
    let node = report.node;
    let held: HashSet<BlockId> = report.replicas.iter().map(|replica| replica.block).collect();
    let range = BlockRange { after: report.after, through: report.through };
    if report.restored_through.is_some() {
        let rest = BlockRange { after: range.after.max(report.restored_through), ..range };
        let blocks = lacking(inner, node, rest, &held).await?;
        if !blocks.is_empty() {
            return Ok(Some(Action::Restore { blocks }));
        }
    }
    let differences = compare(inner, node, range, &report.replicas).await?;
    if report.can_restore && report.restored_through.is_none() {
        let blocks = differences.lacking();
        if !blocks.is_empty() {
            return Ok(Some(Action::Restore { blocks }));
        }
    }
    await_heartbeats(inner, &report, &differences.unreported);
    let deleted = deleted(inner, node, range, &held).await?;
    let unreferenced = change_replicas(inner, node, differences.changes(deleted)).await?;
    count(inner, &report, &unreferenced).await?;
    Ok(None)
}

/// The first blocks of a range that the node should have and lacks.
async fn lacking(
    inner: &Inner,
    node: NodeId,
    range: BlockRange,
    held: &HashSet<BlockId>,
) -> Result<Vec<BlockId>, StoreError> {
    let mut rest = range;
    let mut reader = inner.store.read_in_background().await?;
    loop {
        let rows = replicas::expected(&mut reader, node, rest, ROWS_PER_READ).await?;
        let lacks = |row: &&ExpectedReplica| {
            row.good && !held.contains(&row.block) && !stored_lately(inner, node, row.block)
        };
        let lacking: Vec<_> =
            rows.iter().filter(lacks).map(|row| row.block).take(RESTORES_PER_PAGE).collect();
        match rows.last() {
            Some(last) if lacking.is_empty() && rows.len() == ROWS_PER_READ as usize => {
                rest.after = Some(last.block);
            }
            Some(_) | None => return Ok(lacking),
        }
    }
}

fn check(report: &BlockReport) -> Result<(), ClusterError> {
    let malformed = |reason: &str| Err(ClusterError::Malformed { reason: reason.to_owned() });
    if report.replicas.len() > REPORT_PAGE_MAX {
        return malformed("the page is too large");
    }
    let blocks = || report.replicas.iter().map(|replica| Some(replica.block));
    let begin = [report.after];
    let ordered = begin.into_iter().chain(blocks()).zip(blocks()).all(|(before, block)| before < block);
    let ends = report.through.is_none() || blocks().next_back().flatten() <= report.through;
    if !ordered || !ends {
        return malformed("the page is not in order, or leaves its range");
    }
    Ok(())
}

/// The differences between a page and SQL.
#[derive(Default)]
struct Differences {
    /// Expected, but not reported.
    missing: Vec<BlockId>,
    /// Expected but not reported, and so young that the page may be older than the replica.
    unreported: Vec<BlockId>,
    /// Reported but not expected, or reported with another length or checksum.
    unexpected: Vec<ReportedReplica>,
    /// Reported as expected, of a block that has more replicas than it should.
    surplus: Vec<BlockId>,
}

/// Merges the page with the rows of its range, both in order.
async fn compare(
    inner: &Inner,
    node: NodeId,
    range: BlockRange,
    held: &[ReportedReplica],
) -> Result<Differences, StoreError> {
    let mut differences = Differences::default();
    let mut held = held.iter().peekable();
    let mut rest = range;
    let mut reader = inner.store.read_in_background().await?;
    loop {
        let rows = replicas::expected(&mut reader, node, rest, ROWS_PER_READ).await?;
        for row in &rows {
            while let Some(replica) = held.next_if(|replica| replica.block < row.block) {
                differences.unexpected.push(*replica);
            }
            match held.next_if(|replica| replica.block == row.block) {
                Some(replica) => differences.compare(row, replica),
                // A replica that is known to be corrupt is in quarantine, and not reported.
                None if !row.good || stored_lately(inner, node, row.block) => {}
                None if is_young(inner, row.block) => differences.unreported.push(row.block),
                None => differences.missing.push(row.block),
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS_PER_READ as usize => rest.after = Some(last.block),
            Some(_) | None => break,
        }
    }
    differences.unexpected.extend(held);
    Ok(differences)
}

impl Differences {
    /// The first blocks that the node lacks, in order.
    fn lacking(&self) -> Vec<BlockId> {
        let mut lacking: Vec<_> = self.missing.iter().chain(&self.unreported).copied().collect();
        lacking.sort_unstable();
        lacking.truncate(RESTORES_PER_PAGE);
        lacking
    }

    /// The changes that follow from the differences and from finished deletions.
    fn changes(self, deleted: Vec<BlockId>) -> Vec<Change> {
        let missing = self.missing.into_iter().map(Change::Missing);
        let surplus = self.surplus.into_iter().map(Change::Surplus);
        let unexpected = self.unexpected.into_iter().map(Change::Held);
        let deleted = deleted.into_iter().map(Change::Deleted);
        missing.chain(surplus).chain(unexpected).chain(deleted).collect()
    }

    fn compare(&mut self, row: &ExpectedReplica, replica: &ReportedReplica) {
        if row.length != replica.length || row.crc32c != replica.crc32c {
            self.unexpected.push(*replica);
        } else if row.surplus {
            self.surplus.push(row.block);
        }
    }
}

/// Whether a report that arrives now may be older than the block's replicas, as far as this process listed them. (Those
/// that an earlier process listed are older than any report to this one.)
fn is_young(inner: &Inner, block: BlockId) -> bool {
    inner.soft_state().recent_commits.has(block, inner.env.monotonic(), inner.config.report_age)
}

/// Whether the node reported in this incarnation, a moment ago, that it stored the block.
fn stored_lately(inner: &Inner, node: NodeId, block: BlockId) -> bool {
    inner.soft_state().nodes.stored_lately(node, block, inner.env.monotonic(), inner.config.report_age)
}

/// Waits for heartbeats that report these replicas, which the node may have stored after it read the page.
fn await_heartbeats(inner: &Inner, report: &BlockReport, unreported: &[BlockId]) {
    let due = inner.env.monotonic() + inner.config.report_age;
    let mut soft_state = inner.soft_state();
    for block in unreported {
        soft_state.unreported.add(report.node, report.incarnation, *block, due);
    }
}

/// Treats replicas that no heartbeat reported in time as missing.
pub(in crate::block_manager) async fn end_waits(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let now = inner.env.monotonic();
    let due = inner.soft_state().unreported.take_due(now, ROWS_PER_READ as usize);
    let mut failed = None;
    for ((node, incarnation), blocks) in due {
        // A newer incarnation reports its replicas again, and those of a dead node do not count.
        if !inner.soft_state().nodes.accepts(node, incarnation) {
            continue;
        }
        let missing = blocks.iter().copied().map(Change::Missing).collect();
        if let Err(error) = change_replicas(inner, node, missing).await {
            let mut soft_state = inner.soft_state();
            for block in blocks {
                soft_state.unreported.add(node, incarnation, block, now);
            }
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The blocks that are queued for deletion and not on the node: their deletion is done. The others stay queued.
async fn deleted(
    inner: &Inner,
    node: NodeId,
    range: BlockRange,
    held: &HashSet<BlockId>,
) -> Result<Vec<BlockId>, StoreError> {
    let mut rest = range;
    let mut done = Vec::new();
    let mut reader = inner.store.read_in_background().await?;
    loop {
        let queued = deletions::page(&mut reader, node, rest, ROWS_PER_READ).await?;
        done.extend(queued.iter().filter(|block| !held.contains(block)));
        match queued.last() {
            Some(last) if queued.len() == ROWS_PER_READ as usize => rest.after = Some(*last),
            Some(_) | None => return Ok(done),
        }
    }
}

/// Counts the replicas of a page. The last page ends the report. Then the node's replicas are known, and how many of
/// them this database does not know.
async fn count(inner: &Inner, report: &BlockReport, unknown: &[ReportedReplica]) -> Result<(), StoreError> {
    let counted = Unknown::of(unknown);
    let told = {
        let mut soft_state = inner.soft_state();
        let strange = soft_state.count_strange(
            report.node,
            unknown.iter().map(|replica| replica.block),
            inner.env.now(),
        );
        soft_state.nodes.reported(report, counted, strange)
    };
    let Some(told) = told else { return Ok(()) };
    let too_many = inner.look_at_unknown(report.node, told.strange, told.replicas).await?;
    {
        let (mut soft_state, now) = (inner.soft_state(), inner.env.now());
        let put_off = soft_state.nodes.get_mut(report.node).map(|node| node.report.take_put_off());
        for replica in put_off.into_iter().flatten().filter(|_| !too_many) {
            soft_state.remember_orphan(report.node, &Change::Held(replica), now);
        }
    }
    inner.nodes_changed();
    inner.events.publish(EventKind::NodeReported { node: report.node, blocks: told.replicas });
    Ok(())
}
