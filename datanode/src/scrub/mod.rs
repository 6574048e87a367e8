//! The scrubbers: one per volume. Each reads every block of its volume within a period at a bounded rate, and has
//! damaged ones set aside and reported.
//!
//! Disks do not wait for each other: a node of 24 disks is read in one period and not in 24. A scrubber keeps a cursor
//! on its volume, so that a node that is restarted every day reaches the last block all the same.
//!
//! Rounds of a scrubber's own begin when the period is over. One that the metanode orders begins at once and from the
//! beginning, and is read as fast as it may be. Only blocks of the index are read, that is, such as were stored to their
//! end; one that is found damaged is not judged while a request writes or deletes it.

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

/// Scrubs all volumes until `shutdown`. It is never dropped while it reads: what it holds of the volumes goes first.
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
        // Every volume is counted before the first one is read: a round of the node ends with its last volume.
        scrubbers.push(scrubber.await);
    }
    join_all(scrubbers.into_iter().map(VolumeScrubber::run)).await;
}

/// Tells and remembers that all volumes have been read: `ordered` if that answers an order.
async fn node_finished(blocks: &BlockStore, control: &ScrubControl, ordered: bool) {
    let progress = control.progress();
    let scrubbed = control.scrubbed();
    let volumes = blocks.volumes.clone();
    let remembered = blocking(move || {
        if volumes.scrubbed() != scrubbed {
            volumes.set_last_scrub(scrubbed);
        }
        Ok(())
    });
    // It fails only when the runtime ends.
    let _ = remembered.await;
    let (node, blocks_read, corrupt) = (blocks.node, progress.blocks, progress.corrupt);
    blocks.events.publish(EventKind::ScrubFinished { node, blocks: blocks_read, corrupt });
    if ordered {
        blocks.incremental_report.heartbeat_now();
    }
}
