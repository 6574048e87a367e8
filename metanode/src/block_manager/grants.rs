//! Grants: permissions to store one block each. A grant is a lease that gateways renew while they write. It is signed,
//! so that the metanode need not remember it, and giving one writes nothing to SQL.

use std::collections::BTreeMap;

use cairn_protocol::admin::{AdminState, NodeState};
use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{
    AllocateBlocks, Grant, GrantTarget, MetadataError, ReleaseGrants, RenewGrants,
};
use futures_util::FutureExt;

use super::Inner;
use super::soft_state::SoftState;
use crate::store::blocks::{self, BucketLayout};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, StoreError, deletions};
use cairn_planner::placement::{Demand, place};
use cairn_planner::size::block_size;
use cairn_planner::{ClusterView, NodeView};

/// The purpose that grants are signed for.
const PURPOSE: &str = "grant";

/// The metanode does not know what was stored under a grant that is given back. The node counts the bytes when it
/// deletes them.
const UNKNOWN_BYTES: u64 = 0;

/// Upper limit of grants in one request: 8 GiB in blocks of the default size, and a fraction of a second of work.
const GRANTS_MAX: u32 = 1_000;

/// Checks that this cluster gave the grant, and that its lease has not ended.
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

pub(super) fn sign(inner: &Inner, mut grant: Grant) -> Grant {
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
    let planned = plan(inner, &mut inner.soft_state(), &request, layout)?;
    Ok(planned.into_iter().map(|grant| sign(inner, grant)).collect())
}

/// Whether operators and clients may choose this block size.
pub(super) fn is_block_size(bytes: u64) -> bool {
    (BLOCK_SIZE_MIN..=BLOCK_LENGTH_MAX).contains(&bytes)
}

/// Plans all grants of a request, or none: chooses nodes and reserves the expected space. They are not signed yet.
fn plan(
    inner: &Inner,
    soft_state: &mut SoftState,
    request: &AllocateBlocks,
    layout: BucketLayout,
) -> Result<Vec<Grant>, MetadataError> {
    let config = &inner.config;
    let replication = config.replication_of(request.storage_class.as_deref(), layout.replication);
    let expires_at = inner.env.now().after(config.lease);
    let base = request.block_size.or(layout.block_size).unwrap_or(config.block_size);
    let mut offset = request.object_offset;
    let mut planned: Vec<Grant> = Vec::new();
    let result = loop {
        if planned.len() == request.count as usize {
            break Ok(());
        }
        let size = block_size(base, offset, request.object_length);
        // If a client sends more than it announced, the rest is 0, and each further block is expected to have one byte.
        let rest = request.object_length.map_or(u64::MAX, |length| length.saturating_sub(offset));
        let bytes = size.min(rest).min(request.expected_length.unwrap_or(u64::MAX)).max(1);
        let demand = Demand { bytes, copies: replication, holders: &[], exclude: &request.exclude };
        // The next placement counts these bytes as used.
        match grant(inner, soft_state, &demand, Terms { block_size: size, reserved: bytes, expires_at }) {
            Ok(grant) => planned.push(grant),
            Err(error) => break Err(error),
        }
        offset = offset.saturating_add(size);
    };
    if result.is_err() {
        for grant in &planned {
            soft_state.reservations.remove(grant.block);
        }
    }
    result.map(|()| planned)
}

/// What a grant allows, besides its nodes.
pub(super) struct Terms {
    /// The largest length of the block in bytes.
    pub(super) block_size: u64,
    /// The bytes that are counted as used on each node.
    pub(super) reserved: u64,
    /// The end of the lease.
    pub(super) expires_at: Timestamp,
}

/// Chooses the nodes of a new block, and reserves space on them. The grant is not signed yet.
///
/// # Errors
/// `NotEnoughNodes`, and why.
pub(super) fn grant(
    inner: &Inner,
    soft_state: &mut SoftState,
    demand: &Demand<'_>,
    Terms { block_size, reserved, expires_at }: Terms,
) -> Result<Grant, MetadataError> {
    let view = soft_state.view(&inner.env);
    let min_replicas = view.attainable(inner.config.min_replicas.min(demand.copies));
    let nodes = inner.env.with_rng(|rng| place(view, demand, rng));
    if nodes.is_empty() || nodes.len() < min_replicas as usize {
        return Err(not_enough(view, demand.bytes, min_replicas, demand.exclude));
    }
    let grant = Grant {
        block: BlockId(inner.env.uuid_v7()),
        targets: nodes.iter().filter_map(|node| target(soft_state, *node)).collect(),
        block_size,
        replication: demand.copies,
        min_replicas,
        expires_at,
        lifetime_ms: lifetime_ms(inner),
        signature: String::new(),
    };
    soft_state.reservations.add(grant.block, nodes, reserved, expires_at);
    Ok(grant)
}

