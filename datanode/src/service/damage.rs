//! Damaged replicas: a replica that fails its checksum is read once more. If it is still damaged, it is moved into quarantine and
//! reported, so that the metanode repairs the block from a good replica.

use std::sync::Arc;

use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use cairn_protocol::warn_peer;

use super::BlockStore;
use crate::volume::{Damage, Volume, VolumeError};

impl BlockStore {
    /// Examines a replica that could not be read correctly, in the background.
    pub(crate) fn suspect(&self, volume: Arc<Volume>, block: BlockId) {
        // A task that has locked the block is writing, deleting or examining it.
        let Some(lock) = self.block_locks.try_lock(block) else { return };
        let blocks = self.clone();
        tokio::spawn(async move {
            let _lock = lock;
            blocks.examine(volume, block).await;
        });
    }

    /// Reads a replica again, and sets it aside if it is damaged. Returns whether it was. The caller has locked the
    /// block.
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
                // The whole volume has failed, so all its replicas are reported as lost.
                self.incremental_report.heartbeat_now();
                false
            }
            Err(error) => {
                // The replica stays where it is. No reader gets damaged bytes, because every read is checked.
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

/// Checks whether the whole disk has failed, before a single replica is set aside. Blocks its thread.
fn suspect_disk(volume: &Volume, damage: Damage) -> Result<(), VolumeError> {
    match damage {
        Damage::Wrong => Ok(()),
        Damage::Missing => volume.probe(),
        Damage::Unreadable => volume.probe().and_then(|()| volume.count_unreadable()),
    }
}

/// Reads a block from front to back. Blocks its thread.
fn verify(volume: &Volume, block: BlockId) -> Result<(), VolumeError> {
    volume.reader(block)?.verify()
}
