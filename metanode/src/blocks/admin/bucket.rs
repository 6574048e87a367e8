//! What buckets want of the block store.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, BucketSettings, GetBucketSettings, SetBucketSettings};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn get(
    _inner: &Arc<Inner>,
    _request: GetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    not_yet()
}

pub(super) async fn set(
    _inner: &Arc<Inner>,
    _request: SetBucketSettings,
) -> Result<BucketSettings, AdminError> {
    not_yet()
}
