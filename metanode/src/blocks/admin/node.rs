//! Draining, maintaining, returning, stopping and removing nodes.

use std::sync::Arc;

use cairn_protocol::admin::{
    AdminError, CanStop, CanStopReport, DutyReport, NodeProgress, NodeProgressRequest, RemoveNode,
    RemoveNodeReport, SetDuty,
};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn set_duty(_inner: &Arc<Inner>, _request: SetDuty) -> Result<DutyReport, AdminError> {
    not_yet()
}

pub(super) async fn progress(
    _inner: &Arc<Inner>,
    _request: NodeProgressRequest,
) -> Result<NodeProgress, AdminError> {
    not_yet()
}

pub(super) async fn can_stop(_inner: &Arc<Inner>, _request: CanStop) -> Result<CanStopReport, AdminError> {
    not_yet()
}

pub(super) async fn remove(
    _inner: &Arc<Inner>,
    _request: RemoveNode,
) -> Result<RemoveNodeReport, AdminError> {
    not_yet()
}
