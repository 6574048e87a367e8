//! Dedicated segments: blocks that have a file each.
//!
//! ```text
//! own/0000002a/01f3-017f22e2-79b0-7cc3-98c4-dc0c0c07398f
//!     directory number-block id
//! ```
//!
//! A directory has up to 4096 files, which are numbered. Directories are numbered in the order in which they are made, and each
//! start begins a new one. So a place is never used twice, files that are written together lie together, no directory grows large,
//! and writers share the `fsync` of the active directory.
//!
//! **Order of a write.** The file gets its final name at once, a mark in place of the header, and then data as they arrive. When
//! all data are there and match, chunk table and header are written. Then one `fdatasync` covers data and header, then the
//! directory is synced, then the block is indexed and acknowledged.
//!
//! A temporary name would cost a second commit of the file system's journal, and is not needed: a file with a mark never had a
//! durable header, so it was never acknowledged, and recovery removes it. Any other file that the checkpoint does not know could
//! have been acknowledged. Recovery verifies it, and moves it into quarantine if it is not whole.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_protocol::checksum::{ChunkTable, Crc32c};
use cairn_protocol::count::without;
use cairn_protocol::id::BlockId;

use super::disk::DiskFile;
use super::empty_trash;
use super::entry::{Entry, Trashed};
use super::error::{VolumeError, is_shortage};
use super::paths::quarantine_name;
use super::record::{Body, HEADER_SIZE, Header, Place, data_offset};
use super::state::VolumeState;
use super::sync::GroupSync;

/// Files in a directory at most. Few enough that any file system finds and adds names quickly; enough that the largest disks have
/// only thousands of directories.
const DIRECTORY_FILES_MAX: u32 = 4096;

/// The dedicated segments of a volume, in their directories.
#[derive(Debug)]
pub(crate) struct DedicatedSegments {
    state: Arc<VolumeState>,
    table: Mutex<DirectoryTable>,
}

#[derive(Debug)]
struct DirectoryTable {
    /// The directory that takes new files; none before the first file since the start.
    active: Option<u32>,
    /// The number of the next directory.
    next_directory: u32,
    /// The number of the next file in the active directory.
    next_file: u32,
    directories: BTreeMap<u32, Directory>,
}

#[derive(Debug, Default)]
struct Directory {
    sync: Arc<GroupSync>,
    files: u64,
}

/// A dedicated segment that is being written.
#[derive(Debug)]
pub(crate) struct DedicatedFile {
    pub(crate) id: BlockId,
    pub(crate) place: Place,
    pub(crate) file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl DedicatedSegments {
    /// Takes over the directories that recovery found, each with its number of files. New files go to a new directory, whose
    /// number is above `directory_max`, the highest one in use here and in the trash.
    pub(crate) fn new(state: Arc<VolumeState>, found: BTreeMap<u32, u64>, directory_max: u32) -> Self {
        let next_directory = directory_max + 1;
        let directories = found
            .into_iter()
            .map(|(number, files)| (number, Directory { files, ..Directory::default() }))
            .collect();
        let table = DirectoryTable { active: None, next_directory, next_file: 0, directories };
        Self { state, table: Mutex::new(table) }
    }

    /// Makes the file for a block. Blocks its thread.
    pub(crate) fn create(&self, id: BlockId) -> Result<DedicatedFile, VolumeError> {
        self.state.check()?;
        let place = self.next_place()?;
        let path = self.state.record_path(&id, place);
        let mark = Header { id, place, body: Body::Mark }.encode(self.state.id);
        let file = match self.state.disk.create_new(&path) {
            Ok(file) => file,
            Err(error) => {
                self.forget_file(place);
                return Err(self.state.write_error("create", &path, error));
            }
        };
        let dedicated = DedicatedFile { id, place, file, path };
        match self
            .state
            .write_with_space(&dedicated.path, HEADER_SIZE as u64, || dedicated.file.write_all_at(&mark, 0))
        {
            Ok(()) => Ok(dedicated),
            Err(error) => {
                self.abandon(&dedicated);
                Err(error)
            }
        }
    }

    fn next_place(&self) -> Result<Place, VolumeError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match table.active {
            Some(active) if table.next_file < DIRECTORY_FILES_MAX => active,
            Some(_) | None => self.begin_directory(&mut table)?,
        };
        let number = table.next_file;
        table.next_file += 1;
        table.directories.entry(directory).or_default().files += 1;
        Ok(Place::dedicated(directory, number))
    }

