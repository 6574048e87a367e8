//! Whether a disk still does what it is asked: a disk that nobody uses fails in silence otherwise.
//!
//! `probe` is one page that is written, synced and read back. It stays where it is, so that probing works on a full disk.

use std::io;

use super::core::{Core, QUOTA_DOUBT};
use super::disk::DiskFile;
use super::error::{OpenError, VolumeError, is_out_of_space, is_shortage};
use super::identity::Identity;

const NAME: &str = "probe";
/// Written to see whether there is room again, and removed.
const ROOM_NAME: &str = "probe.room";
const PAGE: usize = 4096;

/// Looks whether the volume is still there, and writes, syncs and reads a page. Blocks its thread.
///
/// # Errors
/// The volume has failed.
pub(crate) fn probe(core: &Core) -> Result<(), VolumeError> {
    core.check()?;
    identity(core)?;
    let path = core.directory.join(NAME);
    match write_and_read(core) {
        Ok(true) => {}
        Ok(false) => return Err(core.give_up("what was written to it reads back as something else")),
        Err(error) if is_out_of_space(&error) || is_shortage(&error) => {}
        Err(error) => return Err(core.fail("probe", &path, &error)),
    }
    if core.is_at_quota() && has_room(core)? {
        core.below_quota();
    }
    Ok(())
}

/// Another directory may have taken the place of ours: the one that a file system was mounted on.
fn identity(core: &Core) -> Result<(), VolumeError> {
    match Identity::read(&*core.disk, &core.directory) {
        Ok(Some(identity)) if identity.volume == core.id => Ok(()),
        Ok(Some(_)) => Err(core.give_up("another volume has taken its place")),
        Ok(None) => Err(core.give_up("it is empty: was its disk unmounted?")),
        Err(OpenError::Io { error, .. }) if is_shortage(&error) => Ok(()),
        Err(error) => Err(core.give_up(&error.to_string())),
    }
}

fn write_and_read(core: &Core) -> io::Result<bool> {
    let path = core.directory.join(NAME);
    let file = match core.disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => core.disk.create_new(&path)?,
        opened => opened?,
    };
    let mut found = vec![0; PAGE];
    // Other bytes than last time, so that those cannot be taken for these.
    let before = if file.length()? >= PAGE as u64 { first_byte(&*file)? } else { 0 };
    let written = vec![before.wrapping_add(1); PAGE];
    file.write_all_at(&written, 0)?;
    file.sync()?;
    file.read_exact_at(&mut found, 0)?;
    Ok(found == written)
}

fn first_byte(file: &dyn DiskFile) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0)?;
    Ok(byte[0])
}

fn has_room(core: &Core) -> Result<bool, VolumeError> {
    let path = core.directory.join(ROOM_NAME);
    let remove = || match core.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let written = remove().and_then(|()| {
        let file = core.disk.create_new(&path)?;
        let written = file.write_all_at(&vec![0; QUOTA_DOUBT as usize], 0);
        remove()?;
        written
    });
    match written {
        Ok(()) => Ok(true),
        Err(error) if is_out_of_space(&error) || is_shortage(&error) => Ok(false),
        Err(error) => Err(core.fail("probe", &path, &error)),
    }
}

/// Shared segments whose files are gone although the index says that there are blocks in them. Blocks its thread.
pub(crate) fn missing_segments(core: &Core) -> Result<Vec<u32>, VolumeError> {
    // In this order: a segment is indexed only once its file is there.
    let known = core.index().segments();
    let directory = core.shared_directory();
    let names = match core.disk.list(&directory) {
        Err(error) if is_shortage(&error) => return Ok(Vec::new()),
        names => names.map_err(|error| core.fail("list", &directory, &error))?,
    };
    let is_there = |number: &u32| names.iter().any(|name| *name == Core::segment_name(*number));
    Ok(known.into_iter().filter(|number| !is_there(number)).collect())
}
