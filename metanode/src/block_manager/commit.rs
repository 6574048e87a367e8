//! Committing blocks that were stored under grants: the checks, and what SQL and soft state record.

use std::collections::HashSet;

use cairn_protocol::admin::NodeState;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{Content, EntryTarget, MetadataError, NewExtent};

use super::soft_state::SoftState;
use super::{Inner, grants, repair_queue};
use crate::store::leases::{self, Lease};
use crate::store::lists::{self, NewEntry};
use crate::store::{Connection, blocks, deletions};

/// Blocks below this length are small: datanodes keep many of them in one segment, and the pack worker moves what is in them.
pub(super) const SMALL_BLOCK: u64 = 1 << 20;

pub(super) async fn commit_extents(
    inner: &Inner,
    tx: &mut Connection,
    extents: &[NewExtent],
) -> Result<Content, MetadataError> {
    let mut entries = Vec::with_capacity(extents.len());
    let mut committed = Vec::with_capacity(extents.len());
    for new in extents {
        let block = new.grant.block;
        entries.push(entry(new)?);
        grants::verify(inner, &new.grant)?;
        // If a shared block was committed with another object, it has one more reference now, and the replicas that were recorded then.
        if new.slice.is_some() && blocks::refer_to(tx, new).await? {
            continue;
        }
        let Targets { nodes, live } = targets(inner, new)?;
        check_not_given_up(tx, block, &nodes).await?;
        if !blocks::insert(tx, new, &nodes).await? {
            return Err(invalid("it was used already"));
        }
        let attainable = inner.soft_state().nodes.attainable(new.grant.replication);
        if live < attainable {
            repair_queue::queue(inner, tx, block, live, new.grant.replication).await?;
        }
        committed.push(CommittedBlock { block, nodes, length: new.length });
    }
    let content = match entries[..] {
        [] => Content::Empty,
        [NewEntry { target: EntryTarget::Block(block), start: offset, .. }] => {
            let crc32c = extents.first().and_then(|extent| extent.slice).map(|slice| slice.crc32c);
            Content::Block { block, offset, crc32c }
        }
        _ => Content::List { list: lists::create(tx, &entries).await? },
    };
    settle(inner, &committed);
    Ok(content)
}

/// The entry of a list for an extent.
fn entry(new: &NewExtent) -> Result<NewEntry, MetadataError> {
    let (start, length) = new.slice.map_or((0, new.length), |slice| (slice.offset, slice.length));
    let is_within = start.checked_add(length).is_some_and(|end| end <= new.length);
    if length == 0 || !is_within {
        return Err(invalid("the extent is not within its block"));
    }
    Ok(NewEntry { target: EntryTarget::Block(new.grant.block), start, length })
}

fn invalid(reason: &str) -> MetadataError {
    MetadataError::InvalidGrant { reason: reason.to_owned() }
}

/// Refuses a block whose replicas are being deleted, even if its grant is valid. One transaction both marks a block as
/// given up and queues the deletions. Either that transaction or this commit comes first, and the later one sees the
/// earlier.
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

/// The nodes that have a block, after the checks.
struct Targets {
    /// The nodes to list in SQL.
    nodes: Vec<NodeId>,
    /// How many of them are not dead.
    live: u32,
}

/// Checks that a block is what was granted, and the nodes that the gateway says have the block. The removal of a node runs in a
/// transaction too, and transactions run one after another, so what this finds about nodes stays true until the commit
/// is done.
fn targets(inner: &Inner, new: &NewExtent) -> Result<Targets, MetadataError> {
    let grant = &new.grant;
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
    let (nodes, unknown) = current_holders(&soft_state, new);
    let live = nodes.iter().filter(|node| soft_state.nodes.state(**node) != NodeState::Dead).count();
    if live < grant.min_replicas as usize && unknown {
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

/// The nodes that still have the block, and whether this is unknown for others. Nodes are left out that were removed,
/// that registered again and did not report the block, or that lost it with a disk. If they were listed, replicas that
/// do not exist would count.
fn current_holders(soft_state: &SoftState, new: &NewExtent) -> (Vec<NodeId>, bool) {
    let mut holders = Vec::with_capacity(new.stored_on.len());
    let mut unknown = false;
    for node in &new.stored_on {
        match holding_of(soft_state, new, *node) {
            Holding::Yes => holders.push(*node),
            Holding::Unknown => unknown = true,
            Holding::Gone => {}
        }
    }
    (holders, unknown)
}

/// Whether a node still has a block that it stored earlier.
enum Holding {
    /// It has the block.
    Yes,
    /// Unknown: the node has registered again, and its block report is not complete.
    Unknown,
    /// It does not have the block.
    Gone,
}

fn holding_of(soft_state: &SoftState, new: &NewExtent, node: NodeId) -> Holding {
    // The node was removed. Its replicas were removed from SQL, and do not count even if it comes back.
    let Some(known) = soft_state.nodes.get(node) else { return Holding::Gone };
    // A report or heartbeat of the current incarnation decides.
    if let Some(held) = soft_state.orphans.held(node, known.incarnation, new.grant.block) {
        return if held.good { Holding::Yes } else { Holding::Gone };
    }
    let mut stored_in = new.incarnations.iter().filter(|(other, _)| *other == node).peekable();
    // Otherwise the incarnation in which the block was stored decides. If it is the current one, a loss would have been
    // reported. Nodes and gateways of an earlier version do not name the incarnation; then the block counts as stored.
    if stored_in.peek().is_none() || stored_in.any(|(_, incarnation)| *incarnation == known.incarnation) {
        Holding::Yes
    } else if known.has_reported() {
        Holding::Gone
    } else {
        Holding::Unknown
    }
}

/// A block that the running transaction commits.
struct CommittedBlock {
    block: BlockId,
    nodes: Vec<NodeId>,
    length: u64,
}

/// Records committed blocks in the soft state, shortly before the transaction ends. If the transaction fails, the gateway
/// commits again or gives the grants back; if it does neither, the next block reports name the replicas again.
fn settle(inner: &Inner, committed: &[CommittedBlock]) {
    let (now, ended) = (inner.env.monotonic(), *inner.store.transactions_ended().borrow());
    let mut soft_state = inner.soft_state();
    soft_state.reservations.ripen(ended);
    for CommittedBlock { block, nodes, length } in committed {
        if *length < SMALL_BLOCK {
            soft_state.new_small.add(*length);
        }
        soft_state.reservations.committed(*block, nodes, ended);
        soft_state.orphans.committed(*block);
        soft_state.recent_commits.add(*block, now, inner.config.report_age);
    }
}
