//! The volumes of a node. A node lives on while at least one of them does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cairn_protocol::cluster::VolumeUsage;
use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, VolumeId};
use cairn_protocol::warn_self;
use rand::RngExt;

use super::disk::Disk;
use super::identity::{DirectoryLock, Identity};
use super::{OpenError, Stored, Usage, Volume, VolumeError, VolumeOptions};

/// The volumes of one node, locked and open.
#[derive(Debug)]
pub struct VolumeSet {
    env: Env,
    disk: Arc<dyn Disk>,
    node: NodeId,
    cluster: Mutex<Option<ClusterId>>,
    volumes: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    directory: PathBuf,
    volume: Arc<Volume>,
}

/// A directory that is locked and whose identity was read.
struct Claimed {
    directory: PathBuf,
    lock: DirectoryLock,
    identity: Option<Identity>,
}

impl VolumeSet {
    /// Locks and opens the volumes in `directories`, making those that are new. Blocks its thread.
    ///
    /// # Errors
    /// When a directory is in use or belongs to somebody else, or when none can be opened. One that merely cannot be
    /// read is left out, with a warning, as long as there is another one.
    pub fn open(
        disk: Arc<dyn Disk>,
        directories: &[PathBuf],
        options: &VolumeOptions,
        env: &Env,
    ) -> Result<Self, OpenError> {
        let mut claimed = Vec::new();
        let mut broken = None;
        for directory in directories {
            match claim(&*disk, directory) {
                Ok((lock, identity)) => {
                    claimed.push(Claimed { directory: directory.clone(), lock, identity });
                }
                Err(error) => leave_out(directory, error, &mut broken)?,
            }
        }
        let (node, cluster) = agree(&claimed)?;
        let node = node.unwrap_or_else(|| NodeId(env.uuid_v4()));
        let mut volumes = Vec::new();
        for Claimed { directory, lock, identity } in claimed {
            let opened = match identity {
                Some(identity) => Ok(identity),
                None => make_identity(&*disk, &directory, node, cluster, env),
            };
            let opened = opened.and_then(|identity| {
                Volume::open(disk.clone(), &directory, lock, &identity, options.clone())
            });
            match opened {
                Ok(volume) => volumes.push(Member { directory, volume: Arc::new(volume) }),
                Err(error) => leave_out(&directory, error, &mut broken)?,
            }
        }
        match (volumes.is_empty(), broken) {
            (true, Some(error)) => Err(error),
            (true, None) | (false, _) => {
                let cluster = Mutex::new(cluster);
                Ok(Self { env: env.clone(), disk, node, cluster, volumes })
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
    /// When it could be written nowhere.
    pub fn join(&self, cluster: ClusterId) -> Result<(), OpenError> {
        if self.cluster() == Some(cluster) {
            return Ok(());
        }
        let mut result = Ok(());
        let mut written = false;
        for Member { directory, volume } in &self.volumes {
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

    /// The volumes, failed ones included.
    pub fn volumes(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes.iter().map(|member| &member.volume)
    }

    fn healthy(&self) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes().filter(|volume| volume.failure().is_none())
    }

    /// A healthy volume that holds the block; else a failed one, which may still be read.
    pub fn find(&self, id: &BlockId) -> Option<(Arc<Volume>, Stored)> {
        let on = |volume: &Arc<Volume>| volume.get(id).map(|stored| (volume.clone(), stored));
        self.healthy().find_map(on).or_else(|| self.volumes().find_map(on))
    }

    /// What a healthy volume holds of the block.
    pub fn held(&self, id: &BlockId) -> Option<Stored> {
        self.healthy().find_map(|volume| volume.get(id))
    }

    /// Whether a damaged copy of the block is in quarantine.
    pub fn is_quarantined(&self, id: &BlockId) -> bool {
        self.volumes().any(|volume| volume.is_quarantined(id))
    }

    /// The healthy volumes in the order in which to try to store a block: drawn at random, by free space, so that
    /// volumes fill evenly and yet all of them work at once.
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

    /// Deletes a block wherever it is. Durable when it returns. Returns whether it was anywhere.
    ///
    /// # Errors
    /// When it may still be there.
    pub async fn delete(&self, id: BlockId) -> Result<bool, VolumeError> {
        let mut existed = false;
        for volume in self.volumes() {
            if volume.get(&id).is_some() || volume.is_quarantined(&id) {
                existed |= volume.delete(id).await?;
            }
        }
        Ok(existed)
    }

    /// Up to `limit` blocks above `after` that healthy volumes hold, in the order of ids.
    pub fn page(&self, after: Option<BlockId>, limit: usize) -> Vec<(BlockId, Stored)> {
        let merged: BTreeMap<BlockId, Stored> =
            self.healthy().flat_map(|volume| volume.page(after, limit)).collect();
        merged.into_iter().take(limit).collect()
    }

    /// All blocks in quarantine of healthy volumes.
    pub fn quarantined(&self) -> Vec<BlockId> {
        self.healthy().flat_map(|volume| volume.quarantined()).collect()
    }

    /// How full each volume is.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        let usage_of = |volume: &Arc<Volume>| {
            let usage = volume.usage();
            let failed = volume.failure().map(|reason| reason.to_string());
            let Usage { capacity, used, available, blocks: _ } = usage.unwrap_or_default();
            let free = if failed.is_some() { 0 } else { available };
            VolumeUsage { volume: volume.id(), capacity, used, free, failed }
        };
        self.volumes().map(usage_of).collect()
    }

    /// Closes all volumes. Blocks its thread.
    pub fn close(&self) {
        self.volumes().for_each(|volume| volume.close());
    }
}

fn make_identity(
    disk: &dyn Disk,
    directory: &Path,
    node: NodeId,
    cluster: Option<ClusterId>,
    env: &Env,
) -> Result<Identity, OpenError> {
    let identity = Identity::new(node, VolumeId(env.uuid_v4()), cluster);
    identity.write(disk, directory)?;
    Ok(identity)
}

fn claim(disk: &dyn Disk, directory: &Path) -> Result<(DirectoryLock, Option<Identity>), OpenError> {
    let lock = DirectoryLock::take(disk, directory)?;
    Ok((lock, Identity::read(disk, directory)?))
}

/// Goes on without a directory that cannot be read; passes on what only a person can put right.
fn leave_out(directory: &Path, error: OpenError, broken: &mut Option<OpenError>) -> Result<(), OpenError> {
    match error {
        OpenError::Io { .. } | OpenError::Recovery { .. } => {
            warn_self!(directory = %directory.display(), %error, "the volume is left out");
            *broken = Some(error);
            Ok(())
        }
        OpenError::InUse(_)
        | OpenError::OtherNode { .. }
        | OpenError::OtherCluster { .. }
        | OpenError::BadIdentity { .. } => Err(error),
    }
}

/// The node and the cluster that all directories name.
fn agree(claimed: &[Claimed]) -> Result<(Option<NodeId>, Option<ClusterId>), OpenError> {
    let (mut node, mut cluster) = (None, None);
    for Claimed { directory, lock: _, identity } in claimed {
        let Some(identity) = identity else { continue };
        let expected = *node.get_or_insert(identity.node);
        if identity.node != expected {
            let (path, found) = (directory.clone(), identity.node);
            return Err(OpenError::OtherNode { path, found, expected });
        }
        let Some(found) = identity.cluster else { continue };
        let expected = *cluster.get_or_insert(found);
        if found != expected {
            return Err(OpenError::OtherCluster { path: directory.clone(), found, expected });
        }
    }
    Ok((node, cluster))
}
