//! From a key to its bytes.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, ObjectPlace, WhereRequest};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn locate(_inner: &Arc<Inner>, _request: WhereRequest) -> Result<ObjectPlace, AdminError> {
    not_yet()
}
