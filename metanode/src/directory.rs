//! The data directory. Only one process at a time may use it, because two writers of one database would each plan
//! repairs and deletions without the other's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The lock is held while this file is open. The kernel releases it when the process ends, in whatever way.
const LOCK_FILE: &str = "metanode.lock";
const DATABASE_FILE: &str = "metanode.db";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Another process uses it.
    #[error("another process uses the data directory {}", .directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// It cannot be created or written.
    #[error("the data directory {} cannot be used: {error}", .directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// The error of the file system.
        #[source]
        error: io::Error,
    },
}

/// A data directory whose lock this process holds.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Creates the directory if it does not exist, readable by its owner only because it holds credentials, and takes
    /// its lock.
    pub(crate) fn open(path: &Path) -> Result<Self, DirectoryError> {
        let unusable = |error| DirectoryError::Unusable { directory: path.to_owned(), error };
        make(path).map_err(unusable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse { directory: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }
}

/// Creates a directory and its missing parents, and syncs their names: a new name survives a power cut only when the
/// directory that holds it was synced.
fn make(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing: Vec<_> = missing.collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Directory::open(&path).unwrap();
        let second = Directory::open(&path).unwrap_err();
        assert!(matches!(second, DirectoryError::InUse { .. }));
        assert!(second.to_string().contains("another process"), "{second}");
        drop(first);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn a_path_that_is_no_directory_is_refused_in_words() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let refused = Directory::open(&path).unwrap_err();
        assert!(matches!(refused, DirectoryError::Unusable { .. }), "{refused}");
    }
}
