//! Finds the nodes that hold a block, in the order in which a reader should try them.

use cairn_protocol::admin::NodeState;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::{BlockLocation, MetadataError, Replica};
use rand::seq::SliceRandom;

use super::Inner;
use super::soft_state::SoftState;
use crate::store::{Connection, blocks};

pub(super) async fn locate(
    inner: &Inner,
    connection: &mut Connection,
    wanted: &[BlockId],
) -> Result<Vec<BlockLocation>, MetadataError> {
    let mut locations = Vec::with_capacity(wanted.len());
    for block in wanted {
        let Some(copies) = blocks::find(connection, *block).await? else { continue };
        locations.push(BlockLocation {
            block: *block,
            length: copies.block.length,
            crc32c: copies.block.crc32c,
            replicas: in_reading_order(inner, copies.holders),
        });
    }
    Ok(locations)
}

/// Sorts replicas for a reader. Live nodes come first, in random order so that load spreads; then suspect, stale and
/// dead ones. Bad replicas come last but are not left out: a reader verifies what it reads, and the report that a
/// replica is bad may have been wrong.
fn in_reading_order(inner: &Inner, mut holders: Vec<(NodeId, bool)>) -> Vec<Replica> {
    inner.env.with_rng(|rng| holders.shuffle(rng));
    let now = inner.env.monotonic();
    let soft_state = inner.soft_state();
    let state = |node| match soft_state.nodes.state(node) {
        NodeState::Live => 0,
        NodeState::Stale => 1,
        NodeState::Dead => 2,
    };
    holders.sort_by_key(|(node, good)| (!good, state(*node), soft_state.nodes.is_suspect(*node, now)));
    holders.into_iter().filter_map(|(node, good)| replica(&soft_state, node, !good)).collect()
}

fn replica(soft_state: &SoftState, id: NodeId, bad: bool) -> Option<Replica> {
    let node = soft_state.nodes.get(id)?;
    Some(Replica {
        node: id,
        address: node.address.clone(),
        zone: node.zone.as_deref().map(str::to_owned),
        live: node.state == NodeState::Live,
        bad,
    })
}
