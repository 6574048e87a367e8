//! The scrubbers: one per volume. Each reads every replica of its volume within a period, at a bounded rate. Damaged replicas are
//! moved into quarantine and reported.
//!
//! | module | what is there |
//! |---|---|
//! | `volume` | the scrubber of one volume: rounds, rate and rests |
//! | `control` | orders from the metanode to the scrubbers, and their progress back |
//!
//! Disks are scrubbed in parallel: a node with 24 disks needs one period, and not 24. A scrubber keeps a cursor on its volume, so
//! that a node that is restarted every day still reaches the last block.
//!
//! A regular round begins when the period is over. A round that the metanode orders begins at once, from the first block, and is read
//! as fast as the limit allows. Only blocks in the index are read, so none that is still being received. A block that a request is
//! writing or deleting is not judged.

mod control;
#[cfg(test)]
mod tests;
mod volume;

use std::sync::Arc;

use cairn_protocol::event::EventKind;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::service::BlockStore;
use crate::volume::blocking;

pub(crate) use control::ScrubControl;
use volume::VolumeScrubber;

/// Scrubs all volumes until `shutdown`. The caller lets it end by itself, so that no read still uses a volume when it is closed.
pub(crate) async fn run(
    config: &Config,
    blocks: BlockStore,
    control: Arc<ScrubControl>,
    shutdown: CancellationToken,
) {
    let volumes: Vec<_> = blocks.volumes.volumes().cloned().collect();
    let mut scrubbers = Vec::new();
    for volume in volumes {
        let scrubber = VolumeScrubber::new(config, blocks.clone(), volume, control.clone(), shutdown.clone());
        // Every volume is added before the first one is read, because a round of the node ends with its last volume.
        scrubbers.push(scrubber.await);
    }
    join_all(scrubbers.into_iter().map(VolumeScrubber::run)).await;
}

/// Records and publishes that all volumes have been read. After an `ordered` round it sends a heartbeat at once.
async fn node_finished(blocks: &BlockStore, control: &ScrubControl, ordered: bool) {
    let progress = control.progress();
    let scrubbed = control.last_scrub();
    let volumes = blocks.volumes.clone();
    let remembered = blocking(move || {
        if volumes.last_scrub() != scrubbed {
            volumes.set_last_scrub(scrubbed);
        }
        Ok(())
    });
    // This fails only when the runtime ends.
    let _ = remembered.await;
    let (node, blocks_read, corrupt) = (blocks.node, progress.blocks, progress.corrupt);
    blocks.events.publish(EventKind::ScrubFinished { node, blocks: blocks_read, corrupt });
    if ordered {
        blocks.incremental_report.heartbeat_now();
    }
}
