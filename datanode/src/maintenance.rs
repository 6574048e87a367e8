//! Keeps volumes tidy: compacts mostly dead segments, writes checkpoints that are due.

use std::sync::Arc;

use cairn_protocol::warn_self;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::service::Blocks;
use crate::volume::{Compaction, Volume, VolumeError};

/// Looks after the volumes until `shutdown`. One segment per volume and turn, so compaction writes at most half a
/// segment per interval.
pub(crate) async fn run(blocks: Blocks, interval: Duration, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = blocks.env.sleep(interval) => {}
        }
        let volumes: Vec<Arc<Volume>> = blocks.volumes.volumes().cloned().collect();
        for volume in volumes.into_iter().filter(|volume| volume.failure().is_none()) {
            tidy(&blocks, volume).await;
        }
    }
}

async fn tidy(blocks: &Blocks, volume: Arc<Volume>) {
    let at = volume.clone();
    let done = tokio::task::spawn_blocking(move || {
        at.checkpoint_if_due()?;
        at.compact()
    });
    match done.await.unwrap_or(Err(VolumeError::Closed)) {
        Ok(None) => {}
        Ok(Some(Compaction { moved, freed_bytes, damaged })) => {
            tracing::debug!(volume = %volume.id(), moved, freed_bytes, "compacted a segment");
            for block in damaged {
                blocks.report_damage(&volume, block, "found by compaction");
            }
        }
        Err(VolumeError::Failed(_)) => blocks.journal.hurry(),
        Err(VolumeError::Closed | VolumeError::Full { .. }) => {}
        Err(error) => warn_self!(volume = %volume.id(), %error, "a volume could not be tidied"),
    }
}
