//! The regular upkeep of volumes: each turn probes the disk, looks for segments whose file is gone, empties the trash, writes a
//! checkpoint that is due, and compacts a segment that is mostly dead.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::warn_self;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::service::BlockStore;
use crate::volume::{Compaction, Volume, VolumeError, blocking};

/// Maintains the volumes until `shutdown`. Each volume has a loop of its own, so that a disk that hangs does not hold up the others.
/// One segment is compacted per volume and turn, so compaction writes at most half a segment per interval, or seven eighths on a
/// full disk.
pub(crate) async fn run(blocks: BlockStore, config: &Config, shutdown: CancellationToken) {
    let volumes: Vec<Arc<Volume>> = blocks.volumes.volumes().cloned().collect();
    join_all(volumes.into_iter().map(|volume| maintain(&blocks, volume, config, &shutdown))).await;
}

async fn maintain(blocks: &BlockStore, volume: Arc<Volume>, config: &Config, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = blocks.env.sleep(config.maintenance_interval) => {}
        }
        let turn = async {
            probe(&volume, config.probe_timeout).await?;
            report_missing(blocks, &volume).await?;
            tidy(blocks, &volume).await
        };
        match turn.await {
            Ok(()) | Err(VolumeError::Closed | VolumeError::Full { .. }) => {}
            Err(VolumeError::Failed(_)) => {
                // The metanode must know of the failed volume at once. It may have failed in a request, and not in this turn.
                blocks.incremental_report.heartbeat_now();
                return;
            }
            Err(error) => {
                warn_self!(volume = %volume.id(), %error, "a turn of a volume's maintenance failed")
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a disk takes is real time, whatever clock a test injects"
)]
async fn probe(volume: &Arc<Volume>, timeout: Duration) -> Result<(), VolumeError> {
    let at = volume.clone();
    let mut probed = std::pin::pin!(blocking(move || at.probe()));
    for _ in 0..PROBE_SLICES {
        if let Ok(probed) = tokio::time::timeout(timeout / PROBE_SLICES, &mut probed).await {
            return probed;
        }
    }
    volume.give_up(&format!("it did not answer within {timeout:?}"));
    Err(VolumeError::Failed(volume.failure().unwrap_or_default()))
}

/// The time of a probe is waited for in slices. While the process is stopped (a signal, a paused virtual machine) the clock goes on,
/// and the disk cannot answer. A stop uses up one slice, however long it lasts, and the disk has the others.
const PROBE_SLICES: u32 = 10;

/// Reports the blocks whose segment's file was removed from under the volume.
async fn report_missing(blocks: &BlockStore, volume: &Arc<Volume>) -> Result<(), VolumeError> {
    let at = volume.clone();
    for block in blocking(move || at.lose_missing_segments()).await? {
        blocks.report_damage(volume, block, "its segment is gone");
    }
    Ok(())
}

async fn tidy(blocks: &BlockStore, volume: &Arc<Volume>) -> Result<(), VolumeError> {
    let at = volume.clone();
    let compacted = blocking(move || {
        at.tidy_trash()?;
        match at.checkpoint_if_due() {
            // Compaction may free the space that a checkpoint needs.
            Ok(_) | Err(VolumeError::Full { .. }) => at.compact(),
            Err(error) => Err(error),
        }
    });
    let compacted = compacted.await;
    for block in volume.take_found_damaged() {
        blocks.report_damage(volume, block, "found while space was freed");
    }
    let Some(Compaction { moved, freed_bytes, damaged }) = compacted? else { return Ok(()) };
    tracing::debug!(volume = %volume.id(), moved, freed_bytes, "compacted a segment");
    for block in damaged {
        blocks.report_damage(volume, block, "found by compaction");
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::await_holding_lock, reason = "while it is held, the disk hangs")]
mod tests {
    use super::*;
    use crate::volume::test_support::{SimDisk, open};

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn start(volume: &Arc<Volume>) -> tokio::task::JoinHandle<Result<(), VolumeError>> {
        let volume = volume.clone();
        tokio::spawn(async move { probe(&volume, TIMEOUT).await })
    }

    /// A datanode that was stopped in the middle of a probe, for longer than a probe may take, took its disk out when it went on, and all
    /// blocks of the disk were copied from other nodes.
    #[tokio::test(start_paused = true)]
    async fn a_stop_of_the_process_does_not_count_against_the_disk() {
        let disk = SimDisk::new(1 << 30);
        let volume = Arc::new(open(&disk).unwrap());
        let hangs = disk.hold_syncs();
        let probed = start(&volume);
        tokio::task::yield_now().await;
        tokio::time::advance(10 * TIMEOUT).await;
        drop(hangs);
        probed.await.unwrap().unwrap();
        assert_eq!(volume.failure(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_taken_out_when_the_time_is_over() {
        let disk = SimDisk::new(1 << 30);
        let volume = Arc::new(open(&disk).unwrap());
        let hangs = disk.hold_syncs();
        let probed = start(&volume);
        for _ in 0..PROBE_SLICES {
            assert_eq!(volume.failure(), None);
            tokio::task::yield_now().await;
            tokio::time::advance(TIMEOUT / PROBE_SLICES + Duration::from_millis(1)).await;
        }
        let failed = probed.await.unwrap().unwrap_err();
        assert!(
            matches!(failed, VolumeError::Failed(reason) if reason.contains("did not answer within 10s"))
        );
        drop(hangs);
    }
}
