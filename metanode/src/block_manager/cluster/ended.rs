//! Commands that a node reports as ended, and their consequences.

use cairn_protocol::cluster::{CommandResult, ReportedReplica};
use cairn_protocol::id::NodeId;
use cairn_protocol::warn_peer;

use crate::block_manager::Inner;
use crate::block_manager::soft_state::copies::{CopyIntent, Purpose};

/// The commands that ended with a heartbeat.
///
/// It guards finished copies until SQL lists their replicas, because the node may hang up in the middle of its
/// heartbeat. When it is dropped early, these copies stop counting as landing, and a replica too many is left to
/// repair.
pub(super) struct EndedCommands<'a> {
    inner: &'a Inner,
    node: NodeId,
    copied: Vec<CopyIntent>,
    others: Vec<&'a CommandResult>,
}

/// Ends copies that the node reports. Successful ones count as landing, so that no other copy is made instead.
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
            // Its worker plans the objects again. The fault may be with any of the nodes that have the pieces.
            Some(error) if copy.purpose == Purpose::Pack => {
                warn_peer!(%node, %block, error, "a datanode could not make a pack");
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
        // The nodes have bandwidth for other copies again.
        inner.wake_copiers();
    }
    ended
}

impl EndedCommands<'_> {
    /// The replicas that the node made by copying.
    pub(super) fn copied(&self) -> impl Iterator<Item = ReportedReplica> {
        self.copied.iter().map(|copy| copy.replica)
    }

    /// Called when the changes are in SQL. Ends commands to delete, so that the next ones can be sent.
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
    /// Releases the copies whose replicas SQL does not list.
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
