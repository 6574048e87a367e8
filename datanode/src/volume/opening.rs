//! Opening the volumes of a node.
//!
//! | a directory | what happens |
//! |---|---|
//! | is new, or an empty disk is mounted there | a new volume is made |
//! | holds a volume of this node | it is recovered and opened |
//! | cannot be read; its identity is damaged; recovery fails | left out, reported as failed |
//! | is empty or missing, and held a volume before | left out, reported as failed: most likely its disk is not mounted |
//! | belongs to another node or cluster, is a copy of another one, is in use, has another format | the start fails: only a person can correct this |
//! | could not be read for lack of file descriptors or memory | the start fails: the next one may succeed |
//!
//! The start also fails when no directory can be opened, or when none that can be read has the node's id.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_protocol::env::Env;
use cairn_protocol::id::{ClusterId, NodeId, VolumeId};

use super::disk::Disk;
use super::identity::{DirectoryLock, Identity};
use super::node_record::{KnownVolume, NodeRecord};
use super::{OpenError, Volume, VolumeOptions};

/// The volumes of a node, as a start found them.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) node: NodeId,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) volumes: Vec<Member>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) node_record: NodeRecord,
}

/// An open volume.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) directory: PathBuf,
    pub(crate) volume: Arc<Volume>,
}

/// A volume that could not be opened.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The directory of the volume.
    pub directory: PathBuf,
    /// The volume that was there, if the node record names it; otherwise a new id.
    pub volume: VolumeId,
    /// Why it could not be opened.
    pub reason: String,
}

/// A directory that is locked and whose identity was read.
struct Claimed {
    directory: PathBuf,
    /// None while the directory is missing.
    lock: Option<DirectoryLock>,
    identity: Option<Identity>,
}

/// A directory that is locked and has an identity.
struct Ready {
    directory: PathBuf,
    lock: DirectoryLock,
    identity: Identity,
}

struct Opening<'a> {
    disk: &'a Arc<dyn Disk>,
    options: &'a VolumeOptions,
    env: &'a Env,
    node_record: NodeRecord,
    left_out: Vec<LeftOut>,
    /// Why a directory was left out. This is the error of the start if no other directory can be opened.
    broken: Option<OpenError>,
}

/// Locks and opens the volumes in `directories`, making those that are new. Blocks its thread.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    directories: &[PathBuf],
    options: &VolumeOptions,
    env: &Env,
) -> Result<Opened, OpenError> {
    let node_record = NodeRecord::default();
    let mut opening = Opening { disk, options, env, node_record, left_out: Vec::new(), broken: None };
    let mut claimed = Vec::new();
    for (at, directory) in directories.iter().enumerate() {
        // A directory that is configured twice is opened once.
        if directories[..at].contains(directory) {
            continue;
        }
        match claim(&**disk, directory) {
            Ok(one) => claimed.push(one),
            Err(error) => opening.leave_out(directory, error)?,
        }
    }
    let node = agree(&claimed)?;
    let (node, cluster) = match (node, opening.broken.take()) {
        // The directory that was left out may have the node's id. With a new id this would be another node.
        ((None, _), Some(error)) => return Err(error),
        ((None, cluster), None) => (NodeId(env.uuid_v4()), cluster),
        ((Some(node), cluster), broken) => {
            opening.broken = broken;
            (node, cluster)
        }
    };
    opening.remember(&claimed);
    let ready = opening.make_ready(claimed, node, cluster)?;
    let volumes = opening.recover(ready)?;
    match opening.broken.take() {
        Some(error) if volumes.is_empty() => return Err(error),
        Some(_) | None => {}
    }
    let node_record = opening.node_record_of(&volumes);
    Ok(Opened { node, cluster, volumes, left_out: opening.left_out, node_record })
}

