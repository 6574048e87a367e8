//! Draining, maintaining, returning, stopping and removing nodes.

mod admin_state;
mod progress;
mod remove;
mod stop;

pub(super) use self::admin_state::set_admin_state;
pub(super) use self::progress::progress;
pub(super) use self::remove::remove;
pub(super) use self::stop::can_stop;

use cairn_protocol::admin::{AdminError, AdminState, NodeState};
use cairn_protocol::id::NodeId;

use crate::block_manager::Inner;

/// Blocks that one statement reads when all blocks of a node are examined.
const BLOCKS_PER_READ: u32 = 1_000;

/// A node's state and administrative state.
fn find(inner: &Inner, node: NodeId) -> Result<(NodeState, AdminState), AdminError> {
    let soft_state = inner.soft_state();
    soft_state
        .nodes
        .get(node)
        .map(|node| (node.state, node.admin_state))
        .ok_or(AdminError::UnknownNode { node })
}
