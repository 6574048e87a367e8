//! The clock by which locks of versions end: its state, and the operator's word that sets it forward.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, AdvanceLockClock, LockClockStatus};
use futures_util::FutureExt;

use crate::block_manager::Inner;
use crate::store::clock::{self, StoredClock};

pub(super) async fn advance(
    inner: &Arc<Inner>,
    request: AdvanceLockClock,
) -> Result<LockClockStatus, AdminError> {
    let kept = inner.lock_clock.advanced(request.until);
    let written = kept.clone();
    // In SQL first: otherwise a restart could turn the clock back.
    inner
        .store
        .write(move |tx| async move { clock::keep(tx, StoredClock::Locks, &written).await }.boxed())
        .await?;
    inner.lock_clock.kept(&kept);
    tracing::warn!(until = request.until.0, "an operator set the clock for locks forward");
    Ok(inner.lock_clock.status())
}
