//! Problems that a gateway found when it read a replica.

use std::sync::Arc;

use cairn_protocol::metadata::{MetadataError, ReplicaProblem, ReplicaReport};
use cairn_protocol::warn_peer;

use super::Inner;
use super::replica_changes::{Change, suspect_replica};

/// Handles a report. A node that a gateway could not reach is read last for a while. A replica that is missing or
/// corrupt becomes suspect.
pub(super) async fn report_replica(inner: &Arc<Inner>, report: ReplicaReport) -> Result<(), MetadataError> {
    let ReplicaReport { block, node, problem } = report;
    match problem {
        ReplicaProblem::Unreachable => {
            warn_peer!(%block, %node, "a gateway could not reach a datanode");
            inner.soft_state().nodes.unreachable(node, inner.env.monotonic());
        }
        ReplicaProblem::Missing | ReplicaProblem::Corrupt => {
            warn_peer!(%block, %node, ?problem, "a gateway found a replica wrong");
            suspect_replica(inner, node, Change::Suspected(block, problem)).await?;
        }
    }
    Ok(())
}
