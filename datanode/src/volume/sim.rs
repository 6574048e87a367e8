//! A simulated disk that loses power, for tests.
//!
//! It distinguishes synced bytes from written ones. When the power fails (at a chosen operation), each write that was not synced
//! survives in whole, in part (by sectors), as a longer file of zeros, or not at all, independently of the others. So does each
//! change of a name. This is worse than any file system, and exactly what [`Disk`](super::disk::Disk) promises.
//!
//! A directory of it can also [break](SimDisk::break_below) while the power stays on.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::{Disk, DiskFile, Space};

const SECTOR: usize = 512;

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<World>>, Arc<Mutex<()>>);

#[derive(Debug, Default)]
struct World {
    files: HashMap<u64, Inode>,
    directories: BTreeMap<PathBuf, Directory>,
    /// Changes of names that no sync has made durable, in order.
    names: Vec<NameChange>,
    next_inode: u64,
    operations: u64,
    power_fails_at: Option<u64>,
    is_dead: bool,
    sync_fails: bool,
    syncs: u64,
    /// The number of names that were listed or looked up.
    names_seen: u64,
    capacity: u64,
    /// Bytes that may be used in total, although [`Disk::space`](super::disk::Disk::space) reports `capacity`.
    quota: Option<u64>,
    fault: Option<Fault>,
    /// Sectors of files that cannot be read. A file that replaces another one lies in other sectors.
    bad_sectors: BTreeSet<(u64, usize)>,
    /// After this number of further operations that need a file descriptor, the others fail with this error.
    shortage: Option<(u64, i32)>,
    mount_points: BTreeSet<PathBuf>,
    /// Whether all that is read is in the system's memory.
    is_in_memory: bool,
    /// The number of files that were opened.
    opens: u64,
}

/// A part of the disk that breaks.
#[derive(Clone, Debug)]
struct Fault {
    below: PathBuf,
    kind: FaultKind,
    /// Operations below `below` until it breaks.
    left: u64,
}

/// How a disk breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Every operation fails with EIO.
    Dead,
    /// Nothing can be changed: EROFS, as after a remount by the kernel.
    ReadOnly,
    /// Reads of files fail with EIO.
    Unreadable,
    /// Names are not found, and open files still work: an empty directory has taken the place of the real one.
    Unmounted,
}

/// The kind of an operation: each fault lets some kinds fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Finds a name.
    Name,
    /// Changes something through an open file.
    Write,
    /// Changes names.
    Change,
    Read,
    /// Reads a file's length.
    Look,
}

