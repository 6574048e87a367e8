//! What happens to a block that is found wrong: it is read once more, and if it is still wrong, set aside and reported,
//! so that the metanode repairs it from a good copy.

use std::sync::Arc;

use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use cairn_protocol::warn_peer;

use super::BlockStore;
use crate::volume::{Damage, Volume, VolumeError};

/// What is read at once of a block that is verified, in bytes.
const PIECE: u64 = 1 << 20;

impl BlockStore {
    /// Deals with a block that did not read well, in the background.
    pub(crate) fn suspect(&self, volume: Arc<Volume>, block: BlockId) {
        // Whoever has the turn writes or deletes it, or deals with it already.
        let Some(lock) = self.block_locks.try_lock(block) else { return };
        let blocks = self.clone();
        tokio::spawn(async move {
            let _lock = lock;
            blocks.examine(volume, block).await;
        });
    }

    /// Reads a block once more, and sets it aside if it is damaged. The caller has its turn. Returns whether it was.
    pub(crate) async fn examine(&self, volume: Arc<Volume>, block: BlockId) -> bool {
        let at = volume.clone();
        let examined = tokio::task::spawn_blocking(move || match verify(&at, block) {
            Err(VolumeError::Damaged { reason, damage, .. }) => {
                suspect_disk(&at, damage)?;
                at.set_aside(block).map(|was_here| (was_here, reason))
            }
            Err(error) => Err(error),
            Ok(()) => Ok((false, "it was not damaged when read again".into())),
        });
        match examined.await.unwrap_or(Err(VolumeError::Closed)) {
            Ok((true, reason)) => {
                self.report_damage(&volume, block, &reason);
                true
            }
            Ok((false, reason)) => {
                tracing::info!(%block, %reason, "a suspected block is not set aside");
                false
            }
            Err(VolumeError::NotFound(_) | VolumeError::Closed) => false,
            Err(VolumeError::Failed(_)) => {
                // All that it held is reported as lost.
                self.incremental_report.heartbeat_now();
                false
            }
            Err(error) => {
                // It stays where it is, and no reader gets it, because each checks what it reads.
                warn_peer!(%block, %error, "a damaged block could not be set aside");
                self.incremental_report.replicas_corrupt([block]);
                true
            }
        }
    }

    pub(crate) fn report_damage(&self, volume: &Volume, block: BlockId, reason: &str) {
        warn_peer!(%block, volume = %volume.id(), %reason, "a disk damaged or lost a block; what is left was set aside");
        self.incremental_report.replicas_corrupt([block]);
        self.events.publish(EventKind::ReplicaCorrupt { block, node: self.node });
    }
}

/// Looks whether it is all of the disk that is bad, before a single block is blamed. Blocks its thread.
fn suspect_disk(volume: &Volume, damage: Damage) -> Result<(), VolumeError> {
    match damage {
        Damage::Wrong => Ok(()),
        Damage::Missing => volume.probe(),
        Damage::Unreadable => volume.probe().and_then(|()| volume.count_unreadable()),
    }
}

/// Reads a block from front to back. Blocks its thread.
fn verify(volume: &Volume, block: BlockId) -> Result<(), VolumeError> {
    let reader = volume.reader(block)?;
    let mut start = 0;
    while start < reader.length() {
        let end = (start + PIECE).min(reader.length());
        reader.read(start, end)?;
        start = end;
    }
    Ok(())
}
