//! Commands that a node reports as ended, and what follows.

use cairn_protocol::cluster::{CommandResult, ReportedReplica};
use cairn_protocol::id::NodeId;
use cairn_protocol::warn_peer;

use crate::block_manager::Inner;
use crate::block_manager::soft_state::copies::CopyIntent;

/// The commands that ended with a heartbeat.
///
/// A guard for copies that were made, until SQL knows their replicas: the node may hang up in the middle of its heartbeat.
/// Then nothing waits for them any more, and a block that has a replica too many is repair's.
pub(super) struct EndedCommands<'a> {
    inner: &'a Inner,
    node: NodeId,
    copied: Vec<CopyIntent>,
    others: Vec<&'a CommandResult>,
}

/// Takes the copies that ended out of what is under way. Those that were made are landing: no other copy is made instead.
pub(super) fn end_commands<'a>(
    inner: &'a Inner,
    node: NodeId,
    finished: &'a [CommandResult],
) -> EndedCommands<'a> {
    let mut ended = EndedCommands { inner, node, copied: Vec::new(), others: Vec::new() };
    let now = inner.env.monotonic();
    let mut soft_state = inner.soft_state();
    for result in finished {
        let Some(copy) = soft_state.copies.finish(result.command, node) else {
            ended.others.push(result);
            continue;
        };
        let block = copy.replica.block;
        match &result.error {
            None => {
                soft_state.nodes.succeeded(node);
                if let Some(from) = copy.purpose.leaves() {
                    soft_state.finished_moves.announce(block, from, node);
                }
                soft_state.copies.land(copy.clone());
                ended.copied.push(copy);
            }
            Some(error) => {
                warn_peer!(%node, %block, error, "a datanode could not copy a block");
                soft_state.nodes.failed(node, copy.sources.first().copied(), now);
                soft_state.copy_backoff.add(block, now);
                soft_state.hints.add(block);
            }
        }
    }
    drop(soft_state);
    if ended.others.len() < finished.len() {
        // The nodes have bandwidth for other copies.
        inner.wake_copiers();
    }
    ended
}

impl EndedCommands<'_> {
    /// The replicas that the node made.
    pub(super) fn copied(&self) -> impl Iterator<Item = ReportedReplica> {
        self.copied.iter().map(|copy| copy.replica)
    }

    /// What changed is in SQL: deletions that ended make way for the next ones.
    pub(super) fn conclude(self) {
        let mut soft_state = self.inner.soft_state();
        let Some(node) = soft_state.nodes.get_mut(self.node) else { return };
        for CommandResult { command, error } in &self.others {
            if node.deletions.ended(*command, error.is_none())
                && let Some(error) = error
            {
                warn_peer!(node = %self.node, error, "a datanode could not delete replicas");
            }
        }
    }
}

impl Drop for EndedCommands<'_> {
    /// Copies whose replicas did not come to count.
    fn drop(&mut self) {
        if self.copied.is_empty() {
            return;
        }
        let mut soft_state = self.inner.soft_state();
        for copy in &self.copied {
            let block = copy.replica.block;
            if soft_state.copies.landed(block, self.node).is_some() {
                soft_state.hints.add(block);
                if copy.purpose.leaves().is_some() {
                    soft_state.finished_moves.counted(block, false);
                }
            }
        }
        drop(soft_state);
        self.inner.wake_copiers();
    }
}
