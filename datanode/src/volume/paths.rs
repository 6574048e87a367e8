//! Names of files and directories of a volume. No key of an object is ever part of one. Dedicated segments lie in `own/`, their name
//! in earlier versions: names on disk stay.

use std::path::PathBuf;

use cairn_protocol::id::BlockId;

use super::entry::{Entry, Trashed};
use super::record::Place;
use super::state::VolumeState;

impl VolumeState {
    pub(crate) fn shared_directory(&self) -> PathBuf {
        self.directory.join("shared")
    }

    pub(crate) fn dedicated_directory(&self) -> PathBuf {
        self.directory.join("own")
    }

    pub(crate) fn trash_directory(&self) -> PathBuf {
        self.directory.join("trash")
    }

    /// The directory of the trash for the dedicated segments of the directory of `place`.
    pub(crate) fn trash_directory_of(&self, place: Place) -> PathBuf {
        self.trash_directory().join(format!("{:08x}", place.segment()))
    }

    /// The file that holds a block in the trash.
    pub(crate) fn trash_path(&self, id: &BlockId, trashed: &Trashed) -> PathBuf {
        let Trashed { entry: Entry { length, crc, place }, deleted_at } = trashed;
        if !place.is_dedicated() {
            return self.segment_path(place.segment());
        }
        let name = format!("{:04x}-{deleted_at:016x}-{length:08x}-{crc:08x}-{id}", place.offset());
        self.trash_directory_of(*place).join(name)
    }

    pub(crate) fn quarantine_directory(&self) -> PathBuf {
        self.directory.join("quarantine")
    }

    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        self.shared_directory().join(Self::segment_name(number))
    }

    /// The name of a shared segment's file.
    pub(crate) fn segment_name(number: u32) -> String {
        format!("{number:08x}.segment")
    }

    /// The file that holds the record of `id` at `place`.
    pub(crate) fn record_path(&self, id: &BlockId, place: Place) -> PathBuf {
        if place.is_dedicated() {
            self.dedicated_directory()
                .join(format!("{:08x}", place.segment()))
                .join(dedicated_name(id, place.offset()))
        } else {
            self.segment_path(place.segment())
        }
    }
}

/// The name of a dedicated segment in its directory.
pub(crate) fn dedicated_name(id: &BlockId, number: u32) -> String {
    format!("{number:04x}-{id}")
}

/// The name in quarantine of the record that lay at `place`.
pub(crate) fn quarantine_name(id: &BlockId, place: Place) -> String {
    let [a, b] = [place.segment(), place.offset()];
    format!("{id}-{}-{a:08x}-{b:08x}", if place.is_dedicated() { "own" } else { "shared" })
}

/// Parses the name of a file in directory `directory` of the trash.
pub(crate) fn parse_trash_name(directory: u32, name: &str) -> Option<(BlockId, Trashed)> {
    let mut parts = name.splitn(5, '-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        u64::from_str_radix(part, 16).ok()
    };
    let (file, deleted_at, length, crc) = (number(4)?, number(16)?, number(8)?, number(8)?);
    let id = parts.next()?.parse().ok()?;
    let place = Place::dedicated(directory, u32::try_from(file).ok()?);
    let entry = Entry { length: u32::try_from(length).ok()?, crc: u32::try_from(crc).ok()?, place };
    Some((id, Trashed { entry, deleted_at }))
}
