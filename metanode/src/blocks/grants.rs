//! Grants: the right to store one block. A grant is a lease, and speaks for itself: it is signed, so
//! nothing has to remember it, and giving one writes nothing.

use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{
    AllocateBlocks, Grant, GrantTarget, MetadataError, ReleaseGrants, RenewGrants,
};
use futures_util::FutureExt;

use super::Inner;
use super::memory::Memory;
use crate::store::blocks::{self, BucketLayout};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, StoreError, deletions};
use cairn_planner::ClusterView;
use cairn_planner::placement::{Demand, place};
use cairn_planner::size::block_size;

/// What grants are signed for.
const PURPOSE: &str = "grant";

/// Grants in one request: 8 GiB in blocks of the default size, and a fraction of a second of work.
const GRANTS_MAX: u32 = 1_000;

/// Checks that a grant is one of ours and can still be used.
pub(super) fn verify(inner: &Inner, grant: &Grant) -> Result<(), MetadataError> {
    inner
        .secret
        .verify(PURPOSE, &grant.message(), &grant.signature)
        .map_err(|error| MetadataError::InvalidGrant { reason: error.to_string() })?;
    if inner.env.now() > grant.expires_at {
        return Err(MetadataError::GrantExpired);
    }
    Ok(())
}

fn sign(inner: &Inner, mut grant: Grant) -> Grant {
    grant.signature = inner.secret.sign(PURPOSE, &grant.message());
    grant
}

pub(super) async fn allocate(inner: &Inner, request: AllocateBlocks) -> Result<Vec<Grant>, MetadataError> {
    if request.count == 0 || request.count > GRANTS_MAX {
        let reason = format!("{} grants at once; 1 to {GRANTS_MAX} are possible", request.count);
        return Err(MetadataError::Malformed { reason });
    }
    if let Some(size) = request.block_size
        && !is_block_size(size)
    {
        let reason = format!("a block size is {BLOCK_SIZE_MIN} to {BLOCK_LENGTH_MAX} bytes, not {size}");
        return Err(MetadataError::Malformed { reason });
    }
    let mut reader = inner.store.read().await?;
    let layout = blocks::bucket_layout(&mut reader, &request.bucket).await?;
    drop(reader);
    let layout = layout.ok_or(MetadataError::NoSuchBucket { bucket: request.bucket.clone() })?;
    let mut memory = inner.memory();
    let planned = plan(inner, &memory, &request, layout)?;
    let mut grants = Vec::with_capacity(planned.len());
    for (grant, bytes) in planned {
        let nodes = grant.targets.iter().map(|target| target.node).collect();
        memory.reservations.add(grant.block, nodes, bytes, grant.expires_at);
        grants.push(sign(inner, grant));
    }
    Ok(grants)
}

/// Whether it is a size that operators and clients can ask for.
pub(super) fn is_block_size(bytes: u64) -> bool {
    (BLOCK_SIZE_MIN..=BLOCK_LENGTH_MAX).contains(&bytes)
}

/// The grants, not yet signed, and the bytes that each is expected to use. All or none.
fn plan(
    inner: &Inner,
    memory: &Memory,
    request: &AllocateBlocks,
    layout: BucketLayout,
) -> Result<Vec<(Grant, u64)>, MetadataError> {
    let config = &inner.config;
    let mut view = memory.view(&inner.env);
    let replication = config.replication_of(request.storage_class.as_deref(), layout.replication);
    let min_replicas = view.attainable(config.min_replicas.min(replication));
    let expires_at = inner.env.now().after(config.lease);
    let base = request.block_size.or(layout.block_size).unwrap_or(config.block_size);
    let mut offset = request.object_offset;
    let mut planned = Vec::new();
    for _ in 0..request.count {
        let size = block_size(base, offset, request.object_length);
        let rest = request.object_length.map_or(u64::MAX, |length| length.saturating_sub(offset));
        let bytes = size.min(rest.max(1));
        let demand = Demand { bytes, copies: replication, holders: &[], exclude: &request.exclude };
        let nodes = inner.env.with_rng(|rng| place(&view, &demand, rng));
        if nodes.is_empty() || nodes.len() < min_replicas as usize {
            return Err(not_enough(&view, bytes, min_replicas, nodes.len(), &request.exclude));
        }
        for node in &nodes {
            view.reserve(*node, bytes);
        }
        let grant = Grant {
            block: BlockId(inner.env.uuid_v7()),
            targets: nodes.into_iter().filter_map(|node| target(memory, node)).collect(),
            block_size: size,
            replication,
            min_replicas,
            expires_at,
            signature: String::new(),
        };
        planned.push((grant, bytes));
        offset = offset.saturating_add(size);
    }
    Ok(planned)
}

