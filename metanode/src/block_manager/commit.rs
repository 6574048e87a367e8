//! Committing blocks that were stored under grants.

use std::collections::HashSet;

use cairn_protocol::admin::NodeState;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{MetadataError, NewExtent};

use super::soft_state::SoftState;
use super::{Inner, OwnerId, grants, repair_queue};
use crate::store::extents::{self, Extent};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, blocks, deletions};

pub(super) async fn commit_extents(
    inner: &Inner,
    tx: &mut Connection,
    owner: &OwnerId,
    base_offset: u64,
    extents: &[NewExtent],
) -> Result<(), MetadataError> {
    let mut object_offset = base_offset;
    let mut committed = Vec::with_capacity(extents.len());
    for new in extents {
        let block = new.grant.block;
        let Targets { nodes, live } = targets(inner, new)?;
        check_not_given_up(tx, block, &nodes).await?;
        if !blocks::insert(tx, new, &nodes).await? {
            return Err(invalid("it was used already"));
        }
        let extent = Extent { object_offset, block, block_offset: 0, length: new.length };
        extents::insert(tx, owner, &extent).await?;
        let attainable = inner.soft_state().nodes.attainable(new.grant.replication);
        if live < attainable {
            repair_queue::queue(inner, tx, block, live, new.grant.replication).await?;
        }
        object_offset = object_offset.saturating_add(new.length);
        committed.push((block, nodes));
    }
    settle(inner, &committed);
    Ok(())
}

fn invalid(reason: &str) -> MetadataError {
    MetadataError::InvalidGrant { reason: reason.to_owned() }
}

/// A block whose replicas are about to go must not become part of an object, however its grant looks: deletions are
/// queued, and the mark is made, in one transaction, so whichever comes first decides.
async fn check_not_given_up(
    tx: &mut Connection,
    block: BlockId,
    nodes: &[NodeId],
) -> Result<(), MetadataError> {
    let given_up = matches!(leases::take(tx, block).await?, Some(Lease::GivenUp(_)));
    if given_up || deletions::any_queued(tx, block, nodes).await? {
        let reason = "it was given up, and its copies are being deleted".to_owned();
        return Err(MetadataError::BlockLost { block, reason });
    }
    Ok(())
}

/// The nodes that hold a block, as far as the metanode believes it.
struct Targets {
    /// To be listed.
    nodes: Vec<NodeId>,
    /// How many of them are not dead.
    live: u32,
}

/// Everything that a commit checks of a block's grant and of the nodes that are said to hold it. Runs in the commit's
/// transaction, as the removal of a node does, so what it finds of nodes stays true until the commit is done.
fn targets(inner: &Inner, new: &NewExtent) -> Result<Targets, MetadataError> {
    let grant = &new.grant;
    grants::verify(inner, grant)?;
    if new.length == 0 || new.length > grant.block_size {
        return Err(invalid("the block's length is not what was granted"));
    }
    let distinct: HashSet<_> = new.stored_on.iter().collect();
    if distinct.len() != new.stored_on.len() {
        return Err(invalid("a node is named twice"));
    }
    if distinct.len() < grant.min_replicas as usize {
        return Err(invalid("the block has too few copies"));
    }
    let granted = |node: &NodeId| grant.targets.iter().any(|target| target.node == *node);
    if !new.stored_on.iter().all(granted) {
        return Err(invalid("a node is named that the grant does not name"));
    }
    let soft_state = inner.soft_state();
    let (nodes, unconfirmed) = believed(&soft_state, new);
    let live = nodes.iter().filter(|node| soft_state.nodes.state(**node) != NodeState::Dead).count();
    if live < grant.min_replicas as usize && unconfirmed {
        let reason = "a datanode that stored a block registered anew, and has not reported yet".to_owned();
        return Err(MetadataError::Unavailable { reason });
    }
    if live < grant.min_replicas as usize {
        let reason = format!(
            "of the {} datanodes that stored it {live} are alive and have it still, and it needs {}",
            new.stored_on.len(),
            grant.min_replicas
        );
        return Err(MetadataError::BlockLost { block: grant.block, reason });
    }
    Ok(Targets { nodes, live: u32::try_from(live).unwrap_or(u32::MAX) })
}

/// The nodes whose word that they stored the block is still to be believed, and whether that is not known yet of others. Those
/// that are left out were removed, registered anew without the block, or lost it with a disk: to list them would make a copy
/// that is not there count for ever.
fn believed(soft_state: &SoftState, new: &NewExtent) -> (Vec<NodeId>, bool) {
    let mut holders = Vec::with_capacity(new.stored_on.len());
    let mut unconfirmed = false;
    for node in &new.stored_on {
        match word_of(soft_state, new, *node) {
            Word::Holds => holders.push(*node),
            Word::Unconfirmed => unconfirmed = true,
            Word::Withdrawn => {}
        }
    }
    (holders, unconfirmed)
}

/// Whether a node's word that it stored a block still counts.
enum Word {
    /// Yes.
    Holds,
    /// It registered anew since, and its report, which will tell, is not complete.
    Unconfirmed,
    /// It does not hold the block any more.
    Withdrawn,
}

fn word_of(soft_state: &SoftState, new: &NewExtent, node: NodeId) -> Word {
    // What a node held that was removed is not known to anybody, even if the node is back under its name.
    let Some(known) = soft_state.nodes.get(node) else { return Word::Withdrawn };
    // What it told itself, with a report or a heartbeat, in the incarnation that counts.
    if let Some(held) = soft_state.orphans.held(node, known.incarnation, new.grant.block) {
        return if held.good { Word::Holds } else { Word::Withdrawn };
    }
    let mut said = new.incarnations.iter().filter(|(other, _)| *other == node).peekable();
    // Nodes and gateways of an earlier version do not say. What was stored in this incarnation is told in it, or what
    // became of it.
    if said.peek().is_none() || said.any(|(_, incarnation)| *incarnation == known.incarnation) {
        Word::Holds
    } else if known.has_reported() {
        Word::Withdrawn
    } else {
        Word::Unconfirmed
    }
}

/// Tells memory of blocks that are committed, but for the transaction's end. Should that fail, gateways commit again or
/// give back, and what nobody does is told by the next reports.
fn settle(inner: &Inner, committed: &[(BlockId, Vec<NodeId>)]) {
    let (now, ended) = (inner.env.monotonic(), *inner.store.transactions_ended().borrow());
    let mut soft_state = inner.soft_state();
    soft_state.reservations.ripen(ended);
    for (block, nodes) in committed {
        soft_state.reservations.committed(*block, nodes, ended);
        soft_state.orphans.committed(*block);
        soft_state.recent_commits.add(*block, now, inner.config.report_age);
    }
}