    /// Makes the next directory, under the lock. It is rare, so other writers may wait for it.
    fn begin_directory(&self, table: &mut DirectoryTable) -> Result<u32, VolumeError> {
        let number = table.next_directory;
        let parent = self.state.dedicated_directory();
        let path = parent.join(format!("{number:08x}"));
        self.state.disk.create_dir(&path).map_err(|error| self.state.write_error("create", &path, error))?;
        self.state.sync_dir(&parent)?;
        table.active = Some(number);
        table.next_directory = number + 1;
        table.next_file = 0;
        table.directories.insert(number, Directory::default());
        Ok(number)
    }

    /// Writes table and header, makes the block durable, then visible. Blocks its thread.
    pub(crate) fn finish(
        &self,
        dedicated: &DedicatedFile,
        length: u32,
        crc: Crc32c,
        table: &ChunkTable,
    ) -> Result<(), VolumeError> {
        self.state.check()?;
        let table = table.encode();
        let header = Header::of_block(dedicated.id, dedicated.place, length, crc, &table);
        let mut head = Vec::with_capacity(HEADER_SIZE + table.len());
        head.extend_from_slice(&header.encode(self.state.id));
        head.extend_from_slice(&table);
        self.state
            .write_with_space(&dedicated.path, head.len() as u64, || dedicated.file.write_all_at(&head, 0))?;
        dedicated.file.sync().map_err(|error| self.state.fail("fdatasync", &dedicated.path, &error))?;
        self.sync_directory(dedicated.place)?;
        let entry = Entry { length, crc, place: dedicated.place };
        let (replaced, trashed) = {
            let mut index = self.state.index_mut();
            index.since_checkpoint += entry.size();
            (index.insert(dedicated.id, entry), index.take_trash(&dedicated.id))
        };
        if let Some(trashed) = trashed {
            empty_trash::discard(&self.state, &dedicated.id, &trashed);
        }
        match replaced.filter(|old| old.place.is_dedicated()) {
            // Two writers stored the same block at once. One file is enough.
            Some(old) => self.remove(&dedicated.id, old.place),
            None => Ok(()),
        }
    }

    /// Removes a segment that was not finished. Blocks its thread.
    pub(crate) fn abandon(&self, dedicated: &DedicatedFile) {
        if let Err(error) = self.state.disk.remove_file(&dedicated.path) {
            // The file has a mark and no header, so the next recovery removes it.
            tracing::info!(path = %dedicated.path.display(), %error, "cannot remove a half-written block");
        }
        self.forget_file(dedicated.place);
    }

