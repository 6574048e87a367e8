//! The identity of a volume (node, volume, cluster), in a file of its own with a copy beside it, and the lock that keeps a
//! second process out of the directory.

use std::any::Any;
use std::io::ErrorKind;
use std::path::Path;

use cairn_protocol::id::{ClusterId, NodeId, VolumeId};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, read_file, replace_file};
use super::error::OpenError;

/// The names of the identity file and of its copy in the volume's directory. Without an identity the whole volume is lost, and
/// one bad sector must not be enough for that. The copy counts only when the first file cannot be read.
const NAMES: [&str; 2] = ["identity.json", "identity-copy.json"];
/// The name of the file that is locked. The file stays when the process ends, but its lock does not.
const LOCK_NAME: &str = "lock";
/// The version of the layout of directories and files that this code writes. 2 has a trash.
const FORMAT: u32 = 2;
/// The earliest version that this code reads. A volume of it gets the current version when it is opened.
const FORMAT_MIN: u32 = 1;

/// To which node and cluster a volume belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    format: u32,
    /// The datanode that made the directory.
    pub node: NodeId,
    /// The volume itself.
    pub volume: VolumeId,
    /// The cluster that the node first registered with; none before that.
    pub cluster: Option<ClusterId>,
}

/// The field that every version of the identity file has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl Identity {
    /// The identity of a new volume.
    pub fn new(node: NodeId, volume: VolumeId, cluster: Option<ClusterId>) -> Self {
        Self { format: FORMAT, node, volume, cluster }
    }

    /// Reads the identity, or its copy when the first file cannot be read or understood; `None` when the directory is new.
    ///
    /// # Errors
    /// [`OpenError::BadIdentity`] when neither can be understood, [`OpenError::OtherFormat`] when it is of another version,
    /// [`OpenError::Io`] when it cannot be read.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>, OpenError> {
        let [first, copy] = NAMES.map(|name| directory.join(name));
        match Self::read_file(disk, &first) {
            Ok(Some(identity)) => Ok(Some(identity)),
            Ok(None) => Self::read_file(disk, &copy),
            // The copy helps against damage only. A file of a newer version is not damaged, and a shortage says nothing about it.
            Err(error) if error.is_shortage() || matches!(error, OpenError::OtherFormat { .. }) => Err(error),
            Err(error) => match Self::read_file(disk, &copy) {
                Ok(Some(identity)) => Ok(Some(identity)),
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    fn read_file(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, OpenError> {
        let Some(bytes) = read_file(disk, path).map_err(io("read", path))? else { return Ok(None) };
        // The format is read first, because other formats may have other fields.
        let format = serde_json::from_slice::<Format>(&bytes).map(|Format { format }| format);
        let bad = |error: serde_json::Error| OpenError::BadIdentity {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        match format {
            Ok(found) if !(u64::from(FORMAT_MIN)..=u64::from(FORMAT)).contains(&found) => {
                Err(OpenError::OtherFormat { path: path.to_path_buf(), found, known: FORMAT })
            }
            Ok(_) => serde_json::from_slice(&bytes).map(Some).map_err(bad),
            Err(error) => Err(bad(error)),
        }
    }

    /// Whether an earlier version of the software wrote it. That version would not understand what is written from now on.
    pub(crate) fn is_outdated(&self) -> bool {
        self.format < FORMAT
    }

    /// The same identity with the current format.
    pub(crate) fn updated(self) -> Self {
        Self { format: FORMAT, ..self }
    }

    /// Writes the identity and its copy, each atomically and durably. A file that has these contents already is left alone.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
        for name in NAMES {
            let path = directory.join(name);
            if !matches!(Self::read_file(disk, &path), Ok(Some(found)) if found == *self) {
                let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::other);
                let bytes = bytes.map_err(io("write", &path))?;
                replace_file(disk, directory, name, &bytes).map_err(io("write", &path))?;
            }
        }
        Ok(())
    }
}

/// The lock of a directory. It is released when this is dropped.
pub struct DirectoryLock(#[expect(dead_code, reason = "held, not read")] Box<dyn Any + Send + Sync>);

impl std::fmt::Debug for DirectoryLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DirectoryLock")
    }
}

impl DirectoryLock {
    /// Takes the lock of a directory; `None` when the directory is missing.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process has it, [`OpenError::Io`] when the directory cannot be used.
    pub fn take_existing(disk: &dyn Disk, directory: &Path) -> Result<Option<Self>, OpenError> {
        let path = directory.join(LOCK_NAME);
        match disk.lock(&path) {
            Ok(Some(lock)) => Ok(Some(Self(lock))),
            Ok(None) => Err(OpenError::InUse(directory.to_path_buf())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("lock", &path)(error)),
        }
    }

    /// Makes the directory if it is missing, and takes its lock.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process has it, [`OpenError::Io`] when the directory cannot be used.
    pub fn take(disk: &dyn Disk, directory: &Path) -> Result<Self, OpenError> {
        make_directory(disk, directory)?;
        let path = directory.join(LOCK_NAME);
        let lock = disk.lock(&path).map_err(io("lock", &path))?;
        lock.map(Self).ok_or_else(|| OpenError::InUse(directory.to_path_buf()))
    }
}

/// Makes a directory and those above it, durably. Files in a directory whose own name is not durable are lost with it.
fn make_directory(disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
    let above = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(Path::new(".").to_path_buf()),
        parent => parent.map(Path::to_path_buf),
    };
    let mut parents = Vec::new();
    let mut next = above(directory);
    while let Some(parent) = next {
        let is_there = !matches!(disk.list(&parent), Err(error) if error.kind() == ErrorKind::NotFound);
        next = if is_there { None } else { above(&parent) };
        parents.push(parent);
    }
    disk.create_dir(directory).map_err(io("create", directory))?;
    for parent in parents {
        match disk.sync_dir(&parent) {
            // A process that may pass through a directory but not read it cannot sync it either.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                return Err(io("sync", &parent)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |error| OpenError::Io { operation, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::disk::RealDisk;
    use uuid::Uuid;

    #[test]
    fn a_directory_in_use_is_refused_and_free_again_when_its_holder_ends() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::take(&RealDisk, directory.path()).unwrap();
        let refused = DirectoryLock::take(&RealDisk, directory.path()).unwrap_err();
        assert!(matches!(refused, OpenError::InUse(_)));
        drop(held);
        DirectoryLock::take(&RealDisk, directory.path()).unwrap();
    }

    #[test]
    fn an_identity_of_another_format_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::new(NodeId(Uuid::from_u128(1)), VolumeId(Uuid::from_u128(2)), None);
        identity.write(&RealDisk, directory.path()).unwrap();
        assert_eq!(Identity::read(&RealDisk, directory.path()).unwrap(), Some(identity));
        let path = directory.path().join(NAMES[0]);
        let text = std::fs::read_to_string(&path).unwrap().replace("\"format\": 2", "\"format\": 9");
        std::fs::write(&path, text).unwrap();
        let error = Identity::read(&RealDisk, directory.path()).unwrap_err();
        assert!(error.to_string().contains("its format is 9"), "{error}");
    }
}