impl FaultKind {
    fn error(self, access: Access) -> Option<io::Error> {
        const EIO: i32 = 5;
        const EROFS: i32 = 30;
        let errno = |errno| Some(io::Error::from_raw_os_error(errno));
        match (self, access) {
            (Self::Dead, _) | (Self::Unreadable, Access::Read) => errno(EIO),
            (Self::ReadOnly, Access::Write | Access::Change) => errno(EROFS),
            (Self::Unmounted, Access::Name | Access::Change) => Some(io::ErrorKind::NotFound.into()),
            (Self::ReadOnly | Self::Unreadable | Self::Unmounted, _) => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    is_durable: bool,
    durable: BTreeMap<String, u64>,
    current: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add { directory: PathBuf, name: String, inode: u64 },
    Remove { directory: PathBuf, name: String },
    Move { from: (PathBuf, String), to: (PathBuf, String), inode: u64 },
}

impl SimDisk {
    pub(crate) fn new(capacity: u64) -> Self {
        let root = Directory { is_durable: true, ..Directory::default() };
        let directories = BTreeMap::from([(PathBuf::from("/"), root)]);
        Self(Arc::new(Mutex::new(World { directories, capacity, ..World::default() })), Arc::default())
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the power fail at the `n`th operation from now.
    pub(crate) fn fail_power_after(&self, n: u64) {
        let mut world = self.world();
        world.power_fails_at = Some(world.operations + n);
    }

    /// Makes files below `directory` fail in this way, from the `n`th operation on them from now.
    pub(crate) fn break_below(&self, directory: &str, kind: FaultKind, n: u64) {
        self.world().fault = Some(Fault { below: directory.into(), kind, left: n });
    }

    /// Makes the sector with `offset` of a file unreadable.
    pub(crate) fn break_sector(&self, path: &Path, offset: usize) {
        let mut world = self.world();
        let inode = world.lookup(path).unwrap();
        world.bad_sectors.insert((inode, offset / SECTOR));
    }

    /// Replaces the sector with `offset` of a file by random bytes, durably.
    pub(crate) fn scramble_sector(&self, path: &Path, offset: usize, seed: u64) {
        let mut world = self.world();
        let inode = world.lookup(path).unwrap();
        let file = world.files.get_mut(&inode).unwrap();
        let start = offset / SECTOR * SECTOR;
        let end = (start + SECTOR).min(file.current.len());
        let mut rng = StdRng::seed_from_u64(seed);
        rng.fill(&mut file.current[start..end]);
        let scrambled = file.current[start..end].to_vec();
        file.durable.resize(file.durable.len().max(end), 0);
        file.durable[start..end].copy_from_slice(&scrambled);
    }

    /// The length of a file.
    pub(crate) fn length(&self, path: &Path) -> usize {
        let world = self.world();
        world.files[&world.lookup(path).unwrap()].current.len()
    }

    /// Makes all operations that need a file descriptor fail with this error; `None` ends it.
    pub(crate) fn set_shortage(&self, errno: Option<i32>) {
        self.set_shortage_after(0, errno);
    }

    /// Does the same after `left` more such operations have succeeded.
    pub(crate) fn set_shortage_after(&self, left: u64, errno: Option<i32>) {
        self.world().shortage = errno.map(|errno| (left, errno));
    }

    /// Repairs every part that was broken.
    pub(crate) fn heal(&self) {
        self.world().fault = None;
    }

    /// Makes writes fail that would use more than this in total, although the disk reports more free space.
    pub(crate) fn set_quota(&self, quota: Option<u64>) {
        self.world().quota = quota;
    }

    /// Makes reads find everything in the system's memory, or nothing.
    pub(crate) fn set_in_memory(&self, is_in_memory: bool) {
        self.world().is_in_memory = is_in_memory;
    }

    /// Files that were opened so far.
    pub(crate) fn opens(&self) -> u64 {
        self.world().opens
    }

    /// Makes the directory a mount point.
    pub(crate) fn mount(&self, directory: &str) {
        self.world().mount_points.insert(directory.into());
    }

    /// Makes all syncs of files fail. Their bytes never become durable, although they can still be read, as on Linux after a failed
    /// write-back.
    pub(crate) fn break_syncs(&self) {
        self.world().sync_fails = true;
    }

    /// Makes syncs of files wait until the guard is dropped.
    pub(crate) fn hold_syncs(&self) -> std::sync::MutexGuard<'_, ()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs of files so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Names in directories that were listed or looked up so far.
    pub(crate) fn names_seen(&self) -> u64 {
        self.world().names_seen
    }

    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.world().capacity = capacity;
    }

    pub(crate) fn used(&self) -> u64 {
        self.world().used()
    }

    /// Flips a bit of a file, durably.
    pub(crate) fn flip_bit(&self, path: &Path, offset: usize) {
        let mut world = self.world();
        let inode = world.lookup(path).unwrap();
        let file = world.files.get_mut(&inode).unwrap();
        file.current[offset] ^= 1;
        file.durable[offset] ^= 1;
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let world = self.world();
        world.directories.iter().flat_map(|(path, dir)| dir.current.keys().map(|n| path.join(n))).collect()
    }

    /// The disk as the next start finds it. Open files of the old one do not work any more.
    pub(crate) fn restart(&self, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut old = self.world();
        old.is_dead = true;
        let mut new = World {
            capacity: old.capacity,
            next_inode: old.next_inode,
            mount_points: old.mount_points.clone(),
            bad_sectors: old.bad_sectors.clone(),
            ..World::default()
        };
        new.directories = old
            .directories
            .iter()
            .filter(|(_, directory)| directory.is_durable || rng.random_bool(0.5))
            .map(|(path, directory)| (path.clone(), directory.clone()))
            .collect();
        for change in &old.names {
            if rng.random_bool(0.5) {
                change.apply(&mut new.directories, |directory| &mut directory.durable);
            }
        }
        for directory in new.directories.values_mut() {
            directory.is_durable = true;
            directory.current = directory.durable.clone();
        }
        let mut inodes: Vec<u64> = old.files.keys().copied().collect();
        inodes.sort_unstable();
        for inode in inodes {
            let bytes = old.files[&inode].after_crash(&mut rng);
            let file = Inode { durable: bytes.clone(), current: bytes, pending: Vec::new() };
            new.files.insert(inode, file);
        }
        Self(Arc::new(Mutex::new(new)), Arc::default())
    }
}

impl Inode {
    fn after_crash(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for pending in &self.pending {
            let fate = rng.random_range(0..4);
            match pending {
                Pending::Length(length) if fate < 2 => bytes.resize(*length, 0),
                Pending::Length(_) => {}
                Pending::Write { offset, bytes: written } => {
                    if fate == 0 {
                        continue;
                    }
                    let end = offset + written.len();
                    bytes.resize(bytes.len().max(end), 0);
                    if fate == 1 {
                        continue;
                    }
                    let mut is_lost = false;
                    for (at, byte) in (*offset..).zip(written) {
                        if at == *offset || at.is_multiple_of(SECTOR) {
                            is_lost = fate == 2 && rng.random_bool(0.3);
                        }
                        if !is_lost {
                            bytes[at] = *byte;
                        }
                    }
                }
            }
        }
        bytes
    }
}

impl NameChange {
    fn touches(&self, path: &Path) -> bool {
        match self {
            Self::Add { directory, .. } | Self::Remove { directory, .. } => directory == path,
            Self::Move { from, to, .. } => from.0 == path || to.0 == path,
        }
    }

    fn apply(
        &self,
        directories: &mut BTreeMap<PathBuf, Directory>,
        names: impl Fn(&mut Directory) -> &mut BTreeMap<String, u64>,
    ) {
        let mut set = |directory: &PathBuf, name: &String, inode: Option<u64>| {
            if let Some(directory) = directories.get_mut(directory) {
                match inode {
                    Some(inode) => names(directory).insert(name.clone(), inode),
                    None => names(directory).remove(name),
                };
            }
        };
        match self {
            Self::Add { directory, name, inode } => set(directory, name, Some(*inode)),
            Self::Remove { directory, name } => set(directory, name, None),
            Self::Move { from, to, inode } => {
                set(&from.0, &from.1, None);
                set(&to.0, &to.1, Some(*inode));
            }
        }
    }
}

fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (path.parent().unwrap().to_path_buf(), name)
}

impl World {
    /// Counts an operation. Returns an error after the power has failed, or where the disk is broken.
    fn step(&mut self, path: &Path, access: Access) -> io::Result<()> {
        self.power()?;
        let Some(fault) = self.fault.as_mut().filter(|fault| path.starts_with(&fault.below)) else {
            return Ok(());
        };
        fault.left = fault.left.saturating_sub(1);
        let error = if fault.left == 0 { fault.kind.error(access) } else { None };
        error.map_or(Ok(()), Err)
    }

