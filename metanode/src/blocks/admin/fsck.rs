//! The check of everything.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, FsckPage, FsckRequest};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn page(_inner: &Arc<Inner>, _request: FsckRequest) -> Result<FsckPage, AdminError> {
    not_yet()
}
