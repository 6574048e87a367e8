//! The deletions that a node was ordered to make, and the number that is queued for it.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;

/// The walk over a node's queued deletions. It starts again and again, so that a replica that cannot be deleted now,
/// for example on a failed volume, does not hold up the others.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    /// Whether SQL may have deletions that were not ordered yet.
    pub(crate) waiting: bool,
    /// The command that the node is carrying out, and its deadline.
    pub(crate) command: Option<(u64, Timestamp)>,
    /// The last block of the queue that was ordered in this walk.
    pub(crate) through: Option<BlockId>,
    /// Whether some replica could not be deleted in this walk.
    failed: bool,
    /// The earliest time of the next walk.
    rests_until: Timestamp,
}

impl Deletions {
    /// The state after a start. It is unknown whether SQL has deletions for the node, so the next heartbeat looks.
    pub(super) fn unknown() -> Self {
        Self { waiting: true, ..Self::default() }
    }

    /// Whether the next deletions can be ordered.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        let busy = self.command.is_some_and(|(_, deadline)| deadline >= now);
        self.waiting && !busy && now >= self.rests_until
    }

    /// Records the end of a command. Returns whether it was the current one.
    pub(crate) fn ended(&mut self, command: u64, well: bool) -> bool {
        let known = self.command.is_some_and(|(at, _)| at == command);
        if known {
            self.command = None;
            self.failed |= !well;
        }
        known
    }

    /// Ends a walk over the queue, which was `empty` or not. Deletions that failed are tried again after a rest.
    pub(crate) fn end_round(&mut self, empty: bool, rest_until: Timestamp) {
        self.through = None;
        self.waiting |= !empty;
        if std::mem::take(&mut self.failed) {
            self.rests_until = rest_until;
        }
    }
}

/// Replicas that are queued for deletion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outgoing {
    replicas: u64,
    bytes: u64,
}

impl Outgoing {
    /// A number of replicas, and their bytes.
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

    /// Subtracts deleted replicas. The sums are estimates, because a deletion may have been queued twice, or with an
    /// unknown length. They therefore stop at zero, and the bytes are zero when no replica is left.
    pub(super) fn done(&mut self, replicas: u64, bytes: u64) {
        self.replicas = self.replicas.saturating_sub(replicas);
        self.bytes = if self.replicas == 0 { 0 } else { self.bytes.saturating_sub(bytes) };
    }
}
