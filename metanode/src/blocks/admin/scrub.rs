//! What the datanodes' scrubbers are at.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, ScrubStatus, StartScrub};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn start(_inner: &Arc<Inner>, _request: StartScrub) -> Result<Vec<ScrubStatus>, AdminError> {
    not_yet()
}

pub(super) fn all(_inner: &Arc<Inner>) -> Vec<ScrubStatus> {
    Vec::new()
}
