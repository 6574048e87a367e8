//! The volumes of a node. The node serves as long as at least one of them works.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_protocol::cluster::VolumeUsage;
use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, ClusterId, NodeId};
use rand::RngExt;

use super::disk::Disk;
use super::identity::Identity;
use super::node_record::NodeRecord;
use super::opening::{self, Member, Opened};
use super::{
    LastScrub, LeftOut, OpenError, ReplicaInfo, SeenDatabase, Usage, Volume, VolumeError, VolumeOptions,
};

/// The volumes of one node, locked and open.
#[derive(Debug)]
pub struct Volumes {
    env: Env,
    disk: Arc<dyn Disk>,
    node: NodeId,
    cluster: Mutex<Option<ClusterId>>,
    volumes: Vec<Member>,
    left_out: Vec<LeftOut>,
    node_record: Mutex<NodeRecord>,
    /// Held while the node record is written, so that an older record cannot overwrite a newer one.
    writing_node_record: Mutex<()>,
}

impl Volumes {
    /// Locks and opens the volumes in `directories`, making those that are new. Blocks its thread.
    ///
    /// # Errors
    /// When a directory is in use or belongs to another node or cluster, or when none can be opened. A directory whose disk is at
    /// fault is left out, with a warning, as long as there is another one.
    pub fn open(
        disk: Arc<dyn Disk>,
        directories: &[PathBuf],
        options: &VolumeOptions,
        env: &Env,
    ) -> Result<Self, OpenError> {
        let opened = opening::open(&disk, directories, options, env)?;
        let Opened { node, cluster, volumes, left_out, node_record } = opened;
        let (cluster, node_record) = (Mutex::new(cluster), Mutex::new(node_record));
        let set = Self {
            env: env.clone(),
            disk,
            node,
            cluster,
            volumes,
            left_out,
            node_record,
            writing_node_record: Mutex::default(),
        };
        set.write_node_record();
        Ok(set)
    }

    /// Volumes that the start could not open.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The last round of scrubbing that the node finished.
    pub fn last_scrub(&self) -> LastScrub {
        self.node_record.lock().unwrap_or_else(PoisonError::into_inner).scrub
    }

    /// Records that a round of scrubbing ended. Blocks its thread.
    pub fn set_last_scrub(&self, scrubbed: LastScrub) {
        {
            let mut node_record = self.node_record.lock().unwrap_or_else(PoisonError::into_inner);
            node_record.scrub = scrubbed;
            node_record.sequence += 1;
        }
        self.write_node_record();
    }

