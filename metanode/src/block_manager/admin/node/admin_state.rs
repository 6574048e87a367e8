//! The administrative state of a node: in service, draining, or in maintenance.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::admin::{AdminError, AdminState, AdminStateChange, AdminStateReport, SetAdminState};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use futures_util::FutureExt;

use super::find;
use super::progress::progress_with;
use crate::block_manager::Inner;
use crate::store::nodes;

/// The longest maintenance. During it, the node's blocks have one replica less that can be read. A node that is away
/// for longer should be drained.
const MAINTENANCE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

pub(in crate::block_manager::admin) async fn set_admin_state(
    inner: &Arc<Inner>,
    request: SetAdminState,
) -> Result<AdminStateReport, AdminError> {
    let SetAdminState { node, change, dry_run } = request;
    let _decisions = inner.decisions.write().await;
    let (_, before) = find(inner, node)?;
    let after = admin_state_after(change, inner.env.wall())?;
    if !dry_run && before != after {
        let known = inner.store.write(move |tx| nodes::set_admin_state(tx, node, after).boxed()).await?;
        if !known {
            return Err(AdminError::UnknownNode { node });
        }
        inner.admin_state_changed(node, after);
        tracing::info!(%node, ?after, "an operator decided about a datanode");
        inner.events.publish(EventKind::NodeAdminStateChanged { node, admin_state: after });
    }
    Ok(AdminStateReport { before, after, progress: progress_with(inner, node, after).await? })
}

fn admin_state_after(change: AdminStateChange, now: Timestamp) -> Result<AdminState, AdminError> {
    match change {
        AdminStateChange::Drain => Ok(AdminState::Draining),
        AdminStateChange::Return => Ok(AdminState::InService),
        AdminStateChange::Maintain { for_ms: 0 } => {
            Err(AdminError::Refused { reason: "maintenance must last for some time".to_owned() })
        }
        AdminStateChange::Maintain { for_ms } => {
            let time = Duration::from_millis(for_ms);
            if time > MAINTENANCE_MAX {
                let reason =
                    "maintenance lasts for 30 days at the most; drain a node that is away for longer";
                return Err(AdminError::Refused { reason: reason.to_owned() });
            }
            Ok(AdminState::Maintenance { until: now.after(time) })
        }
    }
}