fn target(memory: &Memory, id: NodeId) -> Option<GrantTarget> {
    memory.nodes.get(id).map(|node| GrantTarget { node: id, address: node.address.clone() })
}

fn not_enough(
    view: &ClusterView,
    bytes: u64,
    needed: u32,
    found: usize,
    excluded: &[NodeId],
) -> MetadataError {
    let registered = view.nodes().len();
    let able = view.nodes().iter().filter(|node| node.takes(bytes)).count();
    let reason = if registered == 0 {
        "no datanode has registered".to_owned()
    } else {
        format!(
            "of {registered} registered datanodes {able} are alive and have room for {bytes} bytes; \
             {} were excluded; {found} are left and {needed} are needed",
            excluded.len()
        )
    };
    MetadataError::NotEnoughNodes { reason }
}

pub(super) async fn renew(inner: &Inner, request: RenewGrants) -> Result<Vec<Grant>, MetadataError> {
    for grant in &request.grants {
        verify(inner, grant)?;
    }
    let expires_at = inner.env.now().after(inner.config.lease);
    let blocks: Vec<BlockId> = request.grants.iter().map(|grant| grant.block).collect();
    inner.store.write(move |tx| keep_leases(tx, blocks, expires_at).boxed()).await?;
    let mut memory = inner.memory();
    let renewed = request.grants.into_iter().map(|grant| {
        memory.reservations.extend(grant.block, expires_at);
        sign(inner, Grant { expires_at, ..grant })
    });
    Ok(renewed.collect())
}

async fn keep_leases(
    tx: &mut Connection,
    leased: Vec<BlockId>,
    expires_at: Timestamp,
) -> Result<(), MetadataError> {
    for block in leased {
        if blocks::exists(tx, block).await? {
            // Committed meanwhile: what refers to it keeps it.
            continue;
        }
        match leases::find(tx, block).await? {
            Some(Lease::Released(_)) => {
                return Err(MetadataError::InvalidGrant { reason: "it was given back".to_owned() });
            }
            Some(Lease::Renewed(until)) if until >= expires_at => {}
            Some(Lease::Renewed(_)) | None => leases::set(tx, block, Lease::Renewed(expires_at)).await?,
        }
    }
    Ok(())
}

pub(super) async fn release(inner: &Inner, request: ReleaseGrants) -> Result<(), MetadataError> {
    let now = inner.env.now();
    let mut genuine = Vec::with_capacity(request.grants.len());
    for grant in request.grants {
        match verify(inner, &grant) {
            Ok(()) => genuine.push(grant),
            // Its lease is over: whatever was stored under it goes without being asked.
            Err(MetadataError::GrantExpired) => {}
            Err(error) => return Err(error),
        }
    }
    let given_back = inner.store.write(move |tx| give_back(tx, genuine, now).boxed()).await?;
    let mut memory = inner.memory();
    for grant in given_back {
        memory.reservations.remove(grant.block);
        for target in &grant.targets {
            // What was stored, if anything, is not known; the node counts it itself.
            memory.nodes.deletion_queued(target.node, 0);
        }
        inner.events.publish(EventKind::GrantAbandoned { block: grant.block });
    }
    Ok(())
}

/// Queues the deletion of what was stored under these grants, and sees to it that they cannot be
/// committed any more. Answers those that were not committed.
async fn give_back(
    tx: &mut Connection,
    grants: Vec<Grant>,
    now: Timestamp,
) -> Result<Vec<Grant>, StoreError> {
    let mut given_back = Vec::with_capacity(grants.len());
    for grant in grants {
        if blocks::exists(tx, grant.block).await? {
            continue;
        }
        let until = match leases::find(tx, grant.block).await? {
            Some(Lease::Renewed(until) | Lease::Released(until)) => until.max(grant.expires_at),
            None => grant.expires_at,
        };
        leases::set(tx, grant.block, Lease::Released(until)).await?;
        for target in &grant.targets {
            deletions::queue(tx, target.node, grant.block, now).await?;
        }
        given_back.push(grant);
    }
    Ok(given_back)
}