impl Opening<'_> {
    /// Leaves out a directory whose disk is at fault. Returns the error if only a person can correct it.
    fn leave_out(&mut self, directory: &Path, error: OpenError) -> Result<(), OpenError> {
        if error.is_shortage() {
            // This process lacks file descriptors or memory. The disk may be good, and the next start may open it.
            return Err(error);
        }
        match &error {
            OpenError::Io { .. }
            | OpenError::Recovery { .. }
            | OpenError::BadIdentity { .. }
            | OpenError::Gone { .. } => {}
            OpenError::InUse(_)
            | OpenError::OtherNode { .. }
            | OpenError::OtherCluster { .. }
            | OpenError::OtherFormat { .. }
            | OpenError::Copied { .. } => return Err(error),
        }
        let volume = VolumeId(self.env.uuid_v4());
        self.left_out.push(LeftOut { directory: directory.to_path_buf(), volume, reason: error.to_string() });
        self.broken = Some(error);
        Ok(())
    }

    /// Reads the node record, and gives the volumes that were left out so far the ids that it has for them.
    fn remember(&mut self, claimed: &[Claimed]) {
        let with_identity = claimed.iter().filter(|one| one.identity.is_some());
        let copies = with_identity.filter_map(|one| NodeRecord::read(&**self.disk, &one.directory));
        self.node_record = copies.max_by_key(|node_record| node_record.sequence).unwrap_or_default();
        for left_out in &mut self.left_out {
            if let Some(volume) = self.node_record.volume_in(&left_out.directory) {
                left_out.volume = volume;
            }
        }
    }

    /// Locks every directory that can be used, and gives it an identity if it has none.
    fn make_ready(
        &mut self,
        claimed: Vec<Claimed>,
        node: NodeId,
        cluster: Option<ClusterId>,
    ) -> Result<Vec<Ready>, OpenError> {
        let found: Vec<VolumeId> =
            claimed.iter().filter_map(|one| one.identity.map(|identity| identity.volume)).collect();
        let mut ready = Vec::new();
        for Claimed { directory, lock, identity } in claimed {
            let made = match (lock, identity) {
                (Some(lock), Some(identity)) => Ok((lock, identity)),
                (lock, _) => self.begin(&directory, lock, &found, node, cluster),
            };
            match made {
                Ok((lock, identity)) => ready.push(Ready { directory, lock, identity }),
                Err(error) => self.leave_out_known(&directory, error)?,
            }
        }
        Ok(ready)
    }

    fn leave_out_known(&mut self, directory: &Path, error: OpenError) -> Result<(), OpenError> {
        let known = self.node_record.volume_in(directory);
        self.leave_out(directory, error)?;
        if let (Some(volume), Some(left_out)) = (known, self.left_out.last_mut()) {
            left_out.volume = volume;
        }
        Ok(())
    }

    /// Makes a new volume in a directory that has none, unless it should have one.
    fn begin(
        &self,
        directory: &Path,
        lock: Option<DirectoryLock>,
        found: &[VolumeId],
        node: NodeId,
        cluster: Option<ClusterId>,
    ) -> Result<(DirectoryLock, Identity), OpenError> {
        let disk = &**self.disk;
        let expected = self.node_record.volume_in(directory).filter(|volume| !found.contains(volume));
        // A new disk in place of a broken one is mounted here. If the directory is no mount point, its disk is missing.
        let is_new_disk = || lock.is_some() && disk.is_mount_point(directory).unwrap_or(false);
        if let Some(volume) = expected
            && !is_new_disk()
        {
            return Err(OpenError::Gone { path: directory.to_path_buf(), volume });
        }
        let lock = match lock {
            Some(lock) => lock,
            None => DirectoryLock::take(disk, directory)?,
        };
        let identity = Identity::new(node, VolumeId(self.env.uuid_v4()), cluster);
        identity.write(disk, directory)?;
        Ok((lock, identity))
    }

    /// Opens all volumes in parallel: after a crash each one reads and verifies what was written last, and the disks work
    /// independently.
    fn recover(&mut self, ready: Vec<Ready>) -> Result<Vec<Member>, OpenError> {
        let (disk, options, env) = (self.disk, self.options, self.env);
        let results: Vec<(PathBuf, Result<Volume, OpenError>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = ready
                .into_iter()
                .map(|Ready { directory, lock, identity }| {
                    let path = directory.clone();
                    let open = move || {
                        Volume::open(disk.clone(), &path, lock, &identity, options.clone(), env.clone())
                    };
                    (directory, scope.spawn(open))
                })
                .collect();
            threads
                .into_iter()
                .map(|(directory, thread)| (directory.clone(), joined(&directory, thread)))
                .collect()
        });
        let mut volumes = Vec::new();
        for (directory, result) in results {
            match result {
                Ok(volume) => volumes.push(Member { directory, volume: Arc::new(volume) }),
                Err(error) => self.leave_out_known(&directory, error)?,
            }
        }
        Ok(volumes)
    }

    /// The node record from now on.
    fn node_record_of(&self, volumes: &[Member]) -> NodeRecord {
        let open = volumes.iter().map(|member| (&member.directory, member.volume.id()));
        let left_out = self.left_out.iter().map(|left_out| (&left_out.directory, left_out.volume));
        let known = |(directory, volume): (&PathBuf, VolumeId)| KnownVolume {
            directory: directory.to_string_lossy().into_owned(),
            volume,
        };
        NodeRecord {
            sequence: self.node_record.sequence + 1,
            volumes: open.chain(left_out).map(known).collect(),
            scrub: self.node_record.scrub,
            seen: self.node_record.seen.clone(),
        }
    }
}

fn joined(
    directory: &Path,
    thread: std::thread::ScopedJoinHandle<'_, Result<Volume, OpenError>>,
) -> Result<Volume, OpenError> {
    thread.join().unwrap_or_else(|_| {
        let error = std::io::Error::other("recovery panicked");
        Err(OpenError::Io { operation: "open", path: directory.to_path_buf(), error })
    })
}

fn claim(disk: &dyn Disk, directory: &Path) -> Result<Claimed, OpenError> {
    let lock = DirectoryLock::take_existing(disk, directory)?;
    let identity = if lock.is_some() { Identity::read(disk, directory)? } else { None };
    Ok(Claimed { directory: directory.to_path_buf(), lock, identity })
}

/// The node and the cluster that all directories name; an error if they name different ones.
fn agree(claimed: &[Claimed]) -> Result<(Option<NodeId>, Option<ClusterId>), OpenError> {
    let (mut node, mut cluster) = (None, None);
    let mut seen: HashMap<VolumeId, &Path> = HashMap::new();
    for Claimed { directory, lock: _, identity } in claimed {
        let Some(identity) = identity else { continue };
        if let Some(other) = seen.insert(identity.volume, directory) {
            return Err(OpenError::Copied { path: directory.clone(), other: other.to_path_buf() });
        }
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