    /// Unlinks a block that was removed from the index. Durable when it returns. Blocks its thread.
    pub(crate) fn remove(&self, id: &BlockId, place: Place) -> Result<(), VolumeError> {
        let path = self.state.record_path(id, place);
        self.state.open_files.forget(place);
        match self.state.disk.remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.state.write_error("remove", &path, error)),
        }
        self.sync_directory(place)?;
        self.forget_file(place);
        Ok(())
    }

    /// Moves a block that was removed from the index into the trash, by a rename. Returns whether there was a file to keep. It is
    /// durable once [`sync_thrown_away`](Self::sync_thrown_away) has returned. Blocks its thread.
    ///
    /// # Errors
    /// [`VolumeError::Io`] when this process lacks file descriptors or memory. The file is then where it was.
    pub(crate) fn throw_away(&self, id: &BlockId, trashed: &Trashed) -> Result<bool, VolumeError> {
        let place = trashed.entry.place;
        let (from, to) = (self.state.record_path(id, place), self.state.trash_path(id, trashed));
        self.state.open_files.forget(place);
        let disk = &self.state.disk;
        let renamed = match disk.rename(&from, &to) {
            // The trash has a directory only while there is something in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _stays = self.state.lock_trash_directories();
                let directory = self.state.trash_directory_of(place);
                let made = disk.create_dir(&directory).and_then(|()| {
                    // The directory is not durable, so it must not take the next block either.
                    let synced = disk.sync_dir(&self.state.trash_directory());
                    synced.inspect_err(|_| drop(disk.remove_dir(&directory)))
                });
                made.and_then(|()| disk.rename(&from, &to))
            }
            renamed => renamed,
        };
        match renamed {
            Ok(()) => Ok(true),
            Err(error) if is_shortage(&error) => Err(VolumeError::io("rename", &from, error)),
            // There is no file to keep, or no space to keep it. If the disk is broken, the removal fails too.
            Err(_) => self.remove(id, place).map(|()| false),
        }
    }

    /// Makes the move of a block into the trash durable. Blocks its thread.
    pub(crate) fn sync_thrown_away(&self, place: Place) -> Result<(), VolumeError> {
        self.state.sync_dir(&self.state.trash_directory_of(place))?;
        self.sync_directory(place)?;
        self.forget_file(place);
        Ok(())
    }

    /// Moves a block back from the trash, by a rename. Durable when it returns; the caller adds it to the index. Returns whether
    /// its file was there. Blocks its thread.
    pub(crate) fn bring_back(&self, id: &BlockId, trashed: &Trashed) -> Result<bool, VolumeError> {
        let place = trashed.entry.place;
        let (from, to) = (self.state.trash_path(id, trashed), self.state.record_path(id, place));
        self.expect_file(place)?;
        match self.state.disk.rename(&from, &to) {
            Ok(()) => {}
            Err(error) => {
                self.forget_file(place);
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                return if is_gone { Ok(false) } else { Err(self.state.write_error("rename", &from, error)) };
            }
        }
        self.sync_directory(place)?;
        self.state.sync_dir(&self.state.trash_directory_of(place))?;
        Ok(true)
    }

    /// Prepares for a file that is restored: its directory may have been removed.
    fn expect_file(&self, place: Place) -> Result<(), VolumeError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let number = place.segment();
        if !table.directories.contains_key(&number) {
            let parent = self.state.dedicated_directory();
            let path = parent.join(format!("{number:08x}"));
            let made = self.state.disk.create_dir(&path);
            made.map_err(|error| self.state.write_error("create", &path, error))?;
            self.state.sync_dir(&parent)?;
        }
        table.directories.entry(number).or_default().files += 1;
        Ok(())
    }

    /// Moves a damaged block into quarantine, by a rename. Durable when it returns. Returns whether there was a file to keep. Blocks
    /// its thread.
    pub(crate) fn set_aside(&self, id: &BlockId, place: Place) -> Result<bool, VolumeError> {
        let path = self.state.record_path(id, place);
        let to = self.state.quarantine_directory().join(quarantine_name(id, place));
        match self.state.disk.rename(&path, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget_file(place);
                return Ok(false);
            }
            Err(error) => return Err(self.state.write_error("rename", &path, error)),
        }
        self.state.sync_dir(&self.state.quarantine_directory())?;
        self.sync_directory(place)?;
        self.forget_file(place);
        Ok(true)
    }

    fn sync_directory(&self, place: Place) -> Result<(), VolumeError> {
        let number = place.segment();
        let group = {
            let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.directories.get(&number).map(|directory| directory.sync.clone()).unwrap_or_default()
        };
        let path = self.state.dedicated_directory().join(format!("{number:08x}"));
        group
            .run(|| self.state.disk.sync_dir(&path))
            .map_err(|error| self.state.sync_error("fsync", &path, error))
    }

    /// Takes a file off the count of its directory, and removes the directory once it is empty, unless it still takes new files.
    fn forget_file(&self, place: Place) {
        let number = place.segment();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest directory stays even when it is empty. Its number must not be used again, because the checkpoint may still
        // name files that were in it.
        let is_newest = number + 1 == table.next_directory;
        let Some(directory) = table.directories.get_mut(&number) else { return };
        // Should the count be wrong, `remove_dir` fails below as long as there is a file: nothing is lost.
        directory.files = without(directory.files, 1, "files of a directory of dedicated segments");
        if directory.files > 0 || is_newest {
            return;
        }
        table.directories.remove(&number);
        let path = self.state.dedicated_directory().join(format!("{number:08x}"));
        if let Err(error) = self.state.disk.remove_dir(&path) {
            // Nothing depends on it. The next start finds the empty directory again.
            tracing::debug!(path = %path.display(), %error, "cannot remove an empty directory");
        }
    }
}

impl DedicatedFile {
    /// The file's name, for messages.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

/// The offset in its file of byte `position` of a block of `length` bytes.
pub(crate) fn file_offset(length: u64, position: u64) -> u64 {
    data_offset(length, true) + position
}