    /// What the node has seen of the metanode's database, as it was recorded last.
    pub fn seen(&self) -> SeenDatabase {
        self.node_record.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Records what the node has seen of the metanode's database. Blocks its thread.
    pub fn set_seen(&self, seen: SeenDatabase) {
        {
            let mut node_record = self.node_record.lock().unwrap_or_else(PoisonError::into_inner);
            node_record.seen = seen;
            node_record.sequence += 1;
        }
        self.write_node_record();
    }

    fn write_node_record(&self) {
        let _writing = self.writing_node_record.lock().unwrap_or_else(PoisonError::into_inner);
        let node_record = self.node_record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for member in self.volumes.iter().filter(|member| member.volume.failure().is_none()) {
            if let Err(error) = node_record.write(&*self.disk, &member.directory) {
                // The other volumes have the record. If the disk is broken and not only full, the probe notices it.
                tracing::info!(volume = %member.volume.id(), %error, "the node record was not written");
            }
        }
    }

    /// The node that the volumes belong to.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The cluster that the volumes belong to; none before the first registration.
    pub fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the cluster into every volume's identity. Blocks its thread.
    ///
    /// # Errors
    /// When no volume could be written.
    pub fn join(&self, cluster: ClusterId) -> Result<(), OpenError> {
        if self.cluster() == Some(cluster) {
            return Ok(());
        }
        let mut result = Ok(());
        let mut written = false;
        for Member { directory, volume } in &self.volumes {
            if volume.failure().is_some() {
                continue;
            }
            let identity = Identity::new(self.node, volume.id(), Some(cluster));
            match identity.write(&*self.disk, directory) {
                Ok(()) => written = true,
                Err(error) => result = Err(error),
            }
        }
        if !written {
            return result;
        }
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
        Ok(())
    }

    /// The volumes, those that failed since the start included.
    pub fn volumes(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes.iter().map(|member| &member.volume)
    }

    fn healthy(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes().filter(|volume| volume.failure().is_none())
    }

    /// A healthy volume that holds the block; otherwise a failed one, which may still be readable.
    pub fn find(&self, id: &BlockId) -> Option<(Arc<Volume>, ReplicaInfo)> {
        let on = |volume: &Arc<Volume>| volume.get(id).map(|stored| (volume.clone(), stored));
        self.healthy().find_map(on).or_else(|| self.volumes().find_map(on))
    }

    /// The replica of the block on a healthy volume.
    pub fn held(&self, id: &BlockId) -> Option<ReplicaInfo> {
        self.healthy().find_map(|volume| volume.get(id))
    }

    /// Whether a damaged replica of the block is in quarantine.
    pub fn is_quarantined(&self, id: &BlockId) -> bool {
        self.volumes().any(|volume| volume.is_quarantined(id))
    }

    /// The healthy volumes in the order in which to try to store a block. They are drawn at random, weighted by free space, so that
    /// volumes fill evenly and all of them are in use. Blocks its thread.
    pub fn in_order_for_writing(&self) -> Vec<Arc<Volume>> {
        let mut weighted: Vec<(u64, &Arc<Volume>)> = self
            .healthy()
            .filter_map(|volume| Some((volume.usage().ok()?.available.max(1), volume)))
            .collect();
        let mut order = Vec::with_capacity(weighted.len());
        while !weighted.is_empty() {
            let total = weighted.iter().fold(0u64, |sum, (weight, _)| sum.saturating_add(*weight));
            let mut point = self.env.with_rng(|rng| rng.random_range(0..total));
            let chosen = weighted.iter().position(|(weight, _)| {
                let here = point < *weight;
                point = point.saturating_sub(*weight);
                here
            });
            order.push(weighted.swap_remove(chosen.unwrap_or(0)).1.clone());
        }
        order
    }

    /// Deletes a block from all volumes. Durable when it returns, except for replicas on failed volumes: they are not counted any
    /// more, and are reported if the volume comes back. Returns whether any volume had it.
    ///
    /// # Errors
    /// When a replica may still be there.
    pub async fn delete(&self, id: BlockId) -> Result<bool, VolumeError> {
        let mut existed = false;
        for volume in self.volumes() {
            if volume.get(&id).is_none() && !volume.is_quarantined(&id) {
                continue;
            }
            existed |= match volume.delete(id).await {
                Err(VolumeError::Failed(_)) => volume.forget(&id),
                deleted => deleted?,
            };
        }
        Ok(existed)
    }

    /// Brings a deleted block back from the trash of a healthy volume, unless one holds it already. Durable when it returns. Returns
    /// the replica that the node then holds. Blocks its thread.
    ///
    /// # Errors
    /// When no volume brought it back, and at least one failed to.
    pub fn restore(&self, id: BlockId) -> Result<Option<ReplicaInfo>, VolumeError> {
        if let Some(held) = self.held(&id) {
            return Ok(Some(held));
        }
        let mut failure = None;
        for volume in self.healthy().filter(|volume| volume.is_trashed(&id)) {
            match volume.restore(id) {
                Ok(Some(stored)) => return Ok(Some(stored)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Up to `limit` blocks above `after` that healthy volumes hold, in the order of ids.
    pub fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, ReplicaInfo)> {
        let merged: BTreeMap<BlockId, ReplicaInfo> =
            self.healthy().flat_map(|volume| volume.page(after, limit)).collect();
        merged.into_iter().take(limit).collect()
    }

    /// All blocks in quarantine of healthy volumes.
    pub fn quarantined(&self) -> Vec<BlockId> {
        self.healthy().flat_map(|volume| volume.quarantined()).collect()
    }

    /// How full each volume is. A failed volume counts as having no space and no blocks. Blocks its thread.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        let usage_of = |volume: &Arc<Volume>| {
            // A volume that failed because its disk does not answer must not be called again.
            let asked = if volume.failure().is_none() { volume.usage() } else { Ok(Usage::default()) };
            let failed = volume.failure().map(|reason| reason.to_string());
            let usage = if failed.is_some() { Usage::default() } else { asked.unwrap_or_default() };
            let Usage { capacity, used, available, trash, blocks: _ } = usage;
            VolumeUsage { volume: volume.id(), capacity, used, free: available, trash, failed }
        };
        let left_out = self.left_out.iter().map(|left_out| VolumeUsage {
            volume: left_out.volume,
            capacity: 0,
            used: 0,
            free: 0,
            trash: 0,
            failed: Some(left_out.reason.clone()),
        });
        self.volumes().map(usage_of).chain(left_out).collect()
    }

    /// Whether no volume is left that works.
    pub fn all_failed(&self) -> bool {
        self.healthy().next().is_none()
    }

    /// Closes all volumes. Blocks its thread.
    pub fn close(&self) {
        self.volumes().for_each(|volume| volume.close());
    }
}