fn lifetime_ms(inner: &Inner) -> u64 {
    u64::try_from(inner.config.lease.as_millis()).unwrap_or(u64::MAX)
}

fn target(soft_state: &SoftState, id: NodeId) -> Option<GrantTarget> {
    soft_state.nodes.get(id).map(|node| GrantTarget { node: id, address: node.address.clone() })
}

/// The error that says how many nodes can take a block, and why the others cannot.
fn not_enough(view: &ClusterView, bytes: u64, needed: u32, excluded: &[NodeId]) -> MetadataError {
    let registered = view.nodes().len();
    if registered == 0 {
        return MetadataError::NotEnoughNodes { reason: "no datanode has registered".to_owned() };
    }
    let mut able = 0;
    let mut unable: BTreeMap<&str, usize> = BTreeMap::new();
    for node in view.nodes() {
        match unable_because(node, bytes, excluded) {
            Some(why) => *unable.entry(why).or_default() += 1,
            None => able += 1,
        }
    }
    let unable: Vec<String> = unable.into_iter().map(|(why, nodes)| format!("{nodes} {why}")).collect();
    let reason = format!(
        "a block of {bytes} bytes needs {needed} datanodes that can take it, and {able} of {registered} can: {}",
        unable.join(", ")
    );
    MetadataError::NotEnoughNodes { reason }
}

/// Why a node cannot take a block of this many bytes; `None` if it can.
fn unable_because(node: &NodeView, bytes: u64, excluded: &[NodeId]) -> Option<&'static str> {
    match (node.state, node.admin_state) {
        (NodeState::Dead, _) => Some("dead"),
        (NodeState::Stale, _) => Some("stale"),
        (NodeState::Live, AdminState::Draining) => Some("draining"),
        (NodeState::Live, AdminState::Maintenance { .. }) => Some("in maintenance"),
        (NodeState::Live, AdminState::InService) if node.failing => Some("failing again and again"),
        (NodeState::Live, AdminState::InService) if !node.takes(bytes) => Some("full"),
        (NodeState::Live, AdminState::InService) if excluded.contains(&node.node) => {
            Some("failed this client")
        }
        (NodeState::Live, AdminState::InService) => None,
    }
}

pub(super) async fn renew(inner: &Inner, request: RenewGrants) -> Result<Vec<Grant>, MetadataError> {
    for grant in &request.grants {
        verify(inner, grant)?;
    }
    let expires_at = inner.env.now().after(inner.config.lease);
    let blocks: Vec<BlockId> = request.grants.iter().map(|grant| grant.block).collect();
    inner.store.write(move |tx| keep_leases(tx, blocks, expires_at).boxed()).await?;
    let mut soft_state = inner.soft_state();
    let renewed = request.grants.into_iter().map(|grant| {
        let nodes: Vec<_> = grant.targets.iter().map(|target| target.node).collect();
        soft_state.reservations.extend(grant.block, &nodes, expires_at);
        sign(inner, Grant { expires_at, lifetime_ms: lifetime_ms(inner), ..grant })
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
            // It was committed in the meantime, and needs no lease.
            continue;
        }
        match leases::find(tx, block).await? {
            Some(Lease::GivenUp(_)) => {
                return Err(MetadataError::BlockLost { block, reason: "it was given up".to_owned() });
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
            // Its lease has ended: the leases worker deletes what was stored under it.
            Err(MetadataError::GrantExpired) => {}
            Err(error) => return Err(error),
        }
    }
    if request.unused {
        let mut soft_state = inner.soft_state();
        genuine.iter().for_each(|grant| soft_state.reservations.remove(grant.block));
        return Ok(());
    }
    let given_back = inner.store.write(move |tx| give_back(tx, genuine, now).boxed()).await?;
    let mut soft_state = inner.soft_state();
    for grant in given_back {
        soft_state.reservations.remove(grant.block);
        for target in &grant.targets {
            soft_state.nodes.deletion_queued(target.node, UNKNOWN_BYTES);
        }
        inner.events.publish(EventKind::GrantAbandoned { block: grant.block });
    }
    Ok(())
}

/// Queues the deletion of what was stored under these grants, and marks their blocks so that they cannot be committed.
/// Returns the grants that were not committed before.
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
        leases::give_up(tx, grant.block, grant.expires_at).await?;
        for target in &grant.targets {
            deletions::queue(tx, target.node, grant.block, UNKNOWN_BYTES, now).await?;
        }
        given_back.push(grant);
    }
    Ok(given_back)
}
