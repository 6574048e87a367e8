//! Committing blocks that were stored under grants.

use std::collections::HashSet;

use cairn_protocol::admin::NodeState;
use cairn_protocol::metadata::{MetadataError, NewExtent};

use super::{Inner, OwnerId, attention, grants};
use crate::store::extents::{self, Extent};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, blocks};

pub(super) async fn commit_extents(
    inner: &Inner,
    tx: &mut Connection,
    owner: &OwnerId,
    base_offset: u64,
    extents: &[NewExtent],
) -> Result<(), MetadataError> {
    let mut object_offset = base_offset;
    for new in extents {
        verify(inner, new)?;
        if let Some(Lease::Released(_)) = leases::take(tx, new.grant.block).await? {
            return Err(invalid("it was given back"));
        }
        if !blocks::insert(tx, new).await? {
            return Err(invalid("it was used already"));
        }
        let extent = Extent { object_offset, block: new.grant.block, block_offset: 0, length: new.length };
        extents::insert(tx, owner, &extent).await?;
        let (live, attainable) = settle(inner, new);
        if live < attainable {
            attention::queue(inner, tx, new.grant.block, live, new.grant.replication).await?;
        }
        object_offset = object_offset.saturating_add(new.length);
    }
    Ok(())
}

fn invalid(reason: &str) -> MetadataError {
    MetadataError::InvalidGrant { reason: reason.to_owned() }
}

fn verify(inner: &Inner, new: &NewExtent) -> Result<(), MetadataError> {
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
    let memory = inner.memory();
    if new.stored_on.iter().any(|node| memory.nodes.get(*node).is_none()) {
        return Err(invalid("a node is named that is not registered"));
    }
    Ok(())
}

/// Gives free what the failed targets had reserved. Answers how many live copies there are, and how
/// many there can be.
fn settle(inner: &Inner, new: &NewExtent) -> (u32, u32) {
    let mut memory = inner.memory();
    memory.reservations.keep_only(new.grant.block, &new.stored_on);
    let live = new.stored_on.iter().filter(|node| memory.nodes.state(**node) != NodeState::Dead).count();
    (u32::try_from(live).unwrap_or(u32::MAX), memory.nodes.attainable(new.grant.replication))
}
