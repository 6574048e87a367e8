//! The commands that travel in the reply to a heartbeat.

use std::collections::{BTreeSet, HashMap};

use cairn_protocol::cluster::{Action, ClusterError, Command, PackPiece};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

use crate::block_manager::Inner;
use crate::block_manager::soft_state::Gate;
use crate::block_manager::soft_state::SoftState;
use crate::block_manager::soft_state::copies::{CopyIntent, Piece};
use crate::store::replicas::BlockRange;
use crate::store::{StoreError, deletions};

pub(super) async fn commands(inner: &Inner, node: NodeId) -> Result<Vec<Command>, ClusterError> {
    let mut commands: Vec<Command> = {
        let mut soft_state = inner.soft_state();
        let copies = soft_state.copies.hand_out(node);
        copies.into_iter().map(|(id, copy)| order(inner, &soft_state, id, &copy)).collect()
    };
    commands.extend(deletion(inner, node).await?);
    Ok(commands)
}

/// The command to make a replica: as a copy, or as a pack of pieces.
fn order(inner: &Inner, soft_state: &SoftState, id: u64, copy: &CopyIntent) -> Command {
    let address = |node: &NodeId| soft_state.nodes.get(*node).map(|found| (*node, found.address.clone()));
    let action = match &copy.pieces {
        None => {
            let sources = copy.sources.iter().filter_map(address).collect();
            Action::Replicate { replica: copy.replica, sources }
        }
        Some(pieces) => {
            let holders: BTreeSet<NodeId> = pieces.iter().flat_map(|piece| &piece.holders).copied().collect();
            let nodes: Vec<_> = holders.iter().filter_map(address).collect();
            let index: HashMap<_, _> = nodes.iter().map(|(node, _)| *node).zip(0u32..).collect();
            let piece = |piece: &Piece| PackPiece {
                block: piece.block,
                offset: piece.offset,
                length: piece.length,
                crc32c: piece.crc32c,
                sources: piece.holders.iter().filter_map(|node| index.get(node).copied()).collect(),
            };
            Action::Pack { replica: copy.replica, pieces: pieces.iter().map(piece).collect(), nodes }
        }
    };
    command(inner, id, copy.deadline, action)
}

/// Makes a command. `deadline` is in cluster time; the command carries it in wall-clock time, because the node has no
/// other clock to compare with.
fn command(inner: &Inner, id: u64, deadline: Timestamp, action: Action) -> Command {
    let issued_at = inner.env.wall();
    Command { id, issued_at, deadline: issued_at.after(deadline.since(inner.env.now())), action }
}

/// The next replicas to delete, unless the node still works on an earlier command to delete.
async fn deletion(inner: &Inner, id: NodeId) -> Result<Option<Command>, ClusterError> {
    let now = inner.env.now();
    let deadline = now.after(inner.config.command_deadline);
    let after = {
        let mut soft_state = inner.soft_state();
        if soft_state.gate(inner.env.monotonic()) != Gate::Open {
            return Ok(None);
        }
        let Some(node) = soft_state.nodes.get_mut(id).filter(|node| node.deletions.is_ready(now)) else {
            return Ok(None);
        };
        // A transaction that queues a deletion after this sets the flag again.
        node.deletions.waiting = false;
        node.deletions.through
    };
    let mut asking = Asking { inner, node: id, answered: false };
    let max = inner.config.delete_batch;
    let blocks = next_page(inner, id, after, max).await?;
    asking.answered = true;
    let mut soft_state = inner.soft_state();
    let number = soft_state.copies.number();
    let Some(node) = soft_state.nodes.get_mut(id) else { return Ok(None) };
    if blocks.len() < max as usize {
        // The deletions that are handed out now may fail, so the next round begins again from the first.
        node.deletions.end_round(blocks.is_empty() && after.is_none(), deadline);
    } else {
        node.deletions.waiting = true;
        node.deletions.through = blocks.last().copied();
    }
    if blocks.is_empty() {
        return Ok(None);
    }
    node.deletions.command = Some((number, deadline));
    Ok(Some(command(inner, number, deadline, Action::Delete { blocks })))
}

/// A guard for the read of queued deletions. If the node hangs up during the read, its drop marks deletions as waiting
/// again.
struct Asking<'a> {
    inner: &'a Inner,
    node: NodeId,
    answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered
            && let Some(node) = self.inner.soft_state().nodes.get_mut(self.node)
        {
            node.deletions.waiting = true;
        }
    }
}

async fn next_page(
    inner: &Inner,
    node: NodeId,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    let mut reader = inner.store.read_in_background().await?;
    deletions::page(&mut reader, node, BlockRange { after, through: None }, max).await
}
