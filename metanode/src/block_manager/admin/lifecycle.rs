//! What lifecycle rules want, and what is due.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, ExplainLifecycle, LifecycleExplanation, LifecycleStatus};

use crate::block_manager::{Inner, LifecycleActions};

fn actions(inner: &Inner) -> Result<&Arc<dyn LifecycleActions>, AdminError> {
    let starting = || AdminError::Unavailable { reason: "the metanode is starting".to_owned() };
    inner.lifecycle.get().ok_or_else(starting)
}

pub(super) async fn explain(
    inner: &Arc<Inner>,
    request: ExplainLifecycle,
) -> Result<LifecycleExplanation, AdminError> {
    // A snapshot, because the newest version of one read may be noncurrent in the next.
    let mut snapshot = inner.store.snapshot().await?;
    actions(inner)?.explain(&mut snapshot, request).await
}

pub(super) async fn status(inner: &Arc<Inner>) -> Result<LifecycleStatus, AdminError> {
    let mut snapshot = inner.store.snapshot().await?;
    Ok(actions(inner)?.status(&mut snapshot).await?)
}
