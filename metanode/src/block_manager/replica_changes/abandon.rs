//! Whether replicas of blocks to which nothing refers may be abandoned. They may not before all nodes have reported,
//! nor while deletions are held, nor when a node holds so many of them that this database may be the wrong one.

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;

use super::Change;
use crate::block_manager::Inner;
use crate::block_manager::soft_state::Gate;
use crate::block_manager::soft_state::SoftState;
use crate::block_manager::soft_state::nodes::{Node, Unknown};
use crate::block_manager::soft_state::orphans::Held;
use crate::store::StoreError;

/// Whether these replicas may be abandoned. If not, they are examined again later: when all nodes have reported, or,
/// while deletions are held, when an operator has agreed and the node reports again.
pub(super) async fn may_abandon(
    inner: &Inner,
    node: NodeId,
    unreferenced: &[ReportedReplica],
) -> Result<bool, StoreError> {
    if unreferenced.is_empty() {
        return Ok(false);
    }
    let (strange, in_all, reported) = {
        let mut soft_state = inner.soft_state();
        if !is_open(inner, &mut soft_state, node) {
            put_off(inner, &mut soft_state, node, unreferenced);
            return Ok(false);
        }
        let blocks = unreferenced.iter().map(|replica| replica.block);
        let strange = soft_state.count_strange(node, blocks, inner.env.now());
        let Some(known) = soft_state.nodes.get(node) else { return Ok(false) };
        (strange, known.report.given_up + strange, known.report.replicas())
    };
    if strange == 0 {
        return Ok(true);
    }
    let too_many = inner.look_at_unknown(node, in_all, reported).await?;
    let mut soft_state = inner.soft_state();
    if too_many {
        put_off(inner, &mut soft_state, node, unreferenced);
    } else if let Some(known) = soft_state.nodes.get_mut(node) {
        known.report.given_up = in_all;
    }
    Ok(!too_many)
}

/// Whether leases may begin for blocks whose ids lie in the future. While deletions are held they may not; then these
/// blocks wait like those that would be abandoned.
pub(super) fn may_lease(inner: &Inner, node: NodeId, from_the_future: &[ReportedReplica]) -> bool {
    let mut soft_state = inner.soft_state();
    let is_held = soft_state.is_held();
    if is_held {
        put_off(inner, &mut soft_state, node, from_the_future);
    }
    !is_held
}

/// Whether replicas of a node may be abandoned now.
pub(super) fn is_open(inner: &Inner, soft_state: &mut SoftState, node: NodeId) -> bool {
    let has_reported = soft_state.nodes.get(node).is_some_and(Node::has_reported);
    has_reported && soft_state.gate(inner.env.monotonic()) == Gate::Open
}

fn put_off(inner: &Inner, soft_state: &mut SoftState, node: NodeId, unreferenced: &[ReportedReplica]) {
    let (is_held, now) = (soft_state.is_held(), inner.env.now());
    let Some(known) = soft_state.nodes.get_mut(node) else { return };
    if is_held {
        // Operators see only how many there are. The node reports them again when deletions are released.
        known.report.add_unknown(Unknown::of(unreferenced));
    } else if !known.has_reported() {
        known.report.put_off(unreferenced);
    } else {
        // The worker that examines orphans waits for the other nodes' reports too.
        for replica in unreferenced {
            soft_state.remember_orphan(node, &Change::Held(*replica), now);
        }
    }
}

impl SoftState {
    /// Remembers a reported replica of a block to which nothing refers, to be examined again when `due`.
    pub(in crate::block_manager) fn remember_orphan(
        &mut self,
        node: NodeId,
        reported: &Change,
        due: Timestamp,
    ) {
        let Some(incarnation) = self.nodes.get(node).map(|node| node.incarnation) else { return };
        let good = !matches!(reported, Change::Corrupt(_));
        self.orphans.add(node, Held { replica: reported.replica(), incarnation, good }, due);
    }
}
