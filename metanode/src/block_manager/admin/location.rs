//! The location of an object: its extents, their blocks, and the nodes that have them.

use std::sync::Arc;

use cairn_protocol::admin::{
    AdminError, AdminState, ExtentPlace, NodeState, ObjectPlace, ReplicaPlace, WhereRequest,
};
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::ObjectVersion;
use cairn_protocol::rpc::MESSAGE_LENGTH_MAX;

use crate::block_manager::Inner;
use crate::store::fsck::{CheckedExtent, extents_of};
use crate::store::{Connection, buckets, objects};

/// Extents that one statement reads.
const EXTENTS_PER_READ: u32 = 2_000;

/// Bytes of the reply as JSON without the extents: the object's own fields, with room to spare.
const BESIDE: usize = 64 * 1024;

pub(super) async fn locate(inner: &Arc<Inner>, request: WhereRequest) -> Result<ObjectPlace, AdminError> {
    locate_within(inner, request, MESSAGE_LENGTH_MAX - BESIDE).await
}

/// The location, if its extents fit into `length_max` bytes.
pub(in crate::block_manager) async fn locate_within(
    inner: &Arc<Inner>,
    request: WhereRequest,
    length_max: usize,
) -> Result<ObjectPlace, AdminError> {
    let mut snapshot = inner.store.snapshot().await?;
    let object = find(&mut snapshot, &request).await?;
    let mut extents = Vec::new();
    let mut bytes = 0usize;
    let mut from = 0;
    loop {
        let page = extents_of(&mut snapshot, &object, from, EXTENTS_PER_READ).await?;
        let Some(last) = page.last() else { break };
        from = last.object_offset.saturating_add(last.length.max(1));
        for extent in page {
            let place = place(inner, extent)?;
            bytes = bytes.saturating_add(serde_json::to_vec(&place).map_or(0, |json| json.len() + 1));
            if bytes > length_max {
                return Err(too_many(&object, extents.len()));
            }
            extents.push(place);
        }
    }
    Ok(ObjectPlace {
        version: object.version,
        length: object.length,
        etag: object.etag,
        modified_at: object.modified_at,
        extents,
    })
}

fn too_many(object: &ObjectVersion, fitting: usize) -> AdminError {
    let reason = format!(
        "the object of {} bytes has more extents than one answer holds; its first {fitting} would fit. \
         `cairn admin fsck` looks at all of them",
        object.length
    );
    AdminError::Refused { reason }
}

async fn find(snapshot: &mut Connection, request: &WhereRequest) -> Result<ObjectVersion, AdminError> {
    let found = buckets::find(snapshot, &request.bucket).await?;
    let Some((bucket, _)) = found else {
        return Err(AdminError::NoSuchBucket { bucket: request.bucket.clone() });
    };
    let object = match request.version {
        None => objects::find_current(snapshot, bucket, &request.key).await?,
        Some(version) => objects::find_named(snapshot, bucket, &request.key, version)
            .await?
            .filter(|found| !found.is_delete_marker)
            .map(|found| found.object),
    };
    object.ok_or_else(|| AdminError::NoSuchKey { bucket: request.bucket.clone() })
}

fn place(inner: &Inner, extent: CheckedExtent) -> Result<ExtentPlace, AdminError> {
    let CheckedExtent { object_offset, block_offset, length, block, known, holders, .. } = extent;
    // Without a row, the length and checksum of the block are unknown.
    let Some(known) = known else {
        let reason = format!(
            "the object refers to block {block}, which does not exist; `cairn admin fsck` tells what is left"
        );
        return Err(AdminError::Refused { reason });
    };
    Ok(ExtentPlace {
        offset: object_offset,
        length,
        block,
        block_offset,
        block_length: known.length,
        crc32c: known.crc32c,
        replication: known.replication,
        references: u64::try_from(known.refs).unwrap_or(0),
        replicas: holders.into_iter().map(|(node, good)| replica(inner, node, good)).collect(),
    })
}

/// The location of a replica. A node that does not exist is shown without an address and as dead.
fn replica(inner: &Inner, id: NodeId, good: bool) -> ReplicaPlace {
    let soft_state = inner.soft_state();
    let Some(node) = soft_state.nodes.get(id) else {
        let (address, zone) = (String::new(), None);
        return ReplicaPlace {
            node: id,
            address,
            zone,
            state: NodeState::Dead,
            admin_state: AdminState::InService,
            good,
        };
    };
    ReplicaPlace {
        node: id,
        address: node.address.clone(),
        zone: node.zone.as_deref().map(str::to_owned),
        state: node.state,
        admin_state: node.admin_state,
        good,
    }
}
