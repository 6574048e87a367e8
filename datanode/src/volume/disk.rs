//! The interface between a volume and the operating system. Every operation on a file goes through [`Disk`], so that tests can
//! cut the power, fill the disk or break `fdatasync` at any operation.
//!
//! A volume assumes this of a disk: what [`DiskFile::sync`] or [`Disk::sync_dir`] reported as done survives a loss of power;
//! anything else may be there afterwards in whole, in part, in any order, or not at all.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// Size and free space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the whole file system.
    pub capacity: u64,
    /// What an unprivileged process can still write.
    pub available: u64,
}

/// Operations on names.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes a file that must not exist yet, open for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and those above it; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order. Names that are not UTF-8 are left out, because Cairn makes none.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Whether there are files of these names in a directory, which must exist. The cost depends on the number of names asked
    /// for, not on the size of the directory.
    fn are_there(&self, directory: &Path, names: &[String]) -> io::Result<Vec<bool>>;
    /// Renames a file, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Size and free space of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Whether `path` is where a file system is mounted: its device is not that of the directory above it.
    fn is_mount_point(&self, path: &Path) -> io::Result<bool>;
    /// Locks the file `path` against other processes, and makes it if it is missing; `None` when another process has the lock.
    /// It is released when the value is dropped.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// Operations on an open file. Offsets and lengths in bytes.
pub trait DiskFile: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset`; an end of file before that is `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset` if the system has all of these bytes in memory, and returns whether it has. If not, the
    /// buffer has any contents. An error counts as "not in memory": an ordinary read finds it again. Never waits for the disk.
    fn read_from_memory_at(&self, buffer: &mut [u8], offset: u64) -> bool;
    /// Whether the file still has a name. Never waits for the disk.
    fn is_linked(&self) -> bool;
    /// The length of the file.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file off at, or extends it with zeros to, `length`.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// `fdatasync`: contents and length are durable when it returns.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn are_there(&self, directory: &Path, names: &[String]) -> io::Result<Vec<bool>> {
        // The directory is held open, so that all names are looked up in the same one, even if a mount takes its place.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        // A file whose metadata cannot be read exists. Its damage is found when it is read.
        let is_there = |name: &String| {
            !matches!(rustix::fs::statat(&directory, name.as_str(), AtFlags::empty()), Err(Errno::NOENT))
        };
        Ok(names.iter().map(is_there).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        // Only the error of opening can be a shortage. A sync that was tried and failed must never be taken for one that was not
        // tried.
        directory.sync_all().map_err(io::Error::other)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            capacity: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        let device = |path: &Path| Ok::<_, io::Error>(rustix::fs::stat(path)?.st_dev);
        Ok(device(path)? != device(&path.join(".."))?)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_from_memory_at(&self, buffer: &mut [u8], offset: u64) -> bool {
        use rustix::io::{ReadWriteFlags, preadv2};
        let mut done = 0;
        while done < buffer.len() {
            let piece = &mut [io::IoSliceMut::new(&mut buffer[done..])];
            // RWF_NOWAIT: the call returns what is in the page cache, or EAGAIN. File systems that cannot do this say
            // EOPNOTSUPP.
            match preadv2(self, piece, offset + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => return false,
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    #[cfg(not(target_os = "linux"))]
    fn read_from_memory_at(&self, _buffer: &mut [u8], _offset: u64) -> bool {
        false
    }

    #[cfg(target_os = "linux")]
    fn is_linked(&self) -> bool {
        use rustix::fs::{StatxFlags, statx};
        // Without a sync, a network file system answers from what it knows.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        statx(self, "", flags, StatxFlags::NLINK).is_ok_and(|found| found.stx_nlink > 0)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_linked(&self) -> bool {
        rustix::fs::fstat(self).is_ok_and(|found| found.st_nlink > 0)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Replaces `directory/name` with `bytes`, atomically: after a loss of power the whole old or the whole new contents are there.
/// Durable when it returns.
pub(crate) fn replace_file(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    match disk.remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = disk.create_new(&new).and_then(|file| {
        file.write_all_at(bytes, 0)?;
        file.sync()
    });
    if let Err(error) = written {
        // The unfinished file may take up the space that is missing. If it cannot be removed, the next write replaces it.
        let _ = disk.remove_file(&new);
        return Err(error);
    }
    disk.rename(&new, &directory.join(name))?;
    disk.sync_dir(directory)
}

/// The contents of a file; `None` when there is no such file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a system has bytes in memory is its own affair, and some cannot tell. But what it returns is right, and there is
    /// nothing beyond the end.
    #[test]
    fn bytes_from_memory_are_those_of_the_file_and_a_removed_file_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = RealDisk.create_new(&path).unwrap();
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let mut buffer = vec![0; 50_000];
        if file.read_from_memory_at(&mut buffer, 7) {
            assert!(buffer == bytes[7..50_007]);
        }
        assert!(!file.read_from_memory_at(&mut buffer, 50_001));
        assert!(file.is_linked());
        RealDisk.rename(&path, &directory.path().join("moved")).unwrap();
        assert!(file.is_linked());
        RealDisk.remove_file(&directory.path().join("moved")).unwrap();
        assert!(!file.is_linked());
    }
}
