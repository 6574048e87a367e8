//! What happened to replicas since the last heartbeat that was answered: for each block, what happened last.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::cluster::{CommandResult, ReportedReplica};
use cairn_protocol::id::BlockId;
use tokio::sync::Notify;

/// Blocks that one heartbeat tells of: as many as a page of a block report, so that the metanode merges it in one
/// short transaction.
pub(crate) const PER_HEARTBEAT: usize = cairn_protocol::cluster::REPORT_PAGE_MAX;

/// Blocks that are remembered: some ten megabytes. If the metanode is away for so long that there are more, it gets a
/// full report instead.
const BLOCKS_MAX: usize = 100_000;

/// Collects what the next heartbeats tell. Shared by all parts of a datanode.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    last: u64,
    in_order: BTreeMap<u64, Change>,
    of_block: HashMap<BlockId, u64>,
    finished: Vec<CommandResult>,
    overflowed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Stored(ReportedReplica),
    Deleted(BlockId),
    Corrupt(BlockId),
}

/// What one heartbeat tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Increment {
    pub(crate) stored: Vec<ReportedReplica>,
    pub(crate) deleted: Vec<BlockId>,
    pub(crate) corrupt: Vec<BlockId>,
    pub(crate) finished: Vec<CommandResult>,
    sequence: Vec<u64>,
}

impl Increment {
    /// How many blocks it tells of.
    pub(crate) fn blocks(&self) -> usize {
        self.sequence.len()
    }
}

impl Journal {
    /// A replica was stored.
    pub(crate) fn stored(&self, replica: ReportedReplica) {
        self.lock().record(replica.block, Change::Stored(replica));
    }

    /// A replica was deleted.
    pub(crate) fn deleted(&self, block: BlockId) {
        self.lock().record(block, Change::Deleted(block));
    }

    /// Replicas were found wrong, or lost. The metanode is to know at once.
    pub(crate) fn corrupt(&self, blocks: impl IntoIterator<Item = BlockId>) {
        let mut entries = self.lock();
        for block in blocks {
            entries.record(block, Change::Corrupt(block));
        }
        drop(entries);
        self.hurry();
    }

    /// A command ended. The metanode is to know at once, for it may have another.
    pub(crate) fn finished(&self, result: CommandResult) {
        self.lock().finished.push(result);
        self.hurry();
    }

    /// Waits until something is to be told at once.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Asks for a heartbeat at once.
    pub(crate) fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// What to tell next. It is told again unless [`told`](Self::told) follows.
    pub(crate) fn next(&self) -> Increment {
        let entries = self.lock();
        let mut next = Increment { finished: entries.finished.clone(), ..Increment::default() };
        for (sequence, change) in entries.in_order.iter().take(PER_HEARTBEAT) {
            next.sequence.push(*sequence);
            match change {
                Change::Stored(replica) => next.stored.push(*replica),
                Change::Deleted(block) => next.deleted.push(*block),
                Change::Corrupt(block) => next.corrupt.push(*block),
            }
        }
        next
    }

    /// The metanode has heard `increment`.
    pub(crate) fn told(&self, increment: &Increment) {
        let mut entries = self.lock();
        for sequence in &increment.sequence {
            // What happened to the block since has another number, and stays.
            match entries.in_order.remove(sequence) {
                Some(Change::Stored(ReportedReplica { block, .. }))
                | Some(Change::Deleted(block))
                | Some(Change::Corrupt(block)) => entries.of_block.remove(&block),
                None => None,
            };
        }
        // Results are only ever appended.
        let told = increment.finished.len().min(entries.finished.len());
        entries.finished.drain(..told);
        let more = !entries.in_order.is_empty();
        drop(entries);
        if more && increment.sequence.len() == PER_HEARTBEAT {
            self.hurry();
        }
    }

    /// Forgets all: a full report comes, and commands of an earlier incarnation concern nobody.
    pub(crate) fn start_over(&self) {
        *self.lock() = Entries::default();
    }

    /// Whether entries were lost, so that only a full report tells all.
    pub(crate) fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn record(&mut self, block: BlockId, change: Change) {
        self.last += 1;
        if let Some(before) = self.of_block.insert(block, self.last) {
            self.in_order.remove(&before);
        }
        self.in_order.insert(self.last, change);
        if self.of_block.len() > BLOCKS_MAX {
            self.overflowed = true;
            self.in_order.clear();
            self.of_block.clear();
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
    fn what_happened_last_to_a_block_is_told() {
        let journal = Journal::default();
        journal.stored(replica(1));
        journal.deleted(id(1));
        journal.deleted(id(2));
        journal.stored(replica(2));
        let next = journal.next();
        assert_eq!((next.stored, next.deleted), (vec![replica(2)], vec![id(1)]));
    }

    #[test]
    fn what_was_not_heard_is_told_again_and_what_was_heard_is_not() {
        let journal = Journal::default();
        journal.stored(replica(1));
        let first = journal.next();
        assert_eq!(journal.next().stored, first.stored);
        // While the heartbeat is on its way, more happens, to the same block too.
        journal.deleted(id(1));
        journal.corrupt([id(2)]);
        journal.told(&first);
        let next = journal.next();
        assert_eq!((next.stored, next.deleted, next.corrupt), (vec![], vec![id(1)], vec![id(2)]));
    }

    #[test]
    fn too_much_to_remember_asks_for_a_full_report() {
        let journal = Journal::default();
        (0..=BLOCKS_MAX as u128).for_each(|n| journal.deleted(id(n)));
        assert!(journal.overflowed());
        journal.start_over();
        assert!(!journal.overflowed());
    }
}
