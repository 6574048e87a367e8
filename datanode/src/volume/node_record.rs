//! What a node remembers across restarts beside its blocks: which volumes it has, how far it scrubbed, and what it has seen
//! of the metanode's database.
//!
//! `node.json` lies on each volume. The copy with the highest sequence counts; one that cannot be read does not. Nothing is
//! lost without it but the knowledge that a volume is missing, that a round of scrubbing was done, and that an older
//! database is an older one.

use std::path::Path;

use cairn_protocol::cluster::{Generation, Lineage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VolumeId;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, read_file, replace_file};

const NAME: &str = "node.json";

/// What a node remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeRecord {
    /// Rises with each change.
    pub(crate) sequence: u64,
    /// Its volumes, and in which directories they were.
    pub(crate) volumes: Vec<KnownVolume>,
    /// The last round of scrubbing that it finished.
    pub(crate) scrub: LastScrub,
    /// What it has seen of the metanode and its database.
    pub(crate) seen: SeenDatabase,
}

/// What a node has seen of the metanode and its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenDatabase {
    /// The highest incarnation that it had; 0 for none.
    pub incarnation: u64,
    /// The latest generations of the database: one, or more where it went two ways.
    pub generations: Vec<Generation>,
}

/// Ways that a database can have gone: each takes an operator who puts another copy of it back. What is beyond is
/// forgotten, the oldest first.
const GENERATIONS_MAX: usize = 64;

impl SeenDatabase {
    /// Takes up what the metanode says of its database. Answers whether that is news.
    pub fn learn(&mut self, lineage: Lineage) -> bool {
        let before = self.generations.clone();
        let Lineage { latest, sole } = lineage;
        if sole {
            self.generations.clear();
        }
        if let Some(latest) = latest {
            // A machine that was set back to a snapshot, memory and all, goes on under the same name with lower numbers.
            let known = self.generations.iter().find(|known| known.opening == latest.opening).copied();
            let latest = known.filter(|known| known.sequence > latest.sequence).unwrap_or(latest);
            self.generations.retain(|known| known.opening != latest.opening);
            self.generations.push(latest);
        }
        let beyond = self.generations.len().saturating_sub(GENERATIONS_MAX);
        self.generations.drain(..beyond);
        self.generations != before
    }
}

/// A volume that a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownVolume {
    /// As it was configured.
    pub(crate) directory: String,
    pub(crate) volume: VolumeId,
}

/// A round of scrubbing that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastScrub {
    /// The last round that was ordered and followed to its end; 0 for none.
    pub round: u64,
    /// When a round, ordered or not, ended last.
    pub at: Option<Timestamp>,
}

impl NodeRecord {
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

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn generation(opening: u128, sequence: u64) -> Generation {
        Generation { opening: cairn_protocol::id::OpeningId(Uuid::from_u128(opening)), sequence }
    }

    fn learn(seen: &mut SeenDatabase, latest: Option<Generation>, sole: bool) -> bool {
        seen.learn(Lineage { latest, sole })
    }

    #[test]
    fn a_database_that_knows_all_replaces_what_was_seen_and_another_one_does_not() {
        let mut seen = SeenDatabase::default();
        assert!(learn(&mut seen, Some(generation(1, 5)), true));
        assert!(!learn(&mut seen, Some(generation(1, 5)), true));
        assert!(learn(&mut seen, Some(generation(2, 6)), true));
        assert_eq!(seen.generations, [generation(2, 6)]);
        // An older copy was put back, and went on.
        learn(&mut seen, Some(generation(3, 4)), false);
        learn(&mut seen, Some(generation(3, 5)), false);
        learn(&mut seen, Some(generation(2, 1)), false);
        seen.generations.sort_by_key(|generation| generation.opening);
        assert_eq!(seen.generations, [generation(2, 6), generation(3, 5)]);
        // An operator agreed.
        learn(&mut seen, None, true);
        assert!(seen.generations.is_empty());
    }

    #[test]
    fn what_an_older_metanode_does_not_say_changes_nothing() {
        let mut seen = SeenDatabase::default();
        learn(&mut seen, Some(generation(1, 5)), true);
        assert!(!seen.learn(Lineage::default()));
        assert_eq!(seen.generations, [generation(1, 5)]);
    }

    #[test]
    fn a_note_of_an_earlier_version_is_read() {
        let text = r#"{"sequence": 3, "volumes": [], "scrub": {"round": 7, "at": null}}"#;
        let node_record: NodeRecord = serde_json::from_str(text).unwrap();
        assert_eq!((node_record.scrub.round, node_record.seen), (7, SeenDatabase::default()));
    }
}
