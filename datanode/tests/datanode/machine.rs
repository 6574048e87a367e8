//! A machine of which one disk can break or hang. It records the operations on its disks.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use cairn_datanode::volume::disk::{Disk, DiskFile, RealDisk, Space};

/// The state of the disk that can break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Well,
    /// Every operation fails.
    Broken,
    /// No operation returns.
    Hangs,
}

/// The machine. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bad: PathBuf,
    health: Mutex<Health>,
    changed: Condvar,
    calls: Mutex<Vec<(&'static str, PathBuf)>>,
    /// How many more reads find what they want in memory; `None` leaves it to the real machine.
    reads_from_memory: Mutex<Option<usize>>,
}

#[derive(Debug)]
struct MachineFile {
    machine: Machine,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl Machine {
    /// A machine whose files below `bad` can break.
    pub(crate) fn new(bad: PathBuf) -> Self {
        Self(Arc::new(Shared { bad, ..Shared::default() }))
    }

    pub(crate) fn set(&self, health: Health) {
        *self.0.health.lock().unwrap() = health;
        self.0.changed.notify_all();
    }

    /// The operations on the disks so far, in order, with their paths.
    pub(crate) fn calls(&self) -> Vec<(&'static str, PathBuf)> {
        self.0.calls.lock().unwrap().clone()
    }

    fn on(&self, call: &'static str, path: &Path) -> io::Result<()> {
        self.0.calls.lock().unwrap().push((call, path.to_path_buf()));
        if self.0.bad.as_os_str().is_empty() || !path.starts_with(&self.0.bad) {
            return Ok(());
        }
        let health = self.0.health.lock().unwrap();
        let health = self.0.changed.wait_while(health, |health| *health == Health::Hangs).unwrap();
        if *health == Health::Broken { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    /// Makes this number of reads find what they want in memory, and all later ones not.
    pub(crate) fn limit_reads_from_memory(&self, reads: usize) {
        *self.0.reads_from_memory.lock().unwrap() = Some(reads);
    }

    /// Whether a read may find what it wants in memory. The memory of a real machine answers also for a disk that does not work; here
    /// that would hide the fault.
    fn may_read_from_memory(&self, path: &Path) -> bool {
        let is_bad = !self.0.bad.as_os_str().is_empty() && path.starts_with(&self.0.bad);
        if is_bad && *self.0.health.lock().unwrap() != Health::Well {
            return false;
        }
        match self.0.reads_from_memory.lock().unwrap().as_mut() {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn file(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(MachineFile { machine: self.clone(), path: path.to_path_buf(), file })
    }
}

impl DiskFile for MachineFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.machine.on("write", &self.path)?;
        self.file.write_all_at(bytes, offset)
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.machine.on("read", &self.path)?;
        self.file.read_exact_at(buffer, offset)
    }
    fn read_from_memory_at(&self, buffer: &mut [u8], offset: u64) -> bool {
        let is_limited = self.machine.0.reads_from_memory.lock().unwrap().is_some();
        let may = self.machine.may_read_from_memory(&self.path);
        // When a test decides what is in memory, the real machine must not.
        may && (self.file.read_from_memory_at(buffer, offset)
            || is_limited && self.file.read_exact_at(buffer, offset).is_ok())
    }
    fn is_linked(&self) -> bool {
        self.file.is_linked()
    }
    fn length(&self) -> io::Result<u64> {
        self.machine.on("length", &self.path)?;
        self.file.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.machine.on("set_length", &self.path)?;
        self.file.set_length(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.machine.on("sync", &self.path)?;
        self.file.sync()
    }
}

impl Disk for Machine {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.on("create", path)?;
        Ok(self.file(path, RealDisk.create_new(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.on("open", path)?;
        Ok(self.file(path, RealDisk.open(path)?))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.on("create_dir", path)?;
        RealDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.on("list", path)?;
        RealDisk.list(path)
    }
    fn are_there(&self, path: &Path, names: &[String]) -> io::Result<Vec<bool>> {
        self.on("are_there", path)?;
        RealDisk.are_there(path, names)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.on("rename", from)?;
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.on("remove", path)?;
        RealDisk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.on("remove_dir", path)?;
        RealDisk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.on("sync_dir", path)?;
        RealDisk.sync_dir(path)
    }
    // The kernel answers `statvfs` from memory, even if the disk does not work.
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        RealDisk.is_mount_point(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        self.on("lock", path)?;
        RealDisk.lock(path)
    }
}
