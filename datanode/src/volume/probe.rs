//! Probing a disk: without it, a disk that no request uses could fail unnoticed.
//!
//! The file `probe` is one page that is written, synced and read back. The file stays, so that a probe works on a full disk.

use std::io;

use super::disk::DiskFile;
use super::error::{OpenError, VolumeError, is_out_of_space, is_shortage};
use super::identity::Identity;
use super::space::QUOTA_DOUBT;
use super::state::VolumeState;

const NAME: &str = "probe";
/// A file that is written to see whether there is space again, and removed.
const SPACE_PROBE_NAME: &str = "probe.room";
const PAGE: usize = 4096;

/// Checks that the directory still holds this volume, and writes, syncs and reads a page. Blocks its thread.
///
/// # Errors
/// The volume has failed.
pub(crate) fn probe(state: &VolumeState) -> Result<(), VolumeError> {
    // If another probe hangs, that of the maintenance waits here until its time-out takes the disk out.
    let _alone = state.lock_probe();
    state.check()?;
    identity(state)?;
    let path = state.directory.join(NAME);
    match write_and_read(state) {
        Ok(true) => {}
        Ok(false) => return Err(state.give_up("what was written to it reads back as something else")),
        Err(error) if is_out_of_space(&error) || is_shortage(&error) => {}
        Err(error) => return Err(state.fail("probe", &path, &error)),
    }
    if state.is_at_quota() && has_space(state)? {
        state.below_quota();
    }
    Ok(())
}

/// Checks the identity file: if the disk was unmounted, its mount point has taken the place of the volume's directory.
fn identity(state: &VolumeState) -> Result<(), VolumeError> {
    match Identity::read(&*state.disk, &state.directory) {
        Ok(Some(identity)) if identity.volume == state.id => Ok(()),
        Ok(Some(_)) => Err(state.give_up("another volume has taken its place")),
        Ok(None) => Err(state.give_up("it is empty: was its disk unmounted?")),
        Err(OpenError::Io { error, .. }) if is_shortage(&error) => Ok(()),
        Err(error) => Err(state.give_up(&error.to_string())),
    }
}

fn write_and_read(state: &VolumeState) -> io::Result<bool> {
    let path = state.directory.join(NAME);
    let file = match state.disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => state.disk.create_new(&path)?,
        opened => opened?,
    };
    let mut found = vec![0; PAGE];
    // Other bytes than the last probe wrote, so that a write that did not happen is noticed.
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

fn has_space(state: &VolumeState) -> Result<bool, VolumeError> {
    let path = state.directory.join(SPACE_PROBE_NAME);
    let remove = || match state.disk.remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let written = remove().and_then(|()| {
        let file = state.disk.create_new(&path)?;
        let written = file.write_all_at(&vec![0; QUOTA_DOUBT as usize], 0);
        remove()?;
        written
    });
    match written {
        Ok(()) => Ok(true),
        Err(error) if is_out_of_space(&error) || is_shortage(&error) => Ok(false),
        Err(error) => Err(state.fail("probe", &path, &error)),
    }
}

/// Segments whose files one probe looks for. These are all segments of a small volume. Of 40,000 segments (10 TiB) each one is looked
/// for every quarter of an hour, and a probe costs a millisecond. A read of a missing segment fails at once anyway.
pub(crate) const SEGMENTS_LOOKED_FOR: usize = 256;

/// Which of the next [`SEGMENTS_LOOKED_FOR`] segments from number `from` on have no file any more, and the number to go on with. The
/// directory is read even when there is no segment. Blocks its thread.
pub(crate) fn missing_from(state: &VolumeState, from: u32) -> Result<(Vec<u32>, u32), VolumeError> {
    // First the index, then the directory: a segment is indexed only after its file was made.
    let known = state.index().segments(from, SEGMENTS_LOOKED_FOR);
    // A short slice is the last one. The next probe begins with the first segment again.
    let is_last = known.len() < SEGMENTS_LOOKED_FOR;
    let next = known.last().filter(|_| !is_last).map_or(0, |last| last.saturating_add(1));
    Ok((missing(state, known)?, next))
}

/// Which of these segments have no file. Blocks its thread.
pub(crate) fn missing(state: &VolumeState, segments: Vec<u32>) -> Result<Vec<u32>, VolumeError> {
    let directory = state.shared_directory();
    let names: Vec<String> = segments.iter().map(|number| VolumeState::segment_name(*number)).collect();
    let are_there = match state.disk.are_there(&directory, &names) {
        Err(error) if is_shortage(&error) => return Ok(Vec::new()),
        are_there => are_there.map_err(|error| state.fail("look into", &directory, &error))?,
    };
    let looked_at = segments.into_iter().zip(are_there);
    Ok(looked_at.filter(|(_, is_there)| !is_there).map(|(number, _)| number).collect())
}