    /// Returns an error while there are no file descriptors.
    fn descriptor(&mut self) -> io::Result<()> {
        match &mut self.shortage {
            None => Ok(()),
            Some((0, errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn power(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.power_fails_at.is_some_and(|at| self.operations >= at) {
            self.is_dead = true;
        }
        if self.is_dead { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        let (directory, name) = split(path);
        self.directories
            .get(&directory)
            .and_then(|directory| directory.current.get(&name).copied())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.directories, |directory| &mut directory.current);
        self.names.push(change);
    }

    fn used(&self) -> u64 {
        let linked = self.directories.values().flat_map(|directory| directory.current.values());
        linked.map(|inode| self.files[inode].current.len() as u64).sum()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
}

impl Disk for SimDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.step(path, Access::Change)?;
        world.descriptor()?;
        if world.lookup(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (directory, name) = split(path);
        if !world.directories.contains_key(&directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = world.next_inode;
        world.next_inode += 1;
        world.files.insert(inode, Inode::default());
        world.change(NameChange::Add { directory, name, inode });
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.to_path_buf(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.step(path, Access::Name)?;
        world.descriptor()?;
        let inode = world.lookup(path)?;
        world.opens += 1;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.to_path_buf(), inode }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(path, Access::Change)?;
        world.directories.entry(path.to_path_buf()).or_default();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.step(path, Access::Name)?;
        world.descriptor()?;
        let directory = world.directories.get(path).ok_or(io::ErrorKind::NotFound)?;
        let files = directory.current.keys().cloned();
        let below = world.directories.keys().filter(|below| below.parent() == Some(path));
        let names: Vec<String> = files.chain(below.map(|below| split(below).1)).collect();
        world.names_seen += names.len() as u64;
        Ok(names)
    }

    fn are_there(&self, path: &Path, names: &[String]) -> io::Result<Vec<bool>> {
        let mut world = self.world();
        world.step(path, Access::Name)?;
        world.descriptor()?;
        world.names_seen += names.len() as u64;
        let directory = world.directories.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(names.iter().map(|name| directory.current.contains_key(name)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(from, Access::Change)?;
        let inode = world.lookup(from)?;
        if !world.directories.contains_key(&split(to).0) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.change(NameChange::Move { from: split(from), to: split(to), inode });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(path, Access::Change)?;
        world.lookup(path)?;
        let (directory, name) = split(path);
        world.change(NameChange::Remove { directory, name });
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(path, Access::Change)?;
        if world.directories.get(path).is_some_and(|directory| !directory.current.is_empty()) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        world.directories.remove(path);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.step(path, Access::Change)?;
        world.descriptor()?;
        let world = &mut *world;
        let (now, later): (Vec<_>, Vec<_>) = world.names.drain(..).partition(|change| change.touches(path));
        for change in now {
            change.apply(&mut world.directories, |directory| &mut directory.durable);
        }
        world.names = later;
        for (below, directory) in &mut world.directories {
            directory.is_durable |= below.parent() == Some(path);
        }
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let mut world = self.world();
        // A directory that is a mount point has its own free space.
        match world.step(path, Access::Name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let available = world.capacity.saturating_sub(world.used());
        Ok(Space { capacity: world.capacity, available })
    }

    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        Ok(self.world().mount_points.contains(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut world = self.world();
        world.step(path, Access::Name)?;
        let is_there = world.directories.contains_key(&split(path).0);
        if is_there { Ok(Some(Box::new(()))) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

impl DiskFile for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let power = world.step(&self.path, Access::Write);
        if power.is_err() && world.power_fails_at.is_none_or(|at| at != world.operations) {
            return power;
        }
        let (used, quota) = (world.used(), world.quota.unwrap_or(u64::MAX));
        let is_quota = quota < world.capacity;
        let free = world.capacity.min(quota).saturating_sub(used) as usize;
        let file = world.files.get_mut(&self.inode).unwrap();
        let offset = offset as usize;
        let grows_by = (offset + bytes.len()).saturating_sub(file.current.len());
        let fits = grows_by <= free;
        // A disk that becomes full stores the first part of the write.
        let bytes = if fits { bytes } else { &bytes[..bytes.len() / 2] };
        file.pending.push(Pending::Write { offset, bytes: bytes.to_vec() });
        let end = offset + bytes.len();
        file.current.resize(file.current.len().max(end), 0);
        file.current[offset..end].copy_from_slice(bytes);
        power?;
        match (fits, is_quota) {
            (true, _) => Ok(()),
            (false, true) => Err(io::ErrorKind::QuotaExceeded.into()),
            (false, false) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step(&self.path, Access::Read)?;
        let range = offset as usize..offset as usize + buffer.len();
        let sectors = range.start / SECTOR..range.end.div_ceil(SECTOR);
        if world.bad_sectors.iter().any(|(inode, sector)| *inode == self.inode && sectors.contains(sector)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let file = &world.files[&self.inode];
        let bytes = file.current.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn read_from_memory_at(&self, buffer: &mut [u8], offset: u64) -> bool {
        let is_in_memory = self.disk.world().is_in_memory;
        is_in_memory && self.read_exact_at(buffer, offset).is_ok()
    }

    fn is_linked(&self) -> bool {
        let world = self.disk.world();
        world
            .directories
            .values()
            .any(|directory| directory.current.values().any(|inode| *inode == self.inode))
    }

    fn length(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.step(&self.path, Access::Look)?;
        Ok(world.files[&self.inode].current.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step(&self.path, Access::Write)?;
        let file = world.files.get_mut(&self.inode).unwrap();
        file.pending.push(Pending::Length(length as usize));
        file.current.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.hold_syncs());
        let mut world = self.disk.world();
        world.step(&self.path, Access::Write)?;
        world.syncs += 1;
        let sync_fails = world.sync_fails;
        let file = world.files.get_mut(&self.inode).unwrap();
        file.pending.clear();
        if sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        file.durable = file.current.clone();
        Ok(())
    }
}
