//! The incremental report: what changed on this datanode since the last heartbeat that was answered. Of each block only
//! the last change is kept, because it is the only one that still holds. A change stays until the metanode has
//! acknowledged it, so that a lost heartbeat loses nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::cluster::{CommandResult, ReplicaChange, ReportedReplica};
use cairn_protocol::id::BlockId;
use tokio::sync::Notify;

/// Changes that one heartbeat carries at most: as many as a page of a block report, so that the metanode merges them in
/// one short transaction.
pub(crate) const CHANGES_PER_HEARTBEAT_MAX: usize = cairn_protocol::cluster::REPORT_PAGE_MAX;

/// Blocks whose changes are kept: some ten megabytes. If the metanode is away for so long that there are more, the node
/// sends a full block report instead.
const BLOCKS_MAX: usize = 100_000;

/// Collects the changes that the next heartbeats carry. Shared by all parts of a datanode.
#[derive(Debug, Default)]
pub(crate) struct IncrementalReport {
    pending: Mutex<PendingChanges>,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct PendingChanges {
    last_sequence: u64,
    in_order: BTreeMap<u64, ReplicaChange>,
    sequence_of_block: HashMap<BlockId, u64>,
    finished: Vec<CommandResult>,
    overflowed: bool,
}

/// The part of the incremental report that one heartbeat carries.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReportBatch {
    /// In the order in which they happened.
    pub(crate) changes: Vec<ReplicaChange>,
    pub(crate) finished: Vec<CommandResult>,
    sequences: Vec<u64>,
}

impl ReportBatch {
    /// How many blocks changed.
    pub(crate) fn blocks(&self) -> usize {
        self.sequences.len()
    }
}

impl IncrementalReport {
    /// Notes that a replica was stored.
    pub(crate) fn replica_stored(&self, replica: ReportedReplica) {
        self.lock().record(ReplicaChange::Stored(replica));
    }

    /// Notes that a replica was deleted.
    pub(crate) fn replica_deleted(&self, block: BlockId) {
        self.lock().record(ReplicaChange::Deleted(block));
    }

    /// Notes that replicas were found damaged, or lost, and asks for a heartbeat at once, so that repair begins soon.
    pub(crate) fn replicas_corrupt(&self, blocks: impl IntoIterator<Item = BlockId>) {
        let mut pending = self.lock();
        for block in blocks {
            pending.record(ReplicaChange::Corrupt(block));
        }
        drop(pending);
        self.heartbeat_now();
    }

    /// Notes that a command ended, and asks for a heartbeat at once, because the metanode may have another command.
    pub(crate) fn command_finished(&self, result: CommandResult) {
        self.lock().finished.push(result);
        self.heartbeat_now();
    }

    /// Waits until a heartbeat is to be sent at once.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Asks for a heartbeat at once.
    pub(crate) fn heartbeat_now(&self) {
        self.urgent.notify_one();
    }

    /// The oldest changes, for the next heartbeat. They come again until they are [acknowledged](Self::acknowledged).
    pub(crate) fn next_batch(&self) -> ReportBatch {
        let pending = self.lock();
        let mut next = ReportBatch { finished: pending.finished.clone(), ..ReportBatch::default() };
        for (sequence, change) in pending.in_order.iter().take(CHANGES_PER_HEARTBEAT_MAX) {
            next.sequences.push(*sequence);
            next.changes.push(*change);
        }
        next
    }

    /// Removes the changes of `batch`, which the metanode has acknowledged.
    pub(crate) fn acknowledged(&self, batch: &ReportBatch) {
        let mut pending = self.lock();
        for sequence in &batch.sequences {
            // A later change of the block has another sequence number, and stays.
            if let Some(change) = pending.in_order.remove(sequence) {
                pending.sequence_of_block.remove(&change.block());
            }
        }
        // Results are only ever appended.
        let acknowledged = batch.finished.len().min(pending.finished.len());
        pending.finished.drain(..acknowledged);
        let more = !pending.in_order.is_empty();
        drop(pending);
        if more && batch.sequences.len() == CHANGES_PER_HEARTBEAT_MAX {
            self.heartbeat_now();
        }
    }

    /// Removes all changes: a full block report follows, and the metanode ignores results of commands that it gave to an
    /// earlier incarnation.
    pub(crate) fn clear(&self) {
        *self.lock() = PendingChanges::default();
    }

    /// Whether changes were dropped because there were too many, so that a full block report is needed.
    pub(crate) fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    fn lock(&self) -> MutexGuard<'_, PendingChanges> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingChanges {
    fn record(&mut self, change: ReplicaChange) {
        self.last_sequence += 1;
        if let Some(before) = self.sequence_of_block.insert(change.block(), self.last_sequence) {
            self.in_order.remove(&before);
        }
        self.in_order.insert(self.last_sequence, change);
        if self.sequence_of_block.len() > BLOCKS_MAX {
            self.overflowed = true;
            self.in_order.clear();
            self.sequence_of_block.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> BlockId {
        BlockId(Uuid::from_u128(n))
    }

    fn replica(n: u128) -> ReportedReplica {
        ReportedReplica { block: id(n), length: 1, crc32c: 2 }
    }

    #[test]
    fn only_the_last_change_of_a_block_is_reported() {
        let report = IncrementalReport::default();
        report.replica_stored(replica(1));
        report.replica_deleted(id(1));
        report.replica_deleted(id(2));
        report.replica_stored(replica(2));
        let next = report.next_batch();
        assert_eq!(next.changes, [ReplicaChange::Deleted(id(1)), ReplicaChange::Stored(replica(2))]);
    }

    #[test]
    fn changes_are_reported_again_until_they_are_acknowledged() {
        let report = IncrementalReport::default();
        report.replica_stored(replica(1));
        let first = report.next_batch();
        assert_eq!(report.next_batch().changes, first.changes);
        // While the heartbeat is on its way, more happens, to the same block too.
        report.replica_deleted(id(1));
        report.replicas_corrupt([id(2)]);
        report.acknowledged(&first);
        let next = report.next_batch();
        assert_eq!(next.changes, [ReplicaChange::Deleted(id(1)), ReplicaChange::Corrupt(id(2))]);
    }

    #[test]
    fn too_many_changes_ask_for_a_full_report() {
        let report = IncrementalReport::default();
        (0..=BLOCKS_MAX as u128).for_each(|n| report.replica_deleted(id(n)));
        assert!(report.overflowed());
        report.clear();
        assert!(!report.overflowed());
    }
}
