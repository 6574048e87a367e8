//! What a node remembers across restarts beside its blocks: which volumes it has, and how far it scrubbed.
//!
//! `node.json` lies on each volume. The copy with the highest sequence counts; one that cannot be read does not. Nothing is
//! lost without it but the knowledge that a volume is missing, and that a round of scrubbing was done.

use std::path::Path;

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VolumeId;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, read_file, replace_file};

const NAME: &str = "node.json";

/// What a node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memo {
    /// Rises with each change.
    pub(crate) sequence: u64,
    /// Its volumes, and in which directories they were.
    pub(crate) volumes: Vec<Known>,
    /// The last round of scrubbing that it finished.
    pub(crate) scrub: Scrubbed,
}

/// A volume that a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// As it was configured.
    pub(crate) directory: String,
    pub(crate) volume: VolumeId,
}

/// A round of scrubbing that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The last round that was ordered and followed to its end; 0 for none.
    pub round: u64,
    /// When a round, ordered or not, ended last.
    pub at: Option<Timestamp>,
}

impl Memo {
    /// The copy in `directory`; `None` when there is none that can be read.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> Option<Self> {
        let bytes = read_file(disk, &directory.join(NAME)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes a copy to `directory`, durably and whole or not at all.
    pub(crate) fn write(&self, disk: &dyn Disk, directory: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        replace_file(disk, directory, NAME, &bytes)
    }

    /// The volume that was in a directory.
    pub(crate) fn volume_in(&self, directory: &Path) -> Option<VolumeId> {
        let directory = directory.to_string_lossy();
        self.volumes.iter().find(|known| known.directory == directory).map(|known| known.volume)
    }
}
