//! Which deletions a node was ordered, and how many replicas wait to be deleted there.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;

/// Where handing out a node's deletions stands. The queue is gone through round and round, for what
/// cannot be deleted (it is on a volume that failed) must not hold up what can.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    /// Whether SQL may have some that were not handed out.
    pub(crate) waiting: bool,
    /// The command that the node is at, and its deadline.
    pub(crate) command: Option<(u64, Timestamp)>,
    /// How far this round has come.
    pub(crate) through: Option<BlockId>,
    /// Something could not be deleted in this round.
    failed: bool,
    /// When the next round begins at the earliest.
    rests_until: Timestamp,
}

impl Deletions {
    /// SQL is to be asked.
    pub(super) fn unknown() -> Self {
        Self { waiting: true, ..Self::default() }
    }

    /// Whether the node can be given the next ones.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        let busy = self.command.is_some_and(|(_, deadline)| deadline >= now);
        self.waiting && !busy && now >= self.rests_until
    }

    /// A command ended; answers whether it was the one that the node is at.
    pub(crate) fn ended(&mut self, command: u64, well: bool) -> bool {
        let known = self.command.is_some_and(|(at, _)| at == command);
        if known {
            self.command = None;
            self.failed |= !well;
        }
        known
    }

    /// The round has come to the end of the queue, which was empty or not. What failed is tried again
    /// after a rest.
    pub(crate) fn end_round(&mut self, empty: bool, rest_until: Timestamp) {
        self.through = None;
        self.waiting |= !empty;
        if std::mem::take(&mut self.failed) {
            self.rests_until = rest_until;
        }
    }
}

/// Replicas on their way out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outgoing {
    replicas: u64,
    bytes: u64,
}

impl Outgoing {
    /// So many replicas, of so many bytes.
    pub(super) fn new((replicas, bytes): (u64, u64)) -> Self {
        Self { replicas, bytes }
    }

    /// Replicas and bytes.
    pub(super) fn parts(self) -> (u64, u64) {
        (self.replicas, self.bytes)
    }

    /// Their bytes.
    pub(super) fn bytes(self) -> u64 {
        self.bytes
    }

    pub(super) fn queued(&mut self, replicas: u64, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.replicas = self.replicas.saturating_add(replicas);
    }

    /// So many replicas were deleted. The sums are estimates: a deletion may have been queued twice, or with a length
    /// that was not known. So they are cut off at zero, and the bytes are zero when no replica is left.
    pub(super) fn done(&mut self, replicas: u64, bytes: u64) {
        self.replicas = self.replicas.saturating_sub(replicas);
        self.bytes = if self.replicas == 0 { 0 } else { self.bytes.saturating_sub(bytes) };
    }
}
